package poller

import (
	"net/http"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// ask emits the call for a task. The nonce is burnt here, whatever becomes of
// the call.
func (l *lane) ask(now time.Time, t *task, cause events.Cause) {
	at := events.At(now)
	if t.attempt != 2 { // else its second try
		t.attempt = 1
		l.c.obs.Late(max(0, at.Sub(t.DueAt)))
	}
	l.disarm(t)
	before := t.lastCall
	t.busy, t.lastCall, t.cause = true, at, cause
	q := providers.Question{Key: l.subject(t)}
	if l.serial() {
		q.Nonce = l.nonces.take(int64(at))
	}
	id := l.c.begin(&op{lane: l, task: t, started: now, before: before,
		check: &events.StatusCheck{Key: q.Key, ObservedAt: at, Cause: cause, Attempt: int32(t.attempt)}})
	l.c.emit(Ask{ID: id, Lane: l.name, Question: q, Cause: cause, Attempt: int32(t.attempt)})
}

// giveUp publishes the last word of tasks that nobody will be asked about again.
func (l *lane) giveUp(now time.Time) {
	for l.has(classGiveUp) && l.inFlight+l.answersHeld() < l.c.cfg.Hold && !l.publishFails() {
		t := l.ready[classGiveUp].first()
		l.disarm(t)
		at := events.At(now)
		t.busy, t.gaveUp, t.lastCall = true, true, at
		check := events.StatusCheck{Key: l.subject(t), ObservedAt: at, AnsweredAt: at, Cause: events.CauseSchedule,
			Outcome: events.OutcomeGaveUp, Attempt: 1}
		l.publish(&publication{task: t, checks: []events.StatusCheck{l.finish(check)}})
	}
}

// answered turns the result of a call into an event, and into what the lane
// learns from it.
func (l *lane) answered(now time.Time, o *op, in Answered) {
	l.inFlight--
	if in.NotCalled {
		l.notCalled(now)
		l.again(now, o)
		return
	}
	check := l.read(now, o, in)
	if check.Outcome == events.OutcomeOK || check.Cause != events.CauseHint {
		o.heard(check.ObservedAt)
	}
	refusedOnce := l.learn(now, o.started, in.Err)
	p := &publication{checks: []events.StatusCheck{l.finish(check)}}
	if !l.left && (refusedOnce || check.Outcome == events.OutcomeMismatch && o.task.doubted) && o.task.attempt == 1 && !o.task.gone {
		// The task goes on at once; this answer settles nothing.
		o.task.busy, o.task.attempt = false, 2
		to := classRetry
		switch { // a hint's second try is the hint's expense too
		case !o.task.Known:
			to = classUnknown // and no other cause would do: it would be evidence
		case o.task.cause == events.CauseHint:
			to = classHint
		}
		l.enqueue(o.task, to, events.At(now))
	} else {
		p.task = o.task
	}
	l.publish(p)
}

// heard notes that the reconciler will learn something from the answer to a
// call that began at at.
func (o *op) heard(at events.Millis) {
	if o.task != nil {
		o.task.heard = max(o.task.heard, at)
	}
}

// notCalled takes back the half-open probe and rests: the lease was gone, and
// either it returns or the lane is revoked.
func (l *lane) notCalled(now time.Time) {
	if l.breaker.state == breakerHalfOpen {
		l.breaker.state = breakerOpen
	}
	l.rest(now.Add(leaseRest))
}

// rest makes the lane rest until then, or longer where it does already.
func (l *lane) rest(until time.Time) {
	if until.After(l.restUntil) {
		l.restUntil = until
	}
}

// again makes a task due whose call did not take place.
func (l *lane) again(now time.Time, o *op) {
	if l.left {
		return
	}
	t := o.task
	t.busy, t.attempt, t.doubted, t.lastCall = false, 0, false, o.before
	if t.gone {
		l.remove(t)
		return
	}
	l.arm(now, t)
}

// read is the check that an answer or a failure amounts to.
func (l *lane) read(now time.Time, o *op, in Answered) events.StatusCheck {
	check := *o.check
	check.AnsweredAt = events.At(now)
	check.ObservedAt = min(check.ObservedAt, check.AnsweredAt) // the clock was set back meanwhile
	switch {
	case in.Err != nil:
		check.Outcome, check.HTTPStatus = in.Err.Outcome, int32(in.Err.HTTPStatus)
		if d := retryAfter(in.Err); d > 0 {
			check.RetryAfter = check.AnsweredAt.Add(d)
		}
		return check
	case in.Answer.Key != check.Key:
		check.Outcome = events.OutcomeMismatch
	case in.Answer.StatusRaw == "":
		check.Outcome = events.OutcomeMalformed
	case l.doubts(o.task, in.Answer.Facts):
		check.Outcome = events.OutcomeMismatch
	default:
		check.Outcome, check.StatusRaw, check.Facts = events.OutcomeOK, in.Answer.StatusRaw, in.Answer.Facts
	}
	check.HTTPStatus = http.StatusOK // a Checker gives an answer only from a success
	return check
}

// doubts reports that an answer that does not echo its id (those of serial
// lanes) states another amount than expected. It may belong to another order;
// when the second answer says the same, it stands, and the reconciler sees the
// mismatch. One that says something else again may belong to a third.
func (l *lane) doubts(t *task, f events.Facts) bool {
	if !l.serial() || t == nil || t.expected == nil || t.attempt > 1 && !t.doubted {
		return false
	}
	stated := f.FiatAmount != "" || f.CryptoAmount != ""
	says := plain(string(f.FiatAmount)) + f.FiatCurrency + " " + plain(string(f.CryptoAmount)) + f.CryptoAsset
	want := t.expected
	fits := sameAmount(f.FiatAmount, want.amount) && fitsCurrency(f.FiatCurrency, want.currency) ||
		sameAmount(f.CryptoAmount, want.amount) && fitsCurrency(f.CryptoAsset, want.currency)
	if t.attempt > 1 { // the second look
		return stated && !fits && says != want.doubt
	}
	t.doubted, want.doubt = stated && !fits, says
	return t.doubted
}

func fitsCurrency(got, want string) bool { return want == "" || got == want }

// sameAmount compares plain decimals by value.
func sameAmount(a, b events.Amount) bool { return plain(string(a)) == plain(string(b)) }

func plain(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimLeft(strings.TrimPrefix(s, "-"), "0")
	if strings.HasPrefix(s, ".") {
		s = "0" + s
	}
	if neg && s != "" {
		s = "-" + s
	}
	return s
}

// finish adds what follows from the rest of a check.
func (l *lane) finish(c events.StatusCheck) events.StatusCheck {
	if c.Outcome == events.OutcomeOK {
		w, _ := l.account.Vocabulary.Meaning(c.Key.Kind, c.StatusRaw)
		c.Status = w.Status
	}
	l.c.obs.Checked(c.Key.Provider, c.Outcome, c.Cause)
	return identify(c)
}

func retryAfter(e *providers.CallError) time.Duration {
	if e == nil || e.RetryAfter <= 0 {
		return 0
	}
	return min(max(e.RetryAfter, time.Second), maxRetryAfter)
}

// learn adapts budget, breaker and nonces to the end of a call; e is nil when
// the provider answered. It reports whether the call's nonce was refused for
// the first time, so that a fresh one deserves a try.
func (l *lane) learn(now, started time.Time, e *providers.CallError) (refusedOnce bool) {
	outcome := events.OutcomeOK
	if e != nil {
		outcome = e.Outcome
	}
	if d := retryAfter(e); d > 0 {
		l.retryAfter = max(l.retryAfter, events.At(now.Add(d)))
		l.dirty = true
	}
	if outcome == events.OutcomeRateLimited {
		if l.budget.refused(now, started) {
			l.dirty = true
		}
		if retryAfter(e) == 0 {
			l.rest(now.Add(l.budget.pause()))
		}
	} else if verdictOf(outcome) == laneWorks && l.budget.answered(now) && now.Sub(l.savedRate) >= saveBudget {
		l.dirty = true
	}
	if e != nil && e.Nonce {
		return l.nonceRefused(now)
	}
	l.nonceFail, l.alarm = false, false
	l.breaker.ended(now, verdictOf(outcome), 0.1*l.c.rng.Float64())
	return false
}

// nonceRefused gives a block of nonces up: the provider may have seen higher
// ones. A second refusal in a row is not about the nonce; the lane stops and
// raises the alarm.
func (l *lane) nonceRefused(now time.Time) (first bool) {
	l.c.obs.NonceRefused(l.name)
	l.nonces.jump()
	if !l.nonceFail {
		l.nonceFail = true
		if l.breaker.state == breakerHalfOpen {
			l.breaker.state = breakerClosed
		}
		return true
	}
	l.alarm = true
	l.breaker.trip(now, l.c.cfg.NonceAlarmFor, nonceMax, 0.1*l.c.rng.Float64())
	return false
}
