package integration_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"rampstream/internal/providers/simulator"
)

// rebalance: instances join and leave while orders move.
func rebalance(t *testing.T, p platform) {
	w := newWorld(t, p, options{faults: simulator.DefaultFaults()})
	w.counted = true
	ingest, pollerA, reconcilerA := w.startAll()
	placed := make(chan error, 1)
	go func() { placed <- w.place(t.Context(), 60, 6, 6*time.Second) }()

	pollerB, reconcilerB := w.start("poller", "b"), w.start("reconciler", "b")
	reconcilerB.ready()
	pollerB.ready()
	// The first ones leave for good: an operator removes static members, or their
	// partitions wait for the session to time out.
	w.moving()
	pollerA.stop()
	reconcilerA.stop()
	w.remove("a")
	pollerC, reconcilerC := w.start("poller", "c"), w.start("reconciler", "c")
	reconcilerC.ready()
	pollerC.ready()
	must(t, <-placed)
	w.moving()
	pollerB.stop()
	reconcilerB.stop()
	w.remove("b")

	w.agree()
	w.finish([]*process{ingest}, []*process{pollerC}, reconcilerC)
	w.ownership(5) // each join and each leave may move the lane
}

// remove takes a static member out of both groups.
func (w *world) remove(instance string) {
	w.t.Helper()
	w.removeFrom(w.cfg.Poller.Group, instance)
	w.removeFrom(w.cfg.Reconciler.Group, instance)
}

func (w *world) removeFrom(group, instance string) {
	w.t.Helper()
	left, err := w.adm.LeaveGroup(w.t.Context(), kadm.LeaveGroup(group).InstanceIDs(instance))
	must(w.t, err)
	if err := left.Error(); !errors.Is(err, kerr.UnknownMemberID) { // its session was over first
		must(w.t, err)
	}
}
