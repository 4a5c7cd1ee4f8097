// Package poller asks the providers where orders and customers stand, and
// publishes every answer, also a failed one, as an event.
//
// A lane is one account at one provider. Whoever owns the partition that the
// lane's name hashes to owns the lane: its rate limit, its nonces, its breaker
// and its sweeps. The work is in Core, which is single-threaded, reads no clock
// and starts no goroutine: Step takes what happened and returns what is to be
// done, so that the same inputs give the same effects. Poller is the concurrent
// driver around it; a simulation drives Core itself.
//
// It promises: no call above the lane's budget or before a Retry-After ends; on
// a serial lane one call at a time and nonces that strictly increase, also
// across restarts, owners and clocks that step back; no answer forgotten before
// Kafka acknowledged it; no task dropped without a count.
//
// It does not decide what an answer means for a state, nor when to ask next:
// the reconciler does, and writes the next task.
package poller
