package poller_test

import (
	"fmt"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

// twoPages answers a sweep with two pages of two subjects.
func twoPages(e poller.ReadPage) (providers.Page, *providers.CallError) {
	page := providers.Page{Next: "2"}
	if e.Cursor == "2" {
		page.Next = ""
	}
	for i := range 2 {
		page.Answers = append(page.Answers, providers.Answer{Key: key(fmt.Sprintf("s%s-%d", e.Cursor, i)), StatusRaw: "NEW"})
	}
	return page, nil
}

func TestStep_sweep(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(sweeping))
	w.page = twoPages
	w.assign(nil) // an empty schedule is swept too
	w.run(time.Minute)
	if len(w.published) != 4 || len(w.marks) != 4 {
		t.Fatalf("published %d, marked %d; want 4 and 4", len(w.published), len(w.marks))
	}
	for _, c := range w.published {
		if c.Cause != events.CauseSweep || c.Outcome != events.OutcomeOK {
			t.Errorf("published %+v; want an answer caused by the sweep", c)
		}
	}
	w.run(9 * time.Minute)
	if n := len(w.pages) / 2; n < 8 || n > 12 {
		t.Errorf("sweeps = %d in ten minutes; want one a minute", n)
	}
	if len(w.published) != 4 || len(w.marks) != 4 {
		t.Errorf("published %d, marked %d after sweeps that list the same; want no more", len(w.published), len(w.marks))
	}
	w.page = func(e poller.ReadPage) (providers.Page, *providers.CallError) {
		p, err := twoPages(e)
		p.Answers[1].StatusRaw = "FINALIZED"
		return p, err
	}
	w.run(2 * time.Minute)
	if len(w.published) != 6 {
		t.Errorf("published %d after one entry of each page changed; want 6", len(w.published))
	}
}

// A provider that keeps no note of what was read costs no budget for it.
func TestStep_sweepWithoutAcks(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(sweeping, func(a *poller.Account) { a.Capabilities.SweepAcks = false }))
	w.page = twoPages
	w.assign(nil)
	w.run(5 * time.Minute)
	if len(w.published) != 4 || len(w.marks) != 0 || len(w.pages) < 8 {
		t.Errorf("published %d, marked %d, pages %d; want 4, none, and several sweeps", len(w.published), len(w.marks), len(w.pages))
	}
}

// What could not be marked is marked by the next sweep, unchanged or not.
func TestStep_sweepMarksAgain(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(sweeping))
	w.page = twoPages
	w.mark = func(poller.Mark) *providers.CallError {
		if len(w.marks) == 2 {
			return &providers.CallError{Outcome: events.OutcomeRejected}
		}
		return nil
	}
	w.assign(nil)
	w.run(10 * time.Minute)
	if len(w.marks) != 5 || len(w.published) != 4 {
		t.Errorf("marked %d, published %d; want the refused mark once more and nothing published again", len(w.marks), len(w.published))
	}
}

// An entry that the provider never lets us mark hides nobody else.
func TestStep_sweepGoesOnBehindARefusedMark(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(sweeping))
	w.page = twoPages
	w.mark = func(m poller.Mark) *providers.CallError {
		if m.Answer.Key.ID == "s-0" {
			return &providers.CallError{Outcome: events.OutcomeRejected}
		}
		return nil
	}
	w.assign(nil)
	w.run(time.Hour)
	seen := map[string]int{}
	for _, c := range w.published {
		seen[c.Key.ID]++
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was published %d times, want once", id, n)
		}
	}
	if seen["s2-0"] != 1 || len(seen) != 4 {
		t.Errorf("published %v; want all four subjects of both pages", seen)
	}
}

