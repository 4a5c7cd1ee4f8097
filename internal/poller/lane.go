package poller

import (
	"time"

	"rampstream/internal/events"
)

const (
	maxRetryAfter = 24 * time.Hour
	saveBudget    = time.Minute // how often a growing rate is worth a record
	publishBase   = 500 * time.Millisecond
	publishMax    = 30 * time.Second
	leaseRest     = 250 * time.Millisecond // until a lease is there, or the lane is gone
)

// lane is one account: its tasks, its budget, and what is in flight.
type lane struct {
	c         *Core
	name      events.Lane
	partition int32
	account   Account
	known     bool // configured here
	left      bool // taken away: nothing new starts
	lost      bool // somebody else may own it already: its state is not ours to write

	touched   bool      // an input came since the last pump
	wake      time.Time // of the next pump without one; zero for never
	wakeNanos int64     // the same; cheap to compare for every lane at every step

	tasks   map[string]*task // by name
	timers  queue
	ready   [classes]queue
	held    int // answered tasks that wait for the reconciler
	unknown int // tasks of ids that only a hint named
	refused refusals

	budget     *budget
	breaker    breaker
	nonces     nonces
	nonceFail  bool // the last answer of the lane refused its nonce
	alarm      bool // and so did the next one, with a fresh nonce
	retryAfter events.Millis
	restUntil  time.Time // a short rest: 429 without a time, lost lease
	inFlight   int
	freshLast  bool // the last call was for a fresh order
	turns      int  // calls since the young and the old had a turn of theirs
	oldTurn    bool // which of the two has the next one

	waiting []*op // calls that wait for one more request

	publications []*publication
	sweep        sweep

	dirty      bool
	saving     bool
	saveFails  int
	saveAt     time.Time // not before
	savedRate  time.Time
	requests   meter
	lastOK     events.Millis // start of the last acknowledged answer that was OK
	droppedIDs int64
}

func newLane(c *Core, now time.Time, name events.Lane, partition int32, s events.LaneState) *lane {
	l := &lane{c: c, name: name, partition: partition, touched: true, tasks: map[string]*task{}, timers: queue{timer: true}}
	l.account, l.known = c.accounts[name]
	l.nonces = newNonces(s.NonceReserved, c.cfg.NonceBlock)
	if l.serial() {
		if _, last := c.busyElsewhere(name); last > l.nonces.last {
			l.nonces.last = last
		}
	}
	if s.RetryAfter != 0 {
		l.retryAfter = min(s.RetryAfter, events.At(now.Add(maxRetryAfter)))
	}
	p := pollDefaults(l.account.Poll)
	l.budget = newBudget(now, p.Rate, p.Burst, p.HintRate, s.Budget)
	l.refused = newRefusals(now, p.HintRate)
	l.savedRate = now
	l.sweep.at = now.Add(c.jitter(p.SweepEvery, 1)) // owners of many lanes do not sweep at once
	return l
}

// subject is the key of a task.
func (l *lane) subject(t *task) events.Key {
	provider, account := l.name.Split()
	return events.Key{Provider: provider, Account: account, Kind: t.Kind, ID: t.id()}
}

func (l *lane) serial() bool { return l.account.Capabilities.Serial }

func (l *lane) limit() int {
	if l.serial() {
		return 1
	}
	return l.c.cfg.Concurrency
}

// quiet reports whether nothing of the lane is at the provider or on its way to
// its state that a next owner would have to wait for.
func (l *lane) quiet() bool { return l.inFlight == 0 && !l.saving && (!l.dirty || l.lost || !l.known) }

// leave ends the lane's own plans. Answers of calls in flight are true and are
// still published.
func (l *lane) leave() {
	l.left = true
	l.tasks, l.timers.tasks, l.refused = nil, nil, refusals{}
	for i := range l.ready {
		l.ready[i].tasks = nil
	}
	l.sweep.stop()
	l.denyAll()
}

// pump does what is due.
func (l *lane) pump(now time.Time, w *waker) {
	l.due(now)
	l.republish(now, w)
	l.grant(now, w)
	if !l.c.draining {
		l.giveUp(now)
		l.refuse(now, w)
		for l.callOne(now, w) {
		}
	}
	if l.known {
		l.reserve(now)
		l.save(now, w)
	}
	if t := l.timers.first(); t != nil {
		w.byMillis(t.timerAt)
	}
}

