package integration_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"rampstream/internal/config"
	"rampstream/internal/providers/simulator"
)

// atLeastOnce: no transactions, and the reconciler is killed again and again in
// the middle of writing. Side outputs stand before the states that they follow
// from, and the position last: what is read again gives the same states, and
// transitions that stand twice have one id.
func atLeastOnce(t *testing.T, p platform) {
	w := newWorld(t, p, options{
		faults: simulator.DefaultFaults(),
		change: func(c *config.Config) {
			c.Reconciler.Guarantee = config.AtLeastOnce
			// Commits all the time, so that kills fall between their stages.
			c.Reconciler.CommitInterval, c.Reconciler.MaxBatch = 0, 50
		},
	})
	ingest, poller, reconciler := w.startAll()
	placed := make(chan error, 1)
	go func() { placed <- w.place(t.Context(), 60, 6, 5*time.Second) }()

	const kills = 8
	dice := rand.New(rand.NewPCG(*seed, 19))
	for range kills {
		pause(t.Context(), time.Duration(300+dice.IntN(500))*time.Millisecond)
		w.moving()
		reconciler.kill()
		reconciler = w.start("reconciler", "a") // the same instance comes back
	}
	for _, p := range []*process{ingest, poller, reconciler} {
		p.ready()
	}
	must(t, <-placed)
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, reconciler)
}
