package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rampstream/integration"
	"rampstream/internal/config"
	"rampstream/internal/kafka/embedded"
)

// produceDeadline is how long ingest waits for Kafka in this scenario.
const produceDeadline = 2 * time.Second

// kafkaAway: without Kafka an answer is an honest 503 in time; with it again
// everything goes on, and nothing that was acknowledged is gone.
func kafkaAway(t *testing.T, p platform) {
	p, down, up := outage(t, p)
	w := newWorld(t, p, options{change: func(c *config.Config) { c.Ingest.ProduceDeadline = produceDeadline }})
	ingest := w.start("ingest", "a")
	ingest.ready()
	var promised []integration.Receipt
	accepted := func(id string) (bool, string) {
		a := w.intend(id)
		if a.Status != http.StatusOK {
			return false, fmt.Sprintf("%d %s", a.Status, a.Body)
		}
		var r integration.Receipt
		must(t, json.Unmarshal(a.Body, &r))
		promised = append(promised, r)
		return true, ""
	}
	for n := range 20 {
		if ok, said := accepted(fmt.Sprintf("before-%d", n)); !ok {
			t.Fatalf("before the outage: %s", said)
		}
	}

	down()
	refused, slowest := 0, time.Duration(0)
	eventually(t, 60*time.Second, "ingest says 503 and is not ready", func() (bool, string) {
		a := w.intend(fmt.Sprintf("meanwhile-%d", refused))
		slowest = max(slowest, a.Took)
		switch seconds, err := strconv.Atoi(a.RetryAfter); {
		case a.Status == http.StatusOK: // what was on its way may still be acknowledged
			return false, "200"
		case a.Status != http.StatusServiceUnavailable:
			t.Fatalf("without Kafka: %d %s, want 503", a.Status, a.Body)
		case err != nil || seconds < 1:
			t.Fatalf("503 with Retry-After %q", a.RetryAfter)
		}
		refused++
		code, said := ingest.readiness()
		return refused >= 3 && code == http.StatusServiceUnavailable, fmt.Sprintf("%d refused; readiness %d %s", refused, code, said)
	})
	if slowest > produceDeadline+time.Second {
		t.Errorf("an answer took %v without Kafka; want at most %v", slowest, produceDeadline+time.Second)
	}

	up()
	eventually(t, 60*time.Second, "ingest takes intents again", func() (bool, string) { return accepted(fmt.Sprintf("after-%d", len(promised))) })
	ingest.ready()
	for n := range 20 {
		if ok, said := accepted(fmt.Sprintf("later-%d", n)); !ok {
			t.Errorf("after the outage: %s", said)
		}
	}
	ingest.stop()
	run := w.record()
	run.Receipts = promised
	w.check(run)
	t.Logf("%d answers 503, the slowest after %v; %d receipts kept", refused, slowest.Round(time.Millisecond), len(promised))
}

// outage gives a platform whose brokers can be taken away and brought back: an
// embedded one of its own, or two of three real nodes.
func outage(t *testing.T, p platform) (_ platform, down, up func()) {
	t.Helper()
	if p.real() {
		down, up = nodes(t)
		return p, down, up
	}
	o := embedded.Options{DataDir: t.TempDir(), BrokerAddr: freeAddr(t), RegistryAddr: freeAddr(t)}
	cluster, err := embedded.Start(o)
	must(t, err)
	t.Cleanup(func() { cluster.Close() })
	p.brokers, p.registry = cluster.Brokers(), cluster.RegistryURL()
	up = func() {
		eventually(t, 20*time.Second, "the broker is back", func() (bool, string) {
			again, err := embedded.Start(o)
			if err != nil {
				return false, err.Error()
			}
			cluster = again
			return true, ""
		})
	}
	return p, func() { cluster.Close() }, up
}

// nodes controls the real cluster with scripts/kafka, or with what
// KAFKA_CONTROL names: a program that knows "kill ID", "start ID" and "status".
func nodes(t *testing.T) (down, up func()) {
	t.Helper()
	script := os.Getenv("KAFKA_CONTROL")
	if script == "" {
		script = filepath.Join("..", "scripts", "kafka")
	}
	control := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, script, args...).CombinedOutput()
		return string(out), err
	}
	status, err := control("status")
	first, _, _ := strings.Cut(*realBrokers, ",")
	_, port, _ := net.SplitHostPort(first)
	if err != nil || !strings.Contains(status, "port="+port) || !strings.Contains(status, "3 running") {
		t.Skipf("no three nodes to kill: %s status does not list the cluster of KAFKA_BROKERS (%v)\n%s", script, err, status)
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := control(args...); err != nil {
			t.Fatalf("%s %v: %v\n%s", script, args, err, out)
		}
	}
	killed := false
	down = func() { killed = true; run("kill", "2"); run("kill", "3") }
	up = func() { run("start", "2"); run("start", "3"); killed = false }
	t.Cleanup(func() {
		if killed {
			up()
		}
	})
	return down, up
}
