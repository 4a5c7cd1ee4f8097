package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rampstream/integration"
	"rampstream/internal/run"
)

// powerLoss: all brokers die and the end of an input is gone from every replica,
// as when the power fails before it was written. What was acknowledged and read
// is lost, and that is loud: the reconciler ends with code 5 and names the topic,
// and the receipts say which events are gone. The states are then made again from
// what is left, as docs/exit-5.md has it, and polls alone find the rest.
func powerLoss(t *testing.T, p platform) {
	if !p.real() {
		t.Skip("the embedded broker has no disk")
	}
	n := controlled(t)
	data := filepath.Join(os.Getenv("KAFKA_STATE"), "run")
	if os.Getenv("KAFKA_STATE") == "" {
		data = filepath.Join("..", ".kafka", "run")
	}
	w := newWorld(t, p, options{stage: 500 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 16, 2, 2*time.Second))
	w.agree()
	// What is told of these nobody has asked about when it is gone.
	poller.stop()
	must(t, w.place(t.Context(), 12, 2, time.Second))
	eventually(t, patience, "the providers have told all", func() (bool, string) { return w.sim.World.Quiet(), "" })
	w.drained()

	cut := w.powerCut(n, data)
	// It fetches where the log does not reach any more, or finds its position
	// beyond the end when it is opened again.
	reconciler, code := w.gone(reconciler)
	if said := reconciler.log.String(); code != run.Loss || !strings.Contains(said, w.topics().Webhook) {
		t.Errorf("exit code %d after the end of %s was cut, want %d and its name\n%s", code, w.topics().Webhook, run.Loss, tail(said))
	}
	ingest.stop()
	lost, _ := w.losses()
	if lost == 0 {
		t.Errorf("%d bytes were cut, and no receipt is without its event", cut)
	}
	t.Logf("%d bytes were cut from all replicas, %d acknowledged events are gone: %s", cut, lost, tail(reconciler.log.String()[strings.LastIndex(strings.TrimSpace(reconciler.log.String()), "\n")+1:]))
	w.made(lost)
}

// made makes the states again and has polls find what was lost. The programs have
// ended.
func (w *world) made(lost int) {
	t := w.t
	t.Helper()
	w.again()
	reconciler := w.start("reconciler", "a")
	reconciler.restored()
	w.drained()
	wrong, err := w.ground().Disagreements(t.Context(), w.table())
	must(t, err)
	if len(wrong) == 0 {
		t.Error("every state is right without what was lost: polls had nothing to repair")
	}
	poller := w.start("poller", "a") // and no ingest
	w.agree()
	t.Logf("%d states were wrong before the polls", len(wrong))
	ingest := w.start("ingest", "a")
	ingest.ready()
	must(t, w.place(t.Context(), 8, 1, time.Second))
	w.agree()
	if code, out := w.rampctl("audit"); code != run.OK || !strings.Contains(out, " 0 different") {
		t.Errorf("audit of what was made again: exit code %d\n%s", code, out)
	}
	ingest.stop()
	poller.stop()
	w.drained()
	reconciler.stop()
	still, others := w.losses()
	if still != lost || len(others) > 0 {
		t.Errorf("%d acknowledged events are gone, want the %d of before, and %v", still, lost, others)
	}
}

// powerCut kills all nodes, cuts the end of the webhooks in every replica and
// starts the nodes again. It says how many bytes it cut.
func (w *world) powerCut(n *nodes, data string) (cut int) {
	w.t.Helper()
	all := []string{"1", "2", "3"}
	for _, id := range all {
		n.kill(id)
	}
	for _, id := range all {
		logs, err := filepath.Glob(filepath.Join(data, id, "data", w.topics().Webhook+"-*", "00000000000000000000.log"))
		must(w.t, err)
		for _, log := range logs {
			info, err := os.Stat(log)
			must(w.t, err)
			must(w.t, os.Truncate(log, info.Size()/2))
			cut += int(info.Size() - info.Size()/2)
		}
	}
	if cut == 0 {
		w.t.Fatalf("no byte of %s was cut below %s: the run proves nothing", w.topics().Webhook, data)
	}
	for _, id := range all {
		must(w.t, n.launch(id))
	}
	for _, id := range all {
		n.start(id) // waits until it answers
	}
	return cut
}

// losses counts the receipts without an event, and lists what else the checker
// finds.
func (w *world) losses() (lost int, others []integration.Violation) {
	w.t.Helper()
	found, err := integration.Check(w.t.Context(), w.record())
	must(w.t, err)
	for _, v := range found {
		if v.Invariant == integration.Lost {
			lost++
		} else {
			others = append(others, v)
		}
	}
	return lost, others
}

// again is docs/exit-5.md: what the reconciler wrote is deleted and made anew
// with its group, so that a start reads the inputs from their first record. The
// programs have ended.
func (w *world) again() {
	w.t.Helper()
	names := w.topics()
	outputs := []string{names.OrderState, names.CustomerState, names.Transition, names.Discrepancy, names.CheckSchedule, names.ReconcilerPosition}
	gone, err := w.adm.DeleteTopics(w.t.Context(), outputs...)
	must(w.t, err)
	must(w.t, gone.Error())
	for _, topic := range outputs {
		w.deleted(topic)
	}
	if code, out := w.rampctl("topics", "apply"); code != run.OK {
		w.t.Fatalf("rampctl topics apply: exit code %d\n%s", code, out)
	}
	w.removeFrom(w.cfg.Reconciler.Group, "a")
	eventually(w.t, patience, "the reconcilers' group is deleted", func() (bool, string) {
		done, err := w.adm.DeleteGroups(w.t.Context(), w.cfg.Reconciler.Group)
		if err == nil {
			err = done.Error()
		}
		return err == nil, fmt.Sprint(err)
	})
}