func (l *lane) wakeAt(at time.Time) {
	l.wake, l.wakeNanos = at, 0
	if !at.IsZero() {
		l.wakeNanos = at.UnixNano()
	}
}

// pumpLeaving ends what the lane has begun. What its last call learned, a
// Retry-After above all, is saved while the next owner waits for us.
func (l *lane) pumpLeaving(now time.Time, w *waker) {
	l.republish(now, w)
	if l.known && !l.lost && l.inFlight == 0 {
		l.save(now, w)
	}
}

// schedule takes the reconciler's word about one key.
func (l *lane) schedule(now time.Time, ct events.CheckTask) {
	name := nameOf(ct.Key)
	t, had := l.tasks[name]
	if !had {
		if !ct.Known && l.refuseUnknown(name) {
			return
		}
		delete(l.refused.wait, name)
		t = &task{name: name, readyPos: -1, timerPos: -1}
		l.tasks[name] = t
		if !ct.Known {
			l.unknown++
		}
	} else {
		l.unknown += unit(!ct.Known) - unit(!t.Known)
	}
	regular := ct.DueAt.Add(l.c.cfg.HintPatience)
	if had && t.Cause != events.CauseHint && t.DueAt != 0 && !t.answered() {
		regular = min(regular, t.DueAt) // a hint never delays what was planned
	} else if t.regularAt != 0 && (t.heard == 0 || t.heard < t.HintAt) {
		regular = min(regular, t.regularAt) // nor does the next one; an answer was that turn
	}
	t.set(ct, l.serial())
	t.gone, t.regularAt, t.gaveUp = false, 0, t.gaveUp && ct.GiveUp
	if ct.Cause == events.CauseHint && ct.Known {
		t.regularAt = regular
	}
	switch {
	case t.busy || t.attempt == 2 && t.class != classNone: // a second try waits for its turn
	case t.held && t.answered(): // our answer is on its way to the reconciler
	default:
		l.arm(now, t)
	}
}

// arm makes a task wait for its time.
func (l *lane) arm(now time.Time, t *task) {
	l.disarm(t)
	if t.answered() {
		l.hold(now, t)
		return
	}
	l.setHeld(t, false)
	t.reasks = 0
	l.timer(t, t.DueAt)
}

// hold makes an answered task wait for the reconciler's next word, and asks
// again, ever more slowly, when none comes: a lost update starves nobody.
func (l *lane) hold(now time.Time, t *task) {
	l.disarm(t)
	l.setHeld(t, true)
	if t.GiveUp {
		return // nobody was asked, so there is nothing to ask again: what we said is durable
	}
	wait := backoff(l.c.cfg.ReaskAfter, int(t.reasks), time.Hour)
	l.timer(t, events.At(now.Add(wait+l.c.jitter(wait, 0.1))))
}

func (l *lane) setHeld(t *task, held bool) {
	if t.held != held {
		t.held = held
		l.held += 2*unit(held) - 1
	}
}

func unit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (l *lane) timer(t *task, at events.Millis) {
	if t.timerPos >= 0 {
		l.timers.remove(t.timerPos)
	}
	t.timerAt = at
	l.timers.push(t)
}

// disarm takes a task off every queue.
func (l *lane) disarm(t *task) {
	if t.timerPos >= 0 {
		l.timers.remove(t.timerPos)
	}
	l.unready(t)
}

func (l *lane) unready(t *task) {
	if t.class != classNone {
		l.ready[t.class].remove(t.readyPos)
		t.class = classNone
	}
}

func (l *lane) unschedule(key events.Key) {
	name := nameOf(key)
	delete(l.refused.wait, name)
	t := l.tasks[name]
	if t == nil {
		return
	}
	if t.busy { // its answer is still published, and settles it
		t.gone = true
		return
	}
	l.remove(t)
}

func (l *lane) remove(t *task) {
	l.disarm(t)
	l.setHeld(t, false)
	l.unknown -= unit(!t.Known)
	delete(l.tasks, t.name)
}
