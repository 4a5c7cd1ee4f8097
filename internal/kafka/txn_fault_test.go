package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// member runs a copying loop of a TxnGroup until its test ends.
type member struct {
	g    *kafka.TxnGroup
	tb   *table
	stop context.CancelFunc
	done chan error
}

func startMember(t *testing.T, cfg kafka.Config, id string) *member {
	t.Helper()
	m := &member{tb: newTable(t), done: make(chan error, 1)}
	m.g = openTxn(t, cfg, txnOptions(id), m.tb)
	ctx, cancel := context.WithCancel(t.Context())
	m.stop = cancel
	go func() { m.done <- m.loop(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-m.done
	})
	return m
}

func (m *member) loop(ctx context.Context) error {
	for ctx.Err() == nil {
		pctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		rs, err := m.g.Poll(pctx, 10)
		cancel()
		if err != nil && !errors.Is(err, stream.ErrTransient) {
			return err
		}
		if len(rs) == 0 {
			continue
		}
		m.tb.out(true)
		_, err = m.g.Commit(ctx, copies(rs))
		m.tb.out(false)
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func TestTxnGroup_rebalancesKeepExactlyOnce(t *testing.T) {
	const partitions, perPartition = 6, 30
	cfg, _ := start(t, partitions, "a", "b", "out")
	for p := range int32(partitions) {
		for _, topic := range []string{"a", "b"} {
			var vs []string
			for i := range perPartition {
				vs = append(vs, fmt.Sprintf("%s-%d-%d", topic, p, i))
			}
			put(t, cfg, topic, p, vs[:perPartition/2]...)
		}
	}
	one := startMember(t, cfg, "1")
	eventually(t, "the first member holds all", func() bool { return one.tb.holds() == partitions })
	two := startMember(t, cfg, "2")
	eventually(t, "the partitions are shared", func() bool { return one.tb.holds() == partitions/2 && two.tb.holds() == partitions/2 })
	for p := range int32(partitions) {
		for _, topic := range []string{"a", "b"} {
			var vs []string
			for i := perPartition / 2; i < perPartition; i++ {
				vs = append(vs, fmt.Sprintf("%s-%d-%d", topic, p, i))
			}
			put(t, cfg, topic, p, vs...)
		}
		if p == partitions/2 {
			one.stop()
			one.done <- <-one.done
			one.g.Close()
		}
	}
	eventually(t, "the second member holds all", func() bool { return two.tb.holds() == partitions })
	want := 2 * partitions * perPartition
	var got []string
	eventually(t, "all copies are committed", func() bool {
		got = got[:0]
		for p := range int32(partitions) {
			got = append(got, values(t, cfg, "out", p, true)...)
		}
		return len(got) >= want
	})
	slices.Sort(got)
	if n := len(slices.Compact(slices.Clone(got))); n != want || len(got) != want {
		t.Errorf("%d copies, %d distinct, want %d of both", len(got), n, want)
	}
}

func TestTxnGroup_firstCommitAfterARebalanceIsNotAborted(t *testing.T) {
	cfg, kc := start(t, 2, "a", "b", "out")
	tb := newTable(t)
	g := openTxn(t, cfg, txnOptions("0"), tb)
	idle(t, g)
	// Two rebalances while idle: the client library alone would announce only the
	// first and then abort the next transaction.
	for range 2 {
		fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress})
		n := len(tb.trace())
		eventually(t, "the member is assigned again", func() bool {
			idle(t, g)
			return fault.Hits() == 1 && len(tb.trace()) >= n+3
		})
	}
	want := []string{"restore 0", "restore 1", "revoke [0 1]", "restore 0", "restore 1", "revoke [0 1]", "restore 0", "restore 1"}
	if diff := cmp.Diff(want, tb.trace()); diff != "" {
		t.Errorf("table calls (-want +got):\n%s", diff)
	}
	put(t, cfg, "a", 0, "1")
	rs := pollN(t, g.Poll, 1)
	if ok, err := g.Commit(patient(t), copies(rs)); !ok || err != nil {
		t.Errorf("Commit after rebalances = %v, %v; want true", ok, err)
	}
}

// idle polls once without records, which lets a rebalance in.
func idle(t *testing.T, g *kafka.TxnGroup) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if rs, err := g.Poll(ctx, 1); len(rs) > 0 || (err != nil && !errors.Is(err, stream.ErrTransient)) {
		t.Fatalf("idle Poll = %v, %v", rs, err)
	}
}

func TestTxnGroup_rebalanceWaitsForTheBatch(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	tb := newTable(t)
	g := openTxn(t, cfg, txnOptions("0"), tb)
	put(t, cfg, "a", 0, "1")
	rs := pollN(t, g.Poll, 1)
	tb.out(true) // any call from here on fails the test
	hb := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress})
	eventually(t, "the member hears of the rebalance", func() bool { return hb.Hits() == 1 })
	ok, err := g.Commit(patient(t), copies(rs))
	if !ok || err != nil {
		t.Errorf("Commit during a rebalance = %v, %v; the offsets are stable, so it may commit", ok, err)
	}
	tb.out(false)
	eventually(t, "the rebalance proceeds", func() bool { idle(t, g); return len(tb.trace()) == 3 })
}

