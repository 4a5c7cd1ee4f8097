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

	"rampstream/internal/kafka"
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
	eventually(t, patience, "the metric says that a transaction hangs", func() (bool, string) {
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
	w.terminate(w.hangs(out, id), cl)
	// A group's offset moves with records alone: put some behind what was aborted.
	must(t, w.place(t.Context(), 24, 0, time.Second))
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, reconciler)
}

// hangs wants the doctor to name a transactional id for every partition of the
// intents, and nobody else there, and returns the command that ends it. A
// transaction of the reconciler may be slow to end beside it, in other topics.
func (w *world) hangs(doctor, id string) (command string) {
	w.t.Helper()
	named := map[int32]bool{}
	for line := range strings.Lines(doctor) {
		var found struct {
			ID        string `json:"transactional_id"`
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
			Command   string `json:"command"`
		}
		if json.Unmarshal([]byte(line), &found) != nil || found.Topic != w.topics().Intent {
			continue // what it says to people
		}
		if found.ID != id {
			w.t.Errorf("rampctl doctor names %+v, want %s", found, id)
		}
		named[found.Partition], command = true, found.Command
	}
	if len(named) != partitions {
		w.t.Fatalf("rampctl doctor names %s in partitions %v, want all %d of %s\n%s", id, named, partitions, w.topics().Intent, doctor)
	}
	return command
}

// terminate runs the command that rampctl gave, where Kafka's tools are; else it
// ends the transaction by its producer.
func (w *world) terminate(command string, cl *kgo.Client) {
	w.t.Helper()
	defer w.stable(w.topics().Intent) // an end is answered before it is written everywhere
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

// stable waits until no transaction is open in a topic.
func (w *world) stable(topic string) {
	w.t.Helper()
	eventually(w.t, patience, "no transaction is open in "+topic, func() (bool, string) {
		open, err := kafka.OpenTransactions(w.t.Context(), kafka.Config{Brokers: w.cfg.Kafka.Brokers}, []string{topic})
		return err == nil && len(open) == 0, fmt.Sprintf("%d are, %v", len(open), err)
	})
}
