package poller

import (
	"context"
	"sync/atomic"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// A call takes one token, and mostly one request. What it needs beyond (a retry
// of a 502, a log-in, the same request with the new token) it asks for here, so
// that the budget counts what the provider counts.

// more queues the wish of a call for one more request.
func (l *lane) more(o *op) {
	if l.left {
		l.answerMore(o, false)
		return
	}
	l.waiting = append(l.waiting, o)
}

// grant answers the wishes that wait, before any new call takes a token.
func (l *lane) grant(now time.Time, w *waker) {
	if len(l.waiting) == 0 {
		return
	}
	waiting := l.waiting
	l.waiting = nil
	denied := events.At(now) < l.retryAfter || now.Before(l.restUntil) || l.breaker.state == breakerOpen
	for _, o := range waiting {
		hint := o.check != nil && o.check.Cause == events.CauseHint
		switch {
		case l.c.ops[o.id] != o: // its call ended without waiting for us
		case denied:
			l.answerMore(o, false)
		case !l.budget.main.ready(now):
			w.by(l.budget.main.readyAt(now))
			l.waiting = append(l.waiting, o)
		case hint && !l.budget.hint.ready(now):
			w.by(l.budget.hint.readyAt(now))
			l.waiting = append(l.waiting, o)
		default:
			l.budget.main.take(now)
			l.requests.add(now, 1)
			if hint {
				l.budget.hint.take(now)
			}
			l.answerMore(o, true)
		}
	}
}

func (l *lane) answerMore(o *op, ok bool) {
	l.c.obs.Extra(l.name, ok)
	l.c.emit(Grant{ID: o.id, OK: ok})
}

// denyAll ends what waits when the lane is lost.
func (l *lane) denyAll() {
	for _, o := range l.waiting {
		if l.c.ops[o.id] == o {
			l.answerMore(o, false)
		}
	}
	l.waiting = nil
}

// spending gives a call its budget: the first request is paid for, each other
// one waits for a Grant, at most half of the call's time so that the answer has
// the rest. No request is sent without a lease: this is the last moment before
// it is, and the process may have been stopped since the call began. done frees
// what the wishes hold.
func (p *Poller) spending(ctx context.Context, id OpID) (_ context.Context, done func()) {
	var paid atomic.Bool
	ctx = providers.WithSpend(ctx, func(ctx context.Context) error {
		if !paid.CompareAndSwap(false, true) {
			return p.spend(ctx, id)
		}
		if !p.session.Lease() {
			return providers.ErrBudget
		}
		return nil
	})
	return ctx, func() {
		p.mu.Lock()
		delete(p.wishes, id)
		p.mu.Unlock()
	}
}

func (p *Poller) spend(ctx context.Context, id OpID) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Settings.CallTimeout/2)
	defer cancel()
	granted := make(chan bool, 1)
	p.mu.Lock()
	p.wishes[id] = append(p.wishes[id], granted)
	p.mu.Unlock()
	p.step(More{ID: id})
	select {
	case ok := <-granted:
		if ok && p.session.Lease() {
			return nil
		}
	case <-ctx.Done():
	}
	return providers.ErrBudget
}

// granted hands a Grant to who waits for it; p.mu is held.
func (p *Poller) granted(g Grant) {
	if w := p.wishes[g.ID]; len(w) > 0 {
		w[0] <- g.OK
		p.wishes[g.ID] = w[1:]
	}
}
