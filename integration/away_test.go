package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
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
		n := controlled(t)
		return p, func() { n.kill("2"); n.kill("3") }, func() { n.start("2"); n.start("3") }
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
