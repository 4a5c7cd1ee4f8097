package poller

import (
	"time"

	"rampstream/internal/events"
)

// due moves tasks whose time came to the queue of their class.
func (l *lane) due(now time.Time) {
	at := events.At(now)
	for t := l.timers.first(); t != nil && t.timerAt <= at; t = l.timers.first() {
		l.timers.remove(t.timerPos)
		if t.held {
			l.setHeld(t, false)
			t.reasks = min(t.reasks+1, 60)
		}
		l.enqueue(t, l.classify(t, at), at)
	}
}

// enqueue puts a task into a ready queue. A hint on a known order keeps a
// timer: when the hint budget has not come to it by then, its ordinary turn has.
func (l *lane) enqueue(t *task, to class, at events.Millis) {
	l.unready(t)
	t.class, t.readyAt = to, t.DueAt
	if to == classHint {
		t.readyAt = t.HintAt
		if t.regularAt > at {
			l.timer(t, t.regularAt)
		}
	}
	l.ready[to].push(t)
}

func (l *lane) classify(t *task, at events.Millis) class {
	switch {
	case !l.known:
		return classParked
	case t.GiveUp:
		return classGiveUp
	case !l.canAsk(t.Kind):
		return classParked
	case !t.Known:
		return classUnknown
	case t.Cause == events.CauseHint && !t.answered() && at < t.regularAt:
		return classHint
	}
	young := !t.Status.Terminal() && t.DueAt.Sub(t.Since) <= l.c.cfg.YoungFor && t.Cause != events.CauseConfirm
	switch {
	case young && (t.lastCall == 0 || t.lastCall < t.Since):
		return classFresh
	case young:
		return classYoung
	}
	return classOld
}

func (l *lane) canAsk(k events.SubjectKind) bool {
	if k == events.Customer {
		return l.account.Capabilities.Customers != nil
	}
	return l.account.Capabilities.Orders != nil
}

// callOne starts one call if the lane may and has one to start. What only time
// will allow is left with w.
func (l *lane) callOne(now time.Time, w *waker) bool {
	if !l.known || l.blocked() {
		return false
	}
	turn := l.next(now, w)
	if turn == turnNone || !l.open(now, w) {
		return false
	}
	return l.start(now, turn)
}

// blocked reports whether the lane waits for an input: a free place, Kafka, or
// a former incarnation of itself.
func (l *lane) blocked() bool {
	if l.inFlight >= l.limit() || l.inFlight+l.answersHeld() >= l.c.cfg.Hold || l.publishFails() {
		return true
	}
	if l.serial() {
		busy, _ := l.c.busyElsewhere(l.name)
		return busy
	}
	return false
}

// open reports whether clock, budget, breaker and provider allow a call now.
func (l *lane) open(now time.Time, w *waker) bool {
	at := events.At(now)
	switch {
	case at < l.retryAfter:
		w.byMillis(l.retryAfter)
	case now.Before(l.restUntil):
		w.by(l.restUntil)
	case !l.breaker.allows(now, l.inFlight):
		if l.inFlight == 0 {
			w.by(l.breaker.openUntil)
		}
	case !l.budget.main.ready(now):
		w.by(l.budget.main.readyAt(now))
	case l.serial() && !l.nonces.usable(int64(at)):
		return false // a reservation is under way, or none is left
	default:
		return true
	}
	return false
}

// turn is what the next call is for.
type turn uint8

const (
	turnNone turn = iota
	turnRetry
	turnHint
	turnUnknown
	turnFresh
	turnSweep
	turnYoung
	turnOld
)

// next chooses. A fresh order has the next call, whatever else is due, so that
// ten thousand unpollable orders or a flood of hints delay it by no more than
// the wait for a token. After a call for a fresh one
//   - a retry, a hint or a sweep goes before the next fresh one;
//   - every fourth call goes to the young or the old in turn, so that a stream
//     of new orders starves neither.
func (l *lane) next(now time.Time, w *waker) turn {
	fresh, rest := l.has(classFresh), l.has(classYoung) || l.has(classOld)
	switch {
	case fresh && !l.freshLast:
		return turnFresh
	case l.has(classRetry):
		return turnRetry
	}
	if hint := l.nextHint(now, w); hint != turnNone {
		return hint
	}
	switch {
	case l.sweepReady(now, w) && !(l.sweep.hadTurn && (fresh || rest)):
		return turnSweep
	case rest && l.turns >= 3:
		return l.nextRest()
	case fresh:
		return turnFresh
	case l.has(classYoung):
		return turnYoung
	case l.has(classOld):
		return turnOld
	}
	return turnNone
}

func (l *lane) has(c class) bool { return l.ready[c].len() > 0 }

func (l *lane) nextHint(now time.Time, w *waker) turn {
	switch {
	case !l.has(classHint) && !l.has(classUnknown):
		return turnNone
	case !l.budget.hint.ready(now):
		w.by(l.budget.hint.readyAt(now))
		return turnNone
	case l.has(classHint):
		return turnHint
	}
	return turnUnknown
}

func (l *lane) nextRest() turn {
	if l.has(classOld) && (l.oldTurn || !l.has(classYoung)) {
		return turnOld
	}
	return turnYoung
}

// start takes the tokens and emits the call.
func (l *lane) start(now time.Time, turn turn) bool {
	if l.turns >= 3 && (turn == turnYoung || turn == turnOld) {
		l.turns, l.oldTurn = 0, turn == turnYoung
	} else {
		l.turns++
	}
	l.freshLast = turn == turnFresh
	l.sweep.hadTurn = turn == turnSweep
	l.budget.main.take(now)
	l.requests.add(now, 1)
	l.breaker.started()
	l.inFlight++
	if turn == turnSweep {
		l.startSweep(now)
		return true
	}
	t := l.ready[classOfTurn(turn)].first()
	cause := events.CauseSchedule
	switch {
	case turn == turnHint, turn == turnUnknown:
		l.budget.hint.take(now)
		cause = events.CauseHint
	case t.Cause == events.CauseConfirm:
		cause = events.CauseConfirm
	}
	l.ask(now, t, cause)
	return true
}

func classOfTurn(t turn) class {
	switch t {
	case turnRetry:
		return classRetry
	case turnHint:
		return classHint
	case turnUnknown:
		return classUnknown
	case turnFresh:
		return classFresh
	case turnYoung:
		return classYoung
	default:
		return classOld
	}
}
