package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

func groupOptions(id string) kafka.GroupOptions {
	return kafka.GroupOptions{
		Group: "owners", InstanceID: id, Topics: []string{"lanes"},
		SessionTimeout: long, HeartbeatInterval: 50 * time.Millisecond,
		RebalanceTimeout: long, LeaveOnClose: true,
	}
}

// shortLease has the member count on a session of less than the coordinator
// grants it: its lease runs out soon, and nobody throws it out meanwhile.
func shortLease(kc *kfake.Cluster) kafka.GroupOptions {
	kc.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		r.(*kmsg.JoinGroupRequest).SessionTimeoutMillis = int32(long.Milliseconds())
		return nil, nil, false
	})
	o := groupOptions("0")
	o.SessionTimeout = 1200 * time.Millisecond
	return o
}

func openGroup(t *testing.T, cfg kafka.Config, o kafka.GroupOptions, tb stream.Table) *kafka.Group {
	t.Helper()
	g, err := kafka.OpenGroup(patient(t), cfg, o, tb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// turn polls once, lets rebalances in and gives the values.
func turn(t *testing.T, g *kafka.Group) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	rs, err := g.Poll(ctx, 100)
	if err != nil && !errors.Is(err, stream.ErrTransient) {
		t.Fatal(err)
	}
	defer g.Allow()
	var out []string
	for _, r := range rs {
		out = append(out, string(r.Value))
	}
	return out
}

func TestGroup_ownsReadsAndCommitsNothing(t *testing.T) {
	cfg, kc := start(t, 2, "lanes")
	w := newTxnWriter(t, cfg, "w")
	w.write("lanes", "aborted")
	w.end(kgo.TryAbort)
	put(t, cfg, "lanes", 0, "1")
	put(t, cfg, "lanes", 1, "2")
	tb := newTable(t)
	g := openGroup(t, cfg, groupOptions("0"), tb)
	if g.Lease() {
		t.Error("a lease before any partition was restored")
	}
	got := map[string]bool{}
	eventually(t, "all records, uncommitted ones too", func() bool {
		for _, v := range turn(t, g) {
			got[v] = true
		}
		return len(got) == 3
	})
	if !g.Lease() {
		t.Error("no lease with all partitions restored")
	}
	if n := len(kc.GroupInfo("owners").Commits); n != 0 {
		t.Errorf("offsets of %d topics were committed", n)
	}
	g.Close()
	if g.Lease() {
		t.Error("a lease after Close")
	}
	if diff := cmp.Diff([]string{"restore 0", "restore 1", "revoke [0 1]"}, tb.trace()); diff != "" {
		t.Errorf("table calls (-want +got):\n%s", diff)
	}
}

func TestGroup_leaseMovesWithThePartitions(t *testing.T) {
	cfg, _ := start(t, 2, "lanes")
	one, two := newTable(t), newTable(t)
	g1 := openGroup(t, cfg, groupOptions("1"), one)
	eventually(t, "the first member owns", func() bool { turn(t, g1); return g1.Lease() && one.holds() == 2 })
	g2 := openGroup(t, cfg, groupOptions("2"), two)
	eventually(t, "both own one", func() bool {
		turn(t, g1)
		turn(t, g2)
		return one.holds() == 1 && two.holds() == 1 && g1.Lease() && g2.Lease()
	})
}

func TestGroup_leaseEndsWithoutHeartbeats(t *testing.T) {
	cfg, kc := start(t, 1, "lanes")
	o := shortLease(kc)
	g := openGroup(t, cfg, o, newTable(t))
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	block := make(chan struct{})
	defer close(block)
	kc.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		kc.SleepControl(func() { <-block })
		return nil, nil, false
	})
	began := time.Now()
	var asked time.Time // latest, of those that were told yes
	eventually(t, "the lease runs out", func() bool {
		turn(t, g)
		now := time.Now()
		if !g.Lease() {
			return true
		}
		asked = now
		return false
	})
	if d := asked.Sub(began); d > o.SessionTimeout {
		t.Errorf("the lease outlived the session timeout: %s", d)
	}
}

// A coordinator that takes over counts every member's session anew: who could
// not reach it for longer than the lease, but not for a session, never joins
// again, and must not stand still for ever.
func TestGroup_leaseReturnsToAMemberThatStayed(t *testing.T) {
	for _, id := range []string{"", "0"} {
		cfg, kc := start(t, 1, "lanes")
		o := shortLease(kc)
		o.InstanceID = id
		tb := newTable(t)
		g := openGroup(t, cfg, o, tb)
		eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
		away := make(chan struct{})
		kc.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
			kc.KeepControl()
			kc.SleepControl(func() { <-away })
			return nil, nil, false
		})
		eventually(t, "the lease runs out", func() bool { turn(t, g); return !g.Lease() })
		ran := time.Now() // a beat sent just before the end would still renew it
		eventually(t, "a while", func() bool { turn(t, g); return time.Since(ran) > 300*time.Millisecond })
		close(away)
		eventually(t, "the lease returns", func() bool { turn(t, g); return g.Lease() })
		if diff := cmp.Diff([]string{"restore 0"}, tb.trace()); diff != "" {
			t.Errorf("instance %q: table calls (-want +got):\n%s", id, diff)
		}
	}
}

