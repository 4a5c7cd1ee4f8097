package oracle

import (
	"time"

	"rampstream/internal/events"
)

// Settings are the times of docs/ORDER.md that a state depends on.
type Settings struct {
	Margin, Confirm, MissingWebhook, Stuck time.Duration
}

// Rules are everything beside the observations that a state depends on.
type Rules struct {
	Settings   Settings
	Vocabulary events.Vocabulary
	Version    string // State.RulesVersion
}

// Where says where a record stands, and when the broker appended it: 0 where
// the topic's timestamps are the producer's.
type Where struct {
	Topic      string
	Partition  int32
	Offset     int64
	AppendedAt events.Millis
}

// History is everything that was said about one subject. The zero History
// with a Key is empty. The order in which records are added does not matter.
type History struct {
	Key      events.Key
	webhooks []record
	polls    []record
	intents  []record
	decides  []record
	forgets  []record
	margin   events.Millis
}

// record is one thing said, with all that may become a row of evidence.
type record struct {
	word     string
	listed   bool
	digest   string
	at       events.Sighting
	future   bool
	facts    events.Facts
	revision int64
	operator string
	reason   string
}

// NewHistory makes an empty history whose times are cut by margin.
func NewHistory(key events.Key, margin time.Duration) *History {
	return &History{Key: key, margin: events.Millis(margin.Milliseconds())}
}

// Webhook adds a webhook. A hint adds nothing.
func (h *History) Webhook(w events.Webhook, at Where) {
	if w.Trust == events.TrustSigned {
		h.webhooks = append(h.webhooks, h.record(w.ObservedAt, w.EventID, at, record{
			word: tooLong(w.StatusRaw), listed: w.Status != events.StatusUnknown, digest: w.Facts.Digest(), facts: w.Facts,
		}))
	}
}

// Check adds a status check. A failed answer to a hint adds nothing.
func (h *History) Check(c events.StatusCheck, at Where) {
	r := record{word: tooLong("!" + string(c.Outcome)), listed: true}
	switch {
	case c.Outcome == events.OutcomeOK:
		r.word, r.facts, r.listed = tooLong(c.StatusRaw), c.Facts, c.Status != events.StatusUnknown
		if len(r.word) > 0 && r.word[0] == '!' {
			r.word = "sha256:" + events.Digest(c.StatusRaw)
		}
	case c.Cause == events.CauseHint:
		return
	}
	h.polls = append(h.polls, h.record(c.ObservedAt, c.EventID, at, r))
}

// Intent adds an intent of any kind.
func (h *History) Intent(i events.Intent, at Where) {
	r := record{digest: i.ContentHash(), operator: i.Operator, reason: i.Reason}
	switch i.Kind {
	case events.Expect:
		r = record{digest: i.ContentHash(), facts: i.Facts, revision: i.Revision}
		h.intents = append(h.intents, h.record(i.ObservedAt, i.EventID, at, r))
	case events.Decide:
		r.word = i.Status.String()
		h.decides = append(h.decides, h.record(i.ObservedAt, i.EventID, at, r))
	case events.Forget:
		h.forgets = append(h.forgets, h.record(i.ObservedAt, i.EventID, at, r))
	}
}

func (h *History) record(t events.Millis, id events.EventID, at Where, r record) record {
	r.at = events.Sighting{At: t, EventID: id, Topic: at.Topic, Partition: at.Partition, Offset: at.Offset}
	if at.AppendedAt != 0 && t > at.AppendedAt+h.margin {
		r.at.At, r.future = at.AppendedAt+h.margin, true
	}
	return r
}

func tooLong(word string) string {
	if len(word) > 64 {
		return "sha256:" + events.Digest(word)
	}
	return word
}
