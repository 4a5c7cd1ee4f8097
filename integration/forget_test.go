package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

// forgetting: an order is forgotten, said again, and forgotten still; the stub
// of its state goes when the inputs retain nothing about it, and rampctl tells
// when its bytes are gone.
func forgetting(t *testing.T, p platform) {
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 20, 0, time.Second))
	var key events.Key
	for k := range w.agree() {
		if k.Provider == "koinal" && (key.ID == "" || k.ID < key.ID) {
			key = k
		}
	}
	if code, out := w.rampctl("orders", "erasure", key.String()); code != run.Differences || !strings.Contains(out, "the present record") {
		t.Errorf("erasure of a live order: exit code %d\n%s", code, out)
	}
	code, out := w.rampctl("orders", "forget", key.String(), "--reason", "erasure", "--operator", "op-1")
	if code != run.OK {
		t.Fatalf("forget: exit code %d\n%s", code, out)
	}
	w.forgotten(key)
	transitions := len(w.records(w.topics().Transition, key))
	if a := w.intend(key.ID); a.Status != 200 { // late evidence
		t.Fatalf("intent about a forgotten order: %d %s", a.Status, a.Body)
	}
	w.drained()
	w.forgotten(key)
	if n := len(w.records(w.topics().Transition, key)); n != transitions || n == 0 {
		t.Errorf("%d transitions of %s after late evidence, %d before", n, key, transitions)
	}
	w.audit("after the FORGET")
	w.finish([]*process{ingest}, []*process{poller}, reconciler)

	// Everything but the late evidence is gone: the stub must stand.
	n := stream.PartitionOf([]byte(key.String()), partitions)
	w.removeRecords(n, w.topics().Webhook, w.topics().StatusCheck)
	again := w.start("reconciler", "a")
	again.restored()
	w.forgotten(key)
	again.stop()

	// Now that is, too.
	w.removeRecords(n, w.topics().Intent, w.topics().Transition)
	again = w.start("reconciler", "a")
	eventually(t, 30*time.Second, "the stub is removed", func() (bool, string) {
		states := w.statesOf(key)
		return len(states) > 0 && states[len(states)-1] == "tombstone", strings.Join(states, " ")
	})
	again.stop()
	again = w.start("reconciler", "a") // count and digest are those of the position
	again.restored()
	w.audit("after the tombstone")
	if p.real() {
		w.compacted(n, key)
	}
	again.stop()
}

// forgotten waits until the state of key is forgotten, and holds nothing else.
func (w *world) forgotten(key events.Key) {
	w.t.Helper()
	eventually(w.t, 30*time.Second, key.String()+" is forgotten", func() (bool, string) {
		table := w.table()
		_, err := table.Refresh(w.t.Context())
		must(w.t, err)
		st := table.States()[key]
		return st.DecidedBy == order.RuleForgotten && len(st.Evidence) == 1 && st.Facts == events.Facts{}, fmt.Sprintf("%v by %s", st.Status, st.DecidedBy)
	})
}

// statesOf names the rule of each record of a state that is stored, oldest first.
func (w *world) statesOf(key events.Key) (out []string) {
	w.t.Helper()
	cd, _ := w.reading()
	for _, r := range w.records(w.topics().OrderState, key) {
		if r.Value == nil {
			out = append(out, "tombstone")
			continue
		}
		st, err := cd.DecodeOrderState(w.t.Context(), r.Value)
		must(w.t, err)
		out = append(out, st.DecidedBy)
	}
	return out
}

// records are those of key in a topic that is keyed by subject, oldest first.
// It waits for the end of transactions that are open: that of one whose states
// are read already may still be unwritten in another topic.
func (w *world) records(topic string, key events.Key) (out []stream.Record) {
	w.t.Helper()
	_, log := w.reading()
	n := stream.PartitionOf([]byte(key.String()), partitions)
	ends, err := log.Ends(w.t.Context(), n, topic)
	must(w.t, err)
	must(w.t, log.Read(w.t.Context(), topic, n, ends[topic].Start, ends[topic].End, true, func(r stream.Record) error {
		if string(r.Key) == key.String() {
			out = append(out, r)
		}
		return nil
	}))
	return out
}

func (w *world) audit(when string) {
	w.t.Helper()
	if code, out := w.rampctl("audit"); code != run.OK {
		w.t.Errorf("audit %s: exit code %d\n%s", when, code, out)
	}
}

// removeRecords removes all records of a partition, as retention does.
func (w *world) removeRecords(n int32, topics ...string) {
	w.t.Helper()
	_, log := w.reading()
	for _, topic := range topics {
		ends, err := log.Ends(w.t.Context(), n, topic)
		must(w.t, err)
		var o kadm.Offsets
		o.AddOffset(topic, n, ends[topic].End, -1)
		done, err := w.adm.DeleteRecords(w.t.Context(), o)
		must(w.t, err)
		must(w.t, done.Error())
	}
}

// compacted hurries the cleaner and waits until rampctl says that no byte about
// key is left.
func (w *world) compacted(n int32, key events.Key) {
	w.t.Helper()
	topics := []string{w.topics().OrderState, w.topics().Discrepancy, w.topics().CheckSchedule}
	hurry := map[string]string{"segment.ms": "100", "min.cleanable.dirty.ratio": "0.0", "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "1"}
	var alter []kadm.AlterConfig
	for k, v := range hurry {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: kadm.StringPtr(v)})
	}
	done, err := w.adm.AlterTopicConfigs(w.t.Context(), alter, topics...)
	must(w.t, err)
	for _, d := range done {
		must(w.t, d.Err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(w.t, err)
	defer cl.Close()
	eventually(w.t, 90*time.Second, "no byte is left", func() (bool, string) {
		// The cleaner leaves the last segment alone: a record in each partition
		// closes it. A tombstone of nothing says nothing.
		var rs []*kgo.Record
		for _, topic := range topics {
			for p := range int32(partitions) {
				rs = append(rs, &kgo.Record{Topic: topic, Partition: p, Key: []byte("kado/demo/nothing")})
			}
		}
		must(w.t, cl.ProduceSync(context.Background(), rs...).FirstErr())
		code, out := w.rampctl("orders", "erasure", key.String(), "-o", "json")
		return code == run.OK, out
	})
	_, out := w.rampctl("orders", "erasure", key.String(), "-o", "json")
	var lines []string
	for line := range strings.Lines(out) {
		var m struct {
			Topic   string
			Records int
		}
		if json.Unmarshal([]byte(line), &m) == nil && m.Topic != "" {
			lines = append(lines, fmt.Sprintf("%s %d", strings.TrimPrefix(m.Topic, w.cfg.Topics.Prefix), m.Records))
		}
	}
	if slices.ContainsFunc(lines, func(l string) bool { return !strings.HasSuffix(l, " 0") }) || len(lines) != 9 {
		w.t.Errorf("erasure: %v", lines)
	}
}
