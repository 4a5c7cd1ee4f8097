package integration_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rampstream/integration"
	"rampstream/internal/providers/simulator"
	"rampstream/internal/run"
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
	have, err := integration.Cluster{Script: n.script}.Nodes(t.Context())
	if err != nil || len(have) != 3 {
		t.Skipf("no three nodes to harm: %s status lists %v (%v)", n.script, have, err)
	}
	// One that another scenario has left down is a failure and no reason to skip.
	status := ""
	eventually(t, patience, "three nodes run", func() (bool, string) {
		status, err = n.do("status")
		return err == nil && n.run(status, "1", "2", "3"), status
	})
	first, _, _ := strings.Cut(*realBrokers, ",")
	_, port, _ := net.SplitHostPort(first)
	if !strings.Contains(status, "port="+port) {
		t.Skipf("no nodes to harm: %s status does not list the cluster of KAFKA_BROKERS\n%s", n.script, status)
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

// run reports whether a status says that nodes run.
func (n *nodes) run(status string, ids ...string) bool {
	for _, id := range ids {
		if !strings.Contains("\n"+status, "\n"+id+" running") {
			return false
		}
	}
	return true
}

// script is what controls the cluster.
func script() string {
	if s := os.Getenv("KAFKA_CONTROL"); s != "" {
		return s
	}
	return filepath.Join("..", "scripts", "kafka")
}

func (n *nodes) do(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
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
	more := w.load() // for as long as nodes come and go

	pause(t.Context(), time.Second)
	n.kill("2")
	pause(t.Context(), 4*time.Second)
	n.start("2")
	if w.leading(3) == 0 {
		t.Error("node 3 leads nothing: to stop it proves nothing")
	}
	n.pause("3")
	eventually(t, patience, "the others have replaced node 3", func() (bool, string) {
		led := w.leading(3)
		return led == 0, fmt.Sprintf("it leads %d partitions", led)
	})
	pause(t.Context(), 2*time.Second)
	n.resume("3")
	must(t, <-placed)
	more()
	reconciler = w.supervised(reconciler)
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, reconciler)
	w.ownership(4)
}

// leading counts the partitions of our topics that a broker leads, -1 while
// nobody says so. One that is fenced leads none.
func (w *world) leading(node int32) (led int) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	m, err := w.adm.Metadata(ctx, w.topics().All()...)
	if err != nil {
		return -1
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.Leader == node {
				led++
			}
		}
	}
	return led
}

// supervised is a program as its supervisor has it: ready, and started again
// where it ended with 1, as it may where brokers are gone for long.
func (w *world) supervised(p *process) *process {
	w.t.Helper()
	for range 5 {
		eventually(w.t, patience, p.String()+" is ready, or has ended", func() (bool, string) {
			if ended(p) {
				return true, ""
			}
			code, said := p.readiness()
			return code == http.StatusOK, said
		})
		if !ended(p) {
			return p
		}
		w.t.Logf("%s ended with %d: its supervisor starts it again", p, p.Code())
		if p.Code() != run.Failed {
			break
		}
		p = w.start(p.name, p.Instance)
	}
	w.t.Fatalf("%s ends by itself with %d\n%s", p, p.Code(), tail(p.log.String()))
	return nil
}

// ended reports whether a process has ended.
func ended(p *process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}
