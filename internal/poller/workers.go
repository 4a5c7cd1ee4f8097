package poller

// A call needs a deep stack, and a new goroutine grows it anew, copying it every
// time: an eighth of the program's CPU. So whoever has performed an effect goes
// on with what its result asks for, and then waits for the next one.

// maxIdle bounds the goroutines that wait; a burst beyond it is let go again.
const maxIdle = 256

// dispatch has somebody perform an effect; p.mu is held.
func (p *Poller) dispatch(e Effect) {
	if n := len(p.idle); n > 0 {
		last := p.idle[n-1] // whose stack is the warmest
		p.idle = p.idle[:n-1]
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

// dismiss ends the workers that wait, and lets no other wait again.
func (p *Poller) dismiss() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	for _, w := range p.idle {
		close(w)
	}
	p.idle = nil
}
