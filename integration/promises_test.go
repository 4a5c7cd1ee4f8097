package integration_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration"
	"rampstream/integration/proxy"
	"rampstream/internal/config"
	receiver "rampstream/internal/ingest"
	"rampstream/internal/kafka"
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
	// Providers that are patient: a start takes its time.
	x := throughIngestProxy(t, p, options{faults: simulator.DefaultFaults(), again: 10})
	ingest, poller, reconciler := x.startIngest(), x.start("poller", "a"), x.start("reconciler", "a")
	poller.ready()
	reconciler.ready()
	stopLoad := x.load()
	for n := range *ingestKills {
		rule := &proxy.Rule{Key: kmsg.Produce, Client: ingestClient, HaltAfter: n%2 == 0}
		x.proxy.Add(rule)
		select {
		case <-rule.Reached():
		case <-time.After(patience):
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

	x.accepted(func() answer { return x.intend("before") })
	kept := &proxy.Rule{Key: kmsg.Produce, Client: ingestClient, HaltBefore: true}
	x.proxy.Add(kept)
	got := ask("kept")
	eventually(t, patience, "the produce is kept", func() (bool, string) { return kept.IsReached(), "" })
	stop()
	resumed := time.Now()
	must(t, ingest.Resume())
	a := <-got
	if late := time.Since(resumed); a.Status != http.StatusServiceUnavailable || a.RetryAfter == "" || late > 15*time.Second {
		t.Errorf("answered %d (Retry-After %q) %v after it went on; want 503 at once", a.Status, a.RetryAfter, late)
	}

	// Its connections are of no use, as after a long sleep.
	x.proxy.Clear()
	x.proxy.Reset()
	x.accepted(func() answer { return x.intend("again") })

	slow := &proxy.Rule{Key: kmsg.Produce, Client: ingestClient, Delay: deadline / 2, Times: 1, Only: writes("meanwhile")}
	x.proxy.Add(slow)
	got = ask("meanwhile")
	eventually(t, patience, "the request is on its way", func() (bool, string) { return slow.Hits() > 0, "" })
	stop()
	_, log := x.reading()
	eventually(t, patience, "Kafka takes the record while ingest stands still", func() (bool, string) {
		return x.holds(log, x.topics().Intent, "meanwhile"), ""
	})
	must(t, ingest.Resume())
	a = <-got
	// What came later than HTTP's own limit of an answer is not heard.
	if a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable && (a.Status != 0 || a.Took < writeWithin) {
		t.Errorf("answered %d %s after %v, want 200 or 503", a.Status, a.Body, a.Took)
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

// writeWithin is how long after a request its answer can still be written.
var writeWithin = receiver.DefaultLimits().Write - time.Second

// writes reports whether a produce request has a record about an order. Its key
// stands in front, where no compression has anything to refer to.
func writes(id string) func(kmsg.Request) bool {
	return func(req kmsg.Request) bool {
		r, ok := req.(*kmsg.ProduceRequest)
		return ok && slices.ContainsFunc(r.Topics, func(t kmsg.ProduceRequestTopic) bool {
			return slices.ContainsFunc(t.Partitions, func(p kmsg.ProduceRequestTopicPartition) bool { return bytes.Contains(p.Records, []byte("/"+id)) })
		})
	}
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
func (w *world) holds(log *kafka.Log, topic, id string) (found bool) {
	w.t.Helper()
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
