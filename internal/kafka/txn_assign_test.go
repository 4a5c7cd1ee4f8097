package kafka_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

func TestTxnGroup_foreignMemberBreaksCoPartitioning(t *testing.T) {
	cfg, _ := start(t, 2, "a", "b", "out")
	g := openTxn(t, cfg, txnOptions("1"), newTable(t))
	idle(t, g)
	// Somebody joins with the same balancer but only one of the topics: it gets
	// a-0 or a-1, while all of b stays here.
	foreign, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.ConsumerGroup("g"),
		kgo.ConsumeTopics("a"), kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(long))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	eventually(t, "the session ends", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = g.Poll(ctx, 1)
		return err != nil && !errors.Is(err, stream.ErrTransient)
	})
	if !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "not co-partitioned: a has") {
		t.Errorf("Poll = %v, want ErrRefused naming the topics", err)
	}
}

// A client that balances by other rules and was there first has the broker turn
// us away: the message says whose fault it is.
func TestTxnGroup_foreignBalancerWasFirst(t *testing.T) {
	cfg, kc := start(t, 2, "a", "b", "out")
	foreign, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.ConsumerGroup("g"),
		kgo.ConsumeTopics("a", "b"), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.SessionTimeout(long))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	eventually(t, "the foreign member is there", func() bool {
		g := kc.GroupInfo("g")
		return g != nil && g.State == "Stable"
	})
	g := openTxn(t, cfg, txnOptions("1"), newTable(t))
	if _, err := g.Poll(patient(t), 1); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "group g") || !strings.Contains(err.Error(), "balances by other rules") {
		t.Errorf("Poll = %v, want ErrRefused that names the group and what is wrong with it", err)
	}
}

func TestTxnGroup_abortedInputIsNotSeen(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	w := newTxnWriter(t, cfg, "w")
	w.write("a", "aborted")
	w.end(kgo.TryAbort)
	put(t, cfg, "a", 0, "kept")
	g := openTxn(t, cfg, txnOptions("0"), newTable(t))
	var got []string
	for _, r := range pollN(t, g.Poll, 1) {
		got = append(got, string(r.Value))
	}
	if !slices.Equal(got, []string{"kept"}) {
		t.Errorf("polled %q, want the committed record alone", got)
	}
}

func TestTxnGroup_secondPollKeepsTheBatch(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	tb := newTable(t)
	g := openTxn(t, cfg, txnOptions("0"), tb)
	put(t, cfg, "a", 0, "1")
	rs := pollN(t, g.Poll, 1)
	tb.out(true)
	hb := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress})
	eventually(t, "the member hears of the rebalance", func() bool { return hb.Hits() == 1 })
	idle(t, g) // must not let the rebalance in: the first records are not committed
	if ok, err := g.Commit(patient(t), copies(rs)); !ok || err != nil {
		t.Errorf("Commit = %v, %v; want true", ok, err)
	}
	tb.out(false)
}

func TestTxnGroup_commitWithoutRecords(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	g := openTxn(t, cfg, txnOptions("0"), newTable(t))
	if ok, err := g.Commit(patient(t), nil); ok || err == nil {
		t.Errorf("Commit before Poll = %v, %v; want an error", ok, err)
	}
	eventually(t, "a commit of nothing polled", func() bool {
		idle(t, g)
		ok, err := g.Commit(patient(t), []stream.Record{{Topic: "out", Partition: 0, Value: []byte("v")}})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	})
	if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"v"}) {
		t.Errorf("out = %q, want v", got)
	}
	idle(t, g)
	if ok, err := g.Commit(patient(t), nil); !ok || err != nil {
		t.Errorf("Commit of nothing = %v, %v; want true", ok, err)
	}
}

func TestTxnGroup_endedContextAborts(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1")
	g := openTxn(t, cfg, txnOptions("0"), newTable(t))
	rs := pollN(t, g.Poll, 1)
	ctx, cancel := context.WithCancel(t.Context())
	kc.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.DropControl()
		cancel()
		return nil, nil, false
	})
	if ok, err := g.Commit(ctx, copies(rs)); ok && err == nil {
		t.Log("the acknowledgement was faster than the end of ctx")
	} else if !errors.Is(err, stream.ErrTransient) {
		t.Fatalf("Commit = %v, %v; want ErrTransient", ok, err)
	}
	// The transaction is resolved, not left to its timeout.
	l := openLog(t, cfg)
	if err := l.Read(patient(t), "out", 0, 0, kc.PartitionInfo("out", 0).HighWatermark, true, func(stream.Record) error { return nil }); err != nil {
		t.Errorf("Read after the abort = %v", err)
	}
}

func TestTxnGroup_membershipLostWithABatch(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1")
	tb := newTable(t)
	g := openTxn(t, cfg, txnOptions("0"), tb)
	rs := pollN(t, g.Poll, 1)
	tb.out(true)
	hb := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID})
	eventually(t, "the member hears that it is none", func() bool { return hb.Hits() == 1 })
	// Soon: before anything that it could wait for has run out.
	ctx := patient(t)
	ok, err := g.Commit(ctx, copies(rs))
	if ok || err != nil || ctx.Err() != nil {
		t.Errorf("Commit of a lost member = %v, %v, %v; want an abort soon", ok, err, ctx.Err())
	}
	tb.out(false)
	again := pollN(t, g.Poll, 1)
	if ok, err := g.Commit(patient(t), copies(again)); !ok || err != nil {
		t.Errorf("Commit after joining again = %v, %v", ok, err)
	}
	if got := tb.trace(); !slices.Equal(got, []string{"restore 0", "revoke [0]", "restore 0"}) {
		t.Errorf("table calls = %q", got)
	}
}

// What is written without a record that was read (states viewed by new rules)
// has no offsets to commit, and these are what the coordinator refuses from a
// member that it has thrown out.
func TestTxnGroup_strangerCommitsNothingOfItsOwn(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	one, two := newTable(t), newTable(t)
	first := openTxn(t, cfg, txnOptions("1"), one)
	own := func() []stream.Record { return []stream.Record{{Topic: "out", Partition: 0, Value: []byte("x")}} }
	eventually(t, "a member's own commit", func() bool {
		idle(t, first)
		ok, err := first.Commit(patient(t), own())
		if err != nil {
			t.Fatal(err)
		}
		return ok
	})
	// It does not hear that it was thrown out. Its heartbeats are answered: what
	// else it asks comes by the same connection, behind them.
	kc.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		return r.ResponseKind(), nil, *r.(*kmsg.HeartbeatRequest).InstanceID == "1"
	})
	idle(t, first)
	leave(t, cfg, "g", "1")
	second := openTxn(t, cfg, txnOptions("2"), two)
	eventually(t, "another member has its partition", func() bool { idle(t, second); return two.holds() == 1 })
	if ok, err := first.Commit(patient(t), own()); ok || err != nil {
		t.Errorf("Commit of a stranger = %v, %v; want an abort", ok, err)
	}
	if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"x"}) {
		t.Errorf("the log holds %q, want the member's own alone", got)
	}
}
