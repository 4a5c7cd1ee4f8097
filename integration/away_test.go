package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
		switch a.Status {
		case http.StatusOK:
		case http.StatusServiceUnavailable: // as it may be where Kafka takes long
			return false, "503"
		default:
			t.Fatalf("an intent: %d %s, want 200 or 503", a.Status, a.Body)
		}
		var r integration.Receipt
		must(t, json.Unmarshal(a.Body, &r))
		promised = append(promised, r)
		return true, ""
	}
	for n := range 20 {
		eventually(t, patience, "an intent before the outage", func() (bool, string) { return accepted(fmt.Sprintf("before-%d", n)) })
	}

	down()
	var refused []time.Duration
	eventually(t, patience, "ingest says 503 and is not ready", func() (bool, string) {
		a := w.intend(fmt.Sprintf("meanwhile-%d", len(refused)))
		switch seconds, err := strconv.Atoi(a.RetryAfter); {
		case a.Status == http.StatusOK: // what was on its way may still be acknowledged
			return false, "200"
		case a.Status != http.StatusServiceUnavailable:
			t.Fatalf("without Kafka: %d %s, want 503", a.Status, a.Body)
		case err != nil || seconds < 1:
			t.Fatalf("503 with Retry-After %q", a.RetryAfter)
		}
		refused = append(refused, a.Took)
		code, said := ingest.readiness()
		return len(refused) >= 5 && code == http.StatusServiceUnavailable, fmt.Sprintf("%d refused; readiness %d %s", len(refused), code, said)
	})
	// A machine that stands still for some seconds makes one answer late, not most
	// of them; no answer waits for the 30 s that a record may.
	slices.Sort(refused)
	median, slowest := refused[len(refused)/2], refused[len(refused)-1]
	if median > produceDeadline+time.Second || slowest > produceDeadline+15*time.Second {
		t.Errorf("answers took %v without Kafka; want most of them within %v", refused, produceDeadline+time.Second)
	}

	up()
	eventually(t, patience, "ingest takes intents again", func() (bool, string) { return accepted(fmt.Sprintf("after-%d", len(promised))) })
	ingest.ready()
	for n := range 20 {
		eventually(t, patience, "an intent after the outage", func() (bool, string) { return accepted(fmt.Sprintf("later-%d", n)) })
	}
	ingest.stop()
	run := w.record()
	run.Receipts = promised
	w.check(run)
	t.Logf("%d answers 503, most within %v, the slowest after %v; %d receipts kept", len(refused), median.Round(time.Millisecond), slowest.Round(time.Millisecond), len(promised))
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
		eventually(t, patience, "the broker is back", func() (bool, string) {
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
