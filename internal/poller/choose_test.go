package poller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

func TestStep_newOrderAmongUnpollable(t *testing.T) {
	notFound := func(a poller.Ask) (providers.Answer, *providers.CallError) {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeNotFound, HTTPStatus: 404}
	}
	for _, tc := range []struct {
		name  string
		since time.Duration // of the unpollable orders' status
		hints int
	}{
		{"old orders", -48 * time.Hour, 0},
		{"young orders", -6 * time.Minute, 0},
		{"old orders and a flood of hints", -48 * time.Hour, 500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, poller.Settings{}, account())
			w.answer = notFound
			w.onResult = reschedule(30 * time.Second)
			var tasks []events.CheckTask
			for i := range 10_000 {
				tasks = append(tasks, known(fmt.Sprintf("stuck-%d", i), tc.since, -time.Minute))
			}
			w.assign(tasks)
			w.run(time.Hour) // young ones were all asked once by then
			for i := range tc.hints {
				h := hinted(fmt.Sprintf("stuck-%d", i), time.Hour, true)
				w.step(schedule(h))
			}
			w.run(time.Second)
			due := time.Hour + 2*time.Second
			w.step(schedule(known("new", due-30*time.Second, due)))
			w.run(10 * time.Second)
			calls := w.callsOf("new")
			if len(calls) == 0 {
				t.Fatal("the new order was never asked about")
			}
			const tick = 200 * time.Millisecond
			if late := calls[0].at.Sub(epoch.Add(due)); late > tick+5*time.Millisecond {
				t.Errorf("first call %s after it was due; want within one budget tick", late)
			}
		})
	}
}

// A new order is one call late at most: hints with a rich budget, and young
// orders that are asked about all the time, wait for it.
func TestStep_newOrderAmongBusyOnes(t *testing.T) {
	rich := account(func(a *poller.Account) { a.Poll = providers.Poll{Rate: 5, Burst: 10, HintRate: 20} })
	for _, tc := range []struct {
		name string
		busy func(id string) events.CheckTask
	}{
		{"hints", func(id string) events.CheckTask { return hinted(id, time.Minute, true) }},
		{"young orders", func(id string) events.CheckTask { return known(id, 50*time.Second, time.Minute) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, poller.Settings{}, rich)
			w.onResult = func(p poller.Publish) (in []poller.Input) { // due again at once
				for _, c := range p.Checks {
					task := tc.busy(c.Key.ID)
					if task.Cause == events.CauseHint {
						task.HintAt = events.At(w.now)
					}
					task.DueAt = events.At(w.now)
					in = append(in, schedule(task))
				}
				return in
			}
			w.assign(nil)
			w.run(time.Minute)
			for i := range 300 {
				w.step(schedule(tc.busy(fmt.Sprintf("busy-%d", i))))
			}
			w.run(2 * time.Minute)
			before := len(w.calls)
			for i := range 3 {
				due := 3 * time.Minute
				w.step(schedule(known(fmt.Sprintf("new-%d", i), due-30*time.Second, due)))
			}
			w.run(5 * time.Second)
			last := 0
			for i, c := range w.calls[before:] {
				if strings.HasPrefix(c.ask.Question.Key.ID, "new-") {
					last = i
				}
			}
			if last == 0 || last > 6 {
				t.Errorf("three new orders were done after %d calls; want every other call at least", last+1)
			}
		})
	}
}

func TestStep_newOrdersStarveNobody(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.onResult = reschedule(24 * time.Hour)
	tasks := []events.CheckTask{known("old", -48*time.Hour, -time.Hour), known("young", -5*time.Minute, -time.Minute)}
	for i := range 5000 {
		tasks = append(tasks, known(fmt.Sprintf("new-%d", i), -time.Minute, -30*time.Second))
	}
	w.assign(tasks)
	w.run(time.Minute)
	for _, id := range []string{"old", "young"} {
		if len(w.callsOf(id)) == 0 {
			t.Errorf("%s was not asked about within a minute of %d calls for new orders", id, len(w.calls))
		}
	}
}

func TestStep_oldestFirst(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(serialLike))
	w.assign([]events.CheckTask{
		known("b", -48*time.Hour, -time.Hour), known("c", -48*time.Hour, -time.Minute), known("a", -48*time.Hour, -2*time.Hour),
	})
	w.run(10 * time.Second)
	var got []string
	for _, c := range w.calls {
		got = append(got, c.ask.Question.Key.ID)
	}
	if fmt.Sprint(got) != "[a b c]" {
		t.Errorf("order of calls = %v; want the longest overdue first", got)
	}
}

func serialLike(a *poller.Account) { a.Poll.Rate, a.Poll.Burst = 1, 1 }

