package poller

import (
	"math"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"rampstream/internal/events"
)

const (
	learnUpEvery = 30 * time.Second // how long after a change before the rate grows
	learnUpPart  = 20               // by a twentieth of the configured rate
	minRate      = 1.0 / 60         // the learned rate never falls below one call a minute
	// Above one 429 in refusedPart answers the rate is too high, and above one in
	// growsPart it does not grow; what is below says little about it, and halving for
	// each would end at the floor. So would it for the first one soon after a change: a
	// second one has to come, unless nearly nothing was answered.
	refusedPart = 20
	growsPart   = 32
	fewAnswers  = 5
	// Answers of so long count, but a hundred at least, the older the less.
	recentFor = 30 * time.Second
	recent    = 100
)

// bucket is a token bucket that survives a clock that steps back.
type bucket struct {
	lim  *rate.Limiter
	seen time.Time
}

// newBucket starts empty: the previous owner may have just spent its burst,
// and the two together must stay within the budget.
func newBucket(now time.Time, perSecond float64, burst int) bucket {
	b := bucket{lim: rate.NewLimiter(rate.Limit(perSecond), burst), seen: now}
	b.lim.AllowN(now, burst)
	return b
}

// at tells the limiter about a step back. Without it the limiter would grant
// nothing until the old time is reached again.
func (b *bucket) at(now time.Time) {
	if now.Before(b.seen) {
		b.lim.SetLimitAt(now, b.lim.Limit())
	}
	b.seen = now
}

func (b *bucket) ready(now time.Time) bool { b.at(now); return b.lim.TokensAt(now) >= 1 }

func (b *bucket) take(now time.Time) { b.at(now); b.lim.AllowN(now, 1) }

// readyAt is when the next token is there.
func (b *bucket) readyAt(now time.Time) time.Time {
	b.at(now)
	missing := 1 - b.lim.TokensAt(now)
	if missing <= 0 {
		return now
	}
	wait := time.Duration(missing / float64(b.lim.Limit()) * float64(time.Second))
	return now.Add(wait + time.Millisecond) // the bucket's own arithmetic rounds down
}

func (b *bucket) set(now time.Time, perSecond float64) {
	b.at(now)
	b.lim.SetLimitAt(now, rate.Limit(perSecond))
}

// budget is what a lane may spend: all calls from the main bucket, calls caused
// by hints from both. A provider that refuses by rate teaches it down.
type budget struct {
	configured, learned float64
	hintShare           float64 // of the rate
	main, hint          bucket
	changed             time.Time // the last change of learned
	refusals            int       // 429 in a row, those of calls under way together as one
	refusedAt           time.Time // when the latest of them came
	haveRefusal         bool
	answers, refusedOf  float64 // recent answers since the rate was halved, and the 429 among them
}

func newBudget(now time.Time, perSecond float64, burst int, hintRate float64, learned events.Amount) *budget {
	b := &budget{configured: perSecond, learned: perSecond, hintShare: math.Min(hintRate/perSecond, 1), changed: now}
	if r, err := strconv.ParseFloat(string(learned), 64); err == nil && r > 0 {
		b.learned = math.Min(math.Max(r, b.floor()), perSecond)
	}
	b.main = newBucket(now, b.learned, burst)
	b.hint = newBucket(now, b.learned*b.hintShare, max(1, int(hintRate)))
	return b
}

func (b *budget) floor() float64 { return math.Min(b.configured, math.Max(b.configured/100, minRate)) }

// refused takes a 429. Too many of them halve the rate, once for all calls that
// were under way together. It reports whether it did.
func (b *budget) refused(now, started time.Time) bool {
	if !b.haveRefusal || !started.Before(b.refusedAt) {
		b.refusals++
		b.refusedAt = now
	}
	if b.haveRefusal && started.Before(b.changed) {
		return false
	}
	b.haveRefusal = true
	if b.count(1); !b.above(refusedPart) || b.refusedOf < 1.5 && b.answers > fewAnswers {
		return false
	}
	b.answers, b.refusedOf = 0, 0
	b.adopt(now, math.Max(b.learned/2, b.floor()))
	return true
}

// count takes one answer that was refused (1) or not (0).
func (b *budget) count(refused float64) {
	keep := 1 - 1/math.Max(recent, b.learned*recentFor.Seconds())
	b.answers, b.refusedOf = b.answers*keep+1, b.refusedOf*keep+refused
}

// above reports more than one 429 in part answers.
func (b *budget) above(part float64) bool { return b.refusedOf*part > b.answers }

// pause is how long a lane rests after a 429 that did not say how long.
func (b *budget) pause() time.Duration { return backoff(time.Second, b.refusals-1, time.Minute) }

// answered lets the rate grow back slowly. It reports whether it changed.
func (b *budget) answered(now time.Time) bool {
	b.refusals = 0
	b.count(0)
	if b.learned >= b.configured || now.Sub(b.changed) < learnUpEvery || b.above(growsPart) {
		return false
	}
	b.adopt(now, math.Min(b.learned+b.configured/learnUpPart, b.configured))
	return true
}

func (b *budget) adopt(now time.Time, r float64) {
	b.learned, b.changed = r, now
	b.main.set(now, r)
	b.hint.set(now, r*b.hintShare)
}

// amount is the learned rate as lane-state keeps it; "" for the configured one.
func (b *budget) amount() events.Amount {
	if b.learned >= b.configured {
		return ""
	}
	return events.Amount(strconv.FormatFloat(b.learned, 'f', 4, 64))
}

// backoff is base doubled n times, at most limit.
func backoff(base time.Duration, n int, limit time.Duration) time.Duration {
	d := base
	for range n {
		if d >= limit {
			break
		}
		d *= 2
	}
	return min(d, limit)
}
