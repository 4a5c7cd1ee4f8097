package reconciler_test

import (
	"errors"
	"fmt"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

// R19: what a batch wrote beside its states is not what the states say, where it was
// not written to its end and the same records come again in other batches. Then all
// of it is written again: a discrepancy that only the first cut had is removed.
func TestEngine_sideOutputsOfABatchThatFailed(t *testing.T) {
	for _, crash := range []bool{true, false} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			w := newWorld(t)
			w.now = minute(9)
			w.believing()
			expect := func(amount events.Amount, revision int64) { w.append(w.expect("o1", amount, revision)) }
			expect("10.00", 0)
			w.drain()
			expect("11.00", 0)
			b, err := w.eng.Step(t.Context(), first(w, 9), true)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range b.Out { // the first stage alone
				if r.Topic == topics.Discrepancy {
					w.append(r)
				}
			}
			if len(w.table(topics.Discrepancy)) != 1 {
				t.Fatal("two contents of one revision are no conflict")
			}
			expect("12.00", 1)
			if w.eng.Rollback(); crash {
				w.believing()
			}
			w.drain()
			if st, left := w.state("o1"), w.table(topics.Discrepancy); len(st.Open) != 0 || len(left) != 0 {
				t.Errorf("the state has %v open, the topic has %d discrepancies; want none", st.Open, len(left))
			}
			// That is over then: what is written once is not written again.
			expect("13.00", 2)
			if b := w.step(first(w, 9), true); len(b.Out) != 2 {
				t.Errorf("the next batch writes %d records, want a state and a position", len(b.Out))
			}
		})
	}
}

// What a start may find half written is bounded by what one batch reads: a long way
// behind it nothing is written that did not change.
func TestEngine_sideOutputsOfABatchThatFailed_areOfOneBatch(t *testing.T) {
	for before, renewed := range map[int]int{4999: len(events.DiscrepancyTypes()), 5000: 0} {
		w := newWorld(t)
		w.now = minute(9)
		for i := range before {
			w.append(w.hook("o1", "wait", minute(1)+events.Millis(i), events.TrustSigned))
		}
		w.append(w.hook("o1", "run", minute(8), events.TrustSigned))
		w.believing()
		w.step(first(w, 2000), true)
		w.step(first(w, before-2000), true)
		n := 0
		for _, r := range w.step(first(w, 9), true).Out {
			if r.Topic == topics.Discrepancy {
				n++
			}
		}
		if n != renewed {
			t.Errorf("behind %d records a batch writes %d discrepancies, want %d", before, n, renewed)
		}
	}
}

