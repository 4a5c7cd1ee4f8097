package integration_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration"
	"rampstream/integration/proxy"
	"rampstream/internal/config"
	"rampstream/internal/providers/simulator"
	"rampstream/internal/stream"
)

var ingestKills = flag.Int("ingest-kills", 20, "how often ingest is killed between an acknowledgement and its answer")

const ingestClient = "rampstream-ingest"

// promised is a world whose ingest reaches its brokers through a proxy.
type promised struct {
	*world
	proxy *proxy.Proxy
	file  string
}

func throughIngestProxy(t *testing.T, p platform, o options) *promised {
	t.Helper()
	x := &promised{world: newWorld(t, p, o)}
	var err error
	x.proxy, err = proxy.Open(p.brokers)
	must(t, err)
	t.Cleanup(x.proxy.Close)
	x.file = x.variant("proxied.yaml", func(c *config.Config) { c.Kafka.Brokers = x.proxy.Brokers() })
	return x
}

// startIngest starts ingest behind the proxy and waits until it is ready.
func (x *promised) startIngest() *process {
	x.t.Helper()
	p := x.startOn("ingest", "a", x.file)
	p.ready()
	return p
}

// ingestKilled: ingest is killed when Kafka has a delivery and has said so, and
// the provider was not answered; every other time the acknowledgement itself is
// on its way. The providers repeat, and nothing is lost or told twice.
func ingestKilled(t *testing.T, p platform) {
	x := throughIngestProxy(t, p, options{faults: simulator.DefaultFaults()})
	ingest, poller, reconciler := x.startIngest(), x.start("poller", "a"), x.start("reconciler", "a")
	poller.ready()
	reconciler.ready()
	stopLoad := x.load()
	for n := range *ingestKills {
		rule := &proxy.Rule{Key: kmsg.Produce, Client: ingestClient, HaltAfter: n%2 == 0}
		x.proxy.Add(rule)
		select {
		case <-rule.Reached():
		case <-time.After(30 * time.Second):
			t.Fatalf("kill %d: nothing is delivered\n%s", n, tail(ingest.log.String()))
		}
		ingest.kill()
		x.proxy.Clear()
		ingest = x.startIngest()
	}
	stopLoad()
	x.agree()
	run := x.finish([]*process{ingest}, []*process{poller}, reconciler)
	twice := copies(run, x.topics().Webhook) + copies(run, x.topics().Intent)
	if twice < *ingestKills/4 { // the sender of what was not answered repeats it
		t.Errorf("%d events stand more than once after %d kills: the run proves nothing", twice, *ingestKills)
	}
	t.Logf("%d kills, %d events stand more than once", *ingestKills, twice)
}

// copies counts the records beyond the first of their event.
func copies(r integration.Run, topic string) (n int) {
	seen := map[string]bool{}
	r.Each(topic, func(rec stream.Record) {
		id, _ := rec.Header("ce_id")
		if seen[string(id)] {
			n++
		}
		seen[string(id)] = true
	})
	return n
}

// ingestStopped: ingest stands still for longer than it may wait for Kafka, with
// a request in flight. Where Kafka has not acknowledged, the answer is 503; where
// it did meanwhile, a 200 must be true.
func ingestStopped(t *testing.T, p platform) {
	const deadline = time.Second
	x := throughIngestProxy(t, p, options{change: func(c *config.Config) { c.Ingest.ProduceDeadline = deadline }})
	ingest := x.startIngest()
	stop := func() {
		t.Helper()
		must(t, ingest.Pause())
		pause(t.Context(), 3*deadline)
	}
	ask := func(id string) <-chan answer {
		got := make(chan answer, 1)
		go func() { got <- x.intend(id) }()
		return got
	}

	if a := x.intend("before"); a.Status != http.StatusOK {
		t.Fatalf("an intent was answered %d %s", a.Status, a.Body)
	}
	kept := &proxy.Rule{Key: kmsg.Produce, Client: ingestClient, HaltBefore: true}
	x.proxy.Add(kept)
	got := ask("kept")
	eventually(t, 30*time.Second, "the produce is kept", func() (bool, string) { return kept.IsReached(), "" })
	stop()
	resumed := time.Now()
	must(t, ingest.Resume())
	a := <-got
	if late := time.Since(resumed); a.Status != http.StatusServiceUnavailable || a.RetryAfter == "" || late > 10*time.Second {
		t.Errorf("answered %d (Retry-After %q) %v after it went on; want 503 at once", a.Status, a.RetryAfter, late)
	}

	// Its connections are of no use, as after a long sleep.
	x.proxy.Clear()
	x.proxy.Reset()
	eventually(t, 30*time.Second, "ingest takes intents again", func() (bool, string) {
		a := x.intend("again")
		return a.Status == http.StatusOK, string(a.Body)
	})

	slow := &proxy.Rule{Key: kmsg.Produce, Client: ingestClient, Delay: deadline / 2, Times: 1}
	x.proxy.Add(slow)
	got = ask("meanwhile")
	eventually(t, 30*time.Second, "the request is on its way", func() (bool, string) { return slow.Hits() > 0, "" })
	stop()
	eventually(t, 30*time.Second, "Kafka takes the record while ingest stands still", func() (bool, string) {
		return x.holds(x.topics().Intent, "meanwhile"), ""
	})
	must(t, ingest.Resume())
	a = <-got
	if a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s, want 200 or 503", a.Status, a.Body)
	}
	if a.Status == http.StatusOK {
		var r integration.Receipt
		must(t, json.Unmarshal(a.Body, &r))
		if !x.stands(r, "meanwhile") {
			t.Errorf("receipt %+v: no such record", r)
		}
	}
	t.Logf("what Kafka took meanwhile was answered %d", a.Status)
	ingest.stop()
}

// stands reports whether a receipt is true of an order.
func (w *world) stands(r integration.Receipt, id string) (found bool) {
	w.t.Helper()
	_, log := w.reading()
	must(w.t, log.Read(w.t.Context(), r.Topic, r.Partition, r.Offset, r.Offset+1, true, func(rec stream.Record) error {
		found = strings.HasSuffix(string(rec.Key), "/"+id)
		return nil
	}))
	return found
}

// holds reports whether a topic has a record about an order.
func (w *world) holds(topic, id string) (found bool) {
	w.t.Helper()
	_, log := w.reading()
	for n := range int32(partitions) {
		ends, err := log.Ends(w.t.Context(), n, topic)
		must(w.t, err)
		must(w.t, log.Read(w.t.Context(), topic, n, ends[topic].Start, ends[topic].End, true, func(rec stream.Record) error {
			found = found || strings.HasSuffix(string(rec.Key), "/"+id)
			return nil
		}))
	}
	return found
}
