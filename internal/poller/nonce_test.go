package poller_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

// ring is a serial lane at a provider that remembers the highest nonce, with
// owners that come, go and die, and a clock that moves as it likes. The model
// is the provider: a nonce that is not above every earlier one is refused.
type ring struct {
	t       *rapid.T
	owner   *world
	durable events.LaneState // what the lane-state topic says
	highest int64            // at the provider
	busyTo  time.Duration    // true time until which a call is under way
	truth   time.Duration    // true time, which only goes on
	skew    time.Duration    // of the present owner's clock
	loseAck bool
}

func newRing(t *rapid.T) *ring {
	r := &ring{t: t}
	r.takeover()
	return r
}

// takeover starts an owner that knows what is durable and nothing else. The
// old one is gone and, its lease lost, calls no more; the group waits for
// longer than a call takes.
func (r *ring) takeover() {
	r.truth = max(r.truth, r.busyTo)
	w := newWorld(r.t, poller.Settings{}, account(serial))
	w.now = epoch.Add(r.truth + r.skew)
	w.latency = 300 * time.Millisecond
	w.onResult = reschedule(2 * time.Second)
	w.save = func(e poller.SaveLane) error {
		if e.State.NonceReserved < r.durable.NonceReserved {
			r.t.Fatalf("reservation shrank from %d to %d", r.durable.NonceReserved, e.State.NonceReserved)
		}
		r.durable = e.State // durable even where the acknowledgement is lost
		if r.loseAck {
			return errDown
		}
		return nil
	}
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		now := w.now.Sub(epoch) - r.skew
		n := a.Question.Nonce
		switch {
		case n <= r.highest:
			r.t.Fatalf("nonce %d after %d", n, r.highest)
		case n > r.durable.NonceReserved:
			r.t.Fatalf("nonce %d used above the durable reservation %d", n, r.durable.NonceReserved)
		case n >= 1<<53:
			r.t.Fatalf("nonce %d is not exact in JSON", n)
		case now < r.busyTo:
			r.t.Fatalf("call at %s overlaps with one until %s", now, r.busyTo)
		}
		r.highest, r.busyTo = n, now+w.latency
		return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
	}
	r.owner = w
	var tasks []events.CheckTask
	for i := range 3 {
		tasks = append(tasks, known(fmt.Sprintf("o-%d", i), 0, 0))
	}
	w.assign(tasks, r.durable)
}

func (r *ring) pass(d time.Duration) { r.owner.run(d); r.truth += d }

func TestStep_noncesStrictlyIncrease(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRing(t)
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				r.pass(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
			},
			"a long time passes": func(t *rapid.T) { r.pass(3 * time.Minute) },
			"owner dies":         func(t *rapid.T) { r.takeover() },
			"owner dies; the next one's clock is off": func(t *rapid.T) {
				r.skew = time.Duration(rapid.IntRange(-86_400, 86_400).Draw(t, "skew")) * time.Second
				r.takeover()
			},
			"clock steps": func(t *rapid.T) {
				d := time.Duration(rapid.IntRange(-3600, 3600).Draw(t, "step")) * time.Second
				r.skew += d
				r.owner.now = r.owner.now.Add(d)
				for i := range r.owner.queue { // what is under way takes as long as it takes
					r.owner.queue[i].at = r.owner.queue[i].at.Add(d)
				}
				r.owner.step()
			},
			"acknowledgements are lost":  func(*rapid.T) { r.loseAck = true },
			"acknowledgements come back": func(*rapid.T) { r.loseAck = false },
			"partition comes back to the same process": func(*rapid.T) {
				r.owner.step(poller.Revoked{Partitions: []int32{0}})
				r.owner.assign([]events.CheckTask{known("o-9", 0, 0)}, r.durable)
			},
		})
	})
}