func TestTxnGroup_Commit_offsetsRefused(t *testing.T) {
	for _, tc := range []struct {
		code *kerr.Error
		dead bool
	}{
		{kerr.IllegalGeneration, false},
		{kerr.UnknownMemberID, false},
		{kerr.RebalanceInProgress, false},
		{kerr.FencedInstanceID, true},
		{kerr.GroupAuthorizationFailed, true},
	} {
		t.Run(tc.code.Message, func(t *testing.T) {
			cfg, kc := start(t, 1, "a", "b", "out")
			put(t, cfg, "a", 0, "1")
			g := openTxn(t, cfg, txnOptions("0"), newTable(t))
			rs := pollN(t, g.Poll, 1)
			fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: tc.code})
			ok, err := g.Commit(patient(t), copies(rs))
			if ok || (err != nil) != tc.dead || fault.Hits() != 1 {
				t.Fatalf("Commit = %v, %v (%d hits); want false and an error: %v", ok, err, fault.Hits(), tc.dead)
			}
			if got := values(t, cfg, "out", 0, true); len(got) > 0 {
				t.Errorf("an aborted copy is visible: %q", got)
			}
			if tc.dead {
				if _, err := g.Poll(patient(t), 1); err == nil {
					t.Error("Poll of a dead session gives no error")
				}
				return
			}
			again := pollN(t, g.Poll, 1)
			if ok, err := g.Commit(patient(t), copies(again)); !ok || err != nil {
				t.Errorf("Commit of the batch read again = %v, %v", ok, err)
			}
			if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"1"}) {
				t.Errorf("copies = %q, want one", got)
			}
		})
	}
}

func TestTxnGroup_Commit_endUnknown(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.ProducerFenced, kerr.InvalidTxnState, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping} {
		t.Run(code.Message, func(t *testing.T) {
			cfg, kc := start(t, 1, "a", "b", "out")
			put(t, cfg, "a", 0, "1")
			g := openTxn(t, cfg, txnOptions("0"), newTable(t))
			rs := pollN(t, g.Poll, 1)
			fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: code})
			ok, err := g.Commit(patient(t), copies(rs))
			if ok || !errors.Is(err, stream.ErrFenced) || fault.Hits() != 1 {
				t.Fatalf("Commit = %v, %v (%d hits), want ErrFenced", ok, err, fault.Hits())
			}
			if _, err := g.Commit(patient(t), nil); err == nil {
				t.Error("a dead session commits")
			}
			g.Close()
			// The same identity comes back and finishes the work once.
			g2 := openTxn(t, cfg, txnOptions("0"), newTable(t))
			again := pollN(t, g2.Poll, 1)
			if ok, err := g2.Commit(patient(t), copies(again)); !ok || err != nil {
				t.Fatalf("Commit of the next session = %v, %v", ok, err)
			}
			if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"1"}) {
				t.Errorf("copies = %q, want one", got)
			}
		})
	}
}

func TestTxnGroup_secondProcessFencesTheFirst(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1")
	o := txnOptions("0")
	first := openTxn(t, cfg, o, newTable(t))
	rs := pollN(t, first.Poll, 1)
	second := openTxn(t, cfg, o, newTable(t))
	ok, err := first.Commit(patient(t), copies(rs))
	if ok || !errors.Is(err, stream.ErrFenced) {
		t.Errorf("Commit of the older process = %v, %v; want ErrFenced", ok, err)
	}
	host, herr := os.Hostname()
	if herr != nil {
		t.Fatal(herr)
	}
	for _, word := range []string{"instance 0 of group g", host, fmt.Sprintf("pid %d", os.Getpid()), "the id is held by member", "client rampstream at"} {
		if !strings.Contains(fmt.Sprint(err), word) {
			t.Errorf("the error of the older process does not name %q: %v", word, err)
		}
	}
	again := pollN(t, second.Poll, 1)
	if ok, err := second.Commit(patient(t), copies(again)); !ok || err != nil {
		t.Errorf("Commit of the newer process = %v, %v", ok, err)
	}
	if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"1"}) {
		t.Errorf("copies = %q, want one", got)
	}
}

func TestTxnGroup_stableOffsetsBeforeRestore(t *testing.T) {
	// A member that died after it sent its offsets, before its transaction ended,
	// delays the restore of its successor until the transaction is resolved.
	cfg, kc := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1")
	old := openTxn(t, cfg, txnOptions("old"), newTable(t))
	rs := pollN(t, old.Poll, 1)
	ended := make(chan struct{})
	release := make(chan struct{})
	kc.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.DropControl()
		close(ended)
		kc.SleepControl(func() { <-release })
		return nil, nil, false
	})
	committed := make(chan bool, 1)
	go func() {
		ok, _ := old.Commit(patient(t), copies(rs))
		committed <- ok
	}()
	<-ended
	tb := newTable(t)
	restored := make(chan map[string]int64, 1)
	tb.at = func(_ context.Context, _ int32, _ stream.Log, c map[string]int64) (map[string]int64, error) {
		restored <- c
		return map[string]int64{"a": max(c["a"], 0), "b": max(c["b"], 0)}, nil
	}
	// Another group member would wait for the rebalance; a fresh fetch of the same
	// group's offsets shows the same rule, so the old member is thrown out.
	leave(t, cfg, "g", "old")
	next := openTxn(t, cfg, txnOptions("next"), tb)
	idle(t, next)
	select {
	case c := <-restored:
		t.Fatalf("restored with %v while the older transaction was open", c)
	default:
	}
	close(release)
	eventually(t, "the successor restores", func() bool { idle(t, next); return len(restored) == 1 })
	if ok, c := <-committed, <-restored; !ok || c["a"] != 1 {
		t.Errorf("old member committed: %v, successor saw %v; want true and a at 1", ok, c)
	}
}
