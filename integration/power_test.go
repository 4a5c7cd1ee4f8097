package integration_test

import (
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
// and the receipts say which events are gone.
func powerLoss(t *testing.T, p platform) {
	if !p.real() {
		t.Skip("the embedded broker has no disk")
	}
	n := controlled(t)
	data := filepath.Join(os.Getenv("KAFKA_STATE"), "run")
	if os.Getenv("KAFKA_STATE") == "" {
		data = filepath.Join("..", ".kafka", "run")
	}
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 16, 2, 2*time.Second))
	w.agree()

	for _, id := range []string{"1", "2", "3"} {
		n.kill(id)
	}
	cut := 0
	for _, id := range []string{"1", "2", "3"} {
		logs, err := filepath.Glob(filepath.Join(data, id, "data", w.topics().Webhook+"-*", "00000000000000000000.log"))
		must(t, err)
		for _, log := range logs {
			info, err := os.Stat(log)
			must(t, err)
			must(t, os.Truncate(log, info.Size()/2))
			cut += int(info.Size() - info.Size()/2)
		}
	}
	if cut == 0 {
		t.Fatalf("no byte of %s was cut below %s: the run proves nothing", w.topics().Webhook, data)
	}
	for _, id := range []string{"1", "2", "3"} {
		must(t, n.launch(id))
	}
	for _, id := range []string{"1", "2", "3"} {
		n.start(id) // waits until it answers
	}
	// It fetches where the log does not reach any more, or finds its position
	// beyond the end when it is opened again.
	reconciler, code := w.gone(reconciler)
	if said := reconciler.log.String(); code != run.Loss || !strings.Contains(said, w.topics().Webhook) {
		t.Errorf("exit code %d after the end of %s was cut, want %d and its name\n%s", code, w.topics().Webhook, run.Loss, tail(said))
	}
	ingest.stop()
	poller.stop()
	found, err := integration.Check(t.Context(), w.record())
	must(t, err)
	lost := 0
	for _, v := range found {
		if v.Invariant == integration.Lost {
			lost++
		}
	}
	if lost == 0 {
		t.Errorf("%d bytes were cut, and no receipt is without its event", cut)
	}
	t.Logf("%d bytes were cut from all replicas, %d acknowledged events are gone: %s", cut, lost, tail(reconciler.log.String()[strings.LastIndex(strings.TrimSpace(reconciler.log.String()), "\n")+1:]))
}
