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

const (
	lifeOrders = 3
	lifeEvery  = 10 * time.Second
	lifeRate   = 0.25 // a little less than is due
	lifeBurst  = 3
)

// life is a lane whose owners, provider, Kafka, reconciler and clock do what
// they like. The model knows three things in true time: what the provider was
// asked, until when it wants no call, and what the log holds.
type life struct {
	t       *rapid.T
	acct    poller.Account
	w       *world
	truth   time.Duration
	skew    time.Duration // of the clock
	fails   *providers.CallError
	down    bool          // Kafka refuses
	up      time.Duration // since when it does not
	noLease bool
	lands   bool // ... but what it refuses is there all the same
	away    bool // the reconciler
	pauses  []pause
	tokens  float64
	last    time.Duration // of the last request

	tasks   map[string]events.CheckTask // check-schedule
	asking  map[string]time.Duration    // true time of the latest question
	joined  map[string]time.Duration    // the same, once an answer was joined
	backlog []events.StatusCheck        // status-check that the reconciler has not read
	state   events.LaneState            // lane-state
}

// pause is a time in which the provider wants no call.
type pause struct{ from, to time.Duration }

func newLife(t *rapid.T) *life {
	mutate := []func(*poller.Account){func(a *poller.Account) { a.Poll = providers.Poll{Rate: lifeRate, Burst: lifeBurst} }}
	if rapid.Bool().Draw(t, "serial") {
		mutate = append(mutate, serial)
	}
	l := &life{t: t, acct: account(mutate...), tasks: map[string]events.CheckTask{}, asking: map[string]time.Duration{}, joined: map[string]time.Duration{}, tokens: lifeBurst + 1, up: -time.Hour}
	for i := range lifeOrders {
		id := fmt.Sprintf("o-%02d", i)
		l.tasks[id] = known(id, -time.Hour, time.Duration(i)*time.Second)
	}
	l.begin()
	return l
}

// begin is a process that owns the lane and knows what the log says.
func (l *life) begin() {
	w := newWorld(l.t, poller.Settings{}, l.acct)
	w.now, w.latency = epoch.Add(l.truth+l.skew), 300*time.Millisecond
	l.w = w
	w.lease = func() bool { return !l.noLease }
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		l.asked()
		l.asking[a.Question.Key.ID] = l.now()
		if l.fails != nil {
			if l.fails.RetryAfter > 0 {
				answered := l.now() + w.latency
				l.pauses = append(l.pauses, pause{answered, answered + l.fails.RetryAfter})
			}
			return providers.Answer{}, l.fails
		}
		return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
	}
	w.publish = func(p poller.Publish) error {
		if l.down && !l.lands {
			return errDown
		}
		l.backlog = append(l.backlog, p.Checks...)
		if l.down {
			return errDown
		}
		return nil
	}
	w.save = func(s poller.SaveLane) error {
		if l.down {
			return errDown
		}
		l.state = s.State
		return nil
	}
	w.onResult = func(poller.Publish) []poller.Input { return l.join() }
	var tasks []events.CheckTask
	for i := range lifeOrders {
		tasks = append(tasks, l.tasks[fmt.Sprintf("o-%02d", i)])
	}
	w.assign(tasks, l.state)
}

// now is true time within the present owner.
func (l *life) now() time.Duration { return l.w.now.Sub(epoch) - l.skew }

// asked is one request at the provider.
func (l *life) asked() {
	now := l.now()
	for _, p := range l.pauses {
		if p.from < now && now < p.to-time.Millisecond {
			l.t.Fatalf("asked at %s; since %s the provider wants no call before %s", now, p.from, p.to)
		}
	}
	l.tokens = min(lifeBurst+1, l.tokens+lifeRate*(now-l.last).Seconds())
	if l.last = now; l.tokens < 1 {
		l.t.Fatalf("asked at %s: beyond the budget", now)
	}
	l.tokens--
}

// join is the reconciler: it writes the next task for every answer that it
// finds, with a clock that is right.
func (l *life) join() (in []poller.Input) {
	if l.away {
		return nil
	}
	for _, c := range l.backlog {
		id := c.Key.ID
		l.joined[id] = l.asking[id]
		next := known(id, -time.Hour, min(c.ObservedAt.Sub(events.At(epoch)), l.now())+lifeEvery)
		if old := l.tasks[id]; old.Cause != events.CauseHint {
			next.DueAt = max(next.DueAt, old.DueAt) // evidence only grows
		}
		l.tasks[id] = next
		in = append(in, schedule(next))
	}
	l.backlog = nil
	return in
}

