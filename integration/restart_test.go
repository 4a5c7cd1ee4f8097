package integration_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/integration"
	"rampstream/internal/run"
)

// restart: what was stopped goes on where it was, from verified memory; what
// was altered meanwhile is found.
func restart(t *testing.T, p platform) {
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 12, 1, time.Second))
	w.agree()
	before := w.finish([]*process{ingest}, []*process{poller}, reconciler)

	// The reconciler alone has nothing to do.
	again := w.start("reconciler", "a")
	again.restored()
	again.stop()
	after := w.record()
	for _, topic := range []string{w.topics().OrderState, w.topics().CustomerState, w.topics().Transition, w.topics().CheckSchedule} {
		if diff := cmp.Diff(before.Committed[topic], after.Committed[topic]); diff != "" {
			t.Errorf("%s changed by a restart:\n%.2000s", topic, diff)
		}
	}

	// All of them go on.
	ingest, poller, reconciler = w.startAll()
	must(t, w.place(t.Context(), 4, 0, 200*time.Millisecond))
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, reconciler)

	w.plant(w.record())
	altered := w.start("reconciler", "a")
	if code := altered.wait(); code != run.Loss || !strings.Contains(altered.log.String(), "loss or corruption detected") {
		t.Errorf("exit code %d on an altered state, want %d\n%s", code, run.Loss, altered.log)
	}
	if n := w.record().Count(w.topics().ReconcilerPosition); n != before.Count(w.topics().ReconcilerPosition) && n == 0 {
		t.Errorf("%d positions after the refusal", n)
	}
}

// restored waits until every partition is restored.
func (p *process) restored() {
	p.w.t.Helper()
	eventually(p.w.t, patience, p.String()+" restored its partitions", func() (bool, string) {
		n := strings.Count(p.log.String(), "partition restored")
		return n >= partitions, p.log.String()
	})
	p.ready()
}

// plant writes the value of one state under the key of another, as a hand in
// the topic would.
func (w *world) plant(r integration.Run) {
	w.t.Helper()
	for n, records := range r.Committed[w.topics().OrderState] {
		for _, a := range records {
			last := records[len(records)-1]
			if bytes.Equal(a.Key, last.Key) {
				continue
			}
			cl, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			must(w.t, err)
			defer cl.Close()
			must(w.t, cl.ProduceSync(w.t.Context(), &kgo.Record{Topic: w.topics().OrderState, Partition: int32(n), Key: last.Key, Value: a.Value}).FirstErr())
			return
		}
	}
	w.t.Fatal("no partition holds two states")
}
