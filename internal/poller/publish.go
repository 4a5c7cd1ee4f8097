package poller

import (
	"errors"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// publication is an answer on its way to Kafka. It stays until it is
// acknowledged; a lane with one that failed makes no further call.
type publication struct {
	checks []events.StatusCheck
	task   *task      // settled by the acknowledgement; nil for none
	page   *sweepPage // marked after the acknowledgement; nil for none

	fails    int
	retryAt  time.Time
	inFlight bool
}

func (l *lane) answersHeld() int { return len(l.publications) }

func (l *lane) publishFails() bool {
	for _, p := range l.publications {
		if p.fails > 0 {
			return true
		}
	}
	return false
}

func (l *lane) publish(p *publication) {
	l.publications = append(l.publications, p)
	l.send(p)
}

func (l *lane) send(p *publication) {
	p.inFlight = true
	id := l.c.begin(&op{lane: l, publish: p})
	l.c.emit(Publish{ID: id, Lane: l.name, Checks: p.checks})
}

// republish sends again what failed, after its pause.
func (l *lane) republish(now time.Time, w *waker) {
	for _, p := range l.publications {
		switch {
		case p.inFlight:
		case now.Before(p.retryAt):
			w.by(p.retryAt)
		default:
			l.send(p)
		}
	}
}

// published ends a publication, or plans its next try. A check that Kafka
// finds too large is published as such, without its facts: it will never fit,
// and silence would be worse.
func (l *lane) published(now time.Time, p *publication, err error) {
	p.inFlight = false
	if err != nil {
		p.fails++
		p.retryAt = now.Add(backoff(publishBase, p.fails-1, publishMax) + l.c.jitter(publishBase, 1))
		if errors.Is(err, stream.ErrTooLarge) {
			l.shrink(p)
		}
		return
	}
	for i, q := range l.publications {
		if q == p {
			l.publications = append(l.publications[:i], l.publications[i+1:]...)
			break
		}
	}
	for _, c := range p.checks {
		if c.Outcome == events.OutcomeOK {
			l.lastOK = max(l.lastOK, c.ObservedAt)
		}
	}
	switch {
	case l.left:
	case p.page != nil:
		l.durable(now, p.page)
	case p.task != nil:
		l.settle(now, p.task)
	}
}

// shrink replaces the largest checks of a publication by what fits.
func (l *lane) shrink(p *publication) {
	size := func(c events.StatusCheck) int { return len(c.Facts.WalletAccounts) + len(c.StatusRaw) }
	largest := 0
	for i, c := range p.checks {
		if size(c) > size(p.checks[largest]) {
			largest = i
		}
	}
	if c := p.checks[largest]; c.Outcome != events.OutcomeOversized {
		p.checks[largest] = degrade(c, events.OutcomeOversized)
	} // else nothing is left to take away: the topic's limit is wrong, and the lane stays paused
}

// settle ends a task's check after the acknowledgement.
func (l *lane) settle(now time.Time, t *task) {
	t.busy, t.attempt, t.doubted = false, 0, false
	if t.gone {
		l.remove(t)
		return
	}
	l.arm(now, t) // answered: held; a word that came meanwhile may be due later
}

// reserve asks for the next block of nonces while there is something to ask.
func (l *lane) reserve(now time.Time) {
	if !l.serial() || l.saving || l.c.draining || !l.wantsCalls() {
		return
	}
	if ceiling, ok := l.nonces.want(int64(events.At(now))); ok {
		l.nonces.asked = ceiling
		l.dirty = true
	}
}

func (l *lane) wantsCalls() bool {
	for c := classRetry; c <= classOld; c++ {
		if l.has(c) {
			return true
		}
	}
	return l.sweep.wants()
}

// save writes the lane's state, one record at a time so that a later one never
// stands before an earlier one.
func (l *lane) save(now time.Time, w *waker) {
	if !l.dirty || l.saving {
		return
	}
	if now.Before(l.saveAt) {
		w.by(l.saveAt)
		return
	}
	l.dirty, l.saving, l.savedRate = false, true, now
	s := events.LaneState{Lane: l.name, NonceReserved: l.nonces.asked, RetryAfter: l.retryAfter,
		Budget: l.budget.amount(), UpdatedAt: events.At(now)}
	id := l.c.begin(&op{lane: l, state: &s})
	l.c.emit(SaveLane{ID: id, State: s, Leaving: l.left})
}

// saved notes that a state is durable, or plans the next try.
func (l *lane) saved(now time.Time, s events.LaneState, err error) {
	l.saving = false
	if errors.Is(err, errNoLease) {
		l.dirty, l.saveAt = true, now.Add(leaseRest)
		return
	}
	if err != nil {
		l.saveFails++
		l.dirty = true
		l.saveAt = now.Add(backoff(publishBase, l.saveFails-1, publishMax) + l.c.jitter(publishBase, 1))
		return
	}
	l.saveFails, l.saveAt = 0, time.Time{}
	if l.serial() {
		l.nonces.acked(s.NonceReserved)
	}
}
