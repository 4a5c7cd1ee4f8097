package poller

import "time"

// Idle is how many workers wait for an effect.
func (p *Poller) Idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// Missed steps once more at the same time, and pumps every lane that does not
// want to be woken within the next moment: it returns what they had to do.
func (c *Core) Missed(now time.Time) ([]Effect, time.Time) {
	for _, l := range c.order {
		l.touched = l.wake.IsZero() || l.wake.Sub(now) > 5*time.Millisecond
	}
	return c.Step(now)
}
