package reconciler_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

func TestEngine_webhookToSettledState(t *testing.T) {
	w := newWorld(t)
	w.now = minute(20)
	w.append(w.intent("o1", minute(1)), w.hook("o1", "wait", minute(2), events.TrustSigned), w.hook("o1", "done", minute(3), events.TrustSigned))
	w.drain()
	st := w.state("o1")
	if st.Status != events.StatusCompleted || st.DecidedBy != order.RuleTerminal || st.Expected.FiatAmount != "10.00" {
		t.Errorf("state = %v by %s, expected %+v", st.Status, st.DecidedBy, st.Expected)
	}
	if task, ok := w.task("o1"); !ok || task.Cause != events.CauseConfirm || task.DueAt != minute(18) {
		t.Errorf("task = %+v, %v; want a confirmation at minute 18", task, ok)
	}
	w.append(w.check("o1", "done", minute(19), events.CauseConfirm))
	w.drain()
	if task, ok := w.task("o1"); ok {
		t.Errorf("task = %+v after the confirmation, want a tombstone", task)
	}
}

// Whatever the batches, interleavings, aborts and restarts, the state is a
// function of the set of inputs, the chain of transitions is whole, and no
// transition id comes twice.
func TestEngine_convergesThroughAbortsAndRestarts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		a, b := newWorld(t), newWorld(t)
		rng := rand.New(rand.NewPCG(seed, 3))
		a.now, b.now = minute(400), minute(400)
		words := []string{"wait", "run", "done", "fail", "odd"}
		for i := range 60 {
			id, at := fmt.Sprintf("o%d", rng.IntN(8)), minute(rng.IntN(300))
			var r stream.Record
			switch rng.IntN(4) {
			case 0:
				r = a.hook(id, words[rng.IntN(5)], at, events.TrustSigned)
			case 1:
				r = a.hook(id, "done", at, events.TrustHint)
			case 2:
				r = a.check(id, words[rng.IntN(5)], at, events.CauseSchedule)
			case 3:
				r = a.intent(id, at)
			}
			a.append(r)
			b.append(r)
			if i%7 == 0 { // a redelivery
				a.append(r)
				b.append(r)
			}
		}
		a.drain()
		for {
			recs := b.poll(rng, 1+rng.IntN(9))
			if len(recs) == 0 {
				break
			}
			switch rng.IntN(4) {
			case 0:
				b.step(recs, false) // aborted
			case 1:
				b.step(recs, true)
				b.log.Compact(topics.OrderState)
				b.restart()
			default:
				b.step(recs, true)
			}
		}
		if !maps.EqualFunc(a.table(topics.OrderState), b.table(topics.OrderState), bytes.Equal) {
			rt.Fatal("states differ between one run and a run with aborts and restarts")
		}
		checkChain(rt, b)
	})
}

func checkChain(t interface{ Fatalf(string, ...any) }, w *world) {
	last, seen := map[string]string{}, map[events.EventID]bool{}
	status := map[string]events.Status{}
	for _, r := range w.log.All(topics.Transition) {
		tr, err := w.codec.DecodeTransition(context.Background(), r.Value)
		if err != nil {
			t.Fatalf("transition: %v", err)
		}
		k := tr.Key.String()
		if seen[tr.ID] || tr.DigestBefore != last[k] || tr.From != status[k] {
			t.Fatalf("broken chain of %s at %+v (last digest %q, status %v)", k, tr, last[k], status[k])
		}
		seen[tr.ID], last[k], status[k] = true, tr.DigestAfter, tr.To
	}
	for k, v := range w.table(topics.OrderState) {
		st, err := w.codec.DecodeOrderState(context.Background(), v)
		if err != nil || st.Status != status[k] {
			t.Fatalf("state of %s is %v (%v), its last transition went to %v", k, st.Status, err, status[k])
		}
	}
}

func TestEngine_rollbackLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o1", "done", minute(2), events.TrustSigned))
	rng := rand.New(rand.NewPCG(1, 1))
	first := w.step(w.poll(rng, 10), false)
	again := w.step(w.poll(rng, 10), false)
	if len(first.Out) != len(again.Out) {
		t.Fatalf("the retried batch wrote %d records, the aborted one %d", len(again.Out), len(first.Out))
	}
	for i := range first.Out {
		if !bytes.Equal(first.Out[i].Value, again.Out[i].Value) {
			t.Errorf("output %d to %s differs after the abort", i, first.Out[i].Topic)
		}
	}
}

