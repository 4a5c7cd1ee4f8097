package poller

import (
	"time"

	"rampstream/internal/events"
)

// The wall clock may be set back, by a second or by a year, and what was noted
// while it was ahead must not be believed: an answer "from tomorrow" would
// count as newer than every question of today. A clock that jumps forward needs
// no care, everything is merely due.

// notable is a step that is worth a walk over all tasks. Less is no more than
// what clocks differ by anyway.
const notable = time.Second

// look notices a clock that was set back since the last step.
func (c *Core) look(now time.Time) {
	at := events.At(now)
	if d := c.seen.Sub(at); d > 0 {
		c.touchAll() // what the lanes wait for is not what they thought
		if d > notable {
			for _, l := range c.order {
				l.steppedBack(now, events.Millis(d/time.Millisecond))
			}
		}
	}
	c.seen = at
}

// steppedBack moves what lies ahead of now, by mistake, back to it.
func (l *lane) steppedBack(now time.Time, d events.Millis) {
	at := events.At(now)
	if l.retryAfter > at { // the provider said how long, not until when
		l.retryAfter = max(l.retryAfter-d, at)
		l.dirty = true
	}
	for _, t := range l.tasks {
		t.heard, t.lastCall = min(t.heard, at), min(t.lastCall, at)
		if t.regularAt != 0 {
			t.regularAt = min(t.regularAt, at.Add(l.c.cfg.HintPatience))
		}
		if t.held {
			l.hold(now, t)
		}
	}
}