func TestStep_hints(t *testing.T) {
	t.Run("a known order is asked within two seconds", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account())
		w.assign([]events.CheckTask{known("o", -48*time.Hour, 10*time.Hour)})
		w.run(10 * time.Second)
		w.step(schedule(hinted("o", 10*time.Second, true)))
		w.run(2 * time.Second)
		if len(w.calls) != 1 || w.calls[0].ask.Cause != events.CauseHint {
			t.Fatalf("calls = %+v; want one, caused by the hint", w.calls)
		}
	})
	t.Run("one that our last call has answered is skipped", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account())
		w.assign([]events.CheckTask{known("o", -48*time.Hour, 0)})
		w.run(10 * time.Second)
		if len(w.calls) != 1 {
			t.Fatalf("calls = %d; want the scheduled one", len(w.calls))
		}
		w.step(schedule(hinted("o", -time.Second, true)))
		w.run(30 * time.Second)
		if len(w.calls) != 1 {
			t.Errorf("calls = %d after a hint from before the last call; want 1", len(w.calls))
		}
	})
	t.Run("one during a call asks again", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account())
		w.latency = 5 * time.Second
		w.assign([]events.CheckTask{known("o", -48*time.Hour, 0)})
		w.run(2 * time.Second)
		w.step(schedule(hinted("o", 2*time.Second, true)))
		w.run(20 * time.Second)
		if len(w.calls) != 2 {
			t.Errorf("calls = %d; want the scheduled one and one for the hint", len(w.calls))
		}
	})
	t.Run("a flood takes no scheduled turn away", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account())
		var tasks []events.CheckTask
		for i := range 200 {
			tasks = append(tasks, known(fmt.Sprintf("o-%d", i), -48*time.Hour, 20*time.Second))
		}
		w.assign(tasks)
		for i := range 200 {
			w.step(schedule(hinted(fmt.Sprintf("o-%d", i), 0, true)))
		}
		w.run(90 * time.Second)
		if got := len(w.calls); got < 200 {
			t.Errorf("calls = %d in 90 s at 5/s; want all 200: each order had its planned turn", got)
		}
	})
	t.Run("unknown ids", func(t *testing.T) {
		for _, tc := range []struct {
			name string
			mode string
			want int
		}{{"check", "", 1}, {"ignore", "ignore", 0}} {
			w := newWorld(t, poller.Settings{}, account(func(a *poller.Account) { a.Poll.UnknownHints = tc.mode }))
			w.assign(nil)
			w.step(schedule(hinted("never-heard-of", 0, false)))
			w.run(5 * time.Second)
			if len(w.calls) != tc.want {
				t.Errorf("unknown_hints %q: calls = %d, want %d", tc.mode, len(w.calls), tc.want)
			}
		}
	})
	t.Run("unknown ids are capped and counted", func(t *testing.T) {
		w := newWorld(t, poller.Settings{}, account())
		w.assign(nil)
		for i := range 1500 {
			w.step(schedule(hinted(fmt.Sprintf("forged-%d", i), 0, false)))
		}
		s := w.lane(lane)
		if s.Unknown != 1000 || s.Dropped != 500 {
			t.Errorf("unknown = %d, dropped = %d; want 1000 and 500", s.Unknown, s.Dropped)
		}
		w.run(time.Minute)
		if n := len(w.calls); n > 31 {
			t.Errorf("calls = %d in a minute; the hint budget is 0.5/s", n)
		}
	})
}

func TestStep_heldUntilTheReconcilerSpeaks(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.assign([]events.CheckTask{known("o", -time.Hour, 0)})
	w.run(50 * time.Second)
	if len(w.calls) != 1 || w.lane(lane).Held != 1 {
		t.Fatalf("calls = %d, held = %d; want 1 and 1", len(w.calls), w.lane(lane).Held)
	}
	w.run(30 * time.Second)
	if len(w.calls) != 2 {
		t.Fatalf("calls = %d after the re-ask timeout; want 2", len(w.calls))
	}
	w.run(110 * time.Second)
	if len(w.calls) != 2 {
		t.Fatalf("calls = %d; want the second wait to be twice as long", len(w.calls))
	}
	w.step(gone("o"))
	w.run(24 * time.Hour)
	if len(w.calls) != 2 || w.lane(lane).Tasks != 0 {
		t.Errorf("calls = %d, tasks = %d after the tombstone; want 2 and 0", len(w.calls), w.lane(lane).Tasks)
	}
}

