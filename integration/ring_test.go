package integration_test

import (
	"testing"
	"time"

	"rampstream/internal/providers/simulator"
)

// ring: a bad night with lost, repeated, reordered, forged and contradicting
// webhooks and failing answers, and in the end every state is right.
func ring(t *testing.T, p platform) {
	w := newWorld(t, p, options{faults: simulator.DefaultFaults()})
	w.counted = true
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 60, 6, 4*time.Second))
	by := map[string]int{}
	for _, st := range w.agree() {
		by[st.DecidedSource]++
	}
	if by["webhook"] == 0 || by["poll"] == 0 {
		t.Errorf("decided by %v; want some by webhook and some by poll", by)
	}
	st := w.sim.World.Stats()
	if st.ForgeriesAccepted != 0 {
		t.Errorf("%d forged deliveries were accepted", st.ForgeriesAccepted)
	}
	for code := range st.Answers {
		if code != 0 && code != 200 && code != 401 && code != 503 { // 0: not within the provider's patience
			t.Errorf("deliveries were answered %v; want 200, 401 or 503", st.Answers)
		}
	}
	w.accounted(ingest)
	run := w.finish([]*process{ingest}, []*process{poller}, reconciler)
	w.ownership(0)
	t.Logf("decided by %v; faults %v", by, st.Injected)
	bites(t, run)
	savedAgain(t, run)
}
