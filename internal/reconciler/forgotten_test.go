package reconciler_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

func (w *world) forget(id string, at events.Millis) stream.Record {
	x := events.Intent{Key: key(id), Kind: events.Forget, EventID: events.EventID(events.Digest("forget", id, at.Time().String())), ObservedAt: at, Operator: "op", Reason: "erasure"}
	v, err := w.codec.EncodeIntent(x)
	if err != nil {
		w.t.Fatal(err)
	}
	return stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(x.Key.String()), Value: v}
}

// expire removes all inputs that were read, as retention does.
func (w *world) expire(keep int64) {
	for _, topic := range topics.Inputs() {
		for n := range int32(partitions) {
			w.log.Truncate(topic, n, w.next[topic][n]-keep)
		}
	}
}

// tombstoned reports whether the last record of an order's state is a tombstone.
func (w *world) tombstoned(id string) bool {
	last := false
	for _, r := range w.log.All(topics.OrderState) {
		if string(r.Key) == key(id).String() {
			last = r.Value == nil
		}
	}
	return last
}

// R17: the stub of a forgotten order outlives every record about it that the
// inputs retain, and no longer.
func TestEngine_stubOutlivesItsInputs(t *testing.T) {
	w := newWorld(t)
	w.now = minute(60)
	w.append(w.intent("o1", minute(1)), w.hook("o1", "done", minute(2), events.TrustSigned), w.check("o1", "done", minute(3), events.CauseSchedule))
	w.drain()
	settle := func(what string, gone bool) {
		t.Helper()
		w.restart() // looks at the inputs
		w.drain()
		w.step(nil, true)
		if w.tombstoned("o1") != gone {
			t.Fatalf("%s: tombstone %v, want %v", what, !gone, gone)
		}
		if !gone {
			if st := w.state("o1"); st.DecidedBy != order.RuleForgotten {
				t.Fatalf("%s: %v by %s", what, st.Status, st.DecidedBy)
			}
		}
		w.log.Compact(topics.OrderState)
		w.restart() // count and digest are those of the position
	}
	w.append(w.forget("o1", minute(30)))
	w.drain()
	settle("all inputs retained", false)
	w.expire(0)
	w.append(w.hook("o1", "fail", minute(50), events.TrustSigned))
	w.drain()
	settle("late evidence retained, the FORGET gone", false)
	w.expire(0)
	w.append(w.hook("o1", "", minute(55), events.TrustHint))
	w.drain()
	settle("a late hint retained", false)
	w.append(w.check("o1", "fail", minute(56), events.CauseHint))
	w.drain()
	w.expire(1)
	settle("the last records retained", false)
	w.expire(0)
	w.append(w.hook("o1", "wait", minute(57), events.TrustSigned)) // not read yet
	w.restart()
	if b := w.step(nil, true); !b.Empty() {
		t.Fatalf("%d records written while a record about the order is unread", len(b.Out))
	}
	w.drain()
	settle("read, and retained", false)
	w.expire(0)
	settle("nothing retained", true)
	if n := w.eng.Forgotten(); n != 0 {
		t.Errorf("%d stubs wait after all are removed", n)
	}
	for topic, want := range map[string]int{topics.Discrepancy: 0, topics.CheckSchedule: 0, topics.OrderState: 0} {
		if n := len(w.table(topic)); n != want {
			t.Errorf("%s: %d live records, want %d", topic, n, want)
		}
	}
}

// A stub goes only where that is proven: not without transactions, where a
// crash between the tombstone and the position would look like loss; not while
// it waits to be viewed by new rules; and one without marks is marked first.
func TestEngine_stubsThatMustStay(t *testing.T) {
	begin := func(t *testing.T) *world {
		w := newWorld(t)
		w.now = minute(60)
		w.append(w.hook("o1", "done", minute(2), events.TrustSigned), w.forget("o1", minute(30)))
		w.drain()
		return w
	}
	t.Run("no transactions", func(t *testing.T) {
		w := begin(t)
		w.expire(0)
		w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec})
		for n := range int32(partitions) {
			if err := w.restore(n); err != nil {
				t.Fatal(err)
			}
		}
		if b := w.step(nil, true); !b.Empty() {
			t.Errorf("%d records written", len(b.Out))
		}
	})
	t.Run("new rules", func(t *testing.T) {
		w := begin(t)
		w.expire(0)
		w.rules = rulesOf(t, 0, events.StatusCompleted)
		w.restart()
		w.step(nil, true)
		if st := w.state("o1"); st.RulesVersion != w.rules.LaneVersion("acme/shop") || st.DecidedBy != order.RuleForgotten {
			t.Errorf("%v by %s, rules %s", st.Status, st.DecidedBy, st.RulesVersion)
		}
		w.step(nil, true)
		if w.expire(0); !w.tombstoned("o1") {
			t.Error("no tombstone after it was viewed again")
		}
		checkChainOf(t, w, "o1")
	})
	t.Run("marks of other topics", func(t *testing.T) {
		w := begin(t)
		all := w.log.All(topics.OrderState)
		last := all[len(all)-1]
		w.log.SetHeader(last.Topic, last.Partition, last.Offset, reconciler.HeaderForgotten, "another.intent.v1-0-7")
		w.expire(0)
		w.restart()
		b := w.step(nil, true)
		if w.tombstoned("o1") || len(b.Out) != 2 || !bytes.Equal(b.Out[0].Value, last.Value) {
			t.Fatalf("%d records written, tombstone %v; want the same state with marks, and the position", len(b.Out), w.tombstoned("o1"))
		}
		w.restart()
		if w.step(nil, true); !w.tombstoned("o1") {
			t.Error("no tombstone after it was marked")
		}
	})
}

