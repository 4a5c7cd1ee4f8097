package ingest

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/events"
)

// docs/ingest.md names every field of an intent, every reason, readiness check
// and metric, and no metric that does not exist.
func TestDocument_names(t *testing.T) {
	const document = "../../docs/ingest.md"
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	have := string(raw)
	source, err := os.ReadFile("response.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\treason\w+ +Reason = "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		names[m[1]] = true
	}
	if len(names) < 20 {
		t.Fatalf("found %d reasons in response.go", len(names))
	}
	for r := range parserReasons {
		names[string(r)] = true
	}
	for _, fields := range []map[string]setter{orderFields(&events.Intent{}), customerFields(&events.Intent{})} {
		for f := range fields {
			if f != "fiat" && f != "crypto" { // objects: their members are named
				names[f] = true
			}
		}
	}
	for c := range (&Server{}).Checks() {
		names[c] = true
	}
	// These are registered by internal/app.
	metrics := map[string]bool{"ramp_ingest_acknowledged_loss_total": true, "ramp_ingest_topic_differences": true, "ramp_ingest_certificate_expiry_timestamp_seconds": true}
	reg := prometheus.NewRegistry()
	if _, err := newMetrics(reg); err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 100)
	reg.Describe(descs)
	close(descs)
	metric := regexp.MustCompile(`ramp_ingest_[a-z_]+`)
	for d := range descs {
		metrics[metric.FindString(d.String())] = true
	}
	for m := range metrics {
		names[m] = true
	}
	for n := range names {
		if !strings.Contains(have, "`"+n+"`") {
			t.Errorf("%s does not name `%s`", document, n)
		}
	}
	for _, m := range metric.FindAllString(have, -1) {
		if !metrics[m] {
			t.Errorf("%s names %s, which does not exist", document, m)
		}
	}
}