// A failed answer to a hint is no evidence, so what was due before stays due:
// the reconciler writes it again, and the poller must not take it for answered.
func TestStep_failedHintLeavesWhatWasDue(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeProvider, HTTPStatus: 500}
	}
	w.onResult = func(p poller.Publish) []poller.Input {
		if p.Checks[0].Cause == events.CauseHint {
			return []poller.Input{schedule(known("o", -time.Hour, 9*time.Second))}
		}
		return nil
	}
	w.assign(nil)
	w.run(10 * time.Second)
	w.step(schedule(hinted("o", 8*time.Second, true)))
	w.run(15 * time.Second)
	if calls := w.callsOf("o"); len(calls) != 2 || calls[0].ask.Cause != events.CauseHint || calls[1].ask.Cause != events.CauseSchedule {
		t.Errorf("calls = %+v; want one for the hint and at once one for what was due", calls)
	}
}

// The reconciler's next task may be read before Kafka's acknowledgement of the
// answer that caused it has come back.
func TestStep_nextTaskOvertakesTheAcknowledgement(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	w.assign([]events.CheckTask{known("o", -time.Hour, 0)})
	w.publish = func(p poller.Publish) error {
		w.in(time.Millisecond, schedule(known("o", -time.Hour, 20*time.Second)))
		return nil
	}
	w.run(25 * time.Second)
	if len(w.calls) != 2 {
		t.Errorf("calls = %d; want the next one at its due time, not after the re-ask timeout", len(w.calls))
	}
}

func TestStep_giveUp(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	give := known("o", -720*time.Hour, 0)
	give.GiveUp = true
	w.assign([]events.CheckTask{give})
	w.run(time.Second)
	if len(w.calls) != 0 || len(w.published) != 1 || w.published[0].Outcome != events.OutcomeGaveUp {
		t.Fatalf("calls %d, published %+v; want no call and one gave_up", len(w.calls), w.published)
	}
	w.step(schedule(give)) // the reconciler said so twice
	w.run(30 * time.Second)
	if len(w.published) != 1 {
		t.Errorf("published = %d; want one gave_up", len(w.published))
	}
}

func TestStep_unconfiguredLane(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	stranger := events.CheckTask{Key: events.Key{Provider: "kado", Account: "gone", ID: "1"}, DueAt: at(0), Known: true}
	customer := events.CheckTask{Key: events.Key{Provider: "kanga", Account: "acme", Kind: events.Customer, ID: "1"}, DueAt: at(0), Known: true}
	w.assign([]events.CheckTask{stranger, customer})
	w.run(time.Hour)
	if len(w.calls) != 0 {
		t.Errorf("calls = %d; want none", len(w.calls))
	}
	if s := w.lane("kado/gone"); s.Parked != 1 || s.Configured {
		t.Errorf("unconfigured account: %+v; want one parked task", s)
	}
	if s := w.lane(lane); s.Parked != 1 {
		t.Errorf("parked = %d; want the customer that the provider cannot be asked about", s.Parked)
	}
}

func TestStep_sameInputsSameEffects(t *testing.T) {
	run := func() []string {
		w := newWorld(t, poller.Settings{}, account(serial, sweeping), account(func(a *poller.Account) { a.Provider = "kuna" }))
		w.page = func(poller.ReadPage) (providers.Page, *providers.CallError) {
			return providers.Page{Answers: []providers.Answer{{Key: key("swept"), StatusRaw: "NEW"}}}, nil
		}
		w.onResult = reschedule(7 * time.Second)
		var tasks []events.CheckTask
		for i := range 50 {
			tasks = append(tasks, known(fmt.Sprintf("o-%d", i), -time.Hour, time.Duration(i%7)*time.Second))
		}
		w.assign(tasks)
		n := 0
		w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
			if n++; n%11 == 0 {
				return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited}
			}
			return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
		}
		w.run(5 * time.Minute)
		return w.trace
	}
	a, b := run(), run()
	if len(a) != len(b) || len(a) < 100 {
		t.Fatalf("effects = %d and %d; want the same, and many", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("effect %d = %s, then %s", i, a[i], b[i])
		}
	}
}

