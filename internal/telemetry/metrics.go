package telemetry

import (
	"regexp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// live is what the last collection found in use of the heap: what leaks shows
// there, where go_memstats_heap_alloc_bytes rises and falls with each collection.
var live = collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}

// NewRegistry is a registry with the metrics of the Go runtime, of the process,
// and ramp_build_info{program, version, revision, go_version} = 1. Beside the Go
// collector's own metrics it has go_gc_heap_live_bytes.
func NewRegistry(program string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ramp_build_info",
		Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{
			"program": program, "version": Version(), "revision": revision(), "go_version": runtime.Version(),
		},
	})
	info.Set(1)
	reg.MustRegister(info, collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(live)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// Version is the module version that the binary was built from, "(devel)" for
// a working tree.
func Version() string {
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		return bi.Main.Version
	}
	return "(devel)"
}

// Build is what ramp_build_info says, in one line: version, commit, Go.
func Build() string { return Version() + " " + revision() + " " + runtime.Version() }

// revision is the commit, with "+dirty" for a changed tree; "unknown" outside
// version control.
func revision() string {
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, dirty := "unknown", ""
	for _, s := range bi.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	return rev + dirty
}
