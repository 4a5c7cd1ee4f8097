package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
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
	dice       func() float64
	fewest     chan struct{} // closed when the orders of every run are placed
	enough     chan struct{} // closed when no more are needed
	placed     chan error
}

// met is a fault that must be met often enough, lest the run proves nothing.
type met struct {
	what string
	got  func() int
	want int
}

// reconcilerClient is part of the client ids of the reconcilers.
const reconcilerClient = "rampstream-reconciler"

func throughProxy(t *testing.T, p platform, old bool) *proxied {
	t.Helper()
	x := &proxied{fewest: make(chan struct{}), enough: make(chan struct{}), placed: make(chan error, 1)}
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
	go func() { x.placed <- x.placeOn(t.Context()) }()
	return x
}

// placeOn places orders for some seconds and then until there are enough: a
// machine that is busy with other things meets fewer faults in the same time.
func (x *proxied) placeOn(ctx context.Context) error {
	err := x.place(ctx, 50, 5, 8*time.Second)
	close(x.fewest)
	for err == nil {
		select {
		case <-x.enough:
			return nil
		default:
			err = x.place(ctx, 1, 0, 200*time.Millisecond)
		}
	}
	return err
}

// busy reports whether the orders of every run are still placed.
func (x *proxied) busy() bool {
	select {
	case <-x.fewest:
		return false
	default:
		return true
	}
}

// end waits until the orders are placed and the faults were met, heals the
// network, and checks everything.
func (x *proxied) end(old bool, faults ...met) integration.Run {
	x.t.Helper()
	eventually(x.t, patience, "the orders are placed", func() (bool, string) { return !x.busy(), "" })
	for _, m := range faults {
		eventually(x.t, patience, m.what, func() (bool, string) {
			n := m.got()
			return n >= m.want, fmt.Sprintf("%d times, want at least %d: the run proves nothing", n, m.want)
		})
		x.t.Logf("%s %d times", m.what, m.got())
	}
	close(x.enough)
	must(x.t, <-x.placed)
	x.proxy.Clear()
	for i, p := range x.reconciler { // one that lost five sessions has ended
		x.reconciler[i] = x.supervised(p)
	}
	x.agree()
	for _, p := range []*process{x.ingest, x.poller} {
		p.stop()
	}
	x.drained()
	for _, p := range x.reconciler {
		p.stop()
		x.t.Logf("%s lost %d sessions", p, strings.Count(p.log.String(), "session lost"))
	}
	run := x.record()
	run.SharedEpochs = old
	x.check(run)
	return run
}

// answersLost: the answer to every second request to end a transaction is lost
// after the broker ended it.
func answersLost(t *testing.T, p platform) {
	x := throughProxy(t, p, false)
	end := &proxy.Rule{Key: kmsg.EndTxn, Client: reconcilerClient, Drop: true, Chance: 0.5, Dice: x.dice}
	x.proxy.Add(end)
	x.end(false, met{"an answer to EndTxn was lost", end.Hits, 5})
}

// offsetsLost: of the requests that put the offsets into a transaction some are
// lost, and so are some answers.
func offsetsLost(t *testing.T, p platform) {
	x := throughProxy(t, p, false)
	lost := &proxy.Rule{Key: kmsg.TxnOffsetCommit, Client: reconcilerClient, Lose: true, Chance: 0.3, Dice: x.dice}
	dropped := &proxy.Rule{Key: kmsg.TxnOffsetCommit, Client: reconcilerClient, Drop: true, Chance: 0.3, Dice: x.dice}
	x.proxy.Add(lost, dropped)
	x.end(false, met{"a TxnOffsetCommit was lost", lost.Hits, 3}, met{"an answer to TxnOffsetCommit was lost", dropped.Hits, 3})
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
	x.end(false, met{"EndTxn was answered with a retriable error", end.Hits, 5}, met{"TxnOffsetCommit was answered with a retriable error", offsets.Hits, 5})
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
	opened := func() int { return x.proxy.Connections() - before }
	unanswered := func() (n int) {
		for _, r := range muted {
			n += r.Hits()
		}
		return n
	}
	x.end(false, met{"a connection was opened", opened, 25}, met{"a request was never answered", unanswered, 3})
}