func TestStep_nonceBlocks(t *testing.T) {
	t.Run("no call before the reservation is acknowledged", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account(serial))
		w.save = func(poller.SaveLane) error { return errDown }
		w.assign([]events.CheckTask{known("o", 0, 0)})
		w.run(time.Hour)
		if len(w.calls) != 0 {
			t.Errorf("calls = %d without a durable reservation; want none", len(w.calls))
		}
		w.save = func(poller.SaveLane) error { return nil }
		w.run(time.Minute)
		if len(w.calls) != 1 {
			t.Errorf("calls = %d after it; want 1", len(w.calls))
		}
	})
	t.Run("a new owner jumps a block above the reservation", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account(serial))
		reserved := int64(at(time.Hour)) // the old owner's clock was ahead
		w.assign([]events.CheckTask{known("o", 0, 0)}, events.LaneState{Lane: lane, NonceReserved: reserved})
		w.run(time.Second)
		if len(w.calls) != 1 || w.calls[0].ask.Question.Nonce != reserved+60_001 {
			t.Fatalf("calls = %+v; want one with nonce %d", w.calls, reserved+60_001)
		}
	})
	t.Run("no nonce of 2^53 or more", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account(serial))
		w.assign([]events.CheckTask{known("o", 0, 0)}, events.LaneState{Lane: lane, NonceReserved: 1<<53 - 1})
		w.run(time.Minute)
		if len(w.calls) != 0 {
			t.Errorf("calls = %d; want none: the numbers are used up", len(w.calls))
		}
	})
	t.Run("one record a minute, not one a call", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account(serial))
		w.onResult = reschedule(time.Second)
		w.assign([]events.CheckTask{known("o", 0, 0)})
		w.run(10 * time.Minute)
		if len(w.calls) < 300 || len(w.saved) > 25 {
			t.Errorf("%d calls took %d reservations; want at most 25", len(w.calls), len(w.saved))
		}
	})
}

func TestStep_nonceRefused(t *testing.T) {
	refuse := func(poller.Ask) (providers.Answer, *providers.CallError) {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeUnauthorized, Nonce: true}
	}
	t.Run("one retry with a fresh nonce", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account(serial))
		n := 0
		w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
			if n++; n == 1 {
				return refuse(a)
			}
			return providers.Answer{Key: a.Question.Key, StatusRaw: "FINALIZED"}, nil
		}
		w.assign([]events.CheckTask{known("o", 0, 0)})
		w.run(10 * time.Second)
		if len(w.calls) != 2 || w.calls[1].ask.Attempt != 2 || w.calls[1].ask.Question.Nonce <= w.calls[0].ask.Question.Nonce+60_000 {
			t.Fatalf("calls = %+v; want a second attempt with a nonce above the block that is given up", w.calls)
		}
		if len(w.published) != 2 || w.published[0].Word() != "!unauthorized" || w.published[1].Status != events.StatusCompleted {
			t.Errorf("published = %+v; want both answers", w.published)
		}
		if s := w.lane(lane); s.NonceAlarm || s.Held != 1 {
			t.Errorf("lane = %+v; want no alarm and the task held", s)
		}
	})
	t.Run("then the lane stops and raises the alarm", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account(serial))
		w.answer = refuse
		w.onResult = reschedule(time.Second)
		w.assign([]events.CheckTask{known("o", 0, 0), known("p", 0, 0)})
		w.run(30 * time.Second)
		if len(w.calls) != 2 {
			t.Errorf("calls = %d; want two, then silence", len(w.calls))
		}
		if s := w.lane(lane); !s.NonceAlarm || s.Breaker != "open" {
			t.Errorf("lane = %+v; want the alarm and an open breaker", s)
		}
		w.run(24 * time.Hour)
		if n := len(w.calls); n > 40 {
			t.Errorf("calls = %d in a day of refusals; want hourly probes", n)
		}
	})
}

func TestStep_doubtfulAnswer(t *testing.T) {
	task := known("o", 0, 0)
	task.ExpectedAmount, task.ExpectedCurrency = "100.00", "EUR"
	amounts := func(list ...events.Amount) func(poller.Ask) (providers.Answer, *providers.CallError) {
		return func(a poller.Ask) (providers.Answer, *providers.CallError) {
			f := events.Facts{FiatAmount: list[0], FiatCurrency: "EUR"}
			list = list[1:]
			return providers.Answer{Key: a.Question.Key, StatusRaw: "FINALIZED", Facts: f}, nil
		}
	}
	for _, tc := range []struct {
		name    string
		answers []events.Amount
		words   []string
	}{
		{"as expected", []events.Amount{"100"}, []string{"FINALIZED"}},
		{"another order's answer once", []events.Amount{"7", "100.0"}, []string{"!mismatch", "FINALIZED"}},
		{"another amount twice is what the provider says", []events.Amount{"7", "7"}, []string{"!mismatch", "FINALIZED"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, poller.Settings{}, account(serial))
			w.answer = amounts(tc.answers...)
			w.assign([]events.CheckTask{task})
			w.run(10 * time.Second)
			var got []string
			for _, c := range w.published {
				got = append(got, c.Word())
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.words) {
				t.Errorf("published %v; want %v", got, tc.words)
			}
		})
	}
}
