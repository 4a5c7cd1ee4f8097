package poller

import (
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Account is one lane that this installation is configured for.
type Account struct {
	Provider     events.Provider
	Account      events.Account
	Poll         providers.Poll
	Vocabulary   events.Vocabulary
	Capabilities providers.Capabilities
}

// Lane names the account's lane.
func (a Account) Lane() events.Lane { return events.LaneOf(a.Provider, a.Account) }

// Settings are the figures of all lanes. Zero fields take their default.
type Settings struct {
	// Partitions is the partition count of the co-partitioned topics. It has no
	// default: the topics tell.
	Partitions int32
	// Concurrency is how many calls a lane without nonces has at once; 8.
	Concurrency int
	// Hold is how many answers of a lane may wait for Kafka, calls in flight
	// included, before the lane pauses; 32.
	Hold int
	// CallTimeout ends one call; 15s, the total of the client's own deadlines.
	CallTimeout time.Duration
	// ReaskAfter is how long an answered task waits for the reconciler's next
	// word before it is asked again, doubling up to an hour; 60s.
	ReaskAfter time.Duration
	// HintPatience is how long a hint waits for the hint budget before the
	// order's ordinary turn comes back; 5m.
	HintPatience time.Duration
	// YoungFor is how soon after its status began a task must be due to count
	// as a young order's; 10m.
	YoungFor time.Duration
	// UnknownTasks caps tasks of ids that only a hint named, a lane; 1000.
	UnknownTasks int
	// UnknownRefusals caps the ids beyond that which wait to be refused, a lane;
	// 200000, some 20 MB.
	UnknownRefusals int
	// NonceBlock is how many nonces (milliseconds) are reserved at a time, and
	// the gap that a new owner jumps; 60000.
	NonceBlock int64
	// NonceAlarmFor is the first pause after a second refused nonce; 1m.
	NonceAlarmFor time.Duration
}

// Defaults of an account's Poll.
const (
	defaultRate       = 5.0
	defaultBurst      = 10
	hintShare         = 10 // the hint budget is a tenth of the rate
	defaultSweepEvery = time.Minute
)

func (s Settings) withDefaults() Settings {
	setDefault(&s.Concurrency, 8)
	setDefault(&s.Hold, 32)
	setDefault(&s.CallTimeout, 15*time.Second)
	setDefault(&s.ReaskAfter, time.Minute)
	setDefault(&s.HintPatience, 5*time.Minute)
	setDefault(&s.YoungFor, 10*time.Minute)
	setDefault(&s.UnknownTasks, 1000)
	setDefault(&s.UnknownRefusals, 200_000)
	setDefault(&s.NonceBlock, 60_000)
	setDefault(&s.NonceAlarmFor, time.Minute)
	return s
}

func setDefault[T int | int64 | float64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// pollDefaults fills an account's unset figures.
func pollDefaults(p providers.Poll) providers.Poll {
	setDefault(&p.Rate, defaultRate)
	setDefault(&p.Burst, defaultBurst)
	setDefault(&p.HintRate, p.Rate/hintShare)
	setDefault(&p.SweepEvery, defaultSweepEvery)
	return p
}
