package poller_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

func tasksOf(n int) (out []events.CheckTask) {
	for i := range n {
		out = append(out, known(fmt.Sprintf("o-%d", i), -48*time.Hour, 0))
	}
	return out
}

// Two calls are under way; the first gets a 429 (no Retry-After), the second a
// 401, wants to log in, is denied, and reports that it could not ask.
func TestStep_restIsNotCutShort(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.run(10 * time.Second)
	w.assign(nil)
	w.run(10 * time.Second) // the bucket is full
	effects, _ := w.core.Step(w.now, schedule(known("a", -48*time.Hour, 0)), schedule(known("b", -48*time.Hour, 0)))
	var asks []poller.Ask
	for _, e := range effects {
		if a, ok := e.(poller.Ask); ok {
			asks = append(asks, a)
		}
	}
	if len(asks) != 2 {
		t.Fatalf("asks = %d, want 2", len(asks))
	}
	w.now = w.now.Add(100 * time.Millisecond)
	began := w.now
	w.core.Step(w.now, poller.Answered{ID: asks[0].ID, Err: &providers.CallError{Outcome: events.OutcomeRateLimited, HTTPStatus: 429}})
	w.now = w.now.Add(10 * time.Millisecond)
	effects, _ = w.core.Step(w.now, poller.More{ID: asks[1].ID})
	if g, ok := effects[0].(poller.Grant); !ok || g.OK {
		t.Fatalf("effects %+v; want the log-in denied while the lane rests", effects)
	}
	w.core.Step(w.now, poller.Answered{ID: asks[1].ID, NotCalled: true})
	for w.now.Before(began.Add(3 * time.Second)) {
		w.now = w.now.Add(10 * time.Millisecond)
		effects, _ = w.core.Step(w.now)
		for _, e := range effects {
			if _, ok := e.(poller.Ask); ok {
				if d := w.now.Sub(began); d < time.Second {
					t.Errorf("the lane asked again %s after a 429; want it to rest for a second", d)
				}
				return
			}
		}
	}
}

// The calls that were under way together met one limit: that is one reason to
// rest, as it is one reason to halve the rate.
func TestStep_refusalsTogetherAreOne(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.assign(nil)
	w.run(10 * time.Second) // the bucket is full
	w.latency = 500 * time.Millisecond
	limited := true
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		if limited {
			return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited, HTTPStatus: 429}
		}
		return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
	}
	var in []poller.Input
	for _, task := range tasksOf(100) {
		in = append(in, schedule(task))
	}
	w.step(in...)
	if len(w.calls) != 8 {
		t.Fatalf("calls = %d at once; want 8", len(w.calls))
	}
	w.run(501 * time.Millisecond)
	limited = false
	ended := w.now
	w.run(2 * time.Minute)
	if len(w.calls) < 9 {
		t.Fatal("no further call")
	}
	if d := w.calls[8].at.Sub(ended); d > 3*time.Second {
		t.Errorf("after one moment of 429 the lane (rate now %v) rested for %s; want about a second", w.lane(lane).Rate, d)
	}
}

// A provider that refuses one call in a hundred, or three, at whatever rate: the lane
// must not stop working for it.
func TestStep_rareRefusals(t *testing.T) {
	for _, tc := range []struct {
		rate   float64
		refuse int // of a hundred
		least  float64
	}{{5, 1, 2.5}, {100, 1, 50}, {5, 3, 1.25}, {100, 3, 15}} {
		rate := tc.rate
		t.Run(fmt.Sprint(rate, tc.refuse), func(t *testing.T) {
			w := newWorld(t, poller.Settings{}, account(func(a *poller.Account) { a.Poll.Rate, a.Poll.Burst = rate, int(rate) }))
			rng := rand.New(rand.NewPCG(3, 4))
			w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
				if rng.IntN(100) < tc.refuse {
					return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited, HTTPStatus: 429, RetryAfter: time.Second}
				}
				return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
			}
			w.onResult = reschedule(time.Second)
			w.assign(tasksOf(int(rate) * 4))
			w.run(20 * time.Minute)
			before := len(w.calls)
			w.run(20 * time.Minute)
			if got := float64(len(w.calls)-before) / 1200; got < tc.least {
				t.Errorf("%.2f calls a second of %v, with %d%% of 429; rate %.2f", got, rate, tc.refuse, w.lane(lane).Rate)
			} else {
				t.Logf("%.2f calls a second, rate %.2f", got, w.lane(lane).Rate)
			}
		})
	}
}

