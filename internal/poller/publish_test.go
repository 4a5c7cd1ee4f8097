package poller_test

import (
	"fmt"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// P16: Kafka is down; answers are held, the lane pauses, nothing is lost.
func TestStep_unpublishableAnswers(t *testing.T) {
	const hold = 6
	w := newWorld(t, poller.Settings{Hold: hold}, account())
	down := true
	w.publish = func(poller.Publish) error {
		if down {
			return errDown
		}
		return nil
	}
	w.onResult = reschedule(24 * time.Hour)
	var tasks []events.CheckTask
	for i := range 100 {
		tasks = append(tasks, known(fmt.Sprintf("o-%d", i), -48*time.Hour, 0))
	}
	w.assign(tasks)
	w.run(time.Hour)
	if n := len(w.calls); n == 0 || n > hold {
		t.Fatalf("calls = %d while nothing could be published; want at most %d", n, hold)
	}
	if s := w.lane(lane); !s.Paused || s.Unpublished != len(w.calls) {
		t.Errorf("lane = %+v; want it paused with %d answers", s, len(w.calls))
	}
	if w.attempts > 1000 {
		t.Errorf("publications tried = %d in an hour; want a back-off", w.attempts)
	}
	more := newWorld(t, poller.Settings{}, account())
	more.publish = func(poller.Publish) error { return errDown }
	more.assign(tasks)
	more.run(time.Minute)
	if n := len(more.calls); n != 1 {
		t.Errorf("calls = %d; want none after the first answer that could not be published", n)
	}
	down = false
	w.run(5 * time.Minute)
	if len(w.published) != len(w.calls) || len(w.calls) != 100 {
		t.Errorf("published %d of %d calls for 100 tasks; want all", len(w.published), len(w.calls))
	}
}

func TestStep_tooLargeIsPublishedWithoutItsContent(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW", Facts: events.Facts{WalletAccounts: "[huge]"}}, nil
	}
	w.publish = func(p poller.Publish) error {
		if p.Checks[0].Facts != (events.Facts{}) {
			return fmt.Errorf("produce: %w", stream.ErrTooLarge)
		}
		return nil
	}
	w.assign([]events.CheckTask{known("o", -time.Hour, 0)})
	w.run(10 * time.Second)
	if len(w.published) != 1 || w.published[0].Outcome != events.OutcomeOversized {
		t.Errorf("published = %+v; want one oversized", w.published)
	}
}

func TestStep_everyAnswerIsAnEvent(t *testing.T) {
	ok := func(k events.Key, word string) providers.Answer { return providers.Answer{Key: k, StatusRaw: word} }
	for _, tc := range []struct {
		name   string
		answer providers.Answer
		err    *providers.CallError
		word   string
		status events.Status
		http   int32
	}{
		{"known word", ok(key("o"), "FINALIZED"), nil, "FINALIZED", events.StatusCompleted, 200},
		{"unknown word", ok(key("o"), "ODD"), nil, "ODD", events.StatusUnknown, 200},
		{"no word", ok(key("o"), ""), nil, "!malformed", events.StatusUnknown, 200},
		{"another subject", ok(key("p"), "FINALIZED"), nil, "!mismatch", events.StatusUnknown, 200},
		{"not found", providers.Answer{}, &providers.CallError{Outcome: events.OutcomeNotFound, HTTPStatus: 404}, "!not_found", events.StatusUnknown, 404},
		{"timeout", providers.Answer{}, &providers.CallError{Outcome: events.OutcomeTimeout}, "!timeout", events.StatusUnknown, 0},
		{"redirect", providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRedirect, HTTPStatus: 302}, "!redirect", events.StatusUnknown, 302},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, poller.Settings{}, account())
			w.answer = func(poller.Ask) (providers.Answer, *providers.CallError) { return tc.answer, tc.err }
			w.assign([]events.CheckTask{known("o", -time.Hour, 0)})
			w.run(5 * time.Second)
			if len(w.published) != 1 {
				t.Fatalf("published = %d; want 1", len(w.published))
			}
			c := w.published[0]
			if c.Word() != tc.word || c.Status != tc.status || c.HTTPStatus != tc.http || c.Key != key("o") {
				t.Errorf("published %+v; want %s, %s, HTTP %d", c, tc.word, tc.status, tc.http)
			}
			if start := events.At(w.calls[0].at); c.ObservedAt != start || c.AnsweredAt != start.Add(w.latency) {
				t.Errorf("observed %d, answered %d; want the start %d and the end of the request", c.ObservedAt, c.AnsweredAt, start)
			}
			if c.EventID == "" || c.Attempt != 1 {
				t.Errorf("event id %q, attempt %d; want an id and 1", c.EventID, c.Attempt)
			}
		})
	}
}

