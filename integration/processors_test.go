package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"rampstream/integration"
	"rampstream/internal/config"
	"rampstream/internal/providers/simulator"
)

// processors: what one reconciler joined while it came in, others join from the
// same inputs again, each with another number of processors, batches of another
// size and a kill in between. Every state and every discrepancy has the same
// bytes. Tasks need not: whether a hint was read before the answer to it depends
// on the order of the topics, and the poller then asks once more.
func processors(t *testing.T, p platform) {
	w := newWorld(t, p, options{faults: simulator.DefaultFaults()})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 40, 8, 2*time.Second))
	w.agree()
	run := w.finish([]*process{ingest}, []*process{poller}, reconciler)

	first := live(run.History)
	for _, n := range []int{1, 2, 8} {
		same(t, n, first, live(w.joinedAgain(n)))
	}
}

// joinedAgain has a reconciler with so many processors join the world's inputs
// from their beginning, into topics of its own.
func (w *world) joinedAgain(processors int) integration.History {
	w.t.Helper()
	inputs := w.topics()
	cfg := w.cfg
	file := w.variant(fmt.Sprintf("processors-%d.yaml", processors), func(c *config.Config) {
		c.Topics.Prefix += fmt.Sprintf("p%d.", processors)
		c.Topics.Override.Webhook, c.Topics.Override.Intent, c.Topics.Override.StatusCheck = inputs.Webhook, inputs.Intent, inputs.StatusCheck
		c.Reconciler.Group, c.Reconciler.MaxBatch = c.Topics.Prefix+"reconciler", 7*processors
		cfg = *c
	})
	g := integration.Ground{Config: cfg, Sim: w.sim, Admin: w.adm}
	for _, args := range [][]string{{"topics", "apply"}, {"schemas", "register"}} {
		if code, out := w.command("rampctl", append([]string{"-c", file}, args...)...); code != 0 {
			w.t.Fatalf("rampctl %v: exit code %d, want 0\n%s", args, code, out)
		}
	}
	if w.p.real() {
		outputs := slices.DeleteFunc(cfg.Topics.Names().All(), func(topic string) bool { return slices.Contains(inputs.Inputs(), topic) })
		w.t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			_, _ = w.adm.DeleteTopics(ctx, outputs...) // politeness only
		})
	}
	env := []string{fmt.Sprintf("GOMAXPROCS=%d", processors)}
	r := w.startIn(env, "reconciler", "a", file)
	r.ready()
	if got := r.gauge("go_sched_gomaxprocs_threads"); got != processors {
		w.t.Errorf("%s has %d processors, want %d", r, got, processors)
	}
	r.kill()
	r = w.startIn(env, "reconciler", "a", file)
	r.ready()
	eventually(w.t, patience, "the inputs are joined again", func() (bool, string) {
		behind, err := g.Behind(w.t.Context())
		if err != nil {
			return false, err.Error()
		}
		return behind == "", behind
	})
	r.stop()
	h, err := integration.Read(w.t.Context(), cfg.Kafka.Brokers, cfg.Topics.Names(), cfg.Topics.Partitions)
	must(w.t, err)
	return h
}

// live are the values that stand in the tables of states and discrepancies, by
// table and key.
func live(h integration.History) map[string]map[string][]byte {
	out := map[string]map[string][]byte{}
	for table, topic := range map[string]string{"order": h.Topics.OrderState, "customer": h.Topics.CustomerState, "discrepancy": h.Topics.Discrepancy} {
		out[table] = map[string][]byte{}
		for key, r := range h.Latest(topic) {
			if r.Value != nil {
				out[table][key] = r.Value
			}
		}
	}
	return out
}

func same(t *testing.T, processors int, first, again map[string]map[string][]byte) {
	t.Helper()
	n := 0
	for table, want := range first {
		got := again[table]
		if len(got) != len(want) || len(want) == 0 && table != "discrepancy" {
			t.Errorf("%d processors: %d entries of %s, want %d, and some", processors, len(got), table, len(want))
		}
		for key, value := range want {
			if !bytes.Equal(value, got[key]) {
				t.Errorf("%d processors: %s %s is %x, want %x", processors, table, key, got[key], value)
			}
			n++
		}
	}
	t.Logf("%d processors: %d values have the same bytes", processors, n)
}
