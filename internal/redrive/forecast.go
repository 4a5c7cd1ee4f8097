package redrive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

// MaxRedrives is how often one record is brought back. Something that is set
// aside for the fourth time needs a person, not a loop.
const MaxRedrives = 3

// Outcome is what would become of a dead letter now. The set is closed.
type Outcome string

// The outcomes. Only the first two are written.
const (
	Joins   Outcome = "joins"           // its evidence enters a state
	Asks    Outcome = "asks"            // no evidence: it makes the poller ask
	Nothing Outcome = "changes_nothing" // what it says is known, or was forgotten
	Fails   Outcome = "fails"           // it would be set aside again
	Parked  Outcome = "parked"          // it was redriven MaxRedrives times
	Cannot  Outcome = "cannot"          // there is nothing to bring back, or nowhere to
)

// Written reports whether a redrive writes such a dead letter.
func (o Outcome) Written() bool { return o == Joins || o == Asks }

// Step is what would become of one dead letter.
type Step struct {
	Letter
	Outcome Outcome
	// Again is the class as which it would be set aside again, Why what speaks
	// against it; "" where nothing does.
	Again, Why string
	// From and To are the partition that it stood in and the one of its key; -1
	// where there is none. They differ when the record is re-keyed.
	From, To int32
	// Key is the subject; the zero value where the key is none.
	Key events.Key
	// Before and After are the announced status; they differ when a transition
	// would be written.
	Before, After events.Status
	// DecidedBy is the rule that decides the status after a transition.
	DecidedBy string
}

// Plan says of each dead letter what would become of it, in turn: what the
// first one changes, the second one finds changed. It reads the states of the
// subjects that they name, and writes nothing.
func (r Redriver) Plan(ctx context.Context, letters []Letter) ([]Step, error) {
	steps := make([]Step, len(letters))
	byPartition := map[int32][]*Step{}
	for i, l := range letters {
		steps[i] = Step{Letter: l, From: l.Source.Partition, To: -1}
		s := &steps[i]
		if err := r.admit(ctx, s); err != nil {
			return nil, err
		}
		if s.Outcome == "" {
			byPartition[s.To] = append(byPartition[s.To], s)
		}
	}
	for n, part := range byPartition {
		if err := r.forecast(ctx, n, part); err != nil {
			return nil, fmt.Errorf("forecast partition %d: %w", n, err)
		}
	}
	return steps, nil
}

// Pages selects and plans, and gives each selection to use with its plan: the first,
// and those behind it for as long as nothing of a selection is written and its limit
// left some out. So what can never be brought back does not stand before what can;
// and since what is not written changes nothing, every plan holds. Each selection is
// twice as large as the one before, lest the topic be read for each letter, and ends
// with the last letter that the limit lets be written.
func (r Redriver) Pages(ctx context.Context, f Filter, use func(Selection, []Step) error) error {
	most := cmp.Or(f.Limit, DefaultLimit)
	f.Limit = most
	for {
		sel, err := r.Select(ctx, f)
		if err != nil {
			return err
		}
		steps, err := r.Plan(ctx, sel.Letters)
		if err != nil {
			return err
		}
		if n := until(steps, most); n < len(steps) {
			sel.Letters, steps, sel.More = sel.Letters[:n], steps[:n], true
		}
		on := sel.More && !slices.ContainsFunc(steps, func(s Step) bool { return s.Outcome.Written() })
		sel.More = sel.More && !on
		if err := use(sel, steps); err != nil || !on {
			return err
		}
		f.After, f.Limit = &sel.Letters[len(sel.Letters)-1], max(most, min(2*f.Limit, DefaultLimit))
	}
}

// until is how many steps there are up to the last of so many that are written.
func until(steps []Step, most int) int {
	for i := range steps {
		if steps[i].Outcome.Written() {
			most--
		}
		if most == 0 {
			return i + 1
		}
	}
	return len(steps)
}

// admit decides what needs no state: s.Outcome stays "" for a record that the
// reconciler would have to read.
func (r Redriver) admit(ctx context.Context, s *Step) error {
	src := &s.Source
	if key, err := events.ParseKey(string(src.Key)); err == nil {
		s.Key = key
	}
	input := false
	for _, t := range r.Topics.Inputs() {
		input = input || t == src.Topic
	}
	switch {
	case src.Offset < 0:
		s.Outcome, s.Why = Cannot, "an HTTP delivery: its signature is not kept; the provider repeats it or the poller asks"
	case !input:
		s.Outcome, s.Why = Cannot, "a record of a program's own table, which that program writes anew"
	case s.Class == reconciler.ClassTooLarge:
		if err := r.fetch(ctx, s); err != nil {
			return err
		}
	}
	if s.Outcome == "" && src.Redrives() >= MaxRedrives {
		s.Outcome, s.Why = Parked, fmt.Sprintf("redriven %d times and set aside each time", src.Redrives())
	}
	if s.Outcome == "" {
		s.To = stream.PartitionOf(src.Key, r.Partitions)
	}
	return nil
}

