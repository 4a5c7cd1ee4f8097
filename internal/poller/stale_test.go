package poller_test

import (
	"fmt"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
)

// A schedule restored without its tombstones lists orders that settled long
// ago. Each costs one call; the reconciler's answer ends it (what it writes is
// shown by reconciler/TestEngine_answerEndsAStaleTask). A task that is repeated
// costs none, and an order that is due now does not wait behind them.
func TestStep_staleSchedule(t *testing.T) {
	const settled = 50
	w := newWorld(t, poller.Settings{}, account(serial))
	w.onResult = func(p poller.Publish) []poller.Input {
		if id := p.Checks[0].Key.ID; id != "new" {
			return []poller.Input{gone(id)}
		}
		return reschedule(time.Hour)(p)
	}
	var tasks []events.CheckTask
	for i := range settled {
		tasks = append(tasks, known(fmt.Sprintf("s-%02d", i), -90*24*time.Hour, -80*24*time.Hour))
	}
	w.assign(tasks)
	w.run(3 * time.Second)
	w.step(schedule(known("new", 0, 3*time.Second)))
	for i := range settled { // the records of the topic are read twice
		if len(w.callsOf(fmt.Sprintf("s-%02d", i))) == 0 {
			w.step(schedule(tasks[i]))
		}
	}
	w.run(3 * time.Hour)
	for i := range settled {
		if n := len(w.callsOf(fmt.Sprintf("s-%02d", i))); n != 1 {
			t.Errorf("a settled order was asked about %d times; want once", n)
		}
	}
	calls := w.callsOf("new")
	if len(calls) == 0 || calls[0].at.Sub(epoch) > 3*time.Second+500*time.Millisecond {
		t.Errorf("the new order was first asked about at %v; want within two ticks of its budget", calls)
	}
	if s := w.lane(lane); s.Tasks != 1 {
		t.Errorf("tasks = %d; want the open order's", s.Tasks)
	}
}

// The same when the reconciler is away: no word comes, and the calls about what
// is settled become rare at once.
func TestStep_staleScheduleOfASilentReconciler(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.assign([]events.CheckTask{known("s", -90*24*time.Hour, -80*24*time.Hour)})
	w.run(12 * time.Hour)
	if n := len(w.callsOf("s")); n < 12 || n > 20 {
		t.Errorf("calls = %d in twelve hours without a word; want one an hour in the end", n)
	}
}
