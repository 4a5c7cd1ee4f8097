package arch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	programs  = []string{"internal/codec", "internal/events", "internal/order", "internal/providers", "internal/run", "internal/stream"}
	provider  = []string{"internal/events", "internal/providers", "internal/providers/httpx", "internal/providers/jsonx"}
	concretes = []string{"internal/providers/kado", "internal/providers/kanga", "internal/providers/koinal", "internal/providers/kuna", "internal/providers/zumo"}
)

// arrows are the allowed imports within the module, for code that is not a
// test. A package that is not here may import none of ours.
var arrows = map[string][]string{
	"internal/events": nil,
	"internal/stream": nil,
	"schemas":         nil,
	"internal/codec":  {"internal/events", "schemas"},
	"internal/order":  {"internal/events"},
	"internal/oracle": {"internal/events"}, // shares nothing with what it judges

	"internal/providers":                  {"internal/events", "internal/providers/jsonx"},
	"internal/providers/jsonx":            nil,
	"internal/providers/httpx":            {"internal/events", "internal/providers"},
	"internal/providers/kado":             provider,
	"internal/providers/kanga":            provider,
	"internal/providers/koinal":           provider,
	"internal/providers/kuna":             provider,
	"internal/providers/zumo":             provider,
	"internal/providers/providertest":     provider,
	"internal/providers/providertest/toy": provider,
	// A provider for tests only, which the recipe of docs/providers/ADDING.md builds.
	"internal/providers/simulator": {"internal/events", "internal/providers/jsonx"}, // on its own: it must not share a provider's misreading

	"internal/kafka":           {"internal/stream"},
	"internal/kafka/embedded":  {"internal/kafka", "internal/stream"},
	"internal/config":          {"internal/events", "internal/providers", "internal/stream"},
	"internal/telemetry":       nil,
	"internal/flock":           nil,
	"internal/checkpoint":      {"internal/flock"}, // files of bytes under keys: it knows no state
	"internal/table/disk":      {"internal/flock", "internal/table"},
	"internal/table":           nil, // bytes under keys: it knows no state
	"internal/table/slab":      {"internal/table"},
	"internal/table/tabletest": {"internal/table"},
	"internal/run":             {"internal/stream"},

	"internal/ingest":     programs,
	"internal/poller":     programs,
	"internal/reconciler": append([]string{"internal/checkpoint", "internal/table", "internal/table/slab"}, programs...),
	"internal/replay":     programs,
	"internal/inspect":    {"internal/codec", "internal/events", "internal/order", "internal/stream"},
	// redrive forecasts with the reconciler's own step function.
	"internal/redrive": {"internal/codec", "internal/events", "internal/order", "internal/reconciler", "internal/stream"},

	// app wires the programs for the mains; like everything below the mains it
	// names no concrete provider.
	"internal/app": append([]string{
		"internal/checkpoint", "internal/table", "internal/config", "internal/ingest", "internal/inspect", "internal/kafka", "internal/poller", "internal/reconciler",
		"internal/replay", "internal/run", "internal/telemetry", "internal/providers/httpx", "schemas",
	}, programs...),
	// demo is rampctl's: simulated providers beside the real programs.
	"internal/demo": append([]string{
		"internal/app", "internal/config", "internal/inspect", "internal/kafka", "internal/kafka/embedded", "internal/providers/simulator",
		"internal/telemetry", "schemas",
	}, programs...),
	"internal/sim": append([]string{
		"internal/ingest", "internal/poller", "internal/reconciler", "internal/replay", "internal/providers/simulator",
	}, programs...),
	"integration": {"*"},
	"bench":       {"*"},
}

// everything: mains and what only tests run may import all of it.
func mayImport(from, to string) bool {
	if strings.HasPrefix(from, "cmd/") || strings.HasPrefix(from, "integration/") || strings.HasPrefix(from, "bench/") {
		return true
	}
	allowed := arrows[from]
	return slices.Contains(allowed, to) || slices.Contains(allowed, "*")
}

func TestImports_pointOneWay(t *testing.T) {
	for _, f := range code(t) {
		for p := range f.imports() {
			to, ours := strings.CutPrefix(p, module)
			if ours && !mayImport(f.dir, to) {
				t.Errorf("%s imports %s: not among the arrows of %s", f.name, to, f.dir)
			}
		}
	}
}