// fetch reads the bytes of a record that was too large to be kept, from where
// it stands.
func (r Redriver) fetch(ctx context.Context, s *Step) error {
	src := s.Source
	ends, err := r.Log.Ends(ctx, src.Partition, src.Topic)
	if err != nil {
		return err
	}
	found := false
	if rng := ends[src.Topic]; src.Offset >= rng.Start && src.Offset < rng.End {
		err = r.Log.Read(ctx, src.Topic, src.Partition, src.Offset, src.Offset+1, true, func(rec stream.Record) error {
			rec.Key, rec.Value = bytes.Clone(rec.Key), bytes.Clone(rec.Value)
			s.Source, found = rec, true
			return nil
		})
	}
	if err == nil && !found {
		s.Outcome, s.Why = Cannot, "its bytes were too large to keep, and the record itself is not retained any more"
	}
	return err
}

// forecast runs the reconciler's step function on the letters of one partition.
func (r Redriver) forecast(ctx context.Context, n int32, steps []*Step) error {
	subjects := map[string]bool{}
	for _, s := range steps {
		subjects[string(s.Source.Key)] = true
	}
	eng := reconciler.NewEngine(reconciler.Config{
		Topics: r.Topics, Partitions: r.Partitions, Rules: r.Rules, Codec: r.Codec, BelieveOrigin: r.BelieveOrigin,
	})
	next, err := eng.Restore(ctx, n, only{r.Log, r.Topics, subjects}, nil)
	if err != nil {
		return err
	}
	for _, s := range steps {
		rec := s.Redrive()
		rec.Partition, rec.Offset = n, next[rec.Topic]
		rec.TimestampMs, rec.AppendTime = r.Now().UnixMilli(), s.Source.AppendTime
		next[rec.Topic]++
		b, err := eng.Step(ctx, []stream.Record{rec}, false)
		switch {
		case errors.Is(err, codec.ErrUnknownSchema):
			s.Outcome, s.Again, s.Why = Fails, reconciler.ClassUnknownSchema, "the registry does not have the schema of its value"
			continue
		case err != nil:
			return fmt.Errorf("dead letter %s: %w", s.At, err)
		}
		if err := r.read(ctx, s, b.Out); err != nil {
			return err
		}
		eng.Accept()
	}
	return nil
}

// read tells from what the reconciler would write what becomes of a letter.
//
// A record about a subject that was forgotten before changes no more than the
// marks of its stub. It is not brought back: the copy would be one more record
// about somebody who asked to be forgotten, and the stub would have to outlive it.
func (r Redriver) read(ctx context.Context, s *Step, out []stream.Record) error {
	s.Outcome = Nothing
	announced := false
	for _, rec := range out {
		switch rec.Topic {
		case r.Topics.DeadLetter:
			l, err := stream.ParseDeadLetter(rec)
			if err != nil {
				return err
			}
			s.Outcome, s.Again, s.Why = Fails, l.Class, l.Message
			return nil
		case r.Topics.Transition:
			tr, err := r.Codec.DecodeTransition(ctx, rec.Value)
			if err != nil {
				return err
			}
			s.Before, s.After, s.DecidedBy, announced = tr.From, tr.To, tr.Rule, true
		case r.Topics.OrderState, r.Topics.CustomerState:
			forgotten, err := r.forgotten(ctx, rec)
			if err != nil {
				return err
			}
			if forgotten && !announced {
				s.Why = "the subject was forgotten"
				continue
			}
			s.Outcome = Joins
		case r.Topics.CheckSchedule:
			if s.Outcome == Nothing && len(rec.Value) > 0 {
				s.Outcome = Asks
			}
		}
	}
	return nil
}

// forgotten reports whether a state is the stub of a forgotten subject.
func (r Redriver) forgotten(ctx context.Context, rec stream.Record) (bool, error) {
	decode := r.Codec.DecodeOrderState
	if rec.Topic == r.Topics.CustomerState {
		decode = r.Codec.DecodeCustomerState
	}
	st, err := decode(ctx, rec.Value)
	return st.DecidedBy == order.RuleForgotten, err
}

// only shows of the states those of some subjects, and of positions none: what
// an engine restores from it is no more than the letters need.
type only struct {
	stream.Log
	topics   stream.Topics
	subjects map[string]bool
}

// Read implements stream.Log.
func (o only) Read(ctx context.Context, topic string, n int32, from, to int64, committed bool, fn func(stream.Record) error) error {
	switch topic {
	case o.topics.ReconcilerPosition:
		return nil
	case o.topics.OrderState, o.topics.CustomerState:
		return o.Log.Read(ctx, topic, n, from, to, committed, func(r stream.Record) error {
			if !o.subjects[string(r.Key)] {
				return nil
			}
			return fn(r)
		})
	}
	return o.Log.Read(ctx, topic, n, from, to, committed, fn)
}
