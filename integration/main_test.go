package integration_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/kafka/embedded"
)

var (
	realBrokers  = flag.String("kafka", os.Getenv("KAFKA_BROKERS"), "brokers of a real cluster")
	realRegistry = flag.String("registry", os.Getenv("REGISTRY_URL"), "URL of its schema registry")
	seed         = flag.Uint64("seed", 1, "seed of fates, faults and kills")
)

// bin is the folder of the built programs.
var bin string

// ran lists, by platform, the scenarios that ran to their end, and those that
// were left out.
var ran = tally{done: map[string]int{}, skipped: map[string][]string{}}

type tally struct {
	mu      sync.Mutex
	done    map[string]int
	skipped map[string][]string
}

func (r *tally) note(t *testing.T, platform, scenario string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.Skipped() {
		r.skipped[platform] = append(r.skipped[platform], scenario)
		return
	}
	r.done[platform]++
}

// on says of one platform what ran there.
func (r *tally) on(platform string) string {
	text := fmt.Sprintf("%d scenarios ran on %s Kafka", r.done[platform], platform)
	if left := r.skipped[platform]; len(left) > 0 {
		text += fmt.Sprintf(", left out: %s", strings.Join(left, ", "))
	}
	return text
}

func TestMain(m *testing.M) {
	flag.Parse()
	// Scenarios mostly wait, so more of them may run at once than there are cores.
	_ = flag.Set("test.parallel", strconv.Itoa(together))
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if os.Getenv("REAL_KAFKA") == "required" && (*realBrokers == "" || *realRegistry == "") {
		fmt.Fprintln(os.Stderr, "integration: REAL_KAFKA=required, but KAFKA_BROKERS or REGISTRY_URL is not set")
		return 1
	}
	dir, err := os.MkdirTemp("", "integration")
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin = dir
	build := exec.CommandContext(context.Background(), "go", "build", "-o", bin+string(filepath.Separator),
		"../cmd/ingest", "../cmd/poller", "../cmd/reconciler", "../cmd/rampctl", "../examples/merchant")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "integration: build the programs:", err)
		return 1
	}
	code := m.Run()
	fmt.Fprintf(os.Stdout, "integration: %s; %s\n", ran.on("embedded"), ran.on("real"))
	if *realBrokers == "" || *realRegistry == "" {
		fmt.Fprintln(os.Stdout, "integration: real Kafka was left out: KAFKA_BROKERS and REGISTRY_URL are not set")
	}
	if os.Getenv("REAL_KAFKA") == "required" && ran.done["real"] == 0 && flag.Lookup("test.list").Value.String() == "" {
		fmt.Fprintln(os.Stdout, "integration: REAL_KAFKA=required, and no scenario ran there")
		return 1
	}
	return code
}

// platform is where scenarios run.
type platform struct {
	name     string
	brokers  []string
	registry string
	replicas int16
}

func (p platform) real() bool { return p.name == "real" }

// A scenario is one story, told on every platform.
type scenario struct {
	name string
	run  func(*testing.T, platform)
	// alone reports whether it runs apart: it measures, or takes brokers away
	// from the others.
	alone func(platform) bool
}

func never(platform) bool  { return false }
func always(platform) bool { return true }

var scenarios = []scenario{
	{"ring", ring, never},
	{"crash", crash, never},
	{"boundaries", boundaries, never},
	{"boundaries of the outputs", outputBoundaries, never},
	{"boundaries, old protocol", boundariesOld, never},
	{"boundaries of the start", openBoundaries, never},
	{"checkpoints", checkpoints, never},
	{"rest", rest, never},
	{"ingest killed", ingestKilled, never},
	{"ingest stopped", ingestStopped, never},
	{"processors", processors, never},
	{"at least once", atLeastOnce, never},
	{"rebalance", rebalance, never},
	{"pollers", pollers, never},
	{"unheard", unheard, never},
	{"flood", flood, always},
	{"restart", restart, never},
	{"forgetting", forgetting, never},
	{"rollout", rollout, never},
	{"readers", readers, never},
	{"merchant", merchant, never},
	{"redrive", redriven, never},
	{"secured", secured, never},
	{"members", members, never},
	{"one topic grows", oneGrows, never},
	{"all topics grow", allGrow, never},
	{"kado bodies", kadoBodies, never},
	{"peers", peersRing, never},
	{"peers, other dialect", peersOther, never},
	{"exit codes", exitCodes, never},
	{"twins", twins, never},
	{"foreign members", foreignMembers, never},
	{"compaction", compaction, never},
	{"epochs", epochs, never},
	{"epochs, killed", epochsKilled, never},
	{"hanging transaction", hangingTransaction, never},
	{"made anew", madeAnew, never},
	{"retention passed", retentionPassed, never},
	{"answers lost", answersLost, never},
	{"offsets lost", offsetsLost, never},
	{"coordinator storm", coordinatorStorm, never},
	{"bad network", badNetwork, never},
	{"lost packets", lostPackets, never},
	{"late ends", lateEnds, never},
	{"late ends, old protocol", lateEndsOld, never},
	{"late produces", lateProduces, never},
	{"late produces, old protocol", lateProducesOld, never},
	{"bad secrets", badSecrets, never},
	{"hostile", hostile, always},
	{"broker lost", brokerLost, platform.real},
	{"kafka away", kafkaAway, platform.real},
	{"power loss", powerLoss, platform.real},
	{"unclean election", uncleanElection, platform.real},
	{"disk full", diskFull, platform.real},
}

func TestEmbedded(t *testing.T) {
	cluster, err := embedded.Start(embedded.Options{})
	must(t, err)
	t.Cleanup(cluster.Close)
	runAll(t, platform{"embedded", cluster.Brokers(), cluster.RegistryURL(), 1})
}

func TestReal(t *testing.T) {
	if *realBrokers == "" || *realRegistry == "" {
		t.Skip("KAFKA_BROKERS and REGISTRY_URL are not set: export $(scripts/kafka up 3)")
	}
	brokers := strings.Split(*realBrokers, ",")
	runAll(t, platform{"real", brokers, *realRegistry, int16(min(len(brokers), 3))})
}

// together is how many scenarios run at once.
const together = 4

func runAll(t *testing.T, p platform) {
	one := func(t *testing.T, s scenario) {
		defer func() { ran.note(t, p.name, s.name) }()
		start := time.Now()
		s.run(t, p)
		t.Logf("%s on %s Kafka: %.1f s", s.name, p.name, time.Since(start).Seconds())
	}
	t.Run("together", func(t *testing.T) {
		for _, s := range scenarios {
			if !s.alone(p) {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					one(t, s)
				})
			}
		}
	})
	for _, s := range scenarios {
		if s.alone(p) {
			t.Run(s.name, func(t *testing.T) { one(t, s) })
		}
	}
}
