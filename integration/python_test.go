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
