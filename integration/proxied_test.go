package integration_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration"
	"rampstream/integration/proxy"
	"rampstream/internal/config"
	"rampstream/internal/providers/simulator"
)

// proxied is a run in which two reconcilers reach their brokers through a proxy.
type proxied struct {
	*world
	proxy      *proxy.Proxy
	ingest     *process
	poller     *process
	reconciler []*process
	placed     chan error
	dice       func() float64
}

// reconcilerClient is part of the client ids of the reconcilers.
const reconcilerClient = "rampstream-reconciler"

func throughProxy(t *testing.T, p platform, old bool) *proxied {
	t.Helper()
	x := &proxied{placed: make(chan error, 1)}
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(*seed, 11))
	x.dice = func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return dice.Float64()
	}
	x.world = newWorld(t, p, options{faults: simulator.DefaultFaults(), change: func(c *config.Config) {
		c.Reconciler.TransactionTimeout, c.Reconciler.SessionTimeout = 6*time.Second, 10*time.Second
	}})
	var err error
	x.proxy, err = proxy.Open(p.brokers)
	must(t, err)
	t.Cleanup(x.proxy.Close)
	if old {
		x.proxy.Add(proxy.OldTransactions(reconcilerClient))
	}
	file := x.variant("proxied.yaml", func(c *config.Config) { c.Kafka.Brokers = x.proxy.Brokers() })
	for _, instance := range []string{"a", "b"} {
		x.reconciler = append(x.reconciler, x.startOn("reconciler", instance, file))
	}
	x.ingest, x.poller = x.start("ingest", "a"), x.start("poller", "a")
	for _, p := range append(x.reconciler, x.ingest, x.poller) {
		p.ready()
	}
	go func() { x.placed <- x.place(t.Context(), 50, 5, 8*time.Second) }()
	return x
}

// busy reports whether orders are still placed.
func (x *proxied) busy() bool { return len(x.placed) == 0 }

// end waits for all, heals the network, and checks everything.
func (x *proxied) end(old bool) integration.Run {
	x.t.Helper()
	must(x.t, <-x.placed)
	x.proxy.Clear()
	x.agree()
	for _, p := range []*process{x.ingest, x.poller} {
		p.stop()
	}
	x.drained()
	for _, p := range x.reconciler {
		p.stop()
	}
	run := x.record()
	run.SharedEpochs = old
	x.check(run)
	return run
}

// hits fails a run in which a fault was not made often enough to prove anything.
func (x *proxied) hits(what string, got, want int) {
	x.t.Helper()
	if got < want {
		x.t.Errorf("%s %d times, want at least %d: the run proves nothing", what, got, want)
	}
	x.t.Logf("%s %d times", what, got)
}

// answersLost: the answer to every second request to end a transaction is lost
// after the broker ended it.
func answersLost(t *testing.T, p platform) {
	x := throughProxy(t, p, false)
	end := &proxy.Rule{Key: kmsg.EndTxn, Client: reconcilerClient, Drop: true, Chance: 0.5, Dice: x.dice}
	x.proxy.Add(end)
	x.end(false)
	x.hits("an answer to EndTxn was lost", end.Hits(), 5)
}

// offsetsLost: of the requests that put the offsets into a transaction some are
// lost, and so are some answers.
func offsetsLost(t *testing.T, p platform) {
	x := throughProxy(t, p, false)
	lost := &proxy.Rule{Key: kmsg.TxnOffsetCommit, Client: reconcilerClient, Lose: true, Chance: 0.3, Dice: x.dice}
	dropped := &proxy.Rule{Key: kmsg.TxnOffsetCommit, Client: reconcilerClient, Drop: true, Chance: 0.3, Dice: x.dice}
	x.proxy.Add(lost, dropped)
	x.end(false)
	x.hits("a TxnOffsetCommit was lost", lost.Hits(), 3)
	x.hits("an answer to TxnOffsetCommit was lost", dropped.Hits(), 3)
}

// coordinatorStorm: coordinators answer two of five requests with an error that
// may be tried again.
func coordinatorStorm(t *testing.T, p platform) {
	x := throughProxy(t, p, false)
	codes := []int16{kerr.ConcurrentTransactions.Code, kerr.CoordinatorLoadInProgress.Code, kerr.NotCoordinator.Code, kerr.CoordinatorNotAvailable.Code}
	pick := func() int16 { return codes[int(x.dice()*float64(len(codes)))] }
	rule := func(key kmsg.Key, answer func(kmsg.Request) kmsg.Response) *proxy.Rule {
		return &proxy.Rule{Key: key, Client: reconcilerClient, Answer: answer, Chance: 0.4, Dice: x.dice}
	}
	end := rule(kmsg.EndTxn, func(req kmsg.Request) kmsg.Response {
		resp, _ := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = pick()
		return resp
	})
	offsets := rule(kmsg.TxnOffsetCommit, func(req kmsg.Request) kmsg.Response {
		r, _ := req.(*kmsg.TxnOffsetCommitRequest)
		resp, _ := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		code := codes[1+int(x.dice()*3)] // CONCURRENT_TRANSACTIONS is no answer to it
		for _, t := range r.Topics {
			rt := kmsg.NewTxnOffsetCommitResponseTopic()
			rt.Topic = t.Topic
			for _, n := range t.Partitions {
				rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = n.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	})
	x.proxy.Add(end, offsets)
	x.end(false)
	x.hits("EndTxn was answered with a retriable error", end.Hits(), 5)
	x.hits("TxnOffsetCommit was answered with a retriable error", offsets.Hits(), 5)
}

// badNetwork: every connection lives for a second, everything lags, and now and
// then one way of it is cut.
func badNetwork(t *testing.T, p platform) {
	x := throughProxy(t, p, false)
	x.proxy.Mortal(func() time.Duration { return time.Duration(500+1000*x.dice()) * time.Millisecond })
	x.proxy.Slow(func() time.Duration { return time.Duration(40*x.dice()) * time.Millisecond })
	var muted []*proxy.Rule
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.EndTxn, kmsg.Fetch, kmsg.Heartbeat} {
		muted = append(muted, &proxy.Rule{Key: key, Client: reconcilerClient, Mute: true, Chance: 0.06, Dice: x.dice})
	}
	x.proxy.Add(muted...)
	x.proxy.Reset()
	before := x.proxy.Connections()
	x.end(false)
	x.hits("a connection was opened", x.proxy.Connections()-before, 25)
	n := 0
	for _, r := range muted {
		n += r.Hits()
	}
	x.hits("a request was never answered", n, 3)
}