// foreign libraries have one home each, so that replacing one is one change.
var homes = map[string][]string{
	"github.com/twmb/franz-go":                                {"internal/kafka", "internal/kafka/embedded"},
	"github.com/twmb/avro":                                    {"internal/codec", "internal/kafka/embedded", "schemas"},
	"github.com/linkedin/goavro":                              {"internal/codec", "internal/replay"},
	"github.com/segmentio/kafka-go":                           {},
	"github.com/knadh/koanf":                                  {"internal/config"},
	"github.com/spf13/cobra":                                  {},
	"github.com/cockroachdb/apd":                              {"internal/events", "internal/order", "internal/providers/simulator"},
	"github.com/cockroachdb/pebble":                           {"internal/table/disk"}, // of the reconciler's main alone
	"github.com/zeebo/xxh3":                                   {"internal/reconciler"},
	"github.com/klauspost/compress":                           {"internal/reconciler"},
	"github.com/cenkalti/backoff":                             {"internal/providers/httpx"},
	"github.com/sony/gobreaker":                               {"internal/poller"},
	"github.com/oklog/run":                                    {"internal/app", "internal/ingest"},
	"github.com/prometheus/client_golang/prometheus/promhttp": {"internal/telemetry"},
}

func TestImports_librariesHaveOneHome(t *testing.T) {
	for _, f := range code(t) {
		if !strings.HasPrefix(f.dir, "internal/") && f.dir != "schemas" {
			continue // mains, examples, integration
		}
		for p := range f.imports() {
			for lib, dirs := range homes {
				if (p == lib || strings.HasPrefix(p, lib+"/")) && !slices.Contains(dirs, f.dir) {
					t.Errorf("%s imports %s, whose home is %v", f.name, p, dirs)
				}
			}
		}
	}
}

// banned imports, tests included, and what to use instead.
var banned = map[string]string{
	"math/rand":             "math/rand/v2, seeded by the caller",
	"github.com/stretchr":   "the standard library and go-cmp",
	"github.com/pkg/errors": "errors and fmt.Errorf with %w",
	"gopkg.in/yaml":         "go.yaml.in/yaml/v3",
	"net/http/pprof":        "nothing: the admin listener has no profiler",
	"unsafe":                "nothing",
}

// allowed are the files that may import what is banned, each with the reason.
var allowed = map[string]string{
	"internal/codec/texts.go": "unsafe", // texts in memory that is used again: a tenth of the reconciler's time
}

func noBannedImport(f goFile, report reporter) {
	for p := range f.imports() {
		for bad, instead := range banned {
			if (p == bad || strings.HasPrefix(p, bad+"/")) && p != "math/rand/v2" && allowed[f.name] != bad {
				report("%s imports %s; use %s", f.name, p, instead)
			}
		}
	}
}

// What only tests and the demo need must not be linked into what runs in production.
func TestPrograms_linkNoFakes(t *testing.T) {
	var mains []string
	for _, main := range []string{"ingest", "poller", "reconciler"} {
		if files, _ := filepath.Glob("../../cmd/" + main + "/*.go"); len(files) > 0 {
			mains = append(mains, "./cmd/"+main)
		}
	}
	if len(mains) == 0 {
		t.Skip("no main exists")
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, mains...)...)
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %v: %v", mains, err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"internal/events") {
		t.Fatalf("go list -deps %v lists no package of ours", mains)
	}
	for _, dep := range deps {
		for _, bad := range []string{"/kfake", "/srfake", "internal/kafka/embedded", "/simulator", "internal/sim", "internal/demo", "/providertest", "testing", "cobra", "kafka-go", "goavro"} {
			if strings.Contains(dep, bad) && (bad != "testing" || dep == bad) {
				t.Errorf("%v link %s", mains, dep)
			}
		}
	}
}

func TestImports_providersAreNamedByMainsOnly(t *testing.T) {
	for _, f := range code(t) {
		if strings.HasPrefix(f.dir, "cmd/") || strings.HasPrefix(f.dir, "integration") || strings.HasPrefix(f.dir, "bench") {
			continue
		}
		for p := range f.imports() {
			if to, _ := strings.CutPrefix(p, module); slices.Contains(concretes, to) {
				t.Errorf("%s imports %s: only mains name providers", f.name, p)
			}
		}
	}
}
