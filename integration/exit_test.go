package integration_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/run"
)

var programs = []string{"ingest", "poller", "reconciler"}

// exitCodes: what a person has to repair has an exit code of its own, and the
// message says what and how.
func exitCodes(t *testing.T, p platform) {
	w := newWorld(t, p, options{})
	names := w.topics()

	// Every fault of a configuration at once.
	broken := filepath.Join(w.dir, "broken.yaml")
	must(t, os.WriteFile(broken, []byte("kafka: {brokers: [nonsense]}\nregistry: {url: 'ftp://x'}\ntopics: {partitions: 0}\nlog: {level: loud}\nrules: {margin: 1h}\n"), 0o600))
	for _, name := range programs {
		w.refuses(name, broken, run.BadConfig, "kafka.brokers[0]", "registry.url", "topics.partitions", "log.level", "rules.margin", "accounts")
	}
	if code, out := w.command("rampctl", "-c", broken, "topics", "plan"); code != run.BadConfig || !strings.Contains(out, "registry.url") {
		t.Errorf("rampctl on a broken configuration: exit code %d, want %d\n%s", code, run.BadConfig, out)
	}

	// Topics with fewer partitions than configured.
	five := w.variant("five.yaml", func(c *config.Config) { c.Topics.Partitions = 5 })
	for _, name := range programs {
		w.refuses(name, five, run.Refused, w.cfg.Topics.Prefix, "5")
	}
	if code, out := w.command("rampctl", "-c", five, "topics", "check"); code != run.Refused || !strings.Contains(out, "4 partitions, want 5") {
		t.Errorf("rampctl topics check: exit code %d, want %d\n%s", code, run.Refused, out)
	}

	// A registry that has none of the schemas.
	blank, err := embedded.Start(embedded.Options{})
	must(t, err)
	t.Cleanup(blank.Close)
	other := w.variant("other.yaml", func(c *config.Config) { c.Registry.URL = blank.RegistryURL() })
	for _, name := range programs {
		w.refuses(name, other, run.Refused, "rampctl schemas register", "-value")
	}
	if code, out := w.command("rampctl", "-c", other, "schemas", "check"); code != run.Refused || !strings.Contains(out, "rampctl schemas register") {
		t.Errorf("rampctl schemas check: exit code %d, want %d\n%s", code, run.Refused, out)
	}

	// A topic that refuses what ingest may have to write.
	for _, value := range []string{"1000", "1048576"} {
		_, err := w.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}, names.DeadLetter)
		must(t, err)
		if value == "1000" {
			w.refuses("ingest", w.file, run.Refused, names.DeadLetter+" takes records of 1000 bytes", "rampctl topics apply")
		}
	}

	// One topic of each program is gone.
	for i, topic := range []string{names.Intent, names.LaneState, names.Discrepancy} {
		_, err := w.adm.DeleteTopics(t.Context(), topic)
		must(t, err)
		w.deleted(topic)
		w.refuses(programs[i], w.file, run.Refused, topic, "rampctl topics apply")
		if code, out := w.rampctl("topics", "check"); code != run.Refused || !strings.Contains(out, topic) {
			t.Errorf("rampctl topics check: exit code %d, want %d\n%s", code, run.Refused, out)
		}
		if code, out := w.rampctl("topics", "apply"); code != run.OK {
			t.Errorf("rampctl topics apply: exit code %d, want 0\n%s", code, out)
		}
	}
}

// variant writes a changed configuration beside the world's own.
func (w *world) variant(name string, change func(*config.Config)) string {
	w.t.Helper()
	cfg := w.cfg
	change(&cfg)
	dir := filepath.Join(w.dir, strings.TrimSuffix(name, ".yaml"))
	must(w.t, os.Mkdir(dir, 0o700))
	file, err := demo.WriteConfig(cfg, dir)
	must(w.t, err)
	return file
}

// refuses runs a program that must end by itself with a code, saying words.
func (w *world) refuses(name, file string, code int, words ...string) {
	w.t.Helper()
	got, out := w.command(name, "-config", file)
	if got != code {
		w.t.Errorf("%s: exit code %d, want %d\n%s", name, got, code, tail(out))
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			w.t.Errorf("%s does not name %q\n%s", name, word, tail(out))
		}
	}
}

// deleted waits until no broker knows a topic any more.
func (w *world) deleted(topic string) {
	w.t.Helper()
	eventually(w.t, patience, topic+" is deleted", func() (bool, string) {
		for _, broker := range w.cfg.Kafka.Brokers {
			plan, err := kafka.PlanTopics(context.Background(), kafka.Config{Brokers: []string{broker}}, []kafka.TopicSpec{{Name: topic, Partitions: partitions}})
			if err != nil {
				return false, err.Error()
			}
			if len(plan) != 1 || plan[0].Kind != kafka.ChangeCreate {
				return false, "still there"
			}
		}
		return true, ""
	})
}
