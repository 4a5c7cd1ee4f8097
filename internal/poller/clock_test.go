package poller_test

import (
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

// move sets the wall clock; what is under way ends when it would have. The
// driver looks at the clock at once: it does so every few seconds.
func (w *world) move(d time.Duration) {
	w.now = w.now.Add(d)
	for i := range w.queue {
		w.queue[i].at = w.queue[i].at.Add(d)
	}
	w.step()
}

// A clock that was ahead for a while must not be believed afterwards: answers
// from then are no later than now.
func TestStep_clockThatWasAhead(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	ahead := time.Duration(0)
	w.onResult = func(p poller.Publish) []poller.Input { // a reconciler whose broker has the right time
		next := known("o", -48*time.Hour, 0)
		next.DueAt = events.At(w.now.Add(-ahead).Add(30 * time.Second))
		return []poller.Input{schedule(next)}
	}
	w.assign([]events.CheckTask{known("o", -48*time.Hour, 0)})
	w.run(time.Minute)
	ahead = 24 * time.Hour
	w.move(ahead)
	w.run(time.Minute)
	if len(w.calls) < 3 {
		t.Fatalf("calls = %d while the clock was ahead; want the order asked about", len(w.calls))
	}
	w.latency = time.Second
	w.run(100 * time.Millisecond) // perhaps with a call under way
	w.move(-ahead)
	ahead = 0
	before := len(w.calls)
	w.run(10 * time.Minute)
	if n := len(w.calls) - before; n < 15 {
		t.Errorf("calls = %d in ten minutes after the clock was set right; want one every 30 s", n)
	}
	for _, c := range w.published {
		if c.AnsweredAt < c.ObservedAt {
			t.Errorf("answered at %d before it was asked at %d", c.AnsweredAt, c.ObservedAt)
		}
	}
}

// A Retry-After is a span of time, whatever the clock says meanwhile.
func TestStep_retryAfterOutlivesNoClock(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		if len(w.calls) == 1 {
			return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited, RetryAfter: 5 * time.Minute}
		}
		return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
	}
	w.onResult = reschedule(time.Second)
	w.assign([]events.CheckTask{known("o", -48*time.Hour, 0)})
	w.run(time.Minute)
	w.move(-3 * time.Hour)
	w.step(schedule(known("o", -48*time.Hour, -4*time.Hour)))
	w.run(4*time.Minute - 2*time.Second)
	if len(w.calls) != 1 {
		t.Errorf("calls = %d before the provider wants one; want none", len(w.calls)-1)
	}
	w.run(10 * time.Second)
	if len(w.calls) < 2 {
		t.Error("no call after the five minutes")
	}
	if s := w.saved[len(w.saved)-1]; s.RetryAfter > events.At(w.now) {
		t.Errorf("the saved state still names a Retry-After %s ahead", s.RetryAfter.Sub(events.At(w.now)))
	}
}
