package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// Sources of an Entry.
const (
	SourceWebhook    = "webhook"
	SourceIntent     = "intent"
	SourcePoll       = "poll"
	SourceTransition = "transition"
	SourceDeadLetter = "dead-letter"
)

// An Entry is one record of a subject, as a timeline shows it.
type Entry struct {
	At         events.Millis // when it was observed; of a transition learned, of a dead letter appended
	AppendedAt events.Millis // the record's timestamp
	AppendTime bool          // AppendedAt is the broker's clock
	Source     string
	What       string // in a few words
	EventID    events.EventID
	Record     events.Sighting // coordinates; At and EventID are zero
	Hint       bool            // a webhook that enters no state
	Duplicate  bool            // an event id that an earlier record of its topic has
	// Late is set when something observed later, by more than the margin, stands
	// in the log before it: 0 when not, else how much later that was observed.
	Late events.Millis
	// Ahead is by how much it was dated ahead of the broker's clock, if by more
	// than the margin: its time is cut then. 0 when not.
	Ahead events.Millis
	// Gap is the silence before it, if the subject was not settled and it was
	// longer than anybody may be silent about such a one; 0 when not.
	Gap events.Millis
	// Terminal is, of a transition, whether it led to a settled status.
	Terminal bool
	// Fault is set for a dead letter, and for a record that cannot be decoded.
	Fault string
}

// Timeline reads every record of one subject from the inputs, the transition
// log and the dead letters, in the order of their times. Only the partition of
// the subject is read. margin is how far two of our clocks may differ, silence
// how long nothing may be heard of a subject that is not settled.
func (r Reader) Timeline(ctx context.Context, key events.Key, margin, silence time.Duration) ([]Entry, error) {
	var all []Entry
	n := stream.PartitionOf([]byte(key.String()), r.Partitions)
	for _, topic := range []string{r.Topics.Webhook, r.Topics.Intent, r.Topics.StatusCheck, r.Topics.Transition, r.Topics.DeadLetter} {
		ends, err := r.Log.Ends(ctx, n, topic)
		if err != nil {
			return nil, err
		}
		err = r.Log.Read(ctx, topic, n, ends[topic].Start, ends[topic].End, true, func(rec stream.Record) error {
			if string(rec.Key) != key.String() {
				return nil
			}
			e, err := r.entry(ctx, rec)
			all = append(all, e)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("timeline of %s: %s: %w", key, topic, err)
		}
	}
	markEntries(all, events.Millis(margin.Milliseconds()))
	slices.SortStableFunc(all, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.AppendedAt, b.AppendedAt), cmp.Compare(sourceRank(a.Source), sourceRank(b.Source)),
			cmp.Compare(a.Record.Offset, b.Record.Offset))
	})
	markGaps(all, events.Millis((silence + margin).Milliseconds()))
	return all, nil
}

// markGaps finds silences of more than most. It wants entries in the order of
// their times.
func markGaps(all []Entry, most events.Millis) {
	heard, settled := events.Millis(0), false
	for i := range all {
		e := &all[i]
		if e.Source == SourceDeadLetter {
			continue
		}
		if silent := e.At - heard; heard != 0 && !settled && silent > most {
			e.Gap = silent
		}
		heard = e.At
		if e.Source == SourceTransition {
			settled = e.Terminal
		}
	}
}

// sourceRank puts what follows behind what it follows from.
func sourceRank(source string) int {
	return slices.Index([]string{SourceIntent, SourceWebhook, SourcePoll, SourceTransition, SourceDeadLetter}, source)
}

// markEntries finds duplicates, and what is late or dated ahead. It wants
// entries in the order of their offsets, topic by topic.
func markEntries(all []Entry, margin events.Millis) {
	type id struct {
		topic string
		event events.EventID
	}
	seen := map[id]bool{}
	for i := range all {
		e := &all[i]
		k := id{e.Record.Topic, e.EventID}
		e.Duplicate = e.EventID != "" && e.Source != SourceDeadLetter && seen[k]
		seen[k] = true
		if e.Source == SourceTransition || e.Source == SourceDeadLetter || e.Duplicate || e.Fault != "" {
			continue
		}
		if e.AppendTime && e.At > e.AppendedAt+margin {
			e.Ahead = e.At - e.AppendedAt
		}
		for _, o := range all {
			input := o.Source != SourceTransition && o.Source != SourceDeadLetter && o.Fault == ""
			if input && o.stoodBefore(e) && o.At > e.At+margin {
				e.Late = max(e.Late, o.At-e.At)
			}
		}
	}
}

