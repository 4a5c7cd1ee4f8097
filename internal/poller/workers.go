package poller

import (
	"slices"
	"time"
)

// A call needs a deep stack, and a new goroutine grows it anew, copying it every
// time: an eighth of the program's CPU. So whoever has performed an effect goes
// on with what its result asks for, and then waits for the next one.

const (
	// maxIdle bounds the goroutines that wait; a burst beyond it is let go again.
	maxIdle = 256
	// idleFor is after which time those of them that nobody needed are let go: what
	// a moment of a slow Kafka called for is not kept for good.
	idleFor = 10 * time.Second
)

// dispatch has somebody perform an effect; p.mu is held.
func (p *Poller) dispatch(e Effect) {
	if n := len(p.idle); n > 0 {
		last := p.idle[n-1] // whose stack is the warmest
		p.idle = p.idle[:n-1]
		p.unused = min(p.unused, n-1)
		last <- e
		return
	}
	p.work.Go(func() { p.worker(e) })
}

// worker performs effects, one after the other, until nobody needs it.
func (p *Poller) worker(e Effect) {
	more := make(chan Effect, 1)
	for e != nil {
		in := p.perform(e)
		p.mu.Lock()
		e = p.stepLocked(in)
		wait := e == nil && !p.ending && len(p.idle) < maxIdle
		if wait {
			p.idle = append(p.idle, more)
		}
		p.mu.Unlock()
		if wait {
			e = <-more // nil when closed
		}
	}
}

// release lets the workers go that nobody has needed for idleFor; p.mu is held.
// They are the first ones, which have waited longest.
func (p *Poller) release(now time.Time) {
	if now.Sub(p.released) < idleFor {
		return
	}
	for _, w := range p.idle[:p.unused] {
		close(w)
	}
	p.idle = slices.Delete(p.idle, 0, p.unused)
	p.released, p.unused = now, len(p.idle)
}

// dismiss ends the workers that wait, and lets no other wait again.
func (p *Poller) dismiss() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	for _, w := range p.idle {
		close(w)
	}
	p.idle, p.unused = nil, 0
}
