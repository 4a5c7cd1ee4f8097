package poller

import (
	"time"

	"rampstream/internal/events"
)

// A breaker that is written here and not imported: sony/gobreaker reads the
// clock itself, and a step must be a function of its inputs.

const (
	breakerTrips     = 5  // failures in a row that speak of the whole lane
	breakerTripsSoft = 20 // 5xx in a row: those may also speak of single orders
	breakerBase      = 5 * time.Second
	breakerMax       = 5 * time.Minute
	nonceMax         = time.Hour
)

// breakerState is closed, open, or half-open with one probe.
type breakerState uint8

const (
	breakerClosed breakerState = iota
	breakerOpen
	breakerHalfOpen
)

// String is the word in snapshots.
func (s breakerState) String() string {
	return [...]string{"closed", "open", "half_open"}[s]
}

// breaker stops a lane whose provider does not work, and lets one probe
// through at the end of each pause.
type breaker struct {
	state     breakerState
	hard      int // failures in a row that count fully
	soft      int // all failures in a row
	opens     int // in a row, for the back-off
	openUntil time.Time
}

// verdict is what an outcome says about the lane as a whole.
type verdict uint8

const (
	laneWorks verdict = iota
	laneFailsSoft
	laneFails
)

func verdictOf(o events.Outcome) verdict {
	switch o {
	case events.OutcomeTimeout, events.OutcomeUnreachable, events.OutcomeTLS, events.OutcomeRedirect, events.OutcomeUnauthorized:
		return laneFails
	case events.OutcomeProvider:
		return laneFailsSoft
	default:
		return laneWorks
	}
}

// allows reports whether a call may start now; inFlight are the lane's calls.
func (b *breaker) allows(now time.Time, inFlight int) bool {
	switch b.state {
	case breakerOpen:
		return !now.Before(b.openUntil) && inFlight == 0
	case breakerHalfOpen:
		return inFlight == 0
	default:
		return true
	}
}

// started notes that a call begins: out of the open state it is the probe.
func (b *breaker) started() {
	if b.state == breakerOpen {
		b.state = breakerHalfOpen
	}
}

// ended notes an outcome. jitter stretches the pause by up to its share.
func (b *breaker) ended(now time.Time, v verdict, jitter float64) {
	if b.state == breakerOpen {
		return // a call from before it opened
	}
	if v == laneWorks {
		*b = breaker{}
		return
	}
	b.soft++
	if v == laneFails {
		b.hard++
	}
	if b.state == breakerHalfOpen || b.hard >= breakerTrips || b.soft >= breakerTripsSoft {
		b.trip(now, breakerBase, breakerMax, jitter)
	}
}

// trip opens the breaker for base, doubled for each time in a row.
func (b *breaker) trip(now time.Time, base, limit time.Duration, jitter float64) {
	d := backoff(base, b.opens, limit)
	b.state, b.hard, b.soft = breakerOpen, 0, 0
	b.opens++
	b.openUntil = now.Add(d + time.Duration(float64(d)*jitter))
}