func (l *life) pass(d time.Duration) { l.w.run(d); l.truth += d }

// dies ends the process: what is not in the log is gone, a pause that was asked
// for within its last moments too.
func (l *life) dies() {
	l.truth = l.truth + 20*time.Second // the session, longer than a call
	known := l.state.RetryAfter.Sub(events.At(epoch)) - l.skew
	l.pauses = slices.DeleteFunc(l.pauses, func(p pause) bool { return p.to > known+time.Millisecond })
	l.begin()
}

// handsOver is a rebalance: the next owner begins when the lane is quiet.
func (l *life) handsOver() {
	l.w.step(poller.Revoked{Partitions: []int32{0}})
	for range 40 {
		if l.w.core.Quiet() {
			break
		}
		l.pass(500 * time.Millisecond)
	}
	if !l.w.core.Quiet() {
		if !l.down && l.truth-l.up > 2*time.Minute {
			l.t.Fatalf("a lane that was taken away does not come to rest")
		}
		l.dies()
		return
	}
	l.begin()
}

// heal lets everything work again, and holds that every order is asked about.
func (l *life) heal() {
	l.fails, l.down, l.away, l.noLease, l.pauses = nil, false, false, false, nil
	ahead := -l.skew
	l.skew, l.tokens = 0, 3*lifeBurst // the bucket took the step for time that passed
	l.w.move(ahead)
	l.w.step(l.join()...)
	l.pass(130 * time.Minute) // what is tried ever more slowly is tried once an hour
	for i := range lifeOrders {
		id := fmt.Sprintf("o-%02d", i)
		if late := l.truth - l.joined[id]; late > 4*lifeEvery {
			l.t.Fatalf("%s was last asked about %s ago, hours after all works again: %+v\ntask %+v", id, late, l.w.lane(lane), l.tasks[id])
		}
	}
}

// Whatever happens, a lane keeps to its budget and to what the provider wants,
// and no order of the schedule is lost.
func TestStep_wholeLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(t)
		span := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(1, most).Draw(t, name)) * time.Millisecond
		}
		t.Repeat(map[string]func(*rapid.T){
			"time passes":             func(*rapid.T) { l.pass(span("ms", 5000)) },
			"minutes pass":            func(*rapid.T) { l.pass(span("ms", 300_000)) },
			"the owner dies":          func(*rapid.T) { l.dies() },
			"the lane is handed over": func(*rapid.T) { l.handsOver() },
			"the provider works":      func(*rapid.T) { l.fails = nil },
			"the provider is away":    func(*rapid.T) { l.fails = &providers.CallError{Outcome: events.OutcomeUnreachable} },
			"the provider fails":      func(*rapid.T) { l.fails = &providers.CallError{Outcome: events.OutcomeProvider, HTTPStatus: 500} },
			"it does not know them":   func(*rapid.T) { l.fails = &providers.CallError{Outcome: events.OutcomeNotFound} },
			"it refuses nonces":       func(*rapid.T) { l.fails = &providers.CallError{Outcome: events.OutcomeUnauthorized, Nonce: true} },
			"it wants a pause": func(t *rapid.T) {
				l.fails = &providers.CallError{Outcome: events.OutcomeRateLimited, RetryAfter: span("pause", 120_000) + time.Second}
			},
			"Kafka refuses": func(t *rapid.T) { l.down, l.lands = true, rapid.Bool().Draw(t, "lands") },
			"Kafka is back": func(*rapid.T) {
				if l.down {
					l.down, l.up = false, l.truth
				}
			},
			"the lease runs out":     func(*rapid.T) { l.noLease = true },
			"the lease is back":      func(*rapid.T) { l.noLease = false },
			"the reconciler is away": func(*rapid.T) { l.away = true },
			"the reconciler is back": func(*rapid.T) {
				l.away = false
				l.w.step(l.join()...)
			},
			"the clock is set back": func(*rapid.T) {
				d := span("by", 7_200_000)
				l.skew -= d
				l.w.move(-d)
			},
			"a callback": func(t *rapid.T) {
				id := fmt.Sprintf("o-%02d", rapid.IntRange(0, lifeOrders-1).Draw(t, "order"))
				h := hinted(id, l.now(), true)
				l.tasks[id] = h
				l.w.step(schedule(h))
			},
		})
		l.heal()
	})
}
