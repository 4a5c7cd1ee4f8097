package integration_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration"
	"rampstream/integration/proxy"
	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/providers/simulator"
)

// A boundary is a place of the reconciler's work. What it does between two of
// them nobody else can see, so that a crash anywhere is one at a boundary. The
// proxy has the process stand still there, and it is killed.
type boundary struct {
	name string
	// rules are where it stands still, and what else has to be so; the first one
	// is the place.
	rules func(*bounded) []*proxy.Rule
	// feed makes what the load does not make, or seldom.
	feed func(*bounded)
	// opening: it stands between the start of the process and its first batch.
	opening bool
	// torn: the transaction leaves records in the log and no end.
	torn bool
}

// bounded is a run in which one reconciler reaches its brokers through a proxy
// and is killed at one boundary after the other.
type bounded struct {
	*world
	proxy  *proxy.Proxy
	file   string // its configuration
	topic  map[[16]byte]string
	broken int // transactions that left records behind
	kills  int
	seq    int
}

// boundaries of a batch: from the question for its records to the answer that it
// is committed, and the first effects of the next one.
// Afterwards the cleaner goes on: nothing that was left behind stands in its way.
func boundaries(t *testing.T, p platform) {
	b, run := killAtEach(t, p, false, batchBoundaries)
	if p.real() {
		b.compacts(run.History)
	}
}

// outputBoundaries are those between one output of a batch and the others.
func outputBoundaries(t *testing.T, p platform) { killAtEach(t, p, false, eachOutput) }

// boundariesOld are those that the protocol before transaction.version 2 has
// more.
func boundariesOld(t *testing.T, p platform) { killAtEach(t, p, true, oldBoundaries) }

// openBoundaries are those from the start of a process to its first batch, with a
// transaction of its predecessor left open.
func openBoundaries(t *testing.T, p platform) { killAtEach(t, p, false, startBoundaries) }

func killAtEach(t *testing.T, p platform, old bool, list func(*bounded) []boundary) (*bounded, integration.Run) {
	b := &bounded{world: newWorld(t, p, options{faults: simulator.DefaultFaults()}), topic: map[[16]byte]string{}}
	var err error
	b.proxy, err = proxy.Open(p.brokers)
	must(t, err)
	t.Cleanup(b.proxy.Close)
	b.file = b.variant("proxied.yaml", func(c *config.Config) { c.Kafka.Brokers = b.proxy.Brokers() })
	listed, err := b.adm.ListTopics(t.Context(), b.topics().All()...)
	must(t, err)
	for _, d := range listed {
		b.topic[d.ID] = d.Topic
	}
	ingest, poller := b.start("ingest", "a"), b.start("poller", "a")
	ingest.ready()
	poller.ready()
	stopLoad := b.load()
	for _, at := range list(b) {
		b.heal(old)
		b.killAt(at)
	}
	stopLoad()
	b.heal(old)
	last := b.startOn("reconciler", "a", b.file)
	last.ready()
	b.agree()
	for _, p := range []*process{ingest, poller} {
		p.stop()
	}
	b.drained()
	last.stop()
	eventually(t, patience, "no transaction is open", func() (bool, string) { // the last one's markers may be on their way
		code, out := b.rampctl("doctor", "--transactions", "--wait", "10ms")
		return code == 0, fmt.Sprintf("exit code %d\n%s", code, out)
	})
	run := b.record()
	run.SharedEpochs = old
	b.check(run)
	if got := abortedTransactions(run.History); !old && got < b.broken {
		t.Errorf("%d transactions stand aborted in the log, want the %d at least that were left open: the kills prove nothing", got, b.broken)
	}
	t.Logf("%d kills, %d of them with records of the transaction in the log and no end", b.kills, b.broken)
	return b, run
}

