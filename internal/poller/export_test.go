package poller

import "time"

// Missed steps once more at the same time, and pumps every lane that does not
// want to be woken within the next moment: it returns what they had to do.
func (c *Core) Missed(now time.Time) ([]Effect, time.Time) {
	for _, l := range c.order {
		l.touched = l.wake.IsZero() || l.wake.Sub(now) > 5*time.Millisecond
	}
	return c.Step(now)
}
