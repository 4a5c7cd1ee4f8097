package integration_test

import (
	"fmt"
	"os"
	"slices"
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
	eventually(t, 2*patience, "one of two gives up", func() (bool, string) {
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
	words := []string{"instance " + first.Instance + " of group " + w.cfg.Reconciler.Group, host, "the id is held by member", "client " + reconcilerClient + " at"}
	if !slices.ContainsFunc(strings.Split(said, "\n"), func(line string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
	}) {
		// Not each loss can name the other: it may not have joined the group yet.
		t.Errorf("of all that %s lost none names the other by %q:\n%s", loser, words, tail(said))
	}
	must(t, <-placed)
	winner = w.atPeace(winner)
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, winner)
	t.Logf("%s", last)
}

// atPeace waits until the twin that is left has committed what was said after the
// other one ended: it has peace then. Before, it may still hear of a loss, and
// one that has lost as often by then is started again.
func (w *world) atPeace(left *process) *process {
	w.t.Helper()
	must(w.t, w.place(w.t.Context(), 8, 0, time.Second))
	said, err := w.ground().Ends(w.t.Context())
	must(w.t, err)
	eventually(w.t, patience, "the twin that is left works", func() (bool, string) {
		select {
		case <-left.Done():
			if left.Code() != run.Failed {
				w.t.Fatalf("%s: exit code %d, want %d", left, left.Code(), run.Failed)
			}
			left = w.start("reconciler", left.Instance)
		default:
		}
		unread, err := w.ground().Unread(w.t.Context(), said)
		return err == nil && unread == "", fmt.Sprintf("%s, %v", unread, err)
	})
	return left
}
