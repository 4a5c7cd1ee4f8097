package poller

import (
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

const (
	sweepBackoffMax = 30 * time.Minute
	// sweepPages ends a sweep that a provider never ends.
	sweepPages = 1000
)

// sweep is where a lane's listing of subjects stands.
type sweep struct {
	at      time.Time // when the next sweep begins
	cursor  string
	pages   int
	running bool // between the first page and the last
	busy    bool // a page or a mark is at the provider, or a page at Kafka
	hadTurn bool // the lane's last call was for the sweep
	due     bool // something can be asked now
	marks   []providers.Answer
	last    bool // the page being marked is the last
	fails   int
	stopped bool
}

// sweepPage is one page on its way to Kafka.
type sweepPage struct {
	answers []providers.Answer
	next    string
}

func (s *sweep) stop() { *s = sweep{stopped: true} }

func (s *sweep) wants() bool { return s.due && !s.busy }

// sweepReady reports whether the sweep has a call to make now.
func (l *lane) sweepReady(now time.Time, w *waker) bool {
	s := &l.sweep
	if l.account.Capabilities.Sweep == nil || s.stopped || s.busy {
		return false
	}
	s.due = s.running || !now.Before(s.at)
	if !s.due {
		w.by(s.at)
	}
	return s.due
}

// startSweep emits the next page or the next mark.
func (l *lane) startSweep(now time.Time) {
	s := &l.sweep
	s.busy = true
	if l.serial() {
		// The call is signed without our nonce, but its turn must not be shared.
		l.nonces.take(int64(events.At(now)))
	}
	id := l.c.begin(&op{lane: l, started: now, check: events.StatusCheck{ObservedAt: events.At(now)}})
	if len(s.marks) > 0 {
		a := s.marks[0]
		s.marks = s.marks[1:]
		l.c.emit(Mark{ID: id, Lane: l.name, Answer: a})
		return
	}
	s.running = true
	l.c.emit(ReadPage{ID: id, Lane: l.name, Cursor: s.cursor})
}

// pageRead publishes a page as one unit.
func (l *lane) pageRead(now time.Time, o *op, in PageRead) {
	l.inFlight--
	if in.NotCalled {
		l.notCalled(now)
		l.sweep.busy = false
		return
	}
	l.learn(now, o.started, in.Err)
	l.c.obs.Swept(l.name, in.Err == nil)
	if in.Err != nil {
		l.sweepFailed(now)
		return
	}
	page := &sweepPage{next: in.Page.Next}
	if page.next == l.sweep.cursor {
		page.next = "" // a provider that sends us in a circle has shown all it will
	}
	var checks []events.StatusCheck
	for _, a := range in.Page.Answers {
		if !a.Key.Valid() || a.Key.Lane() != l.name || a.StatusRaw == "" {
			l.c.obs.SweepRefused(l.name)
			continue
		}
		page.answers = append(page.answers, a)
		check := o.check
		check.Key, check.AnsweredAt, check.Cause, check.Attempt = a.Key, events.At(now), events.CauseSweep, 1
		check.Outcome, check.HTTPStatus, check.StatusRaw, check.Facts = events.OutcomeOK, 200, a.StatusRaw, a.Facts
		checks = append(checks, l.finish(check))
	}
	if len(checks) == 0 {
		l.sweep.durable(page)
		l.sweepOn(now)
		return
	}
	l.publish(&publication{checks: checks, page: page})
}

// durable goes on after every event of the page is acknowledged: only now may
// the provider forget that we did not know them.
func (s *sweep) durable(p *sweepPage) {
	if s.stopped {
		return
	}
	s.busy, s.marks, s.cursor, s.last = false, p.answers, p.next, p.next == ""
	s.pages++
}

// sweepOn ends the sweep after its last mark.
func (l *lane) sweepOn(now time.Time) {
	s := &l.sweep
	if s.stopped || len(s.marks) > 0 || !s.running || s.busy {
		return
	}
	if s.last || s.pages >= sweepPages {
		every := l.account.Poll.SweepEvery
		*s = sweep{at: now.Add(every - every/20 + l.c.jitter(every, 0.1)), hadTurn: s.hadTurn}
	}
}

func (l *lane) marked(now time.Time, o *op, in Marked) {
	l.inFlight--
	l.sweep.busy = false
	if in.NotCalled {
		l.notCalled(now)
		l.sweepFailed(now) // the next sweep lists what is not marked again
		return
	}
	l.learn(now, o.started, in.Err)
	if in.Err != nil {
		l.c.obs.Swept(l.name, false)
		l.sweepFailed(now)
		return
	}
	l.sweepOn(now)
}

// sweepFailed gives the sweep up and tries a new one later.
func (l *lane) sweepFailed(now time.Time) {
	s := &l.sweep
	if s.stopped {
		return
	}
	wait := backoff(l.account.Poll.SweepEvery, s.fails, max(sweepBackoffMax, l.account.Poll.SweepEvery))
	*s = sweep{at: now.Add(wait + l.c.jitter(wait, 0.1)), fails: s.fails + 1, hadTurn: s.hadTurn}
}
