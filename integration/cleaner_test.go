package integration_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/integration"
	"rampstream/internal/run"
)

// compaction: the log cleaner runs all the time over states that are written in
// segments of a moment, beside a foreign transaction that stays open across
// them. The reconciler is killed meanwhile; what is left of the topics restores
// to the count and the digest of its position once the transaction is aborted,
// and again when the cleaner has removed that too.
func compaction(t *testing.T, p platform) {
	if !p.real() {
		t.Skip("the embedded broker's cleaner knows no transactions")
	}
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	states := []string{w.topics().OrderState, w.topics().CustomerState}
	w.cleaned(append(states, w.topics().ReconcilerPosition, w.topics().CheckSchedule)...)
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 24, 3, 2*time.Second))
	w.agree()
	before := w.record()

	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.TransactionalID(w.cfg.Topics.Prefix+"foreign"),
		kgo.TransactionTimeout(5*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	t.Cleanup(cl.Close)
	must(t, cl.BeginTransaction())
	foreign := func() {
		t.Helper()
		var rs []*kgo.Record
		for _, topic := range states {
			for n := range int32(partitions) {
				for _, key := range [][]byte{[]byte("koinal/demo/never"), keyOf(before, topic, n)} {
					rs = append(rs, &kgo.Record{Topic: topic, Partition: n, Key: key, Value: []byte("nobody's")})
				}
			}
		}
		must(t, cl.ProduceSync(t.Context(), rs...).FirstErr())
	}
	foreign()
	must(t, w.place(t.Context(), 12, 2, 2*time.Second))
	foreign() // in later segments
	reconciler.kill()
	reconciler = w.start("reconciler", "a")
	eventually(t, patience, "every partition is being restored", func() (bool, string) {
		return strings.Contains(reconciler.Metrics(t.Context()), fmt.Sprintf("ramp_reconciler_restore_partitions_left %d\n", partitions)), tail(reconciler.log.String())
	})
	pause(t.Context(), 2*time.Second)
	if n := strings.Count(reconciler.log.String(), "partition restored"); n > 0 {
		t.Errorf("%d partitions are restored beside an open transaction in each", n)
	}
	must(t, cl.EndTransaction(t.Context(), kgo.TryAbort))
	reconciler.restored()
	must(t, w.place(t.Context(), 6, 0, time.Second))
	w.agree()

	gone, aborted := 0, 0
	eventually(t, patience, "the cleaner has been there, and removed what was aborted", func() (bool, string) {
		now := w.record()
		gone, aborted = 0, 0
		for _, topic := range states {
			gone += missing(before, now, topic)
			for n := range now.All[topic] {
				aborted += len(now.All[topic][n]) - len(now.Committed[topic][n])
			}
		}
		return gone > 0 && aborted == 0, ""
	})
	ingest.stop()
	poller.stop()
	w.drained()
	reconciler.stop()
	again := w.start("reconciler", "a")
	again.restored()
	again.stop()
	if code, out := w.rampctl("audit"); code != run.OK || !strings.Contains(out, " 0 different") {
		t.Errorf("audit: exit code %d\n%s", code, out)
	}
	t.Logf("the cleaner removed %d states that were committed, and all that was aborted", gone)
}

// hurried counts the scenarios that count on a cleaner without rest.
var hurried struct {
	sync.Mutex
	by int
}

// cleaned lets the brokers compact topics at once, and all over again.
func (w *world) cleaned(topics ...string) {
	w.t.Helper()
	set := func(name, value string) kadm.AlterConfig {
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value}
	}
	hurried.Lock()
	defer hurried.Unlock()
	_, err := w.adm.AlterBrokerConfigs(w.t.Context(), []kadm.AlterConfig{set("log.cleaner.backoff.ms", "100")})
	must(w.t, err)
	hurried.by++
	w.t.Cleanup(func() {
		hurried.Lock()
		defer hurried.Unlock()
		if hurried.by--; hurried.by > 0 {
			return // another scenario counts on it
		}
		_, _ = w.adm.AlterBrokerConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "log.cleaner.backoff.ms"}})
	})
	changed, err := w.adm.AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{
		set("segment.ms", "200"), set("min.cleanable.dirty.ratio", "0.01"), set("min.compaction.lag.ms", "0"), set("max.compaction.lag.ms", "200"),
	}, topics...)
	must(w.t, err)
	for _, c := range changed {
		must(w.t, c.Err)
	}
}

// keyOf is a key that a partition has, or one that it has not.
func keyOf(r integration.Run, topic string, n int32) []byte {
	if records := r.Committed[topic][n]; len(records) > 0 {
		return records[0].Key
	}
	return []byte("zumo/demo/customer/never")
}

// missing counts the committed records of a topic that stand there no more.
func missing(before, now integration.Run, topic string) (n int) {
	for p, records := range before.Committed[topic] {
		left := map[int64]bool{}
		for _, r := range now.Committed[topic][p] {
			left[r.Offset] = true
		}
		for _, r := range records {
			if !left[r.Offset] {
				n++
			}
		}
	}
	return n
}