// stoodBefore says which of two entries was in the log first. In one topic the
// offsets know; between topics there is nothing but the times of the records.
func (e Entry) stoodBefore(o *Entry) bool {
	if e.Record.Topic == o.Record.Topic {
		return e.Record.Offset < o.Record.Offset
	}
	return e.AppendedAt < o.AppendedAt
}

// entry reads one record. What cannot be decoded is named, not shown: it may
// be a body that holds personal data.
func (r Reader) entry(ctx context.Context, rec stream.Record) (Entry, error) {
	e := Entry{
		AppendedAt: events.Millis(rec.TimestampMs), At: events.Millis(rec.TimestampMs), AppendTime: rec.AppendTime,
		Record: events.Sighting{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset},
	}
	var err error
	switch rec.Topic {
	case r.Topics.Webhook:
		err = r.webhookEntry(ctx, rec, &e)
	case r.Topics.Intent:
		err = r.intentEntry(ctx, rec, &e)
	case r.Topics.StatusCheck:
		err = r.checkEntry(ctx, rec, &e)
	case r.Topics.Transition:
		err = r.transitionEntry(ctx, rec, &e)
	default:
		e.Source = SourceDeadLetter
		origin := header(rec, stream.HeaderErrTopic) + "-" + header(rec, stream.HeaderErrPartition) + "-" + header(rec, stream.HeaderErrOffset)
		e.What = "of " + origin
		e.Fault = header(rec, stream.HeaderErrClass) + ": " + header(rec, stream.HeaderErrMessage)
	}
	if errors.Is(err, codec.ErrCorrupt) || errors.Is(err, codec.ErrWrongRecord) {
		e.Fault, err = err.Error(), nil
	}
	return e, err
}

func header(rec stream.Record, name string) string {
	v, _ := rec.Header(name)
	return string(v)
}

func (r Reader) webhookEntry(ctx context.Context, rec stream.Record, e *Entry) error {
	e.Source = SourceWebhook
	w, err := r.Codec.DecodeWebhook(ctx, rec.Value)
	if err != nil {
		return err
	}
	e.At, e.EventID, e.Hint = w.ObservedAt, w.EventID, w.Trust != events.TrustSigned
	e.What = quoted(w.StatusRaw) + " " + w.Trust.String()
	if w.HintReason != "" {
		e.What += " (" + w.HintReason + ")"
	}
	return nil
}

func (r Reader) intentEntry(ctx context.Context, rec stream.Record, e *Entry) error {
	e.Source = SourceIntent
	i, err := r.Codec.DecodeIntent(ctx, rec.Value)
	if err != nil {
		return err
	}
	e.At, e.EventID, e.What = i.ObservedAt, i.EventID, i.Kind.String()
	switch i.Kind {
	case events.Expect:
		e.What += " revision " + strconv.FormatInt(i.Revision, 10)
	case events.Decide:
		e.What += " " + i.Status.String() + " by " + i.Operator
	case events.Forget:
		e.What += " by " + i.Operator
	}
	return nil
}

func (r Reader) checkEntry(ctx context.Context, rec stream.Record, e *Entry) error {
	e.Source = SourcePoll
	c, err := r.Codec.DecodeStatusCheck(ctx, rec.Value)
	if err != nil {
		return err
	}
	e.At, e.EventID = c.ObservedAt, c.EventID
	e.What = string(c.Outcome)
	if c.Outcome == events.OutcomeOK {
		e.What = quoted(c.StatusRaw)
	}
	e.What += " cause " + c.Cause.String()
	return nil
}

func (r Reader) transitionEntry(ctx context.Context, rec stream.Record, e *Entry) error {
	e.Source = SourceTransition
	t, err := r.Codec.DecodeTransition(ctx, rec.Value)
	if err != nil {
		return err
	}
	e.At, e.EventID, e.Terminal = t.LearnedAt, t.ID, t.Terminal
	e.What = t.From.String() + " to " + t.To.String() + " by " + t.Rule
	if t.Retroactive {
		e.What += ", true since " + t.TrueAt.Time().Format("2006-01-02T15:04:05.000Z")
	}
	return nil
}

func quoted(word string) string {
	if word == "" {
		return "no status"
	}
	return strconv.Quote(word)
}
