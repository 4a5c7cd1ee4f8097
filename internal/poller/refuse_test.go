package poller_test

import (
	"fmt"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

// A reconciler that ends the task of an answered hint, as internal/reconciler does.
func tombstones(p poller.Publish) (in []poller.Input) {
	for _, c := range p.Checks {
		in = append(in, poller.Scheduled{Key: c.Key, Gone: true})
	}
	return in
}

func refusalsOf(w *world) (out []events.StatusCheck) {
	for _, c := range w.published {
		if c.Outcome == events.OutcomeGaveUp {
			out = append(out, c)
		}
	}
	return out
}

func TestStep_refusedUnknownHints(t *testing.T) {
	ignoring := func(a *poller.Account) { a.Poll.UnknownHints = "ignore" }
	for _, tc := range []struct {
		name    string
		s       poller.Settings
		mutate  func(*poller.Account)
		hints   int
		refused int // in the end
	}{
		{"ignored by configuration", poller.Settings{}, ignoring, 40, 40},
		{"above the cap", poller.Settings{UnknownTasks: 10}, func(*poller.Account) {}, 40, 30},
		{"above the cap of those", poller.Settings{UnknownTasks: 10, UnknownRefusals: 20}, func(*poller.Account) {}, 40, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.s, account(tc.mutate))
			w.onResult = tombstones
			w.answer = func(poller.Ask) (providers.Answer, *providers.CallError) {
				return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeNotFound, HTTPStatus: 404}
			}
			w.assign(nil)
			for i := range tc.hints {
				h := schedule(hinted(fmt.Sprintf("forged-%02d", i), 0, false))
				w.step(h, h) // a repeated hint is answered once
			}
			w.run(20 * time.Second)
			if n := len(refusalsOf(w)); n > 11 {
				t.Errorf("%d refusals in 20 s; the budget is 0.5/s", n)
			}
			w.run(10 * time.Minute)
			got := refusalsOf(w)
			if len(got) != tc.refused {
				t.Fatalf("refused = %d, want %d", len(got), tc.refused)
			}
			for _, c := range got {
				if c.Cause != events.CauseHint || len(w.callsOf(c.Key.ID)) != 0 {
					t.Errorf("refusal of %s: cause %s, %d calls; want hint and none", c.Key.ID, c.Cause, len(w.callsOf(c.Key.ID)))
				}
			}
			if s := w.lane(lane); s.Refused != 0 || s.Tasks != 0 {
				t.Errorf("refused = %d, tasks = %d at the end; want none", s.Refused, s.Tasks)
			}
		})
	}
}

func TestStep_refusalIsTakenBack(t *testing.T) {
	for _, tc := range []struct {
		name  string
		then  poller.Input
		calls int
	}{
		{"the order became known", schedule(known("o", 0, time.Second)), 1},
		{"the task ended", gone("o"), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, poller.Settings{}, account(func(a *poller.Account) { a.Poll.UnknownHints = "ignore" }))
			w.assign(nil)
			w.step(schedule(hinted("o", 0, false))) // waits for the first token
			w.step(tc.then)
			w.run(time.Minute)
			if len(refusalsOf(w)) != 0 || len(w.callsOf("o")) != tc.calls {
				t.Errorf("refusals = %d, calls = %d; want 0 and %d", len(refusalsOf(w)), len(w.callsOf("o")), tc.calls)
			}
		})
	}
}

func TestStep_refusalsWaitForKafka(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(func(a *poller.Account) { a.Poll.UnknownHints = "ignore" }))
	w.publish = func(poller.Publish) error { return errDown }
	w.assign(nil)
	for i := range 100 {
		w.step(schedule(hinted(fmt.Sprintf("forged-%d", i), 0, false)))
	}
	w.run(10 * time.Minute)
	if s := w.lane(lane); s.Unpublished != 1 || s.Refused != 99 {
		t.Errorf("unpublished = %d, refused = %d while Kafka is down; want 1 and 99", s.Unpublished, s.Refused)
	}
	w.publish = func(poller.Publish) error { return nil }
	w.run(10 * time.Minute)
	if n := len(refusalsOf(w)); n != 100 {
		t.Errorf("refused = %d after it, want 100", n)
	}
}

// A second look at an unknown id is a hint's too: a failure with any other
// cause would be evidence, and a forged id would become an order.
func TestStep_unknownIdIsOnlyEverAHint(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(serial))
	w.answer = func(poller.Ask) (providers.Answer, *providers.CallError) {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeUnauthorized, Nonce: true}
	}
	w.onResult = tombstones
	w.assign(nil)
	for i := range 20 {
		w.step(schedule(hinted(fmt.Sprintf("forged-%d", i), 0, false)))
	}
	w.run(20 * time.Minute)
	if len(w.published) == 0 {
		t.Fatal("nothing was asked")
	}
	for _, c := range w.published {
		if c.Cause != events.CauseHint {
			t.Errorf("check of %s has cause %s, want hint", c.Key.ID, c.Cause)
		}
	}
}
