package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/run"
)

// madeAnew: an input is deleted and made anew while everything stands still, and
// grows beyond where the reconciler was before it starts again: the offsets fit,
// and what was never read is gone all the same.
func madeAnew(t *testing.T, p platform) {
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 12, 1, time.Second))
	w.agree()
	before := w.finish([]*process{ingest}, []*process{poller}, reconciler)

	topic := w.topics().Intent
	_, err := w.adm.DeleteTopics(t.Context(), topic)
	must(t, err)
	w.deleted(topic)
	if code, out := w.rampctl("topics", "apply"); code != run.OK {
		t.Fatalf("rampctl topics apply: exit code %d\n%s", code, out)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	t.Cleanup(cl.Close)
	var fill []*kgo.Record
	for n := range int32(partitions) {
		for i := range len(before.Committed[topic][n]) + 5 {
			fill = append(fill, &kgo.Record{Topic: topic, Partition: n, Value: fmt.Appendf(nil, "%d", i)})
		}
	}
	must(t, cl.ProduceSync(t.Context(), fill...).FirstErr())

	again := w.start("reconciler", "a")
	if code := again.wait(); code != run.Loss || !strings.Contains(again.log.String(), topic+" was deleted and made anew") {
		t.Errorf("exit code %d beside an input made anew, want %d and its name\n%s", code, run.Loss, tail(again.log.String()))
	}
}