func TestStep_revoke(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.latency = 10 * time.Second
	w.assign([]events.CheckTask{known("a", -time.Hour, 0), known("b", -time.Hour, 5*time.Second)})
	w.run(time.Second)
	w.step(poller.Revoked{Partitions: []int32{0}})
	if w.core.Quiet() {
		t.Error("Quiet = true with a call in flight")
	}
	w.step(schedule(known("c", 0, 0))) // read before the revocation
	w.run(time.Minute)
	if len(w.calls) != 1 {
		t.Errorf("calls = %d; want none after the revocation", len(w.calls))
	}
	if len(w.published) != 1 {
		t.Errorf("published = %d; want the answer of the call in flight: it is true", len(w.published))
	}
	if !w.core.Quiet() || !w.core.Idle() || len(w.core.Snapshot(w.now)) != 0 {
		t.Error("the lost lane left something behind")
	}
}

func TestStep_lostLeaseAsksLater(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(serial))
	held := false
	w.lease = func() bool { return held }
	w.assign([]events.CheckTask{known("a", -time.Hour, 0)})
	w.run(time.Minute)
	if len(w.calls) != 0 || len(w.published) != 0 {
		t.Errorf("calls %d, published %d without a lease; want none", len(w.calls), len(w.published))
	}
	held = true
	w.run(5 * time.Second)
	if len(w.calls) != 1 {
		t.Errorf("calls = %d with it; want 1", len(w.calls))
	}
}

func TestStep_drain(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.latency = 5 * time.Second
	w.assign([]events.CheckTask{known("a", -time.Hour, 0), known("b", -time.Hour, 2*time.Second)})
	w.run(time.Second)
	w.step(poller.Drain{})
	if w.core.Idle() {
		t.Error("Idle = true with a call in flight")
	}
	w.run(time.Hour)
	if len(w.calls) != 1 || len(w.published) != 1 || !w.core.Idle() {
		t.Errorf("calls %d, published %d, idle %v; want the one call published and no other", len(w.calls), len(w.published), w.core.Idle())
	}
}

// What the last answer of a lane teaches is for the next owner too.
func TestStep_lostLaneSavesWhatItLearned(t *testing.T) {
	refusing := func(t *testing.T) *world {
		w := newWorld(t, poller.Settings{}, account())
		w.latency = 3 * time.Second
		w.answer = func(poller.Ask) (providers.Answer, *providers.CallError) {
			return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited, RetryAfter: time.Hour}
		}
		w.assign([]events.CheckTask{known("o", -time.Hour, 0)})
		w.run(time.Second)
		return w
	}
	t.Run("revoked", func(t *testing.T) {
		w := refusing(t)
		fails := 2
		w.save = func(poller.SaveLane) error {
			if w.core.Quiet() {
				t.Error("Quiet = true before the state is saved: the next owner would not know")
			}
			if fails--; fails >= 0 {
				return errDown
			}
			return nil
		}
		w.step(poller.Revoked{Partitions: []int32{0}})
		w.run(20 * time.Second)
		if len(w.saved) != 1 || w.saved[0].RetryAfter < at(3*time.Second+time.Hour) || w.saved[0].Budget != "2.5000" {
			t.Errorf("saved %+v; want the Retry-After and the halved rate", w.saved)
		}
		if !w.core.Quiet() || !w.core.Idle() {
			t.Error("the lost lane left something behind")
		}
	})
	t.Run("lost", func(t *testing.T) {
		w := refusing(t)
		w.step(poller.Revoked{Partitions: []int32{0}, Lost: true})
		w.run(20 * time.Second)
		if len(w.saved) != 0 {
			t.Errorf("saved %+v over the state of the next owner", w.saved)
		}
		if !w.core.Quiet() || !w.core.Idle() {
			t.Error("the lost lane left something behind")
		}
	})
	t.Run("waited for too long", func(t *testing.T) {
		w := refusing(t)
		down := true
		w.save = func(poller.SaveLane) error {
			if down {
				return errDown
			}
			return nil
		}
		w.step(poller.Revoked{Partitions: []int32{0}})
		w.run(20 * time.Second)
		w.step(poller.Revoked{Partitions: []int32{0}, Lost: true})
		down = false
		w.run(time.Hour)
		if len(w.saved) != 0 || !w.core.Quiet() {
			t.Errorf("saved %+v, quiet %v; want the state given up", w.saved, w.core.Quiet())
		}
	})
}
