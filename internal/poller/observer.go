package poller

import (
	"time"

	"rampstream/internal/events"
)

// Observer counts what happens in a Core. Its methods are called within Step
// and must not block; labels come from closed sets and the configuration.
type Observer interface {
	// Checked counts one check made into an event, a GAVE_UP too.
	Checked(events.Provider, events.Outcome, events.Cause)
	// Late is how long after its due time a first attempt started.
	Late(time.Duration)
	// NonceRefused counts refusals that may be about the nonce.
	NonceRefused(events.Lane)
	// UnknownDropped counts tasks of unknown ids left aside.
	UnknownDropped(events.Lane)
	// Extra counts requests beyond the one that a call pays for, granted or not.
	Extra(l events.Lane, granted bool)
	// Swept counts calls of sweeps.
	Swept(l events.Lane, ok bool)
	// SweepRefused counts entries of a sweep that cannot be read or name no
	// subject of the lane.
	SweepRefused(l events.Lane, n int)
}

type noObserver struct{}

func (noObserver) Checked(events.Provider, events.Outcome, events.Cause) {}
func (noObserver) Late(time.Duration)                                    {}
func (noObserver) NonceRefused(events.Lane)                              {}
func (noObserver) UnknownDropped(events.Lane)                            {}
func (noObserver) Extra(events.Lane, bool)                               {}
func (noObserver) Swept(events.Lane, bool)                               {}
func (noObserver) SweepRefused(events.Lane, int)                         {}