// Records that are read again, because a session went back, are not counted again.
func TestEngine_sideOutputsOfABatchThatFailed_countsOnce(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.believing()
	w.append(w.expect("o1", "10.00", 0))
	w.drain()
	for range 3000 {
		w.append(w.expect("o1", "10.00", 0))
	}
	w.append(w.expect("o1", "11.00", 0))
	b, err := w.eng.Step(t.Context(), first(w, 5000), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range b.Out {
		if r.Topic == topics.Discrepancy {
			w.append(r)
		}
	}
	w.append(w.expect("o1", "12.00", 1))
	w.believing()
	recs := first(w, 2500)
	w.step(recs, true)
	w.step(recs, true)
	w.step(first(w, 5000), true)
	if st, left := w.state("o1"), w.table(topics.Discrepancy); len(st.Open) != 0 || len(left) != 0 {
		t.Errorf("the state has %v open, the topic has %d discrepancies; want none", st.Open, len(left))
	}
}

// standing is a refusal after which a part of the states may be written.
type standing struct{ tooLarge }

func (standing) BatchStands() bool { return true }

// Without transactions a batch that failed when states were being written is
// committed again, of the same records: what is cut anew would write older states
// over newer ones. What is refused of it is set aside.
func TestLoop_batchThatStandsIsCommittedAgain(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.believing()
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o1", "done", minute(2), events.TrustSigned), w.hook("o2", "wait", minute(1), events.TrustSigned))
	recs := first(w, 9)
	w.step(recs, false) // from here on a step of them writes the same
	large := of(w.step(recs, false).Out, topics.OrderState, key("o2").String())
	s := &script{polls: []polled{{recs, nil}}, commits: []committed{{false, standing{tooLarge{large}}}, {true, nil}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	if err := l.Step(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if len(s.wrote) != 2 {
		t.Fatalf("%d commits before the next poll, want 2", len(s.wrote))
	}
	for _, r := range s.wrote[0] { // all but what was refused, and the positions
		if r.Topic == topics.OrderState && string(r.Key) == key("o1").String() {
			w.append(r)
		}
	}
	w.append(s.wrote[1]...)
	if st := w.state("o1"); st.Status != events.StatusCompleted {
		t.Errorf("o1 is %v, want COMPLETED", st.Status)
	}
	if n := len(w.log.All(topics.DeadLetter)); n != 1 {
		t.Errorf("%d dead letters, want that of o2", n)
	}
	// What nothing is behind ends the session.
	w.append(w.hook("o3", "wait", minute(1), events.TrustSigned))
	w.next[topics.Webhook] = map[int32]int64{}
	s = &script{polls: []polled{{first(w, 9), nil}}, commits: []committed{{false, standing{tooLarge{1 << 20}}}}}
	if err := l.Step(t.Context(), s); !errors.Is(err, stream.ErrTooLarge) || len(s.wrote) != 1 {
		t.Errorf("Step = %v after %d commits; want the end of the session", err, len(s.wrote))
	}
}

// What a batch told of a subject before its record was set aside is told anew: the
// task and the discrepancies are those of the state that is there.
func TestLoop_setAsideBehindTheFirstStage(t *testing.T) {
	for what, record := range map[string]func(w *world) stream.Record{
		"a task":        func(w *world) stream.Record { return w.hook("o2", "done", minute(2), events.TrustSigned) },
		"a discrepancy": func(w *world) stream.Record { return w.expect("o2", "11.00", 0) },
	} {
		w := newWorld(t)
		w.now = minute(9)
		w.believing()
		w.append(w.hook("o2", "wait", minute(1), events.TrustSigned), w.expect("o2", "10.00", 0))
		w.drain()
		was, had := w.task("o2")
		w.append(record(w))
		recs := first(w, 9)
		w.step(recs, false) // from here on a step of them writes the same
		large := of(w.step(recs, false).Out, topics.OrderState, key("o2").String())
		s := &script{polls: []polled{{recs, nil}}, commits: []committed{{false, standing{tooLarge{large}}}, {true, nil}}}
		l := &reconciler.Loop{Engine: w.eng, Log: quiet}
		if err := l.Step(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.wrote[0] { // the first stage
			if r.Topic != topics.OrderState && r.Topic != topics.ReconcilerPosition {
				w.append(r)
			}
		}
		w.append(s.wrote[1]...)
		if now, has := w.task("o2"); now != was || has != had {
			t.Errorf("%s: the poller has the task %v %+v, before %v %+v", what, has, now, had, was)
		}
		if n := len(w.table(topics.Discrepancy)); n != 0 {
			t.Errorf("%s: %d discrepancies that no state has", what, n)
		}
	}
}

// Without transactions the position does not tell that another member wrote states:
// memory is not kept over a rebalance.
func TestEngine_memoryIsNotKeptWithoutTransactions(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.believing()
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain()
	mine, another := w.eng, func() *reconciler.Engine { w.believing(); return w.eng }
	w.append(w.hook("o1", "run", minute(2), events.TrustSigned), w.hook("o1", "done", minute(3), events.TrustSigned))
	mine.Revoke([]int32{0, 1, 2, 3})
	b, err := another().Step(t.Context(), first(w, 9), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range b.Out { // and dies before its positions
		if r.Topic != topics.ReconcilerPosition {
			w.append(r)
		}
	}
	w.eng = mine
	for n := range int32(partitions) {
		if err := w.restore(n); err != nil {
			t.Fatal(err)
		}
	}
	w.step(first(w, 1), true)
	if st := w.state("o1"); st.Status != events.StatusCompleted {
		t.Errorf("o1 went back to %v", st.Status)
	}
}
