package integration_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"rampstream/internal/providers/simulator"
	"rampstream/internal/run"
)

// twins: two reconcilers run with the same ids, as two pods that were given one
// name would. They take the group and the transactions from one another; one of
// them gives up with code 1 and says who the other is; nothing is lost or told
// twice.
func twins(t *testing.T, p platform) {
	w := newWorld(t, p, options{faults: simulator.DefaultFaults()})
	ingest, poller, first := w.startAll()
	placed := make(chan error, 1)
	go func() { placed <- w.place(t.Context(), 40, 4, 6*time.Second) }()
	second := w.start("reconciler", first.Instance)
	var loser, winner *process
	eventually(t, 90*time.Second, "one of two gives up", func() (bool, string) {
		select {
		case <-first.Done():
			loser, winner = first, second
		case <-second.Done():
			loser, winner = second, first
		default:
			return false, ""
		}
		return true, ""
	})
	if code := loser.wait(); code != run.Failed {
		t.Errorf("%s: exit code %d, want %d", loser, code, run.Failed)
	}
	host, err := os.Hostname()
	must(t, err)
	said := loser.log.String()
	_, last, found := strings.Cut(said, "5 sessions lost in ")
	if !found {
		t.Errorf("%s does not say that it lost five sessions:\n%s", loser, tail(said))
	}
	for _, word := range []string{"instance " + first.Instance + " of group " + w.cfg.Reconciler.Group, host, "the id is held by member", "client " + reconcilerClient + " at"} {
		if !strings.Contains(last, word) {
			t.Errorf("the last word of %s does not name %q: %s", loser, word, last)
		}
	}
	must(t, <-placed)
	select {
	case <-winner.Done(): // it lost as often: alone it has peace
		winner = w.start("reconciler", first.Instance)
		winner.ready()
	default:
	}
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, winner)
	t.Logf("%s", last)
}
