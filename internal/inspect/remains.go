package inspect

import (
	"context"
	"fmt"
	"slices"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// A Remain is what one topic still stores about a subject.
type Remain struct {
	Topic string
	// Records name the subject and may say something about it: tombstones, stubs
	// of a forgotten state and FORGETs do not count. Aborted records do: their
	// bytes are there.
	Records int
	// Live is whether the newest record of a key is one of them: compaction will
	// not remove it.
	Live bool
	// Newest is the timestamp of the newest of them; absent for none.
	Newest events.Millis
	// Stub is whether a record without facts stands for the subject.
	Stub bool
}

// Remains looks for a subject in every topic that may name it. All of every
// topic is read: a producer may have put a record into the wrong partition.
func (r Reader) Remains(ctx context.Context, key events.Key) ([]Remain, error) {
	t := r.Topics
	keys := []string{key.String()}
	for _, typ := range events.DiscrepancyTypes() {
		keys = append(keys, events.Discrepancy{Key: key, Type: typ}.RecordKey())
	}
	var out []Remain
	for _, topic := range []string{t.Webhook, t.Intent, t.StatusCheck, t.OrderState, t.CustomerState, t.Transition, t.Discrepancy, t.CheckSchedule, t.DeadLetter} {
		m := Remain{Topic: topic}
		for n := range r.Partitions {
			if err := r.remain(ctx, &m, n, keys); err != nil {
				return nil, fmt.Errorf("what is left of %s: %s-%d: %w", key, topic, n, err)
			}
		}
		out = append(out, m)
	}
	return out, nil
}

func (r Reader) remain(ctx context.Context, m *Remain, n int32, keys []string) error {
	ends, err := r.Log.Ends(ctx, n, m.Topic)
	if err != nil {
		return err
	}
	live, stub := map[string]bool{}, map[string]bool{}
	err = r.Log.Read(ctx, m.Topic, n, ends[m.Topic].Start, ends[m.Topic].End, false, func(rec stream.Record) error {
		key := string(rec.Key)
		if !slices.Contains(keys, key) {
			return nil
		}
		empty := rec.Value != nil && r.empty(ctx, rec)
		stub[key], live[key] = empty, rec.Value != nil && !empty
		if live[key] {
			m.Records++
			m.Newest = max(m.Newest, events.Millis(rec.TimestampMs))
		}
		return nil
	})
	for _, key := range keys {
		m.Live, m.Stub = m.Live || live[key], m.Stub || stub[key]
	}
	return err
}

// empty reports a record without facts: the stub of a state, or a FORGET. What
// cannot be read may say anything.
func (r Reader) empty(ctx context.Context, rec stream.Record) bool {
	switch rec.Topic {
	case r.Topics.Intent:
		i, err := r.Codec.DecodeIntent(ctx, rec.Value)
		return err == nil && i.Kind == events.Forget
	case r.Topics.OrderState, r.Topics.CustomerState:
		st, err := r.Codec.DecodeState(ctx, rec.Value)
		return err == nil && len(st.Evidence) == 1 && st.Evidence[0].Kind == events.EvidenceForget
	}
	return false
}
