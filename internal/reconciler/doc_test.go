package reconciler_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/reconciler"
)

// docs/reconciler.md names every metric, and none that does not exist.
func TestDocument_names(t *testing.T) {
	const document = "../../docs/reconciler.md"
	have, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	m, err := reconciler.NewMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	m.Watch(&reconciler.Loop{Engine: newWorld(t).eng, Log: quiet})
	descs := make(chan *prometheus.Desc, 100)
	reg.Describe(descs)
	close(descs)
	// These two are registered by internal/app.
	names := map[string]bool{"ramp_reconciler_unstable_seconds": true, "ramp_reconciler_topic_differences": true}
	metric := regexp.MustCompile(`ramp_reconciler_[a-z_]*[a-z]`)
	for d := range descs {
		names[metric.FindString(d.String())] = true
	}
	for n := range names {
		if !strings.Contains(string(have), "`"+n+"`") {
			t.Errorf("%s does not name `%s`", document, n)
		}
	}
	for _, n := range metric.FindAllString(strings.ReplaceAll(string(have), "ramp_reconciler_restore_...", ""), -1) {
		if !names[n] {
			t.Errorf("%s names %s, which does not exist", document, n)
		}
	}
}
