package integration

import (
	"cmp"
	"math"
	"slices"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// Request is one request to a provider's API, by the provider's own record.
type Request struct {
	Start, End time.Time
	// RetryAfter is for how long the answer asked not to be called again.
	RetryAfter time.Duration
}

// onTheWay is how long a request may take from the moment at which it was
// allowed to the provider, and an answer back, on a machine that has other
// things to do. It only ever excuses: what came earlier was allowed earlier.
const onTheWay = 1500 * time.Millisecond

// calls: what the providers saw of a lane keeps to its budget in every window,
// whoever owned it, and nobody calls before a Retry-After has ended. What hints
// caused keeps to the hint budget, by the log: a provider cannot know it.
func (c *checker) calls() {
	hints := c.hintCalls()
	for _, a := range c.Settings.Accounts {
		lane := events.LaneOf(a.Provider, a.Account)
		poll := pollOf(a)
		requests := slices.Clone(c.Requests[lane])
		slices.SortFunc(requests, func(x, y Request) int { return x.Start.Compare(y.Start) })
		starts := make([]events.Millis, len(requests))
		for i, r := range requests {
			starts[i] = events.At(r.Start)
		}
		// One more than the burst: a bucket gives a token a moment early.
		c.within(lane, "requests", starts, poll.Rate, float64(poll.Burst)+1+poll.Rate*onTheWay.Seconds())
		c.within(lane, "calls that hints caused", hints[lane], poll.HintRate, math.Max(1, math.Floor(poll.HintRate))+1)
		c.patient(lane, requests)
	}
}

// pollOf is an account's budget with the documented defaults.
func pollOf(a providers.Account) providers.Poll {
	p := a.Poll
	p.Rate = cmp.Or(p.Rate, 5)
	p.Burst = cmp.Or(p.Burst, 10)
	p.HintRate = cmp.Or(p.HintRate, p.Rate/10)
	return p
}

// hintCalls are the times of the calls that hints caused, by lane. A second
// record of one event is no second call, and a refused id none at all.
func (c *checker) hintCalls() map[events.Lane][]events.Millis {
	out := map[events.Lane][]events.Millis{}
	seen := map[events.EventID]bool{}
	c.Each(c.Topics.StatusCheck, func(r stream.Record) {
		x, err := c.Codec.DecodeStatusCheck(c.ctx, r.Value)
		if err != nil || x.Cause != events.CauseHint || x.Outcome == events.OutcomeGaveUp || seen[x.EventID] {
			return
		}
		seen[x.EventID] = true
		out[x.Key.Lane()] = append(out[x.Key.Lane()], x.ObservedAt)
	})
	for _, times := range out {
		slices.Sort(times)
	}
	return out
}

// within holds times against a token bucket that begins full: in no window are
// there more than it grants.
func (c *checker) within(lane events.Lane, what string, times []events.Millis, rate, burst float64) {
	tokens, last := burst, events.Millis(0)
	for i, t := range times {
		if i > 0 {
			tokens = math.Min(burst, tokens+rate*t.Sub(last).Seconds())
		}
		last = t
		if tokens--; tokens < 0 {
			c.fail(OverBudget, "%s: %s: number %d of %d, at %s, is beyond %.3g a second and a burst of %.3g", lane, what, i+1, len(times),
				t.Time().Format(time.StampMilli), rate, burst)
			return
		}
	}
}

// patient: after an answer that asked for a pause no request comes before its
// end, but those that were on their way.
func (c *checker) patient(lane events.Lane, requests []Request) {
	for _, r := range requests {
		if r.RetryAfter < 2*onTheWay {
			continue
		}
		from, to := r.End.Add(onTheWay), r.End.Add(r.RetryAfter-50*time.Millisecond)
		for _, next := range requests {
			if next.Start.After(from) && next.Start.Before(to) {
				c.fail(Impatient, "%s: asked at %s, %s after an answer that wanted none for %s", lane, next.Start.Format(time.StampMilli),
					next.Start.Sub(r.End).Round(time.Millisecond), r.RetryAfter)
				break
			}
		}
	}
}
