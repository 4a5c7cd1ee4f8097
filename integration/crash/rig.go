package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/integration"
	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/providers/simulator"
)

const (
	partitions = 4
	nodes      = 3
)

// rig is everything that one run stands on. What close undoes is added as it is
// made.
type rig struct {
	o       options
	dir     string
	file    string // the configuration
	cluster integration.Cluster
	ground  integration.Ground
	rec     *recorder
	front   *front
	watch   *watch
	slots   []*slot
	ports   map[int]bool   // that were given to programs
	noted   sync.WaitGroup // processes whose end and output are not noted yet
	undo    []func()

	mu     sync.Mutex
	fatal  error // the first end of a program that no fault explains
	output strings.Builder
	exits  map[int]int // ends of programs by themselves, by code
	ended  []string    // ... for people
}

// newRig builds the programs, finds or starts the cluster, and starts all
// programs on topics of their own.
func newRig(ctx context.Context, o options) (r *rig, err error) {
	r = &rig{o: o, exits: map[int]int{}, ports: map[int]bool{}}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "crash"); err != nil {
		return nil, err
	}
	if r.o.history == "" {
		r.o.history = filepath.Join(r.dir, "history.jsonl")
	}
	if r.rec, err = newRecorder(r.o.history); err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(r.dir, "bin")+string(filepath.Separator),
		"./cmd/ingest", "./cmd/poller", "./cmd/reconciler", "./cmd/rampctl")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the programs (run from the repository's root): %w", err)
	}
	brokers, registry, err := r.openCluster(ctx)
	if err != nil {
		return nil, err
	}
	return r, r.populate(ctx, brokers, registry)
}

// extra makes a broker's death known sooner than after nine seconds.
const extra = "broker.session.timeout.ms=4000\nbroker.heartbeat.interval.ms=1000\nleader.imbalance.check.interval.seconds=20"

// openCluster takes the cluster of the environment, or starts one.
func (r *rig) openCluster(ctx context.Context) (brokers []string, registry string, err error) {
	r.cluster = integration.Cluster{Script: r.o.script}
	list, registry := os.Getenv("KAFKA_BROKERS"), os.Getenv("REGISTRY_URL")
	if list == "" || registry == "" {
		if os.Getenv("KAFKA_EXTRA") == "" {
			_ = os.Setenv("KAFKA_EXTRA", extra)
		}
		if os.Getenv("KAFKA_STATE") == "" {
			_ = os.Setenv("KAFKA_STATE", filepath.Join(r.dir, "kafka"))
		}
		r.undo = append(r.undo, func() { _, _ = r.cluster.Do(context.Background(), "down") })
		cmd := exec.CommandContext(ctx, r.o.script, "up", strconv.Itoa(nodes))
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, "", fmt.Errorf("start a cluster: %w", err)
		}
		for line := range strings.Lines(string(out)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch name {
			case "KAFKA_BROKERS":
				list = value
			case "REGISTRY_URL":
				registry = value
			}
		}
	}
	brokers = strings.Split(list, ",")
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(100*time.Millisecond), kgo.RequestTimeoutOverhead(3*time.Second))
	if err != nil {
		return nil, "", err
	}
	r.undo = append(r.undo, cl.Close)
	r.cluster.Client, r.cluster.Admin = cl, kadm.NewClient(cl)
	have, err := r.cluster.Nodes(ctx)
	if err != nil {
		return nil, "", err
	}
	if len(have) != nodes {
		return nil, "", fmt.Errorf("%s controls %d nodes, want %d", r.o.script, len(have), nodes)
	}
	return brokers, registry, r.cluster.Heal(ctx)
}

// populate makes topics, providers and configuration, and starts the programs.
func (r *rig) populate(ctx context.Context, brokers []string, registry string) error {
	var addresses []string
	for range ingests {
		a, err := r.freeAddr()
		if err != nil {
			return err
		}
		addresses = append(addresses, a)
	}
	var err error
	if r.front, err = newFront(r.rec, addresses); err != nil {
		return err
	}
	r.undo = append(r.undo, r.front.close)
	// The poller halves its rate at every 429 and is slow to raise it again. From
	// providers that say it at random, and have no limit, it would learn to ask
	// once a second and be hours behind.
	faults := simulator.DefaultFaults()
	faults.RateLimit = 0.0005
	r.ground.Sim, err = demo.New(ctx, demo.Options{Seed: r.o.seed, Faults: faults, Ingest: r.front.url})
	if err != nil {
		return err
	}
	r.undo = append(r.undo, r.ground.Sim.World.Close)
	r.ground.Config, r.ground.Admin = r.config(brokers, registry), r.cluster.Admin
	if r.file, err = demo.WriteConfig(r.ground.Config, filepath.Join(r.dir, "config")); err != nil {
		return err
	}
	for _, args := range [][]string{{"topics", "apply"}, {"schemas", "register"}, {"topics", "check"}} {
		if err := r.rampctl(ctx, args...); err != nil {
			return err
		}
	}
	if r.watch, err = newWatch(brokers, r.ground.Config.Topics.Names().ReconcilerPosition, partitions); err != nil {
		return err
	}
	r.undo = append(r.undo, r.watch.close)
	return r.startAll(ctx, addresses)
}

func (r *rig) config(brokers []string, registry string) config.Config {
	c := r.ground.Sim.Config(brokers, registry)
	c.Topics.Prefix = fmt.Sprintf("crash-%08x.", rand.Uint32())
	c.Topics.Partitions, c.Topics.Replicas = partitions, nodes
	c.Ingest.PublicURL = "https://hooks.example.com"
	c.Ingest.ProduceDeadline = 4 * time.Second // the simulators wait for 5 s
	c.Poller.Group, c.Reconciler.Group = c.Topics.Prefix+"poller", c.Topics.Prefix+"reconciler"
	c.Poller.InstanceID, c.Reconciler.InstanceID, c.Reconciler.TransactionalID = "none", "none", ""
	c.Poller.SessionTimeout, c.Reconciler.SessionTimeout, c.Reconciler.TransactionTimeout = r.o.sessionTO, r.o.sessionTO, r.o.txnTO
	// A provider may change its mind after the first confirmation, and the
	// webhook that says so may be lost: ask again when every order has ended.
	c.Rules.ConfirmationsCompleted = []time.Duration{4 * time.Second, 25 * time.Second}
	c.Rules.ConfirmationsOther = c.Rules.ConfirmationsCompleted
	c.Poller.CallTimeout = r.o.sessionTO / 3
	if r.o.atLeast {
		c.Reconciler.Guarantee = config.AtLeastOnce
	}
	return c
}

func (r *rig) rampctl(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(r.dir, "bin", "rampctl"), append([]string{"-c", r.file}, args...)...)
	cmd.Env = integration.Environment("rampctl")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rampctl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// close undoes all in reverse order.
func (r *rig) close() {
	for _, s := range r.slots {
		s.end()
	}
	for i := len(r.undo) - 1; i >= 0; i-- {
		r.undo[i]()
	}
}

// fail keeps the first end of a program that no fault explains.
func (r *rig) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fatal = errors.Join(r.fatal, err)
}

func (r *rig) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fatal
}

// freeAddr is a loopback address below the range of outgoing connections, so
// that a program can be killed and started on it again. It is given once.
func (r *rig) freeAddr() (string, error) {
	for range 1000 {
		port := 11000 + rand.IntN(8000)
		if r.ports[port] {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			r.ports[port] = true
			return addr, ln.Close()
		}
	}
	return "", errors.New("no free port")
}
