package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/config"
	"rampstream/internal/demo"
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
	w.limit(names.DeadLetter, "1000")
	w.refuses("ingest", w.file, run.Refused, names.DeadLetter+" takes records of 1000 bytes", "rampctl topics apply")
	w.limit(names.DeadLetter, "1048576")

	// One topic of each program is gone.
	for i, topic := range []string{names.Intent, names.LaneState, names.Discrepancy} {
		deleted, err := w.adm.DeleteTopics(t.Context(), topic)
		must(t, err)
		must(t, deleted.Error())
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

// limit sets how large a record a topic takes, and waits until every broker says
// so.
func (w *world) limit(topic, bytes string) {
	w.t.Helper()
	const name = "max.message.bytes"
	changed, err := w.adm.AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &bytes}}, topic)
	must(w.t, err)
	for _, c := range changed {
		must(w.t, c.Err)
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{name}
	req.Resources = append(req.Resources, r)
	w.everyBroker(name+" of "+topic+" is "+bytes, req, func(resp kmsg.Response) bool {
		for _, r := range resp.(*kmsg.DescribeConfigsResponse).Resources {
			for _, c := range r.Configs {
				if c.Name == name && c.Value != nil && *c.Value == bytes {
					return true
				}
			}
		}
		return false
	})
}
