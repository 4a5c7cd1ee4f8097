package poller

import (
	"maps"
	"net/http"
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
	stopped bool      // the lane is lost
	busy    bool      // a page or a mark is at the provider, or a page at Kafka
	hadTurn bool      // the lane's last call was for the sweep
	due     bool      // something can be asked now
	fails   int       // in a row, of which nothing came

	running bool   // between the first page and the last
	cursor  string // of the next page
	pages   int
	last    bool // the page being marked is the last
	moved   bool // something became durable, or was marked
	marks   []entry

	// settled are the entries, by key, that are durable and marked, as they
	// were in the sweep before or in this one. A listing repeats itself every
	// time; only what is new or changed is an answer worth an event.
	settled, listed map[string]string
	// unmarked are the entries, by key, that are durable but that the provider
	// has not let us mark: they are marked again, not published again.
	unmarked map[string]string
}

// entry is one answer of a page and the digest of what it says.
type entry struct {
	answer providers.Answer
	digest string
}

// sweepPage is what is new in one page, on its way to Kafka.
type sweepPage struct {
	entries []entry
	again   []entry // durable since an earlier sweep, still to be marked
	next    string
}

func (s *sweep) stop() { *s = sweep{stopped: true} }

func (s *sweep) wants() bool { return s.due && !s.busy }

func (s *sweep) settle(e entry) {
	k := e.answer.Key.String()
	s.listed[k] = e.digest
	delete(s.unmarked, k)
}

// keep remembers entries that are durable and not marked.
func (s *sweep) keep(es ...entry) {
	if s.unmarked == nil {
		s.unmarked = map[string]string{}
	}
	for _, e := range es {
		s.unmarked[e.answer.Key.String()] = e.digest
	}
}

// repeats reports whether an entry says what is already durable and marked.
func (s *sweep) repeats(e entry) bool {
	k := e.answer.Key.String()
	return s.settled[k] == e.digest || s.listed[k] == e.digest
}

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
	if !s.running {
		s.running, s.listed = true, map[string]string{}
	}
	o := &op{lane: l, started: now}
	id := l.c.begin(o)
	if len(s.marks) > 0 {
		o.mark, s.marks = &s.marks[0], s.marks[1:]
		l.c.emit(Mark{ID: id, Lane: l.name, Answer: o.mark.answer})
		return
	}
	l.c.emit(ReadPage{ID: id, Lane: l.name, Cursor: s.cursor})
}

// pageRead publishes what is new in a page as one unit.
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
	l.c.obs.SweepRefused(l.name, in.Page.Unreadable)
	page := &sweepPage{next: in.Page.Next}
	for _, e := range l.entries(in.Page.Answers) {
		if l.sweep.unmarked[e.answer.Key.String()] == e.digest {
			page.again = append(page.again, e)
			continue
		}
		page.entries = append(page.entries, e)
	}
	if page.next == l.sweep.cursor {
		page.next = "" // a provider that sends us in a circle has shown all it will
	}
	if len(page.entries) == 0 {
		l.durable(now, page)
		return
	}
	var checks []events.StatusCheck
	for _, e := range page.entries {
		checks = append(checks, l.finish(events.StatusCheck{Key: e.answer.Key, ObservedAt: events.At(o.started),
			AnsweredAt: events.At(now), Cause: events.CauseSweep, Outcome: events.OutcomeOK, StatusRaw: e.answer.StatusRaw,
			HTTPStatus: http.StatusOK, Attempt: 1, Facts: e.answer.Facts}))
	}
	l.publish(&publication{checks: checks, page: page})
}

// entries are the answers that name a subject of the lane and say something new.
func (l *lane) entries(answers []providers.Answer) (out []entry) {
	for _, a := range answers {
		if !a.Key.Valid() || a.Key.Lane() != l.name || a.StatusRaw == "" {
			l.c.obs.SweepRefused(l.name, 1)
			continue
		}
		e := entry{a, events.Digest(a.StatusRaw, a.Facts.Digest())}
		if !l.left && l.sweep.repeats(e) {
			l.sweep.settle(e)
			continue
		}
		out = append(out, e)
	}
	return out
}

// durable goes on after every event of the page is acknowledged: only now may
// the provider forget that we did not know its subjects.
func (l *lane) durable(now time.Time, p *sweepPage) {
	s := &l.sweep
	if s.stopped {
		return
	}
	s.busy, s.cursor, s.last = false, p.next, p.next == ""
	s.pages++
	s.moved = s.moved || len(p.entries) > 0
	if l.account.Capabilities.SweepAcks {
		s.keep(p.entries...)
		s.marks = append(p.again, p.entries...)
	} else {
		for _, e := range p.entries {
			s.settle(e)
		}
	}
	l.sweepOn(now)
}

// sweepOn ends the sweep after its last mark.
func (l *lane) sweepOn(now time.Time) {
	s := &l.sweep
	if len(s.marks) > 0 || !s.last && s.pages < sweepPages {
		return
	}
	every := l.account.Poll.SweepEvery
	*s = sweep{at: now.Add(every - every/20 + l.c.jitter(every, 0.1)), hadTurn: s.hadTurn, settled: s.listed, unmarked: s.unmarked}
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
	if l.sweep.stopped {
		return
	}
	if in.Err != nil {
		l.c.obs.Swept(l.name, false)
		if !aboutSubject(in.Err.Outcome) {
			l.sweepFailed(now)
			return
		}
		// The provider refuses this one. Giving the sweep up for it would hide
		// every subject on the pages behind; the next sweep tries it again.
		l.sweepOn(now)
		return
	}
	l.sweep.settle(*o.mark)
	l.sweep.moved = true
	l.sweepOn(now)
}

// aboutSubject reports a failure that says something about one subject, and
// nothing about the lane.
func aboutSubject(o events.Outcome) bool {
	switch o {
	case events.OutcomeRejected, events.OutcomeNotFound, events.OutcomeMalformed, events.OutcomeMismatch, events.OutcomeOversized:
		return true
	}
	return false
}

// sweepFailed gives the sweep up and tries a new one later. What is settled
// stays so. One that brought something begins to count anew: where many subjects
// wait and one call in ten fails no sweep comes to its end, and each would be
// later than the one before it, with more to do.
func (l *lane) sweepFailed(now time.Time) {
	s := &l.sweep
	if s.stopped {
		return
	}
	settled := map[string]string{}
	maps.Copy(settled, s.settled)
	maps.Copy(settled, s.listed) // the later word
	if s.moved {
		s.fails = 0
	}
	wait := backoff(l.account.Poll.SweepEvery, s.fails, max(sweepBackoffMax, l.account.Poll.SweepEvery))
	*s = sweep{at: now.Add(wait + l.c.jitter(wait, 0.1)), fails: s.fails + 1, hadTurn: s.hadTurn, settled: settled, unmarked: s.unmarked}
}
