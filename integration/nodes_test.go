package integration_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rampstream/internal/providers/simulator"
)

// nodes are the servers of the real cluster, under control of scripts/kafka, or
// of what KAFKA_CONTROL names: a program that knows "status" and kill, start,
// pause and resume of a node.
type nodes struct {
	t      *testing.T
	script string
	harmed map[string]string // what brings a node back, by node
}

// controlled skips the test where the cluster is not one of three nodes that
// the script controls. Whatever happens, the nodes run again at the end.
func controlled(t *testing.T) *nodes {
	t.Helper()
	n := &nodes{t: t, script: script(), harmed: map[string]string{}}
	status, err := n.do("status")
	first, _, _ := strings.Cut(*realBrokers, ",")
	_, port, _ := net.SplitHostPort(first)
	if err != nil || !strings.Contains(status, "port="+port) || !strings.Contains(status, "3 running") {
		t.Skipf("no three nodes to harm: %s status does not list the cluster of KAFKA_BROKERS (%v)\n%s", n.script, err, status)
	}
	t.Cleanup(func() {
		for id, cure := range n.harmed {
			if out, err := n.do(cure, id); err != nil {
				t.Errorf("%s %s: %v\n%s", cure, id, err, out)
			}
		}
	})
	return n
}

// script is what controls the cluster.
func script() string {
	if s := os.Getenv("KAFKA_CONTROL"); s != "" {
		return s
	}
	return filepath.Join("..", "scripts", "kafka")
}

func (n *nodes) do(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, n.script, args...).CombinedOutput()
	return string(out), err
}

func (n *nodes) must(args ...string) {
	n.t.Helper()
	if out, err := n.do(args...); err != nil {
		n.t.Fatalf("%s %v: %v\n%s", n.script, args, err, out)
	}
}

func (n *nodes) launch(id string) error { n.t.Helper(); _, err := n.do("launch", id); return err }
func (n *nodes) kill(id string)         { n.t.Helper(); n.harmed[id] = "start"; n.must("kill", id) }
func (n *nodes) start(id string)        { n.t.Helper(); n.must("start", id); delete(n.harmed, id) }
func (n *nodes) pause(id string)        { n.t.Helper(); n.harmed[id] = "resume"; n.must("pause", id) }
func (n *nodes) resume(id string)       { n.t.Helper(); n.must("resume", id); delete(n.harmed, id) }

// brokerLost: one of three nodes is killed under load, and another one stops
// until the others have replaced it and then goes on where it was. It leads
// partitions, coordinates groups and transactions, and may be the controller.
func brokerLost(t *testing.T, p platform) {
	if !p.real() {
		t.Skip("the embedded broker has no replicas")
	}
	n := controlled(t)
	w := newWorld(t, p, options{faults: simulator.DefaultFaults()})
	ingest, poller, reconciler := w.startAll()
	placed := make(chan error, 1)
	go func() { placed <- w.place(t.Context(), 60, 6, 20*time.Second) }()

	pause(t.Context(), time.Second)
	n.kill("2")
	pause(t.Context(), 4*time.Second)
	n.start("2")
	n.pause("3")
	pause(t.Context(), 12*time.Second) // longer than broker.session.timeout.ms, 9 s
	n.resume("3")
	must(t, <-placed)
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, reconciler)
	w.ownership(4)
}
