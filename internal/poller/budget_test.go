package poller_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

// within fails when any window of starts holds more than rate and burst allow.
func within(t failer, what string, starts []time.Time, rate float64, burst int) {
	for i := range starts {
		for j := i; j < len(starts); j++ {
			span := starts[j].Sub(starts[i]).Seconds()
			if allowed := rate*span + float64(burst) + 1e-6; float64(j-i+1) > allowed {
				t.Fatalf("%s: %d calls in %.3f s from %s; the budget allows %.2f", what, j-i+1, span, starts[i], allowed)
			}
		}
	}
}

// Invariant 21, for a lane whose tasks, hints, answers and owner change at will.
func TestStep_budget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.5, 8).Draw(t, "rate")
		burst := rapid.IntRange(1, 6).Draw(t, "burst")
		hintRate := rapid.Float64Range(0.05, rate).Draw(t, "hint rate")
		w := newWorld(t, poller.Settings{}, account(func(a *poller.Account) {
			a.Poll = providers.Poll{Rate: rate, Burst: burst, HintRate: hintRate}
			a.Capabilities.Serial = rapid.Bool().Draw(t, "serial")
		}))
		w.latency = time.Duration(rapid.IntRange(1, 3000).Draw(t, "latency")) * time.Millisecond
		w.onResult = reschedule(time.Duration(rapid.IntRange(1, 30).Draw(t, "interval")) * time.Second)
		var until time.Time // of the latest Retry-After that has arrived
		w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
			if w.now.Before(until) {
				t.Fatalf("call at %s, before Retry-After ends at %s", w.now, until)
			}
			for range rapid.IntRange(-3, 2).Draw(t, "more requests") {
				w.in(w.latency/2, poller.More{ID: a.ID})
			}
			switch rapid.IntRange(0, 9).Draw(t, "answer") {
			case 0:
				return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited}
			case 1:
				return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeTimeout}
			}
			return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
		}
		w.assign(nil)
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			elapsed := w.now.Sub(epoch)
			id := fmt.Sprintf("o-%d", rapid.IntRange(0, 20).Draw(t, "id"))
			switch rapid.SampledFrom([]string{"task", "hint", "unknown", "gone", "wait", "takeover"}).Draw(t, "step") {
			case "task":
				w.step(schedule(known(id, elapsed-time.Minute, elapsed)))
			case "hint":
				w.step(schedule(hinted(id, elapsed, true)))
			case "unknown":
				w.step(schedule(hinted(id+"-forged", elapsed, false)))
			case "gone":
				w.step(gone(id))
			case "wait":
				w.run(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "wait")) * time.Millisecond)
			case "takeover":
				w.assign([]events.CheckTask{known(id, elapsed-time.Minute, elapsed)})
			}
		}
		w.run(time.Minute)
		var all, hints []time.Time
		both := append(slices.Clone(w.calls), w.extra...)
		slices.SortStableFunc(both, func(a, b call) int { return a.at.Compare(b.at) })
		for _, c := range both {
			all = append(all, c.at)
			if c.ask.Cause == events.CauseHint {
				hints = append(hints, c.at)
			}
		}
		within(t, "all", all, rate, burst)
		within(t, "hints", hints, hintRate, max(1, int(hintRate)))
	})
}

func TestStep_retryAfter(t *testing.T) {
	for _, tc := range []struct {
		name     string
		asked    time.Duration
		min, max time.Duration
	}{
		{"honoured", 90 * time.Second, 90 * time.Second, 91 * time.Second},
		{"capped at a day", 1000 * time.Hour, 24 * time.Hour, 24*time.Hour + time.Second},
		{"at least a second", time.Millisecond, time.Second, 2 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, poller.Settings{}, account())
			w.answer = func(poller.Ask) (providers.Answer, *providers.CallError) {
				return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited, HTTPStatus: 429, RetryAfter: tc.asked}
			}
			w.assign([]events.CheckTask{known("a", -48*time.Hour, 0)})
			w.run(time.Second)
			w.step(schedule(known("b", -time.Minute, 0)), schedule(hinted("c", time.Second, true)))
			w.run(30 * time.Hour)
			if len(w.calls) < 2 {
				t.Fatalf("calls = %d; want more after the pause", len(w.calls))
			}
			if gap := w.calls[1].at.Sub(w.calls[0].done); gap < tc.min || gap > tc.max {
				t.Errorf("next call %s after the answer; want %s to %s", gap, tc.min, tc.max)
			}
			if got := w.published[0].RetryAfter; got == 0 {
				t.Error("the event has no retry_after")
			}
			if len(w.saved) == 0 || w.saved[0].RetryAfter == 0 {
				t.Fatalf("saved = %+v; want the pause in the lane's state", w.saved)
			}
		})
	}
	t.Run("survives a takeover", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account())
		w.assign([]events.CheckTask{known("a", -48*time.Hour, 0)}, events.LaneState{Lane: lane, RetryAfter: at(time.Hour)})
		w.run(2 * time.Hour)
		if len(w.calls) == 0 || w.calls[0].at.Before(epoch.Add(time.Hour)) {
			t.Errorf("calls = %d; want the first after an hour", len(w.calls))
		}
	})
}