func TestEngine_deadLetters(t *testing.T) {
	w := newWorld(t)
	good := w.hook("o1", "wait", minute(1), events.TrustSigned)
	home := stream.PartitionOf(good.Key, partitions)
	for _, tc := range []struct {
		name  string
		r     stream.Record
		class string
	}{
		{"other partition", stream.Record{Topic: topics.Webhook, Partition: (home + 1) % partitions, Key: good.Key, Value: good.Value}, reconciler.ClassWrongPartition},
		{"garbage", stream.Record{Topic: topics.Webhook, Partition: home, Key: good.Key, Value: []byte("{}")}, reconciler.ClassUndecodable},
		{"tombstone", stream.Record{Topic: topics.Webhook, Partition: home, Key: good.Key}, reconciler.ClassUndecodable},
		{"truncated", stream.Record{Topic: topics.Webhook, Partition: home, Key: good.Key, Value: good.Value[:len(good.Value)-2]}, reconciler.ClassUndecodable},
		{"another record", stream.Record{Topic: topics.Intent, Partition: home, Key: good.Key, Value: good.Value}, reconciler.ClassWrongRecord},
		{"another key", stream.Record{Topic: topics.Webhook, Partition: home, Key: []byte("acme/shop/o2"), Value: good.Value}, reconciler.ClassWrongRecord},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.append(tc.r)
			w.drain()
			dead := w.log.All(topics.DeadLetter)
			if len(dead) != 1 || len(w.table(topics.OrderState)) != 0 {
				t.Fatalf("%d dead letters, %d states; want 1 and 0", len(dead), len(w.table(topics.OrderState)))
			}
			class, _ := dead[0].Header(stream.HeaderErrClass)
			if string(class) != tc.class || !bytes.Equal(dead[0].Value, tc.r.Value) || !bytes.Equal(dead[0].Key, tc.r.Key) {
				t.Errorf("dead letter %s with %d bytes; want %s with the original %d", class, len(dead[0].Value), tc.class, len(tc.r.Value))
			}
			w.restart()
			if recs := w.poll(rand.New(rand.NewPCG(1, 1)), 9); len(recs) != 0 {
				t.Errorf("%d records are read again after the dead letter", len(recs))
			}
		})
	}
}

// The topics are read in any order: a hint that is read after the answer to a
// later question is answered, and the poller must not be sent to wait for it.
func TestEngine_hintReadAfterItsAnswer(t *testing.T) {
	for _, together := range []bool{true, false} {
		w := newWorld(t)
		w.now = minute(9)
		w.append(w.intent("o1", minute(5)), w.hook("o1", "", minute(6), events.TrustHint))
		w.drain()
		w.append(w.check("o1", "wait", minute(8), events.CauseHint))
		answer := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
		if !together {
			w.step(answer, true)
			answer = nil
		}
		w.append(w.hook("o1", "", minute(7), events.TrustHint))
		late := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
		late = slices.DeleteFunc(late, func(r stream.Record) bool { return r.Topic != topics.Webhook })
		w.step(slices.Concat(answer, late), true)
		if task, ok := w.task("o1"); !ok || task.Cause != events.CauseSchedule || task.DueAt <= minute(8) {
			t.Errorf("in one batch %t: task = %+v, %v; want the next one after the answer of minute 8", together, task, ok)
		}
	}
}

func TestEngine_hints(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(5), events.TrustHint))
	w.drain()
	if task, ok := w.task("o1"); !ok || task.Known || task.Cause != events.CauseHint || task.DueAt != minute(5) {
		t.Fatalf("task of an unknown hinted order = %+v, %v", task, ok)
	}
	if n := len(w.table(topics.OrderState)); n != 0 {
		t.Fatalf("a hint made %d states", n)
	}
	w.append(w.check("o1", "!not_found", minute(6), events.CauseHint))
	w.drain()
	if task, ok := w.task("o1"); ok {
		t.Errorf("task = %+v after the provider did not know it, want a tombstone", task)
	}
	if n := len(w.table(topics.OrderState)); n != 0 {
		t.Errorf("a failed answer to a hint made %d states", n)
	}

	w.append(w.intent("o2", minute(5)), w.hook("o2", "", minute(7), events.TrustHint))
	w.drain()
	if task, ok := w.task("o2"); !ok || !task.Known || task.Cause != events.CauseHint {
		// The schedule of an order known by an intent is due at 5:30, before the hint.
		if task.DueAt > minute(7) {
			t.Errorf("task of a known hinted order = %+v, %v", task, ok)
		}
	}
	// A question asked before the hint does not answer it.
	w.append(w.check("o2", "wait", minute(6), events.CauseSchedule))
	w.drain()
	if task, ok := w.task("o2"); !ok || task.DueAt > minute(7) {
		t.Errorf("task = %+v, %v; the hint of minute 7 was forgotten", task, ok)
	}
	w.append(w.check("o2", "wait", minute(8), events.CauseHint))
	w.drain()
	if task, ok := w.task("o2"); !ok || task.Cause != events.CauseSchedule || task.DueAt <= minute(8) {
		t.Errorf("task = %+v, %v after the hint was answered", task, ok)
	}
}

// A new table changes what old evidence says; the change is announced.
func TestEngine_ruleChange(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	for i := range 20 {
		w.append(w.hook(fmt.Sprintf("o%d", i), "odd", minute(1), events.TrustSigned))
	}
	w.drain()
	v := vocab
	v.Orders = maps.Clone(v.Orders)
	v.Orders["odd"] = events.Word{Status: events.StatusCompleted}
	w.rules = newRules(t, v)
	w.restart()
	if n := w.eng.Outdated(); n != 20 {
		t.Fatalf("%d states are outdated after the table changed, want 20", n)
	}
	w.drain()
	for i := range 20 {
		if st := w.state(fmt.Sprintf("o%d", i)); st.Status != events.StatusCompleted || len(st.Open) != 0 {
			t.Fatalf("state = %v, open %v; want COMPLETED by the new table", st.Status, st.Open)
		}
	}
	checkChain(t, w)
	for _, r := range w.log.All(topics.Transition) {
		tr, _ := w.codec.DecodeTransition(context.Background(), r.Value)
		if tr.Reason != "rule_change" {
			t.Errorf("reason = %q, want rule_change", tr.Reason)
		}
	}
	for k := range w.table(topics.Discrepancy) {
		t.Errorf("discrepancy %s of the old table is still there", k)
	}
	w.restart()
	if n := w.eng.Outdated(); n != 0 {
		t.Errorf("%d states are outdated after all were viewed again", n)
	}
}