// compacts hurries the brokers' cleaner over what a run wrote, and waits until
// no record is left that was aborted or that a later one of its key replaces.
func (w *world) compacts(before integration.History) {
	w.t.Helper()
	topics := []string{w.topics().OrderState, w.topics().CheckSchedule, w.topics().ReconcilerPosition}
	w.cleaned(topics...)
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.p.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(w.t, err)
	defer cl.Close()
	due := 0
	eventually(w.t, patience, "what is over is compacted away", func() (bool, string) {
		// The cleaner leaves the last segment alone, and a record closes it. A
		// tombstone of nothing says nothing.
		var rs []*kgo.Record
		for _, topic := range topics {
			for n := range int32(partitions) {
				rs = append(rs, &kgo.Record{Topic: topic, Partition: n, Key: []byte("kado/demo/nothing")})
			}
		}
		must(w.t, cl.ProduceSync(w.t.Context(), rs...).FirstErr())
		now, err := integration.Read(w.t.Context(), w.p.brokers, w.topics(), partitions)
		must(w.t, err)
		left := 0
		due = 0
		for _, topic := range topics {
			d, l := overIn(before, now, topic)
			due, left = due+d, left+l
		}
		return due > 0 && left == 0, fmt.Sprintf("%d of %d records are still there", left, due)
	})
	again := w.start("reconciler", "a")
	again.restored()
	again.stop()
	w.t.Logf("the cleaner removed all of %d records that were over or aborted", due)
}

// overIn counts the records of a topic that were aborted or replaced by a later
// one, and those of them that are still there.
func overIn(before, now integration.History, topic string) (due, left int) {
	for n, records := range before.All[topic] {
		keep, there := map[int64]bool{}, map[int64]bool{}
		last := map[string]int64{}
		for _, r := range before.Committed[topic][n] {
			last[string(r.Key)] = r.Offset
		}
		for _, offset := range last {
			keep[offset] = true
		}
		for _, r := range now.All[topic][n] {
			there[r.Offset] = true
		}
		for _, r := range records {
			if !keep[r.Offset] {
				due++
				if there[r.Offset] {
					left++
				}
			}
		}
	}
	return due, left
}

// heal takes all rules away but the one for the protocol.
func (b *bounded) heal(old bool) {
	b.proxy.Clear()
	if old {
		b.proxy.Add(proxy.OldTransactions(reconcilerClient))
	}
}

// killAt has a reconciler come to a boundary, kills it there, and sees to it that
// it had not gone further.
func (b *bounded) killAt(at boundary) {
	b.t.Helper()
	began := time.Now()
	rules := at.rules(b)
	place := rules[0]
	ended := &proxy.Rule{Key: kmsg.EndTxn, Client: reconcilerClient, HaltBefore: true, Only: func(kmsg.Request) bool { return place.IsReached() }}
	arm := func() { b.proxy.Add(append([]*proxy.Rule{ended}, rules...)...) }
	if at.opening {
		arm()
	}
	r := b.startOn("reconciler", "a", b.file)
	if !at.opening {
		r.ready()
		arm()
		if at.feed != nil {
			at.feed(b)
		}
	}
	timeout := time.After(patience)
	select {
	case <-place.Reached():
	case <-r.Done():
		b.t.Fatalf("%s: the reconciler ended with code %d\n%s", at.name, r.Code(), tail(r.log.String()))
	case <-timeout:
		b.t.Fatalf("%s: the reconciler does not come to this place\n%s", at.name, tail(r.log.String()))
	}
	r.kill()
	// What it had sent is no part of what its successor does, under other rules.
	eventually(b.t, patience, "nothing of it is on its way", func() (bool, string) {
		n := b.proxy.Live()
		return n == 0, fmt.Sprintf("%d connections", n)
	})
	b.kills++
	if at.torn {
		b.broken++
	}
	if codes := place.Codes(); place.HaltAfter && len(codes) == 0 && place.Trim == nil || slices.ContainsFunc(codes, func(code int16) bool { return code > 0 }) {
		b.t.Errorf("%s: the broker answered %v, want an answer without an error", at.name, codes)
	}
	b.t.Logf("%s: killed after %d ms", at.name, time.Since(began).Milliseconds())
}

func before(key kmsg.Key) func(*bounded) []*proxy.Rule {
	return func(*bounded) []*proxy.Rule {
		return []*proxy.Rule{{Key: key, Client: reconcilerClient, HaltBefore: true}}
	}
}

func after(key kmsg.Key) func(*bounded) []*proxy.Rule {
	return func(*bounded) []*proxy.Rule {
		return []*proxy.Rule{{Key: key, Client: reconcilerClient, HaltAfter: true}}
	}
}