func TestStep_learnsTheBudget(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	limited := true
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		if limited {
			return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited, HTTPStatus: 429}
		}
		return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
	}
	w.onResult = reschedule(time.Second)
	w.assign([]events.CheckTask{known("a", -48*time.Hour, 0)})
	w.run(10 * time.Minute)
	low := w.lane(lane)
	if low.Rate > 0.06 || low.Rate < 1.0/60 {
		t.Errorf("rate = %v after ten minutes of 429; want a hundredth of 5/s", low.Rate)
	}
	if last := w.saved[len(w.saved)-1]; last.Budget == "" || !last.Budget.Valid() {
		t.Errorf("saved budget = %q; want a plain decimal", last.Budget)
	}
	limited = false
	w.run(3 * time.Hour)
	if got := w.lane(lane).Rate; got != 5 {
		t.Errorf("rate = %v three hours later; want the configured 5", got)
	}
	next := newWorld(t, poller.Settings{}, account())
	next.assign(nil, events.LaneState{Lane: lane, Budget: "0.5000"})
	if got := next.lane(lane).Rate; got != 0.5 {
		t.Errorf("rate after a takeover = %v; want the learned 0.5", got)
	}
}

func TestStep_clockStepsBack(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(serialLike))
	w.onResult = reschedule(time.Millisecond) // spends every token
	w.assign([]events.CheckTask{known("o", -48*time.Hour, 0)})
	w.run(time.Minute)
	w.now = w.now.Add(-time.Hour)
	for i := range w.queue {
		w.queue[i].at = w.queue[i].at.Add(-time.Hour)
	}
	w.step(schedule(known("new", -61*time.Minute, -59*time.Minute)))
	w.run(3 * time.Second)
	if len(w.callsOf("new")) == 0 {
		t.Error("an order that is due was not asked about after the clock stepped back")
	}
}

func TestStep_breaker(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	down := true
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		if down {
			return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeUnreachable}
		}
		return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
	}
	w.onResult = reschedule(time.Second)
	var tasks []events.CheckTask
	for i := range 100 {
		tasks = append(tasks, known(fmt.Sprintf("o-%d", i), -48*time.Hour, 0))
	}
	w.assign(tasks)
	w.run(time.Hour)
	if n := len(w.calls); n > 40 {
		t.Errorf("calls = %d in an hour of an unreachable provider; want a probe now and then", n)
	}
	if s := w.lane(lane); s.Breaker != "open" {
		t.Errorf("breaker = %s; want open", s.Breaker)
	}
	if len(w.published) != len(w.calls) {
		t.Errorf("published = %d of %d failed calls; every answer is an event", len(w.published), len(w.calls))
	}
	down = false
	before := len(w.calls)
	w.run(6 * time.Minute)
	if n := len(w.calls) - before; n < 100 {
		t.Errorf("calls = %d in six minutes after the provider came back; want all orders caught up", n)
	}
}

func TestStep_concurrencyAndSerial(t *testing.T) {
	for _, tc := range []struct {
		name string
		acct poller.Account
		want int
	}{
		{"a lane without nonces has eight calls at once", account(), 8},
		{"a serial lane has one", account(serial), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, poller.Settings{}, tc.acct)
			w.latency = 14 * time.Second
			var tasks []events.CheckTask
			for i := range 100 {
				tasks = append(tasks, known(fmt.Sprintf("o-%d", i), -48*time.Hour, 0))
			}
			w.assign(tasks)
			most := 0
			for range 200 {
				w.run(500 * time.Millisecond)
				most = max(most, w.lane(lane).InFlight)
			}
			if most != tc.want {
				t.Errorf("calls in flight = %d; want %d", most, tc.want)
			}
		})
	}
}
