package events

import (
	"strconv"
	"strings"
)

// Sighting is where and when something was first or last said. At is our
// clock, capped at the record's append time plus the margin.
type Sighting struct {
	At        Millis
	EventID   EventID
	Topic     string
	Partition int32
	Offset    int64
}

// Coordinates is "topic-partition-offset", as records carry it; "" for the
// zero Sighting.
func (s Sighting) Coordinates() string {
	if s.Topic == "" {
		return ""
	}
	return s.Topic + "-" + strconv.Itoa(int(s.Partition)) + "-" + strconv.FormatInt(s.Offset, 10)
}

// ParseCoordinates is the inverse of Coordinates. ok is false for a string it
// did not make.
func ParseCoordinates(s string) (topic string, partition int32, offset int64, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return "", 0, 0, false
	}
	j := strings.LastIndexByte(s[:i], '-')
	if j <= 0 {
		return "", 0, 0, false
	}
	p, err1 := strconv.ParseInt(s[j+1:i], 10, 32)
	o, err2 := strconv.ParseInt(s[i+1:], 10, 64)
	if err1 != nil || err2 != nil || p < 0 || o < 0 {
		return "", 0, 0, false
	}
	return s[:j], int32(p), o, true
}

// Compare orders sightings totally: by time, then event id, then coordinates.
// It is the order in which evidence is compared everywhere, so that minima and
// maxima do not depend on arrival.
func (s Sighting) Compare(o Sighting) int {
	switch {
	case s.At != o.At:
		return cmpInt(int64(s.At), int64(o.At))
	case s.EventID != o.EventID:
		return strings.Compare(string(s.EventID), string(o.EventID))
	case s.Topic != o.Topic:
		return strings.Compare(s.Topic, o.Topic)
	case s.Partition != o.Partition:
		return cmpInt(int64(s.Partition), int64(o.Partition))
	}
	return cmpInt(s.Offset, o.Offset)
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// EvidenceKind is the source of one piece of evidence.
type EvidenceKind uint8

// The kinds of evidence. Their order is the order of rows in a state record.
const (
	EvidenceWebhook     EvidenceKind = iota // one meaning (word and facts) of signed webhooks
	EvidenceWebhookMore                     // a word with more meanings than are kept: its first sighting of all
	EvidencePoll                            // one word, or "!class", of status checks
	EvidenceIntent                          // one content of EXPECT intents of the highest revision
	EvidenceDecision                        // one content of an operator's DECIDE
	EvidenceForget                          // a FORGET; no other row stands beside it
	EvidenceOverflow                        // a source with more words than are kept; Word names the source
	EvidenceFuture                          // evidence dated ahead of the log; Word names the source
	evidenceKinds
)

var evidenceNames = [evidenceKinds]string{"webhook", "webhook_more", "poll", "intent", "decision", "forget", "overflow", "future"}

// String is the word in records.
func (k EvidenceKind) String() string {
	if k < evidenceKinds {
		return evidenceNames[k]
	}
	return ""
}

// ParseEvidenceKind is the inverse of String.
func ParseEvidenceKind(word string) (EvidenceKind, bool) {
	for i, n := range evidenceNames {
		if n == word {
			return EvidenceKind(i), true
		}
	}
	return 0, false
}

// Evidence is one row of the evidence in a state record: everything known,
// compressed, in the form that is joined. Rows are sorted by Compare.
type Evidence struct {
	Kind     EvidenceKind
	Word     string   // provider's status word, "!class", or the status of a decision
	Listed   bool     // webhooks and polls: whoever recorded the word had it in its table, or it is a class of ours
	Digest   string   // webhook: of the facts; intent, decision: of the content; else ""
	First    Sighting // earliest
	Last     Sighting // latest, of polls, decisions, overflow and future rows; a poll's Facts are those of it
	Revision int64    // intents only
	Operator string   // decisions and FORGET only
	Reason   string   // decisions and FORGET only
	Facts    Facts
}

// Compare orders rows of one state: by kind, word, listed (not first), digest.
func (e Evidence) Compare(o Evidence) int {
	if e.Kind != o.Kind {
		return cmpInt(int64(e.Kind), int64(o.Kind))
	}
	if c := strings.Compare(e.Word, o.Word); c != 0 {
		return c
	}
	if e.Listed != o.Listed {
		if o.Listed {
			return -1
		}
		return 1
	}
	return strings.Compare(e.Digest, o.Digest)
}

// State is the value of the order-state and customer-state topics: what is
// shown, and the evidence it is a function of. The evidence alone is the state;
// every other field can be derived from it and the rules named RulesVersion.
type State struct {
	Key       Key
	Status    Status
	StatusRaw string // the word of the deciding evidence; "" when a rule decided without one
	// DecidedBy names the rule that decided; DecidedSource is the source of the
	// deciding evidence: "webhook", "poll", "intent", "decision" or "".
	DecidedBy     string
	DecidedSource string
	Terminal      bool
	Since         Millis   // since when Status holds, by our clock
	FirstSeenAt   Millis   // earliest sighting of any evidence
	LastSeenAt    Millis   // latest sighting of any evidence
	StaleSince    Millis   // absent unless the poller gave up asking
	Facts         Facts    // as shown
	Expected      Facts    // what the intent states; zero without one
	Open          []string // types of open discrepancies, sorted
	RulesVersion  string
	Evidence      []Evidence // sorted by Evidence.Compare
}

// Transition is one change of an order's or customer's announced status.
type Transition struct {
	ID           EventID // hash of key, digest before, digest after
	Key          Key
	From, To     Status
	FromRaw      string
	ToRaw        string
	Rule         string // the rule that decided the new status
	Reason       string // "evidence" or "rule_change"
	Terminal     bool
	DigestBefore string // of the whole state value before; "" for the first
	DigestAfter  string
	Cause        string // coordinates of the record that caused it; "" for a rule change
	CauseEventID EventID
	TrueAt       Millis // State.Since: when it became true
	LearnedAt    Millis // append time of the causing record
	Retroactive  bool   // it was true before something already announced
}

// DiscrepancyType is the closed set of things that do not fit together.
type DiscrepancyType string

// The twelve types.
const (
	MissingWebhook    DiscrepancyType = "MISSING_WEBHOOK"
	StatusConflict    DiscrepancyType = "STATUS_CONFLICT"
	IllegalTransition DiscrepancyType = "ILLEGAL_TRANSITION"
	LateAfterTerminal DiscrepancyType = "LATE_AFTER_TERMINAL"
	AmountMismatch    DiscrepancyType = "AMOUNT_MISMATCH"
	AssetMismatch     DiscrepancyType = "ASSET_MISMATCH"
	TxHashMismatch    DiscrepancyType = "TX_HASH_MISMATCH"
	DuplicateConflict DiscrepancyType = "DUPLICATE_CONFLICT"
	UnknownStatus     DiscrepancyType = "UNKNOWN_STATUS"
	Stuck             DiscrepancyType = "STUCK"
	Unconfirmed       DiscrepancyType = "UNCONFIRMED"
	FutureEvidence    DiscrepancyType = "FUTURE_EVIDENCE"
)

// DiscrepancyTypes lists the closed set.
func DiscrepancyTypes() []DiscrepancyType {
	return []DiscrepancyType{MissingWebhook, StatusConflict, IllegalTransition, LateAfterTerminal, AmountMismatch,
		AssetMismatch, TxHashMismatch, DuplicateConflict, UnknownStatus, Stuck, Unconfirmed, FutureEvidence}
}

// Discrepancy is one thing that does not fit, open or resolved. Its record
// key is the subject's key, a slash, and the type.
type Discrepancy struct {
	Key        Key
	Type       DiscrepancyType
	Severity   string // "info", "warning" or "critical"
	OpenedAt   Millis
	ResolvedAt Millis // absent while open
	Expected   string
	Seen       string
	// AtStake is the money in question, in AtStakeCurrency; "" when it cannot
	// be said.
	AtStake         Amount
	AtStakeCurrency string
	Evidence        []string // coordinates, sorted
}

// RecordKey is the record key of d: the subject's key, "/", the type.
func (d Discrepancy) RecordKey() string { return d.Key.String() + "/" + string(d.Type) }

// CheckTask is one thing for the poller to ask. Its key is the subject's key;
// its partition is that of the lane. A tombstone ends it.
type CheckTask struct {
	Key    Key
	DueAt  Millis
	Cause  Cause
	HintAt Millis // CauseHint: when the hint was received
	// Known is false when the subject has no state: only a hint named it.
	Known  bool
	Status Status // as announced when the task was made; UNKNOWN when not Known
	Since  Millis
	// GiveUp asks for a last GAVE_UP event instead of a call.
	GiveUp bool
	// Expected facts bind an answer that does not echo its id (Kanga).
	ExpectedAmount   Amount
	ExpectedCurrency string
}

// LaneState is what the owner of a lane must remember. Its key is the lane.
type LaneState struct {
	Lane Lane
	// NonceReserved is the highest nonce that may have been used. A new owner
	// starts above it.
	NonceReserved int64
	RetryAfter    Millis // no call before this instant; absent for none
	// Budget is the learned rate in calls a second, a plain decimal; "" for
	// the configured one.
	Budget    Amount
	UpdatedAt Millis
}

// Position is where a reconciler partition stands: written in the transaction
// that wrote the states it describes.
type Position struct {
	Partition int32
	// Next is the next offset of each input topic, sorted by topic.
	Next []InputOffset
	// States counts the live records of order-state and customer-state in this
	// partition, and Digest is the order-independent sum of their 128-bit
	// hashes, hexadecimal.
	States       int64
	Digest       string
	RulesVersion string
	// RulesGeneration and RulesCode rank the rules: the operator's number first,
	// then that of the code.
	RulesGeneration, RulesCode int64
	// Superseded names the rules of lanes that this partition has left behind
	// within the generation, sorted.
	Superseded []string
}

// InputOffset is the next offset to read of one input topic.
type InputOffset struct {
	Topic  string
	Offset int64
}