// checkChainOf wants the transitions of one order to be a chain; after a
// tombstone there is no state for it to end in.
func checkChainOf(t *testing.T, w *world, id string) {
	t.Helper()
	last := ""
	for _, r := range w.log.All(topics.Transition) {
		tr, err := w.codec.DecodeTransition(context.Background(), r.Value)
		if err != nil || tr.Key != key(id) {
			continue
		}
		if tr.DigestBefore != last {
			t.Errorf("transition to %v begins at %q, the one before ended at %q", tr.To, tr.DigestBefore, last)
		}
		last = tr.DigestAfter
	}
}

// Whatever is forgotten, said later, expired, aborted and restarted in whatever
// order: a tombstone comes only when nothing about the subject that was read is
// retained, and until then the order stays forgotten.
func TestEngine_stubsAreRemovedOnlyWhenProven(t *testing.T) {
	removed := 0
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 5))
		w := newWorld(t)
		w.now = minute(500)
		forgotten := map[string]bool{}
		for i := range 80 {
			id, at := fmt.Sprintf("o%d", rng.IntN(5)), minute(i)
			switch rng.IntN(9) {
			case 0, 1:
				w.append(w.hook(id, []string{"wait", "done", "fail"}[rng.IntN(3)], at, events.TrustSigned))
			case 2:
				w.append(w.check(id, "done", at, events.CauseSchedule))
			case 3:
				w.append(w.hook(id, "", at, events.TrustHint))
			case 4:
				w.append(w.forget(id, at))
			case 5: // retention, up to what was read
				topic, n := topics.Inputs()[rng.IntN(3)], int32(rng.IntN(partitions))
				w.log.Truncate(topic, n, w.next[topic][n]-int64(rng.IntN(3)))
			case 6:
				w.expire(0)
			case 7:
				w.restart()
			case 8:
				for n := range int32(partitions) { // a look without a restart
					ends, err := w.log.Ends(context.Background(), n, topics.Inputs()...)
					if err != nil {
						rt.Fatal(err)
					}
					w.eng.Look(n, ends)
				}
			}
			commit := rng.IntN(4) > 0
			b := w.step(w.poll(rng, rng.IntN(4)), commit)
			if !commit {
				continue
			}
			for _, r := range b.Out {
				name := string(r.Key)
				switch {
				case r.Topic != topics.OrderState:
				case r.Value == nil:
					removed++
					delete(forgotten, name)
					w.nothingRead(rt, name)
				default:
					st, err := w.codec.DecodeOrderState(context.Background(), r.Value)
					if err != nil || forgotten[name] && st.DecidedBy != order.RuleForgotten {
						rt.Fatalf("%s was forgotten and is %v by %s (%v)", name, st.Status, st.DecidedBy, err)
					}
					forgotten[name] = st.DecidedBy == order.RuleForgotten
				}
			}
		}
		w.restart() // verified
	})
	if removed == 0 {
		t.Error("no stub was ever removed: nothing was tested")
	}
}

// nothingRead wants no record about a subject among those of the inputs that are
// retained and were read. What came after the look is not read yet, and new.
func (w *world) nothingRead(t interface{ Fatalf(string, ...any) }, name string) {
	for _, topic := range topics.Inputs() {
		for _, in := range w.log.All(topic) {
			if string(in.Key) == name && in.Offset < w.next[topic][in.Partition] {
				t.Fatalf("%s was removed while %s-%d-%d is retained", name, topic, in.Partition, in.Offset)
			}
		}
	}
}