// A step leaves lanes alone that have nothing to do; world.step checks that it
// is so. Here are many lanes with all that can happen to them.
func TestStep_leavesNoLaneBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []events.Account{"a", "b", "c", "d", "e"}
		var accounts []poller.Account
		for i, n := range names {
			accounts = append(accounts, account(func(a *poller.Account) {
				a.Account = n
				a.Poll = providers.Poll{Rate: rapid.Float64Range(0.2, 20).Draw(t, "rate"), Burst: rapid.IntRange(1, 20).Draw(t, "burst"),
					UnknownHints: rapid.SampledFrom([]string{"check", "ignore"}).Draw(t, "unknown hints"), SweepEvery: 20 * time.Second}
				a.Capabilities.Serial = i == 0
				if i == 1 {
					sweeping(a)
				}
			}))
		}
		w := newWorld(t, poller.Settings{UnknownTasks: 3}, accounts...)
		w.latency = time.Duration(rapid.IntRange(1, 3000).Draw(t, "latency")) * time.Millisecond
		w.onResult = reschedule(time.Duration(rapid.IntRange(1, 30).Draw(t, "interval")) * time.Second)
		w.page = func(poller.ReadPage) (providers.Page, *providers.CallError) {
			k := key("swept")
			k.Account = "b"
			return providers.Page{Answers: []providers.Answer{{Key: k, StatusRaw: fmt.Sprint(w.now.Unix())}}}, nil
		}
		w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
			if rapid.IntRange(0, 5).Draw(t, "more") == 0 {
				w.in(w.latency/2, poller.More{ID: a.ID})
			}
			switch rapid.IntRange(0, 6).Draw(t, "answer") {
			case 0:
				return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited}
			case 1:
				return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeTimeout}
			case 2:
				return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeUnauthorized, Nonce: true}
			}
			return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
		}
		w.publish = func(poller.Publish) error {
			if rapid.IntRange(0, 9).Draw(t, "publish") == 0 {
				return errDown
			}
			return nil
		}
		w.assign(nil)
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			elapsed := w.now.Sub(epoch)
			task := known(fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "id")), elapsed-time.Minute, elapsed)
			if rapid.Bool().Draw(t, "hint") {
				task = hinted(task.Key.ID, elapsed, rapid.Bool().Draw(t, "known"))
			}
			task.Key.Account = rapid.SampledFrom(names).Draw(t, "lane")
			switch rapid.SampledFrom([]string{"task", "gone", "wait", "takeover", "clock"}).Draw(t, "step") {
			case "task":
				w.step(schedule(task))
			case "gone":
				w.step(poller.Scheduled{Key: task.Key, Gone: true})
			case "wait":
				w.run(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "wait")) * time.Millisecond)
			case "takeover":
				w.assign([]events.CheckTask{task})
			case "clock":
				w.now = w.now.Add(-time.Duration(rapid.IntRange(1, 5000).Draw(t, "back")) * time.Millisecond)
				w.step()
			}
		}
		w.step(poller.Drain{})
		w.run(time.Minute)
	})
}

// The second look at a doubtful answer that a hint caused is the hint's expense:
// whoever can make answers doubtful must not get two calls for one.
func TestStep_hintRetriesWithinTheHintBudget(t *testing.T) {
	const hintRate, minutes = 0.1, 4
	w := newWorld(t, poller.Settings{}, account(serial, func(a *poller.Account) { a.Poll.HintRate = hintRate }))
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW", Facts: events.Facts{FiatAmount: "7", FiatCurrency: "EUR"}}, nil
	}
	var tasks []events.CheckTask
	for i := range 200 {
		h := hinted(fmt.Sprint(i), 0, true)
		h.ExpectedAmount, h.ExpectedCurrency = "100", "EUR"
		tasks = append(tasks, h)
	}
	w.onResult = reschedule(time.Hour)
	w.assign(tasks)
	w.run(minutes * time.Minute)
	if limit := int(hintRate*minutes*60) + 1; len(w.calls) > limit || len(w.calls) < limit-2 {
		t.Errorf("calls = %d; want the hint budget's %d", len(w.calls), limit)
	}
	for _, c := range w.calls {
		if c.ask.Cause != events.CauseHint {
			t.Errorf("a call about a hint has the cause %v", c.ask.Cause)
		}
	}
	doubted := 0
	for _, c := range w.published {
		if c.Outcome == events.OutcomeMismatch {
			doubted++
		}
	}
	if doubted == 0 || doubted == len(w.published) {
		t.Errorf("%d of %d answers doubted; want each asked twice", doubted, len(w.published))
	}
}

// The last word about an order is said once by an owner, however long the
// reconciler takes to hear it: it is durable.
func TestStep_giveUpOnce(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account())
	give := known("o", -720*time.Hour, 0)
	give.GiveUp = true
	w.assign([]events.CheckTask{give})
	w.run(48 * time.Hour)
	if len(w.published) != 1 {
		t.Errorf("published = %d gave_up in two days of a silent reconciler; want one", len(w.published))
	}
	w.step(schedule(known("o", 47*time.Hour, 48*time.Hour))) // a webhook woke it
	w.run(time.Minute)
	give.DueAt = events.At(w.now)
	w.step(schedule(give))
	w.run(time.Minute)
	if n := len(w.published); n != 3 || w.published[2].Outcome != events.OutcomeGaveUp {
		t.Errorf("published %d; want an answer and another gave_up after the order moved", n)
	}
}
