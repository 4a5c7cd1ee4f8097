package events

// Trust says whether an observation may enter a state.
type Trust uint8

// The zero Trust is the weak one: only what was verified is SIGNED.
const (
	TrustHint   Trust = iota // makes the poller look sooner, enters nothing
	TrustSigned              // authenticated by the provider's scheme
)

// String is the word in records: "HINT" or "SIGNED".
func (t Trust) String() string {
	if t == TrustSigned {
		return "SIGNED"
	}
	return "HINT"
}

// Webhook is one delivery, verified and normalised. ingest publishes it.
type Webhook struct {
	Key     Key
	EventID EventID // hash of the signed meaning and its signature; equal for every redelivery
	// ObservedAt is our clock when ingest received the delivery.
	ObservedAt Millis
	Trust      Trust
	// HintReason says why Trust is HINT: "unsigned", "stale" or "unconfigured"; "" when SIGNED.
	HintReason string
	EventType  string // the provider's own event type, as sent
	StatusRaw  string // the provider's status word; "" when it states none
	Status     Status // what StatusRaw means; informative, the reconciler maps StatusRaw again
	DeliveryID string // the provider's id of the delivery; "" when it has none
	BodyDigest string // SHA-256 of the body bytes, hexadecimal
	// Scheme names the reading of the provider's document that verified, and
	// which secret ("current", "previous"), e.g. "canonical/current"; "" for a hint.
	Scheme string
	Facts  Facts
}

// IntentKind is what a merchant or operator states.
type IntentKind uint8

// The kinds of intent.
const (
	Expect IntentKind = iota // the subject exists and should look so
	Forget                   // erase what is known; absorbs all evidence
	Decide                   // settle a dispute
)

var intentKinds = [...]string{"EXPECT", "FORGET", "DECIDE"}

// String is the word in records.
func (k IntentKind) String() string {
	if int(k) < len(intentKinds) {
		return intentKinds[k]
	}
	return intentKinds[Expect]
}

// ParseIntentKind is the inverse of String.
func ParseIntentKind(word string) (IntentKind, bool) {
	for i, n := range intentKinds {
		if n == word {
			return IntentKind(i), true
		}
	}
	return Expect, false
}

// Intent is what the merchant expects of an order or customer, or what an
// operator asks. Written by ingest, rampctl or the merchant's own producers.
type Intent struct {
	Key        Key
	Kind       IntentKind
	EventID    EventID
	ObservedAt Millis
	Revision   int64  // EXPECT: the highest counts; 0 when not stated
	Facts      Facts  // EXPECT: stated fields only
	Status     Status // DECIDE: the terminal status that settles the dispute
	Operator   string // DECIDE, FORGET: who, an opaque id
	Reason     string // DECIDE, FORGET: why, free text of the operator
	Source     string // who wrote it: the token's name, "rampctl", or the producer's own
}

// ContentHash identifies what i states, apart from when and by which record.
func (i Intent) ContentHash() string {
	return Digest("intent", i.Key.String(), i.Kind.String(), int64String(i.Revision), i.Facts.Digest(),
		i.Status.String(), i.Operator, i.Reason)
}

// Cause is why the poller asked.
type Cause uint8

// The causes of a status check.
const (
	CauseSchedule Cause = iota
	CauseHint
	CauseSweep
	CauseConfirm
)

var causes = [...]string{"schedule", "hint", "sweep", "confirm"}

// String is the word in records.
func (c Cause) String() string {
	if int(c) < len(causes) {
		return causes[c]
	}
	return causes[CauseSchedule]
}

// ParseCause is the inverse of String.
func ParseCause(word string) (Cause, bool) {
	for i, n := range causes {
		if n == word {
			return Cause(i), true
		}
	}
	return CauseSchedule, false
}

// Outcome is how a status check ended: OK, or the class of its failure.
type Outcome string

// The closed set of outcomes.
const (
	OutcomeOK           Outcome = "ok"
	OutcomeNotFound     Outcome = "not_found"    // the provider says it does not know the id
	OutcomeUnauthorized Outcome = "unauthorized" // credentials or nonce refused
	OutcomeRateLimited  Outcome = "rate_limited"
	OutcomeTimeout      Outcome = "timeout"
	OutcomeUnreachable  Outcome = "unreachable"    // dial, reset, DNS
	OutcomeTLS          Outcome = "tls"            // certificate or protocol refused
	OutcomeRedirect     Outcome = "redirect"       // a redirect is never followed
	OutcomeProvider     Outcome = "provider_error" // 5xx, or a failure the provider reports
	OutcomeRejected     Outcome = "rejected"       // other 4xx: our request is wrong
	OutcomeMalformed    Outcome = "malformed"      // an answer that cannot be read
	OutcomeOversized    Outcome = "oversized"      // an answer above the cap
	OutcomeMismatch     Outcome = "mismatch"       // an answer about another subject
	OutcomeGaveUp       Outcome = "gave_up"        // no call was made, none will be: the horizon is reached, or a hint is not looked into
)

// Outcomes lists the closed set, OK first.
func Outcomes() []Outcome {
	return []Outcome{OutcomeOK, OutcomeNotFound, OutcomeUnauthorized, OutcomeRateLimited, OutcomeTimeout,
		OutcomeUnreachable, OutcomeTLS, OutcomeRedirect, OutcomeProvider, OutcomeRejected, OutcomeMalformed,
		OutcomeOversized, OutcomeMismatch, OutcomeGaveUp}
}

// StatusCheck is one answer, or failure, of a provider's status API. poller
// publishes it.
type StatusCheck struct {
	Key     Key
	EventID EventID
	// ObservedAt is our clock when the request started: an answer cannot be
	// newer than the question.
	ObservedAt Millis
	AnsweredAt Millis
	Cause      Cause
	Outcome    Outcome
	StatusRaw  string // "" unless Outcome is OK
	Status     Status
	HTTPStatus int32 // 0 when no response came
	Attempt    int32 // 1 for the first try of this check
	// RetryAfter is the instant before which the provider asked not to be
	// called again; absent when it did not.
	RetryAfter Millis
	Facts      Facts
}

// Word is how evidence names the answer: the provider's word, or "!" and the
// class of the failure.
func (c StatusCheck) Word() string {
	if c.Outcome == OutcomeOK {
		return c.StatusRaw
	}
	return "!" + string(c.Outcome)
}
