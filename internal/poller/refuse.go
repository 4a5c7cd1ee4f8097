package poller

import (
	"strings"
	"time"

	"rampstream/internal/events"
)

// refusals are the ids that only a hint named and that nobody is going to ask
// about: above the cap, or by configuration. Each is answered once, without a
// call, so that the reconciler ends its task; until then it is one string here.
type refusals struct {
	queue  []string // in order of arrival; those not in wait were taken back
	wait   map[string]bool
	budget bucket // as much as the hint budget, beside it: a flood takes no call away
}

func newRefusals(now time.Time, perSecond float64) refusals {
	return refusals{budget: newBucket(now, perSecond, max(1, int(perSecond)))}
}

func (r *refusals) len() int { return len(r.wait) }

// add remembers a key, at most limit of them.
func (r *refusals) add(key string, limit int) {
	if r.wait[key] || len(r.queue) >= limit {
		return
	}
	if r.wait == nil {
		r.wait = map[string]bool{}
	}
	r.wait[key] = true
	r.queue = append(r.queue, key)
}

// take is the next key to answer; "" when none is left.
func (r *refusals) take() string {
	for len(r.queue) > 0 {
		key := r.queue[0]
		r.queue = r.queue[1:]
		if r.wait[key] {
			delete(r.wait, key)
			return key
		}
	}
	r.queue, r.wait = nil, nil
	return ""
}

// refuseUnknown reports whether a new id that only a hint named is left aside:
// by configuration, or because a flood of forged ids must not fill the memory.
func (l *lane) refuseUnknown(key string) bool {
	if l.account.Poll.UnknownHints != "ignore" && l.unknown < l.c.cfg.UnknownTasks {
		return false
	}
	l.droppedIDs++
	l.c.obs.UnknownDropped(l.name)
	// What does not fit either stays in the schedule until it is restored again.
	l.refused.add(key, l.c.cfg.UnknownRefusals)
	return true
}

// refuse publishes that a refused id is not asked about: a failed answer to a
// hint, which is no evidence and ends the task.
func (l *lane) refuse(now time.Time, w *waker) {
	for l.known && l.refused.len() > 0 && l.inFlight+l.answersHeld() < l.c.cfg.Hold && !l.publishFails() {
		if !l.refused.budget.ready(now) {
			w.by(l.refused.budget.readyAt(now))
			return
		}
		t := &task{name: l.refused.take()}
		if strings.HasPrefix(t.name, "customer/") {
			t.Kind = events.Customer
		}
		l.refused.budget.take(now)
		at := events.At(now)
		check := events.StatusCheck{Key: l.subject(t), ObservedAt: at, AnsweredAt: at, Cause: events.CauseHint,
			Outcome: events.OutcomeGaveUp, Attempt: 1}
		l.publish(&publication{checks: []events.StatusCheck{l.finish(check)}})
	}
}
