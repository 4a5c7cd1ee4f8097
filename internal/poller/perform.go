package poller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// publishTimeout bounds one try; the core plans the next.
const publishTimeout = 30 * time.Second

// perform does one effect and returns its result.
func (p *Poller) perform(e Effect) Input {
	switch e := e.(type) {
	case Ask:
		return p.ask(e)
	case ReadPage:
		return p.readPage(e)
	case Mark:
		return p.mark(e)
	case Publish:
		records, err := p.cfg.Records.Checks(e)
		if err == nil {
			err = p.publish(records...)
		}
		return Published{ID: e.ID, Err: p.note(e.Lane, "answers not published", err)}
	case SaveLane:
		if !e.Leaving && !p.session.Lease() {
			return LaneSaved{ID: e.ID, Err: errNoLease}
		}
		record, err := p.cfg.Records.LaneState(e.State)
		if err == nil {
			err = p.publish(record)
		}
		return LaneSaved{ID: e.ID, Err: p.note(e.State.Lane, "lane state not saved", err)}
	}
	panic(fmt.Sprintf("poller: unknown effect %T", e))
}

// call is the context of one call: its deadline, and its budget.
func (p *Poller) call(id OpID) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(p.calls, p.cfg.Settings.CallTimeout)
	ctx, done := p.spending(ctx, id)
	return ctx, func() { done(); cancel() }
}

// errNoLease keeps a state back: the next owner of the lane may have written its
// own, and after a compaction ours would be the only one.
var errNoLease = errors.New("the lease has run out")

// unpaid reports whether a call ended because our own budget refused the
// request that mattered: nothing was asked about the subject.
func unpaid(err error) bool { return errors.Is(err, providers.ErrBudget) }

func (p *Poller) ask(e Ask) Input {
	caps := p.accounts[string(e.Lane)].Capabilities
	checker := caps.Orders
	if e.Question.Key.Kind == events.Customer {
		checker = caps.Customers
	}
	if !p.session.Lease() {
		return Answered{ID: e.ID, NotCalled: true}
	}
	ctx, cancel := p.call(e.ID)
	defer cancel()
	answer, err := checker.Check(ctx, e.Question)
	if unpaid(err) {
		return Answered{ID: e.ID, NotCalled: true}
	}
	if err != nil {
		answer = providers.Answer{}
	}
	return Answered{ID: e.ID, Answer: answer, Err: callError("check", err)}
}

func (p *Poller) readPage(e ReadPage) Input {
	if !p.session.Lease() {
		return PageRead{ID: e.ID, NotCalled: true}
	}
	ctx, cancel := p.call(e.ID)
	defer cancel()
	page, err := p.accounts[string(e.Lane)].Capabilities.Sweep.Sweep(ctx, e.Cursor)
	if unpaid(err) {
		return PageRead{ID: e.ID, NotCalled: true}
	}
	if err != nil {
		p.cfg.Log.Warn("sweep failed", "lane", e.Lane, "error", err)
		page = providers.Page{}
	}
	return PageRead{ID: e.ID, Page: page, Err: callError("sweep", err)}
}

func (p *Poller) mark(e Mark) Input {
	if !p.session.Lease() {
		return Marked{ID: e.ID, NotCalled: true}
	}
	ctx, cancel := p.call(e.ID)
	defer cancel()
	err := p.accounts[string(e.Lane)].Capabilities.Sweep.Ack(ctx, e.Answer)
	if unpaid(err) {
		return Marked{ID: e.ID, NotCalled: true}
	}
	if err != nil {
		p.cfg.Log.Warn("sweep entry not marked", "lane", e.Lane, "error", err)
	}
	return Marked{ID: e.ID, Err: callError("sweep mark", err)}
}

// callError is the failure as the core understands it. Providers return
// *CallError; a deadline that slipped through is a timeout, anything else is
// the provider's fault until shown otherwise.
func callError(op string, err error) *providers.CallError {
	var call *providers.CallError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &call) && call.Outcome != "" && call.Outcome != events.OutcomeOK:
		return call
	case errors.Is(err, context.DeadlineExceeded):
		return &providers.CallError{Outcome: events.OutcomeTimeout, Op: op}
	}
	return &providers.CallError{Outcome: events.OutcomeProvider, Op: op}
}

// publish writes records and measures the clock by their append times.
func (p *Poller) publish(records ...stream.Record) error {
	ctx, cancel := context.WithTimeout(p.calls, publishTimeout)
	defer cancel()
	before := p.cfg.Now()
	acked, err := p.cfg.Publisher.Publish(ctx, records...)
	after := p.cfg.Now()
	for _, r := range acked {
		if r.AppendTime {
			p.clock(before, time.UnixMilli(r.TimestampMs), after)
		}
	}
	if err != nil && fatal(err) {
		p.fail(err)
	}
	return err
}

// clock notes how far ours is ahead of the broker's (behind: negative), at
// least: an append between before and after tells nothing more.
func (p *Poller) clock(before, appended, after time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case appended.Before(before.Truncate(time.Millisecond)):
		p.offset = before.Sub(appended)
	case appended.After(after):
		p.offset = after.Sub(appended)
	default:
		p.offset = 0
	}
}

func (p *Poller) note(l events.Lane, what string, err error) error {
	if err != nil {
		p.cfg.Log.Warn(what, "lane", l, "error", err)
	}
	return err
}