// Where no sweep comes to its end, since some call of each fails, what waits is
// marked all the same, as fast as the sweeps get on.
func TestStep_sweepGetsOnThoughEachFails(t *testing.T) {
	const users = 40
	w := newWorld(t, poller.Settings{}, account(sweeping))
	marked, calls := map[string]bool{}, 0
	w.page = func(poller.ReadPage) (page providers.Page, _ *providers.CallError) {
		for i := range users {
			if k := key(fmt.Sprintf("s%d", i)); !marked[k.ID] {
				page.Answers = append(page.Answers, providers.Answer{Key: k, StatusRaw: "NEW"})
			}
		}
		return page, nil
	}
	w.mark = func(m poller.Mark) *providers.CallError {
		if calls++; calls%5 == 0 {
			return &providers.CallError{Outcome: events.OutcomeUnreachable}
		}
		marked[m.Answer.Key.ID] = true
		return nil
	}
	w.assign(nil)
	w.run(15 * time.Minute)
	if len(marked) != users || len(w.published) != users {
		t.Errorf("%d of %d are marked and %d published after a quarter of an hour of sweeps that bring four each", len(marked), users, len(w.published))
	}
}

// Invariant of P16: the provider may forget that we did not know a subject only
// after Kafka has all events of the page.
func TestStep_sweepMarksOnlyWhatIsDurable(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(sweeping))
	w.page = twoPages
	fails := 5
	w.publish = func(p poller.Publish) error {
		if len(p.Checks) != 2 {
			t.Errorf("publication of %d checks; want a page as one unit", len(p.Checks))
		}
		if fails--; fails >= 0 {
			return errDown
		}
		return nil
	}
	w.mark = func(m poller.Mark) *providers.CallError {
		for _, c := range w.published {
			if c.Key == m.Answer.Key {
				return nil
			}
		}
		t.Errorf("%s marked before it was durable", m.Answer.Key)
		return nil
	}
	w.assign(nil)
	w.run(2 * time.Minute)
	if len(w.marks) < 4 {
		t.Errorf("marked %d; want every entry in the end", len(w.marks))
	}
}

func TestStep_sweepFails(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(sweeping))
	w.page = func(poller.ReadPage) (providers.Page, *providers.CallError) {
		return providers.Page{}, &providers.CallError{Outcome: events.OutcomeRejected, HTTPStatus: 400}
	}
	w.assign([]events.CheckTask{known("o", -time.Hour, 0)})
	w.run(2 * time.Hour)
	if n := len(w.pages); n < 3 || n > 12 {
		t.Errorf("sweeps tried = %d in two hours; want a back-off to half an hour", n)
	}
	for _, c := range w.published {
		if c.Cause == events.CauseSweep {
			t.Errorf("published %+v; a failed sweep is no event of an order", c)
		}
	}
	if len(w.callsOf("o")) == 0 {
		t.Error("the failing sweep kept the order from being asked about")
	}
}

func TestStep_sweepOfStrangers(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(sweeping))
	w.page = func(e poller.ReadPage) (providers.Page, *providers.CallError) {
		return providers.Page{Next: "same", Answers: []providers.Answer{
			{Key: events.Key{Provider: "kado", Account: "acme", ID: "1"}, StatusRaw: "NEW"},
			{Key: events.Key{Provider: "kanga", Account: "acme", ID: "a/b"}, StatusRaw: "NEW"},
			{Key: key("ours"), StatusRaw: ""},
		}}, nil
	}
	w.assign(nil)
	w.run(10 * time.Minute)
	if len(w.published) != 0 || len(w.marks) != 0 {
		t.Errorf("published %d, marked %d; want nothing that is not a subject of the lane", len(w.published), len(w.marks))
	}
	if n := len(w.pages); n > 24 {
		t.Errorf("pages = %d in ten minutes from a provider that goes in a circle; want two a sweep", n)
	}
}

func TestStep_sweepLeavesRoom(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(sweeping))
	n := 0
	w.page = func(poller.ReadPage) (providers.Page, *providers.CallError) { // never ends
		n++
		return providers.Page{Next: fmt.Sprint(n), Answers: []providers.Answer{{Key: key(fmt.Sprintf("s-%d", n)), StatusRaw: "NEW"}}}, nil
	}
	var tasks []events.CheckTask
	for i := range 1000 {
		tasks = append(tasks, known(fmt.Sprintf("o-%d", i), -48*time.Hour, 0))
	}
	w.onResult = nil
	w.assign(tasks)
	w.run(3 * time.Minute)
	if asked, all := len(w.calls), len(w.calls)+len(w.pages)+len(w.marks); asked*3 < all {
		t.Errorf("%d of %d calls were for orders beside an endless sweep; want about half", asked, all)
	}
}