// The same where nothing is read for long: the lease must not wait for a record.
func TestGroup_leaseReturnsWithoutARecord(t *testing.T) {
	cfg, _ := start(t, 1, "lanes")
	g := openGroup(t, cfg, groupOptions("0"), newTable(t))
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	reading.Go(func() {
		for ctx.Err() == nil {
			if _, err := g.Poll(ctx, 1); err != nil {
				t.Error(err)
				return
			}
			g.Allow()
		}
	})
	began := time.Now()
	eventually(t, "it waits for a record", func() bool { return time.Since(began) > 100*time.Millisecond })
	g.AnnounceLate()
	eventually(t, "the lease returns", g.Lease)
}

// The same answer, from a coordinator that has thrown the member out.
func TestGroup_leaseOfAStrangerDoesNotReturn(t *testing.T) {
	cfg, kc := start(t, 1, "lanes")
	tb := newTable(t)
	g := openGroup(t, cfg, shortLease(kc), tb)
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	away := make(chan struct{})
	kc.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		kc.SleepControl(func() { <-away })
		return nil, nil, false
	})
	eventually(t, "the lease runs out", func() bool { turn(t, g); return !g.Lease() })
	kc.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = kerr.UnknownMemberID.Code
		return resp, nil, true
	})
	close(away)
	for range 100 {
		turn(t, g)
		if g.Lease() && len(tb.trace()) == 1 {
			t.Fatal("a lease without a new join")
		}
	}
}

func TestGroup_leaseEndsWhileARebalanceWaits(t *testing.T) {
	cfg, kc := start(t, 1, "lanes")
	g := openGroup(t, cfg, groupOptions("0"), newTable(t))
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	put(t, cfg, "lanes", 0, "1")
	if _, err := g.Poll(patient(t), 1); err != nil { // no Allow: a rebalance has to wait
		t.Fatal(err)
	}
	kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress})
	eventually(t, "the lease ends", func() bool { return !g.Lease() })
	g.Allow()
	eventually(t, "the lease returns", func() bool { turn(t, g); return g.Lease() })
}

func TestGroup_leaseReturnsAfterALateAnnouncement(t *testing.T) {
	cfg, _ := start(t, 1, "lanes")
	g := openGroup(t, cfg, groupOptions("0"), newTable(t))
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	g.AnnounceLate()
	if g.Lease() {
		t.Error("a lease while a rebalance is said to wait")
	}
	eventually(t, "the lease returns", func() bool { turn(t, g); return g.Lease() })
}

func TestGroup_unknownMemberEndsTheLease(t *testing.T) {
	cfg, kc := start(t, 1, "lanes")
	tb := newTable(t)
	g := openGroup(t, cfg, groupOptions("0"), tb)
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	n := len(tb.trace())
	kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID})
	eventually(t, "revoked and restored again", func() bool { turn(t, g); return len(tb.trace()) == n+2 && g.Lease() })
}

// loser is a table that is told of partitions whose next owner does not wait.
type loser struct{ *table }

func (l loser) Lose(ps []int32) {
	defer l.enter(fmt.Sprintf("lose %v", ps))()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range ps {
		delete(l.held, p)
	}
}

func TestGroup_tellsLostFromRevoked(t *testing.T) {
	cfg, kc := start(t, 1, "lanes")
	tb := newTable(t)
	g := openGroup(t, cfg, groupOptions("0"), loser{tb})
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress})
	eventually(t, "revoked and restored", func() bool { turn(t, g); return len(tb.trace()) == 3 && g.Lease() })
	kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID})
	eventually(t, "lost and restored", func() bool { turn(t, g); return len(tb.trace()) == 5 && g.Lease() })
	if diff := cmp.Diff([]string{"restore 0", "revoke [0]", "restore 0", "lose [0]", "restore 0"}, tb.trace()); diff != "" {
		t.Errorf("table calls (-want +got):\n%s", diff)
	}
}

func TestGroup_heartbeatsGoOnDuringARestore(t *testing.T) {
	cfg, kc := start(t, 1, "lanes")
	tb := newTable(t)
	beats := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Observe: true, Count: -1})
	tb.at = func(ctx context.Context, _ int32, _ stream.Log, _ map[string]int64) (map[string]int64, error) {
		// As many as a session of 1.5 s has.
		return map[string]int64{"lanes": 0}, beats.Wait(ctx, 30)
	}
	g := openGroup(t, cfg, groupOptions("0"), tb)
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	if diff := cmp.Diff([]string{"restore 0"}, tb.trace()); diff != "" {
		t.Errorf("table calls (-want +got):\n%s", diff)
	}
}

func TestGroup_rebalanceEndsARestore(t *testing.T) {
	cfg, kc := start(t, 1, "lanes")
	tb := newTable(t)
	restores := 0
	tb.at = func(ctx context.Context, _ int32, _ stream.Log, _ map[string]int64) (map[string]int64, error) {
		if restores++; restores == 1 {
			kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress})
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return map[string]int64{"lanes": 0}, nil
	}
	g := openGroup(t, cfg, groupOptions("0"), tb)
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	if diff := cmp.Diff([]string{"restore 0", "revoke [0]", "restore 0"}, tb.trace()); diff != "" {
		t.Errorf("table calls (-want +got):\n%s", diff)
	}
}
