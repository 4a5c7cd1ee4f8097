package reconciler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

func TestEngine_restoreFindsDamage(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(w *world)
		want   error
	}{
		{"untouched", func(*world) {}, nil},
		{"compacted", func(w *world) { w.log.Compact(topics.OrderState); w.log.Compact(topics.ReconcilerPosition) }, nil},
		{"state missing", func(w *world) {
			w.log.Compact(topics.OrderState)
			r := w.log.All(topics.OrderState)[0]
			w.log.Change(r.Topic, r.Partition, r.Offset, nil)
		}, stream.ErrLoss},
		{"state older than the position", func(w *world) {
			all := w.log.All(topics.OrderState)
			last := all[len(all)-1]
			for _, r := range all {
				if bytes.Equal(r.Key, last.Key) && r.Offset < last.Offset {
					w.log.Change(last.Topic, last.Partition, last.Offset, r.Value)
				}
			}
		}, stream.ErrLoss},
		{"state undecodable", func(w *world) {
			r := w.log.All(topics.OrderState)[0]
			w.log.Compact(topics.OrderState)
			r = w.log.All(topics.OrderState)[0]
			w.log.Change(r.Topic, r.Partition, r.Offset, r.Value[:len(r.Value)-3])
		}, stream.ErrLoss},
		{"positions gone", func(w *world) {
			for n := range int32(partitions) {
				w.log.Truncate(topics.ReconcilerPosition, n, 1<<40)
			}
		}, stream.ErrLoss},
		{"states gone", func(w *world) {
			for n := range int32(partitions) {
				w.log.Truncate(topics.OrderState, n, 1<<40)
			}
		}, stream.ErrLoss},
		{"unread input gone", func(w *world) {
			for n := range int32(partitions) {
				w.log.Truncate(topics.Webhook, n, 1<<40)
			}
		}, stream.ErrLoss},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.now = minute(9)
			for i := range 12 {
				w.append(w.hook(fmt.Sprintf("o%d", i), "wait", minute(1), events.TrustSigned))
			}
			w.drain()
			for i := range 12 {
				w.append(w.hook(fmt.Sprintf("o%d", i), "done", minute(2), events.TrustSigned))
			}
			w.drain()
			tc.damage(w)
			if err := w.tryRestart(); !errors.Is(err, tc.want) {
				t.Errorf("restore after damage = %v, want %v", err, tc.want)
			} else if err != nil && (!strings.Contains(err.Error(), "ramp.") || !strings.Contains(err.Error(), "offset")) {
				t.Errorf("restore after damage = %v, want the name of a topic, and offsets", err)
			}
		})
	}
}

// A partition that comes back unchanged is used as it is; one that another
// member wrote to meanwhile is read again.
func TestEngine_memoryIsKeptOverARebalance(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain()
	n := stream.PartitionOf([]byte(key("o1").String()), partitions)
	other := *w
	other.next = map[string]map[int32]int64{}
	w.eng.Revoke([]int32{n})
	other.restart()
	other.append(other.hook("o1", "done", minute(2), events.TrustSigned))
	other.drain()
	if _, err := w.eng.Restore(context.Background(), n, w.log, nil); err != nil {
		t.Fatal(err)
	}
	w.append(w.check("o1", "done", minute(8), events.CauseSchedule))
	rec := w.log.All(topics.StatusCheck)
	b := w.step(rec, true)
	for _, r := range b.Out {
		if r.Topic == topics.Transition {
			t.Errorf("the first member announced a transition that the second already had")
		}
	}
	if st := w.state("o1"); st.Status != events.StatusCompleted || len(st.Evidence) != 3 {
		t.Errorf("state = %v with %d rows, want COMPLETED with 3", st.Status, len(st.Evidence))
	}
}

// Positions and states that both vanished are not a first start where the group
// has committed offsets.
func TestEngine_restoreFindsEverythingGone(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	e := newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true})
	if _, err := e.Restore(context.Background(), 0, w.log, map[string]int64{topics.Webhook: 7, topics.Intent: -1}); !errors.Is(err, stream.ErrLoss) {
		t.Errorf("restore of nothing beside committed offsets = %v, want ErrLoss", err)
	}
	if _, err := e.Restore(context.Background(), 0, w.log, map[string]int64{topics.Webhook: -1, topics.Intent: 0}); err != nil {
		t.Errorf("first start = %v", err)
	}
}

// A restore that verified the digest has not decoded every state. One that
// cannot be decoded is loss when it is needed.
func TestEngine_undecodableStateIsLossWhenNeeded(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain()
	r := w.log.All(topics.OrderState)[0]
	cut := r.Value[:len(r.Value)-3]
	w.log.Change(r.Topic, r.Partition, r.Offset, cut)
	for _, pr := range w.log.All(topics.ReconcilerPosition) {
		pos, err := w.codec.DecodePosition(t.Context(), pr.Value)
		if err != nil {
			t.Fatal(err)
		}
		if pos.States == 1 {
			pos.Digest = reconciler.RecordDigest(string(r.Key), cut)
			value, err := w.codec.EncodePosition(pos)
			if err != nil {
				t.Fatal(err)
			}
			w.log.Change(pr.Topic, pr.Partition, pr.Offset, value)
		}
	}
	w.restart()
	w.append(w.hook("o1", "done", minute(2), events.TrustSigned))
	recs := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
	if _, err := w.eng.Step(t.Context(), recs, false); !errors.Is(err, stream.ErrLoss) {
		t.Errorf("Step = %v, want ErrLoss", err)
	}
}

// A restore takes place in pieces and stages; what it ends with is the latest
// of each key, as if it were read one after another.
func TestEngine_restoreInPieces(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	const orders = 1500
	for round, word := range []string{"wait", "run", "done"} {
		for i := range orders {
			w.append(w.hook(fmt.Sprintf("o%d", i), word, minute(1+round), events.TrustSigned))
		}
		for recs := w.poll(rand.New(rand.NewPCG(1, 1)), 500); len(recs) > 0; recs = w.poll(rand.New(rand.NewPCG(1, 1)), 500) {
			w.step(recs, true)
		}
	}
	w.restart()
	if n := w.eng.States(); n != orders {
		t.Errorf("%d states are restored, want %d", n, orders)
	}
	if live, held := w.eng.Memory(); live == 0 || held < live {
		t.Errorf("%d bytes are live in %d held", live, held)
	}
}