// asking is before a fetch of the topic, answering before the records that it brings.
func asking(topics ...string) func(*bounded) []*proxy.Rule {
	return func(b *bounded) []*proxy.Rule {
		return []*proxy.Rule{{Key: kmsg.Fetch, Client: reconcilerClient, HaltBefore: true, Only: b.about(topics...)}}
	}
}

func answering(topics ...string) func(*bounded) []*proxy.Rule {
	return func(b *bounded) []*proxy.Rule {
		return []*proxy.Rule{{Key: kmsg.Fetch, Client: reconcilerClient, HaltAfter: true, Only: b.about(topics...), When: bringsRecords}}
	}
}

// once is a place that counts from when another request was answered.
func once(first kmsg.Key, then *proxy.Rule) func(*bounded) []*proxy.Rule {
	return func(*bounded) []*proxy.Rule {
		passed := &proxy.Rule{Key: first, Client: reconcilerClient} // however often it is asked until the answer is good
		place := &proxy.Rule{Key: then.Key, Client: reconcilerClient, HaltBefore: then.HaltBefore, HaltAfter: then.HaltAfter,
			Only: func(kmsg.Request) bool { return passed.Passed() }}
		return []*proxy.Rule{place, passed}
	}
}

// written has the outputs of a topic alone get into the log, or all but them.
func written(topic string, alone bool) func(*bounded) []*proxy.Rule {
	return func(b *bounded) []*proxy.Rule {
		return []*proxy.Rule{{Key: kmsg.Produce, Client: reconcilerClient, HaltAfter: true, Only: b.about(topic), Trim: func(req kmsg.Request) bool {
			r, ok := req.(*kmsg.ProduceRequest)
			if !ok {
				return false
			}
			r.Topics = slices.DeleteFunc(r.Topics, func(t kmsg.ProduceRequestTopic) bool { return (b.name(t.Topic, t.TopicID) == topic) != alone })
			return len(r.Topics) > 0
		}}}
	}
}

// name is the topic's that a request names, by its id where it has one.
func (b *bounded) name(name string, id [16]byte) string {
	if name == "" {
		return b.topic[id]
	}
	return name
}

// about reports whether a request to fetch or produce names one of the topics.
func (b *bounded) about(topics ...string) func(kmsg.Request) bool {
	return func(req kmsg.Request) bool {
		switch r := req.(type) {
		case *kmsg.FetchRequest:
			return slices.ContainsFunc(r.Topics, func(t kmsg.FetchRequestTopic) bool { return slices.Contains(topics, b.name(t.Topic, t.TopicID)) })
		case *kmsg.ProduceRequest:
			return slices.ContainsFunc(r.Topics, func(t kmsg.ProduceRequestTopic) bool { return slices.Contains(topics, b.name(t.Topic, t.TopicID)) })
		}
		return false
	}
}

// bringsRecords reports whether an answer to a fetch has any.
func bringsRecords(resp kmsg.Response) bool {
	r, ok := resp.(*kmsg.FetchResponse)
	return ok && slices.ContainsFunc(r.Topics, func(t kmsg.FetchResponseTopic) bool {
		return slices.ContainsFunc(t.Partitions, func(p kmsg.FetchResponseTopicPartition) bool { return len(p.RecordBatches) > 0 })
	})
}

func batchBoundaries(b *bounded) []boundary {
	t := b.topics()
	return []boundary{
		{name: "before a poll", rules: asking(t.Inputs()...)},
		{name: "a poll is answered, nothing is joined", rules: answering(t.Inputs()...)},
		{name: "joined, nothing is written", rules: before(kmsg.Produce)},
		{name: "all is written, nothing acknowledged", rules: after(kmsg.Produce), torn: true},
		{name: "before the offsets", rules: before(kmsg.TxnOffsetCommit), torn: true},
		{name: "the offsets are written", rules: after(kmsg.TxnOffsetCommit), torn: true},
		{name: "before the last heartbeat", rules: once(kmsg.TxnOffsetCommit, &proxy.Rule{Key: kmsg.Heartbeat, HaltBefore: true}), torn: true},
		{name: "before the end", rules: before(kmsg.EndTxn), torn: true},
		{name: "ended, and not answered", rules: after(kmsg.EndTxn)},
		{name: "ended, and answered", rules: func(*bounded) []*proxy.Rule {
			return []*proxy.Rule{{Key: kmsg.EndTxn, Client: reconcilerClient}}
		}},
		{name: "in memory, nothing of the next batch is written", rules: once(kmsg.EndTxn, &proxy.Rule{Key: kmsg.Produce, HaltBefore: true})},
	}
}

