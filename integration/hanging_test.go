package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/run"
)

// hangingTransaction: a merchant's producer leaves a transaction open in an
// input. The reconciler can pass no record behind it; its metric and
// rampctl doctor say so, who it is and what ends it. The command is then run, on
// a real cluster by Kafka's own tool, and everything goes on.
func hangingTransaction(t *testing.T, p platform) {
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	if code, out := w.rampctl("doctor", "--transactions", "--wait", "10ms"); code != run.OK && code != run.Differences {
		t.Errorf("rampctl doctor at rest: exit code %d\n%s", code, out)
	}
	id := w.cfg.Topics.Prefix + "forgotten"
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	t.Cleanup(cl.Close)
	must(t, cl.BeginTransaction())
	var open []*kgo.Record
	for n := range int32(partitions) {
		open = append(open, &kgo.Record{Topic: w.topics().Intent, Partition: n, Key: []byte("koinal/demo/never")})
	}
	must(t, cl.ProduceSync(t.Context(), open...).FirstErr())
	must(t, w.place(t.Context(), 8, 1, time.Second))

	series := fmt.Sprintf(`ramp_reconciler_unstable_seconds{topic="%s"}`, w.topics().Intent)
	eventually(t, 60*time.Second, "the metric says that a transaction hangs", func() (bool, string) {
		for line := range strings.Lines(reconciler.Metrics(t.Context())) {
			if value, ok := strings.CutPrefix(line, series); ok {
				return strings.TrimSpace(value) != "0", line
			}
		}
		return false, "no such series"
	})
	code, out := w.rampctl("doctor", "--transactions", "-o", "json")
	if code != run.Differences {
		t.Fatalf("rampctl doctor: exit code %d, want %d\n%s", code, run.Differences, out)
	}
	var found struct {
		ID      string `json:"transactional_id"`
		Topic   string `json:"topic"`
		Command string `json:"command"`
	}
	must(t, json.Unmarshal([]byte(out[:strings.IndexByte(out, '\n')]), &found))
	if found.ID != id || found.Topic != w.topics().Intent {
		t.Errorf("rampctl doctor names %+v, want %s in %s", found, id, w.topics().Intent)
	}
	w.terminate(found.Command, cl)
	// A group's offset moves with records alone: put some behind what was aborted.
	must(t, w.place(t.Context(), 24, 0, time.Second))
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, reconciler)
}

// terminate runs the command that rampctl gave, where Kafka's tools are; else it
// ends the transaction by its producer.
func (w *world) terminate(command string, cl *kgo.Client) {
	w.t.Helper()
	libs := filepath.Join(os.Getenv("KAFKA_CACHE"), "lib")
	if os.Getenv("KAFKA_CACHE") == "" {
		libs = filepath.Join("..", ".kafka", "lib")
	}
	words := strings.Fields(command)
	if jars, _ := filepath.Glob(filepath.Join(libs, "kafka-tools-*.jar")); !w.p.real() || len(jars) == 0 {
		must(w.t, cl.EndTransaction(w.t.Context(), kgo.TryAbort))
		return
	}
	args := append([]string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(libs, "*"), "org.apache.kafka.tools.TransactionsCommand"}, words[1:]...)
	out, err := exec.CommandContext(w.t.Context(), "java", args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}