// The limit is real: it is found, and few calls are refused.
func TestStep_realLimit(t *testing.T) {
	for _, limit := range []float64{0.5, 2, 4} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			w := newWorld(t, poller.Settings{}, account())
			tokens, last := 5.0, w.now
			refused := 0
			w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
				tokens = min(tokens+w.now.Sub(last).Seconds()*limit, 5)
				last = w.now
				if tokens < 1 {
					refused++
					return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited, HTTPStatus: 429}
				}
				tokens--
				return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
			}
			w.onResult = reschedule(time.Second)
			w.assign(tasksOf(20))
			w.run(20 * time.Minute)
			before, refusedBefore := len(w.calls), refused
			w.run(60 * time.Minute)
			calls, bad := len(w.calls)-before, refused-refusedBefore
			good := float64(calls-bad) / 3600
			t.Logf("limit %v: %.2f good calls a second, %.2f%% refused", limit, good, 100*float64(bad)/float64(calls))
			if good < limit/2 || float64(bad) > 0.07*float64(calls) {
				t.Errorf("limit %v: %.2f good calls a second, %.2f%% refused", limit, good, 100*float64(bad)/float64(calls))
			}
		})
	}
}

// A hint that was answered takes the turn that it stood for with it: the next
// hint waits for the hint budget, or for five minutes of its own.
func TestStep_nextHintWaitsForItsBudget(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(func(a *poller.Account) { a.Poll.HintRate = 0.01 }))
	w.assign(nil)
	w.run(200 * time.Second) // the hint budget has one call
	base := w.now.Sub(epoch)
	w.step(schedule(known("o", -48*time.Hour, base+10*time.Second)))
	w.step(schedule(hinted("o", base, true)))
	w.run(20 * time.Second)
	if len(w.calls) != 1 || w.calls[0].ask.Cause != events.CauseHint {
		t.Fatalf("calls %+v; want one for the hint", w.calls)
	}
	// The reconciler joins that answer and the next hint in one batch.
	w.step(schedule(hinted("o", base+20*time.Second, true)))
	w.run(30 * time.Second) // the hint budget has the next call after 100 s
	if len(w.calls) != 1 {
		c := w.calls[1]
		t.Errorf("the second hint was asked about %s after it came, cause %v, while the hint budget has no call; want it to wait for that, or five minutes",
			c.at.Sub(epoch)-base-20*time.Second, c.ask.Cause)
	}
}

// Two answers that fit neither what is expected nor each other are not what the
// provider says about the order.
func TestStep_doubtfulAnswersThatDiffer(t *testing.T) {
	task := known("o", 0, 0)
	task.ExpectedAmount, task.ExpectedCurrency = "100.00", "EUR"
	w := newWorld(t, poller.Settings{}, account(serial))
	amounts := []events.Amount{"7", "9"}
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		f := events.Facts{FiatAmount: amounts[0], FiatCurrency: "EUR"}
		amounts = amounts[1:]
		return providers.Answer{Key: a.Question.Key, StatusRaw: "FINALIZED", Facts: f}, nil
	}
	w.assign([]events.CheckTask{task})
	w.run(10 * time.Second)
	for _, c := range w.published {
		if c.Outcome == events.OutcomeOK {
			t.Errorf("published %s with amount %s after a first answer of 7; expected is 100: want neither believed", c.Word(), c.Facts.FiatAmount)
		}
	}
}