func eachOutput(b *bounded) (list []boundary) {
	t := b.topics()
	for _, topic := range []string{t.OrderState, t.CustomerState, t.Transition, t.Discrepancy, t.CheckSchedule, t.ReconcilerPosition, t.DeadLetter} {
		short := strings.TrimPrefix(topic, b.cfg.Topics.Prefix)
		feed := map[string]func(*bounded){t.DeadLetter: (*bounded).garbage, t.Discrepancy: (*bounded).disagree}[topic]
		list = append(list,
			boundary{name: short + " alone is written", rules: written(topic, true), feed: feed, torn: true},
			// Where a broker leads nothing else, nothing is left of its request.
			boundary{name: "all but " + short + " is written", rules: written(topic, false), feed: feed})
	}
	return list
}

func oldBoundaries(*bounded) []boundary {
	var list []boundary
	for _, key := range []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		list = append(list, boundary{name: "before " + key.Name(), rules: before(key)}, boundary{name: key.Name() + " is not answered", rules: after(key)})
	}
	return list
}

func startBoundaries(b *bounded) []boundary {
	t := b.topics()
	list := []boundary{{name: "before the end", rules: before(kmsg.EndTxn), torn: true}}
	for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch} {
		list = append(list,
			boundary{name: "before " + key.Name(), rules: before(key), opening: true},
			boundary{name: key.Name() + " is not answered", rules: after(key), opening: true})
	}
	for _, topic := range []string{t.ReconcilerPosition, t.OrderState} {
		short := strings.TrimPrefix(topic, b.cfg.Topics.Prefix)
		list = append(list,
			boundary{name: "before a restore reads " + short, rules: asking(topic), opening: true},
			boundary{name: "a restore is answered from " + short, rules: answering(topic), opening: true})
	}
	return append(list,
		boundary{name: "restored, before the first poll", rules: asking(t.Inputs()...), opening: true},
		boundary{name: "the first batch is written", rules: after(kmsg.Produce), opening: true, torn: true})
}

// garbage writes what nobody can read to an input.
func (b *bounded) garbage() {
	b.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.p.brokers...))
	must(b.t, err)
	defer cl.Close()
	b.seq++
	must(b.t, cl.ProduceSync(b.t.Context(), &kgo.Record{Topic: b.topics().Intent, Key: fmt.Appendf(nil, "koinal/%s/garbage-%d", demo.Account, b.seq), Value: []byte("{}")}).FirstErr())
}

// disagree announces an order twice, with two amounts.
func (b *bounded) disagree() {
	b.t.Helper()
	b.seq++
	for _, amount := range []string{"10.00", "20.00"} {
		body := fmt.Sprintf(`{"provider":"koinal","account":%q,"order_id":"twice-%d","fiat":{"amount":%q,"currency":"EUR"}}`, demo.Account, b.seq, amount)
		b.accepted(func() answer {
			return b.post("/v1/orders", http.Header{"Authorization": {"Bearer " + b.sim.Token}, "Content-Type": {"application/json"}}, []byte(body))
		})
	}
}

// abortedTransactions counts producers' epochs of which records are in the log
// that nobody may see.
func abortedTransactions(h integration.History) int {
	seen := map[string]bool{}
	for topic, parts := range h.All {
		for n := range parts {
			visible := map[int64]bool{}
			for _, r := range h.Committed[topic][n] {
				visible[r.Offset] = true
			}
			for _, r := range parts[n] {
				if by := h.Writers[topic][n][r.Offset]; by.Transactional && !visible[r.Offset] {
					seen[fmt.Sprint(by.ID, "/", by.Epoch)] = true
				}
			}
		}
	}
	return len(seen)
}
