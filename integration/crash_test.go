package integration_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"rampstream/internal/providers/simulator"
)

// crash: the same night, and the programs are killed in the middle of it.
// Nothing acknowledged is lost and nothing is told twice.
func crash(t *testing.T, p platform) {
	w := newWorld(t, p, options{faults: simulator.DefaultFaults()})
	ingest, poller, reconciler := w.startAll()
	procs := []*process{ingest, poller, reconciler}
	placed := make(chan error, 1)
	go func() { placed <- w.place(t.Context(), 60, 6, 5*time.Second) }()

	const kills = 6
	dice := rand.New(rand.NewPCG(*seed, 2))
	ownerChanges := 0
	for n := range kills {
		pause(t.Context(), time.Duration(300+dice.IntN(700))*time.Millisecond)
		w.moving()
		i := n % len(procs)
		procs[i].kill()
		if procs[i].name == "poller" {
			ownerChanges++
		}
		procs[i] = w.start(procs[i].name, "a") // the same instance comes back
	}
	for _, p := range procs {
		p.ready()
	}
	must(t, <-placed)
	w.agree()
	if st := w.sim.World.Stats(); st.ForgeriesAccepted != 0 {
		t.Errorf("%d forged deliveries were accepted", st.ForgeriesAccepted)
	}
	w.finish(procs[:1], procs[1:2], procs[2])
	w.ownership(ownerChanges)
}
