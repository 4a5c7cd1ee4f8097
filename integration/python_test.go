package integration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"rampstream/integration"
)

// python compares what kgo counted with what librdkafka and fastavro read.
func python(t *testing.T, w *world, run integration.Run) {
	t.Run("python", func(t *testing.T) {
		interpreter := os.Getenv("KAFKA_PYTHON")
		if interpreter == "" {
			t.Skip("KAFKA_PYTHON names no interpreter with the modules of integration/python/requirements.txt")
		}
		args := append([]string{"python/read_all.py", strings.Join(w.cfg.Kafka.Brokers, ","), w.cfg.Registry.URL}, w.topics().All()...)
		cmd := exec.CommandContext(t.Context(), interpreter, args...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		must(t, err)
		var got map[string]struct{ Records, Tombstones, Decoded int }
		must(t, json.Unmarshal(out, &got))
		for _, topic := range w.topics().All() {
			records, tombstones := 0, 0
			for _, rs := range run.Committed[topic] {
				for _, r := range rs {
					records++
					if r.Value == nil {
						tombstones++
					}
				}
			}
			decoded := records - tombstones
			if topic == w.topics().DeadLetter {
				decoded = 0 // no schema
			}
			if g := got[topic]; g.Records != records || g.Tombstones != tombstones || g.Decoded != decoded {
				t.Errorf("%s: python reads %+v, kgo %d records, %d tombstones, %d to decode", topic, g, records, tombstones, decoded)
			}
		}
		t.Logf("%s", out)
	})
}

// folded lets Python derive every state from the input topics with code of its
// own, written from the documents, and shows that it finds a falsified one.
func folded(t *testing.T, w *world, run integration.Run) {
	t.Run("folded", func(t *testing.T) {
		interpreter := os.Getenv("KAFKA_PYTHON")
		if interpreter == "" {
			t.Skip("KAFKA_PYTHON names no interpreter with the modules of integration/python/requirements.txt")
		}
		code, config := w.rampctl("config", "print")
		if code != 0 {
			t.Fatalf("config print: exit code %d\n%s", code, config)
		}
		fold := func() (int, string) {
			cmd := exec.CommandContext(t.Context(), interpreter, "python/fold_states.py", strings.Join(w.cfg.Kafka.Brokers, ","), w.cfg.Registry.URL)
			cmd.Stdin, cmd.Stderr = strings.NewReader(config), os.Stderr
			out, err := cmd.Output()
			if err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			return cmd.ProcessState.ExitCode(), string(out)
		}
		var sum struct{ Orders, Customers, Different, Moving int }
		code, out := fold()
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil || code != 0 || sum.Different+sum.Moving != 0 ||
			sum.Orders+sum.Customers != len(run.Latest(w.topics().OrderState))+len(run.Latest(w.topics().CustomerState)) {
			t.Fatalf("exit code %d\n%s", code, out)
		}
		t.Logf("%s", lines[len(lines)-1])
		w.plant(w.record())
		if code, out := fold(); code != 3 || !strings.Contains(out, `"different": `) {
			t.Errorf("a falsified state: exit code %d, want 3\n%s", code, out)
		}
	})
}
