package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration"
	"rampstream/integration/proxy"
	"rampstream/internal/config"
	"rampstream/internal/run"
)

// proxied is a run in which two reconcilers reach their brokers through a proxy.
type proxied struct {
	*world
	proxy      *proxy.Proxy
	file       string // the configuration of who is behind it
	ingest     *process
	poller     *process
	reconciler []*process
	dice       func() float64
	heal       func()        // what else has to be made good again
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

// through says what the proxy is.
type through struct {
	old  bool          // transactions of the old protocol
	long time.Duration // for how long its faults last, 0 for as short as may be
	wire *proxy.Wire   // that leads to it; nil for none
}

func throughProxy(t *testing.T, p platform, o through) *proxied {
	t.Helper()
	x := &proxied{heal: func() {}, fewest: make(chan struct{}), enough: make(chan struct{}), placed: make(chan error, 1)}
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(*seed, 11))
	x.dice = func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return dice.Float64()
	}
	x.world = newWorld(t, p, options{faults: night(o.long), change: func(c *config.Config) {
		c.Reconciler.TransactionTimeout, c.Reconciler.SessionTimeout = 6*time.Second, 10*time.Second
	}})
	var err error
	if o.wire == nil {
		x.proxy, err = proxy.Open(p.brokers)
	} else {
		x.proxy, err = proxy.OpenAcross(o.wire, p.brokers)
		t.Cleanup(func() { o.wire.Lose(nil) })
	}
	must(t, err)
	t.Cleanup(x.proxy.Close)
	if o.old {
		x.proxy.Add(proxy.OldTransactions(reconcilerClient))
	}
	x.file = x.variant("proxied.yaml", func(c *config.Config) { c.Kafka.Brokers = x.proxy.Brokers() })
	for _, instance := range []string{"a", "b"} {
		x.reconciler = append(x.reconciler, x.startOn("reconciler", instance, x.file))
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
			err = x.place(ctx, 8, 1, 9*200*time.Millisecond)
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
	x.heal()
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

// last keeps the faults for d. Meanwhile all that stands in the inputs at one
// moment is read soon after, and who ended is started again.
func (x *proxied) last(d time.Duration) {
	x.t.Helper()
	var longest time.Duration
	looks, again := 0, 0
	for end := time.Now().Add(d); time.Now().Before(end); looks++ {
		began := time.Now()
		said, err := x.ground().Ends(x.t.Context())
		must(x.t, err)
		eventually(x.t, patience, "what was said is read", func() (bool, string) {
			for i, p := range x.reconciler {
				if ended(p) {
					if p.Code() != run.Failed {
						x.t.Fatalf("%s ended with %d\n%s", p, p.Code(), tail(p.log.String()))
					}
					again++
					x.reconciler[i] = x.startOn("reconciler", p.Instance, x.file)
				}
			}
			unread, err := x.ground().Unread(x.t.Context(), said)
			return err == nil && unread == "", fmt.Sprintf("not read yet: %s, %v", unread, err)
		})
		longest = max(longest, time.Since(began))
		pause(x.t.Context(), time.Second)
	}
	lost := 0
	for _, p := range x.processes() {
		lost += strings.Count(p.log.String(), "session lost")
	}
	x.t.Logf("%v: %d times all that was said was read, within %v at most; %d sessions were lost, %d programs started again", d, looks, longest.Round(time.Millisecond), lost, again)
}

// answersLost: the answer to every second request to end a transaction is lost
// after the broker ended it.
func answersLost(t *testing.T, p platform) {
	x := throughProxy(t, p, through{})
	end := &proxy.Rule{Key: kmsg.EndTxn, Client: reconcilerClient, Drop: true, Chance: 0.5, Dice: x.dice}
	x.proxy.Add(end)
	x.end(false, met{"an answer to EndTxn was lost", end.Hits, 5})
}

// offsetsLost: of the requests that put the offsets into a transaction some are
// lost, and so are some answers.
func offsetsLost(t *testing.T, p platform) {
	x := throughProxy(t, p, through{})
	lost := &proxy.Rule{Key: kmsg.TxnOffsetCommit, Client: reconcilerClient, Lose: true, Chance: 0.3, Dice: x.dice}
	dropped := &proxy.Rule{Key: kmsg.TxnOffsetCommit, Client: reconcilerClient, Drop: true, Chance: 0.3, Dice: x.dice}
	x.proxy.Add(lost, dropped)
	x.end(false, met{"a TxnOffsetCommit was lost", lost.Hits, 3}, met{"an answer to TxnOffsetCommit was lost", dropped.Hits, 3})
}

// coordinatorStorm: coordinators answer two of five requests with an error that
// may be tried again.
func coordinatorStorm(t *testing.T, p platform) {
	x := throughProxy(t, p, through{})
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
// then one way of it is cut. With NETWORK it stays so for that long:
//
//	NETWORK=30m go test -run 'TestReal/together/bad_network' -timeout 1h -v ./integration
func badNetwork(t *testing.T, p platform) {
	long := asked(t, "NETWORK")
	x := throughProxy(t, p, through{long: long})
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
	if long > 0 {
		x.last(long)
	}
	x.end(false, met{"a connection was opened", opened, 25}, met{"a request was never answered", unanswered, 3})
}

// lostPackets: below TCP a packet of twenty is lost, and of every six seconds two
// nothing comes through one way of each connection. It lasts for NETWORK too.
func lostPackets(t *testing.T, p platform) {
	long := asked(t, "NETWORK")
	wire, err := proxy.OpenWire()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(wire.Close)
	x := throughProxy(t, p, through{long: long, wire: wire})
	began := time.Now()
	const period, deaf = 6 * time.Second, 2 * time.Second
	wire.Lose(func(from, to uint16) bool {
		at := time.Since(began)
		if at%period < deaf {
			return (from < to) == (at/period%2 == 0)
		}
		return x.dice() < 0.05
	})
	x.heal = func() { wire.Lose(nil) }
	lost := func() int { _, lost := wire.Packets(); return lost }
	if long > 0 {
		x.last(long)
	}
	x.end(false, met{"a packet was lost", lost, 100})
	passed, _ := wire.Packets()
	t.Logf("%d packets were passed on, %d connections opened", passed, x.proxy.Connections())
}
