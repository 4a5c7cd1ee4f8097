package poller

import (
	"time"

	"rampstream/internal/events"
)

// overdueAfter is how late a due task counts as overdue: past the longest wait
// that a full burst causes at the default rate many times over.
const overdueAfter = time.Minute

// LaneSnapshot is one lane as operators see it. Times are milliseconds since
// the epoch, 0 for none.
type LaneSnapshot struct {
	Lane       events.Lane `json:"lane"`
	Partition  int32       `json:"partition"`
	Configured bool        `json:"configured"`
	Serial     bool        `json:"serial"`

	Tasks   int   `json:"tasks"`
	Due     int   `json:"due"`     // could be asked now
	Overdue int   `json:"overdue"` // due for more than a minute
	Held    int   `json:"held"`    // answered, waiting for the reconciler
	Parked  int   `json:"parked"`  // no such account or call is configured here
	Unknown int   `json:"unknown"` // ids that only a hint named
	Dropped int64 `json:"dropped"` // such ids left aside, in all
	Refused int   `json:"refused"` // those of them not yet answered with a gave_up

	InFlight    int  `json:"in_flight"`
	Unpublished int  `json:"unpublished"` // answers that Kafka has not acknowledged
	Paused      bool `json:"paused"`      // by a failed publication

	Rate           float64       `json:"rate"` // requests a second, as learned
	ConfiguredRate float64       `json:"configured_rate"`
	HintRate       float64       `json:"hint_rate"`   // of Rate, at most
	LastMinute     int           `json:"last_minute"` // requests
	Breaker        string        `json:"breaker"`
	OpenUntil      events.Millis `json:"open_until"` // of an open breaker
	RetryAfter     events.Millis `json:"retry_after"`
	NonceAlarm     bool          `json:"nonce_alarm"`
	NonceLast      int64         `json:"nonce_last"`
	NonceReserved  int64         `json:"nonce_reserved"`

	OldestDue  events.Millis `json:"oldest_due"`
	NextDue    events.Millis `json:"next_due"`
	LastOK     events.Millis `json:"last_ok"` // start of the newest acknowledged answer
	SweepAt    events.Millis `json:"sweep_at"`
	SweepFails int           `json:"sweep_fails"`

	// Of a sample of the known subjects that are not settled: how long ago they
	// were last asked about, in milliseconds. Those that this owner of the lane
	// has not asked yet have no age that it could know.
	AgesSampled int   `json:"ages_sampled"`
	AgesUnasked int   `json:"ages_unasked"`
	AgeP50      int64 `json:"age_p50_ms"`
	AgeP99      int64 `json:"age_p99_ms"`
}

// Snapshot describes the owned lanes, by name.
func (c *Core) Snapshot(now time.Time) []LaneSnapshot {
	out := c.gauges(now)
	for i, l := range c.order {
		l.ages(&out[i], events.At(now))
	}
	return out
}

// gauges is Snapshot without the ages: what a scrape may ask every few seconds.
func (c *Core) gauges(now time.Time) []LaneSnapshot {
	out := make([]LaneSnapshot, 0, len(c.order))
	for _, l := range c.order {
		out = append(out, l.snapshot(now))
	}
	return out
}

func (l *lane) snapshot(now time.Time) LaneSnapshot {
	s := LaneSnapshot{
		Lane: l.name, Partition: l.partition, Configured: l.known, Serial: l.serial(),
		Tasks: len(l.tasks), Parked: l.ready[classParked].len(), Unknown: l.unknown, Dropped: l.droppedIDs, Refused: l.refused.len(),
		InFlight: l.inFlight, Unpublished: len(l.publications), Paused: l.publishFails(),
		Rate: l.budget.learned, ConfiguredRate: l.budget.configured, Breaker: l.breaker.state.String(),
		HintRate: l.budget.learned * l.budget.hintShare, LastMinute: l.requests.sum(now), Held: l.held,
		NonceAlarm: l.alarm, NonceLast: l.nonces.last, NonceReserved: l.nonces.reserved,
		LastOK: l.lastOK, SweepFails: l.sweep.fails,
	}
	at := events.At(now)
	if l.retryAfter > at {
		s.RetryAfter = l.retryAfter
	}
	if l.account.Capabilities.Sweep != nil {
		s.SweepAt = events.At(l.sweep.at)
	}
	for class := classRetry; class <= classOld; class++ {
		l.countDue(&s, class, at)
	}
	if l.breaker.state == breakerOpen {
		s.OpenUntil = events.At(l.breaker.openUntil)
	}
	if t := l.timers.first(); t != nil {
		s.NextDue = t.timerAt
	}
	return s
}

func (l *lane) countDue(s *LaneSnapshot, class class, at events.Millis) {
	q := &l.ready[class]
	s.Due += q.len()
	s.Overdue += q.before(at-events.Millis(overdueAfter/time.Millisecond), 0)
	if t := q.first(); t != nil && (s.OldestDue == 0 || t.DueAt < s.OldestDue) {
		s.OldestDue = t.DueAt
	}
}
