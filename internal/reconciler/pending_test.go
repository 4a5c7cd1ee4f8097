package reconciler_test

import (
	"fmt"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
)

// A hint on an id that the poller does not ask about (above its cap, or by
// configuration) is answered by a gave_up: no evidence, and the end of its task.
func TestEngine_refusedHintEndsItsTask(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(5), events.TrustHint))
	w.drain()
	if _, ok := w.task("o1"); !ok || w.eng.PendingHints() != 1 {
		t.Fatal("the hint made no task")
	}
	w.append(w.check("o1", "!gave_up", minute(6), events.CauseHint))
	w.drain()
	task, ok := w.task("o1")
	if states := len(w.table(topics.OrderState)); ok || states != 0 || w.eng.PendingHints() != 0 {
		t.Errorf("after the refusal: task %+v (%t), %d states, %d pending hints; want none", task, ok, states, w.eng.PendingHints())
	}
	// So it does after a restart, which forgets what is pending.
	w.append(w.hook("o1", "done", minute(7), events.TrustHint))
	w.drain()
	w.restart()
	w.append(w.check("o1", "!gave_up", minute(8), events.CauseHint))
	w.drain()
	if task, ok := w.task("o1"); ok {
		t.Errorf("after a restart: task %+v, want a tombstone", task)
	}
}

// A known order whose refusal comes late keeps its state and its plan.
func TestEngine_refusalOfAnOrderThatBecameKnown(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.intent("o1", minute(1)))
	w.drain()
	want, _ := w.task("o1")
	before := w.state("o1")
	w.append(w.check("o1", "!gave_up", minute(6), events.CauseHint))
	w.drain()
	if task, ok := w.task("o1"); !ok || task != want {
		t.Errorf("task = %+v, %t; want %+v", task, ok, want)
	}
	if st := w.state("o1"); st.StaleSince != 0 || len(st.Evidence) != len(before.Evidence) {
		t.Errorf("the refusal entered the state: %+v", st)
	}
}

func TestEngine_unknownHintsAreBounded(t *testing.T) {
	w := newWorld(t)
	obs := &verdicts{}
	w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec,
		VerifyDigest: true, UnknownHints: 30, Observer: obs}) // a lane has a tenth: 3 a partition
	for n := range int32(partitions) {
		if _, err := w.eng.Restore(t.Context(), n, w.log, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.now = minute(9)
	for i := range 200 {
		w.append(w.hook(fmt.Sprintf("forged-%d", i), "", minute(5), events.TrustHint))
	}
	w.drain()
	const most = 3 * partitions
	if n := len(w.table(topics.CheckSchedule)); n != most || w.eng.PendingHints() != most {
		t.Fatalf("tasks = %d, pending = %d; want %d", n, w.eng.PendingHints(), most)
	}
	if obs.seen["hint"] != most || obs.seen["hint_ignored"] != 200-most {
		t.Errorf("verdicts = %v; want %d hints and the rest ignored", obs.seen, most)
	}
	// Hints on known orders are not bounded by it, and answers make room.
	w.append(w.intent("o1", minute(1)), w.check("o1", "wait", minute(2), events.CauseSchedule), w.hook("o1", "", minute(6), events.TrustHint))
	w.drain()
	if n := w.eng.PendingHints(); n != most+1 {
		t.Errorf("pending = %d with the hint of a known order, want %d", n, most+1)
	}
	for i := range 200 {
		w.append(w.check(fmt.Sprintf("forged-%d", i), "!gave_up", minute(6), events.CauseHint))
	}
	w.drain()
	if n := w.eng.PendingHints(); n != 1 {
		t.Errorf("pending = %d after the answers, want that of the known order", n)
	}
	for i := range 200 {
		w.append(w.hook(fmt.Sprintf("forged-%d", i), "", minute(8), events.TrustHint))
	}
	w.drain()
	if n := w.eng.PendingHints(); n != most+1 {
		t.Errorf("pending = %d after a second flood, want %d", n, most+1)
	}
}

// verdicts counts what joins did.
type verdicts struct {
	reconciler.Observer
	seen map[string]int
}

func (v *verdicts) Joined(_, verdict string, n int) {
	if v.seen == nil {
		v.seen = map[string]int{}
	}
	v.seen[verdict] += n
}
func (*verdicts) Restored(int32, int64, string)    {}
func (*verdicts) CheckpointIgnored(string)         {}
func (*verdicts) CheckpointWritten(int64)          {}
func (*verdicts) Transition(events.Status, string) {}
func (*verdicts) UnknownStatus(events.Provider)    {}
func (*verdicts) DeadLetter(string)                {}

// Nobody is asked about what was forgotten, so a hint about it waits for nothing:
// it is not kept, and when the stub has gone the bound is what it was.
func TestEngine_hintsOfForgottenSubjects(t *testing.T) {
	w := newWorld(t)
	w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec,
		VerifyDigest: true, UnknownHints: 10}) // a lane has one a partition
	for n := range int32(partitions) {
		if err := w.restore(n); err != nil {
			t.Fatal(err)
		}
	}
	w.now = minute(60)
	w.append(w.hook("o1", "", minute(5), events.TrustHint))
	w.drain()
	w.append(w.forget("o1", minute(30)))
	w.drain()
	if n := w.eng.PendingHints(); n != 0 {
		t.Errorf("%d hints wait after the FORGET, want none", n)
	}
	w.append(w.hook("o1", "", minute(40), events.TrustHint))
	w.drain()
	if n := w.eng.PendingHints(); n != 0 {
		t.Errorf("%d hints wait about a forgotten order, want none", n)
	}
	w.expire(0)
	for n := range int32(partitions) {
		ends, err := w.log.Ends(t.Context(), n, topics.Inputs()...)
		if err != nil {
			t.Fatal(err)
		}
		w.eng.Look(n, ends)
	}
	if w.step(nil, true); !w.tombstoned("o1") {
		t.Fatal("the stub was not removed")
	}
	w.append(w.hook("o1", "", minute(50), events.TrustHint), w.check("o1", "!gave_up", minute(51), events.CauseHint))
	w.drain()
	for i := range 200 {
		w.append(w.hook(fmt.Sprintf("forged-%d", i), "", minute(55), events.TrustHint))
	}
	w.drain()
	if n := w.eng.PendingHints(); n != partitions {
		t.Errorf("%d hints wait, want %d: one a partition", n, partitions)
	}
}
