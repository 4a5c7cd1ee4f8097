package reconciler_test

import (
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// A schedule that was restored from yesterday, or without its tombstones, has
// the poller ask about what is settled, forgotten or unknown. Each answer ends
// its task, though it changes nothing, so that every such task costs one call.
func TestEngine_answerEndsAStaleTask(t *testing.T) {
	w := newWorld(t)
	w.now = minute(60)
	w.append(w.intent("settled", minute(1)), w.check("settled", "done", minute(2), events.CauseSchedule), w.check("settled", "done", minute(30), events.CauseConfirm))
	w.append(w.intent("open", minute(1)), w.check("open", "wait", minute(50), events.CauseSchedule))
	w.drain()
	if _, ok := w.task("settled"); ok {
		t.Fatal("a confirmed order still has a task")
	}
	open, ok := w.task("open")
	if !ok {
		t.Fatal("an open order has no task")
	}
	stale := func(k events.Key, due events.Millis, cause events.Cause, known bool) stream.Record {
		task := events.CheckTask{Key: k, DueAt: due, Cause: cause, Known: known, Status: events.StatusPending, Since: minute(1)}
		if cause == events.CauseHint {
			task.HintAt = due
		}
		v, err := w.codec.EncodeCheckTask(task)
		if err != nil {
			t.Fatal(err)
		}
		return stream.Record{Topic: topics.CheckSchedule, Partition: stream.PartitionOf([]byte(k.Lane()), partitions), Key: []byte(k.String()), Value: v}
	}
	for round := range 3 { // the same stale schedule again and again
		w.append(stale(key("settled"), minute(3), events.CauseSchedule, true), stale(key("open"), minute(4), events.CauseSchedule, true),
			stale(key("forged"), minute(5), events.CauseHint, false))
		w.restart()
		at := minute(70 + round)
		w.now = at
		w.append(w.check("settled", "done", at, events.CauseSchedule), w.check("open", "wait", at, events.CauseSchedule), w.check("forged", "!not_found", at, events.CauseHint))
		before := len(w.log.All(topics.Transition))
		w.drain()
		if task, ok := w.task("settled"); ok {
			t.Errorf("round %d: a settled order keeps its stale task %+v", round, task)
		}
		if task, ok := w.task("forged"); ok {
			t.Errorf("round %d: an id of nobody keeps its stale task %+v", round, task)
		}
		if task, ok := w.task("open"); !ok || task.DueAt <= at || task.DueAt < open.DueAt {
			t.Errorf("round %d: the open order's task = %+v, %v; want the one after this answer", round, task, ok)
		}
		if n := len(w.log.All(topics.Transition)) - before; n != 0 {
			t.Errorf("round %d: %d transitions of an answer that said nothing new", round, n)
		}
	}
	if st := w.state("settled"); st.Status != events.StatusCompleted || !st.Terminal {
		t.Errorf("the settled order is %s", st.Status)
	}
}
