// Command bench measures what a release claims: requests a second of ingest and
// events a second of the reconciler, each as a process of its own, with its CPU
// time by the operating system's accounting, beside a peer that does the least
// that the same path could do.
//
//	go run ./bench ingest                  # embedded broker
//	go run ./bench reconciler              # beside it: the least that the same path could do
//	go run ./bench reconciler -guarantee at_least_once   # also -batch 1000, -partitions 1
//	go run ./bench reconciler -events 5000000 -orders 5000000   # every order is new
//	go run ./bench reconciler -store pebble      # states on disk; restore too
//	go run ./bench reconciler -streams     # and Kafka Streams, see bench/streams/README.md
//	go run ./bench reconciler -orders 1 -partitions 1 -events 1000000 -peers=false   # one hot order
//	go run ./bench reconciler -peers=false -profile FILE   # what the time is spent on
//	go run ./bench restore -orders 5000000 -partitions 12   # from the topic, from a checkpoint; what the states cost
//	go run ./bench poller -orders 1000000 -rate 2000
//	go run ./bench nonces -pollers 4 -for 2m   # pollers that join, leave, stand still and die
//	go run ./bench nonces -calls 1000000 -rebalance 20s -latency 0
//	go run ./bench verify -for 2s          # deliveries verified a second and core, by provider
//	go run ./bench timing -calls 1000000   # whether time tells how much of a signature was right
//	go run ./bench hints                   # from an unsigned callback to the status call it causes
//	export $(scripts/kafka up 1)           # a real one; the same commands use it
//
// Machines are noisy: compare the rows of one run.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"rampstream/internal/config"
)

// options of every benchmark.
type options struct {
	brokers, registry string
	connections       int
	duration          time.Duration
	events, orders    int
	partitions        int
	rate              float64
	lanes, pollers    int
	latency           time.Duration
	rebalance         time.Duration
	calls             int
	profile           string
	batch             int
	guarantee, store  string
	peers, streams    bool
	java              string
	replicas          int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := runMain(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func runMain(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: bench ingest|reconciler|restore|poller|nonces|hints|verify|timing [flags]")
	}
	var o options
	f := flag.NewFlagSet("bench "+args[0], flag.ContinueOnError)
	f.StringVar(&o.brokers, "brokers", os.Getenv("KAFKA_BROKERS"), "host:port,... of a real Kafka; empty starts the embedded one")
	f.StringVar(&o.registry, "registry", os.Getenv("REGISTRY_URL"), "its schema registry")
	f.IntVar(&o.connections, "connections", 64, "concurrent connections (ingest)")
	f.DurationVar(&o.duration, "for", 10*time.Second, "time of each row (ingest, poller, nonces)")
	f.IntVar(&o.events, "events", 200_000, "input records (reconciler)")
	f.IntVar(&o.orders, "orders", 20_000, "distinct orders (reconciler, restore, poller)")
	f.IntVar(&o.partitions, "partitions", 4, "partitions of every topic")
	f.Float64Var(&o.rate, "rate", 2000, "checks due a second (poller)")
	f.IntVar(&o.lanes, "lanes", 8, "accounts (poller, nonces)")
	f.IntVar(&o.pollers, "pollers", 4, "processes (nonces)")
	f.DurationVar(&o.latency, "latency", 5*time.Millisecond, "of a provider's answer (poller, nonces)")
	f.DurationVar(&o.rebalance, "rebalance", 9*time.Second, "about how often a poller joins, leaves, stands still or dies (nonces)")
	f.IntVar(&o.calls, "calls", 0, "calls after which to end, as fast as they can be made; 0: see -for (nonces)")
	f.StringVar(&o.profile, "profile", "", "file for a CPU profile (restore, reconciler)")
	f.IntVar(&o.batch, "batch", config.Default().Reconciler.MaxBatch, "input records a transaction at most, of the pass-through too (reconciler)")
	f.StringVar(&o.guarantee, "guarantee", string(config.ExactlyOnce), "exactly_once or at_least_once, of the pass-through too (reconciler)")
	f.StringVar(&o.store, "store", config.StoreMemory, "memory or pebble, where the states are (reconciler, restore)")
	f.BoolVar(&o.peers, "peers", true, "run the peer too")
	f.BoolVar(&o.streams, "streams", false, "run Kafka Streams too, on a real Kafka (reconciler); needs Java 17 and Maven")
	f.StringVar(&o.java, "java", "-Xms1g -Xmx1g -XX:+UseSerialGC", "flags of its virtual machine")
	f.IntVar(&o.replicas, "replicas", 0, "of every topic; 0: 3, or 1 on fewer than three brokers")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if o.replicas == 0 {
		o.replicas = 1
		if strings.Count(o.brokers, ",") >= 2 {
			o.replicas = 3
		}
	}
	return benchmark(ctx, args[0], o, f.Args())
}

// benchmark runs one by its name; rest are the words after the flags.
func benchmark(ctx context.Context, name string, o options, rest []string) error {
	switch name {
	case "ingest":
		return benchIngest(ctx, o)
	case "reconciler":
		return benchReconciler(ctx, o)
	case "restore":
		return benchRestore(ctx, o)
	case "held-states":
		return heldStates(ctx, o, rest)
	case "poller":
		return benchPoller(ctx, o)
	case "nonces":
		return benchNonces(ctx, o)
	case "verify":
		return benchVerify(ctx, o)
	case "timing":
		return benchTiming(ctx, o)
	case "hints":
		if o.orders > 5000 {
			o.orders = 500
		}
		return benchHints(ctx, o)
	case "peer-ingest":
		return peerIngest(ctx, o, rest)
	case "peer-poller":
		return peerPoller(ctx, o, rest)
	case "peer-passthrough":
		return peerPassthrough(ctx, o, rest)
	case "profiled-reconciler":
		return profiledReconciler(ctx, o, rest)
	}
	return fmt.Errorf("no benchmark %q", name)
}

// row prints one figure row as JSON, so that runs can be compared by a script.
func row(v any) {
	b, _ := json.Marshal(v) // plain structs always marshal
	fmt.Println(string(b))
}
