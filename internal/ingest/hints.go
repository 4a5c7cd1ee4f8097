package ingest

import (
	"time"

	"golang.org/x/time/rate"

	"rampstream/internal/events"
)

// budget is what unverified deliveries may cost: one event an order and
// interval, and a token bucket an account. Whoever floods a route spends its
// account's bucket and no memory beyond the bound.
type budget struct {
	every   time.Duration
	recent  *memory[time.Time]
	buckets map[events.Lane]*rate.Limiter // fixed at start
}

func newBudget(l Limits, routes []Route) *budget {
	b := &budget{every: l.HintEvery, recent: newMemory[time.Time](l.Remember), buckets: map[events.Lane]*rate.Limiter{}}
	for _, r := range routes {
		b.buckets[events.LaneOf(r.Provider, r.Account)] = rate.NewLimiter(rate.Limit(l.HintRate), l.HintBurst)
	}
	return b
}

// The budgets that a hint can exceed; label values.
const (
	overOrder   = "order"
	overAccount = "account"
)

// take spends one hint about key; over names the exceeded budget, "" when the
// hint may be published: tell durable when it is. Until then nothing is dropped for
// it, since it may yet fail. A clock that stepped back does not silence an order:
// a remembered time in the future counts for nothing.
func (b *budget) take(lane events.Lane, key string, now time.Time) (over string) {
	b.recent.update(key, func(last time.Time, found bool) (time.Time, bool) {
		if age := now.Sub(last); found && age >= 0 && age < b.every {
			over = overOrder
			return last, true
		}
		if lim := b.buckets[lane]; lim == nil || !lim.AllowN(now, 1) {
			over = overAccount
			return last, found
		}
		return last, found
	})
	return over
}

// durable remembers that a hint about key, taken at an instant, is in Kafka.
func (b *budget) durable(key string, at time.Time) {
	b.recent.update(key, func(last time.Time, found bool) (time.Time, bool) { return at, true })
}
