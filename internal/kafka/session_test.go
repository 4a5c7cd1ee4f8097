package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// Brokers that were out of reach during a restore are no reason to stand still
// for ever: the member joins again and restores again.
func TestSession_restoreOutOfReachIsTriedAgain(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out", "lanes")
	var left atomic.Int32
	fails := func(topics ...string) *table {
		tb := newTable(t)
		left.Store(2)
		tb.at = func(context.Context, int32, stream.Log, map[string]int64) (map[string]int64, error) {
			if left.Add(-1) >= 0 {
				return nil, fmt.Errorf("no leader: %w", stream.ErrTransient)
			}
			next := map[string]int64{}
			for _, topic := range topics {
				next[topic] = 0
			}
			return next, nil
		}
		return tb
	}
	put(t, cfg, "a", 0, "1")
	put(t, cfg, "lanes", 0, "1")
	for name, poll := range map[string]func() func(context.Context, int) ([]stream.Record, error){
		"txn": func() func(context.Context, int) ([]stream.Record, error) {
			return openTxn(t, cfg, txnOptions("0"), fails("a", "b")).Poll
		},
		"group": func() func(context.Context, int) ([]stream.Record, error) {
			return openGroup(t, cfg, groupOptions("0"), fails("lanes")).Poll
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, errs := poll(), 0
			ctx := patient(t)
			for ctx.Err() == nil {
				rs, err := p(ctx, 1)
				if err != nil && !errors.Is(err, stream.ErrTransient) {
					t.Fatalf("Poll = %v, want ErrTransient: it does not end the session", err)
				}
				if err != nil {
					errs++
				}
				if len(rs) > 0 {
					if errs == 0 {
						t.Error("nobody heard of the failure")
					}
					return
				}
			}
			t.Errorf("no record after %d errors", errs)
		})
	}
}

// A coordinator that is out of reach for many sessions: the partitions are given
// up, nobody is sent home, and all goes on when it is back.
func TestSession_coordinatorAwayForLong(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "state", "position", "lanes")
	put(t, cfg, "a", 0, "1")
	o := txnOptions("t")
	o.Group = "txn"
	o.TxnTimeout, o.SessionTimeout = 1900*time.Millisecond, 2*time.Second
	owner := groupOptions("0")
	owner.SessionTimeout = 2 * time.Second
	tables := []*table{newTable(t), newTable(t)}
	group, txn := openGroup(t, cfg, owner, tables[0]), openTxn(t, cfg, o, tables[1])
	copied := func() int { return len(values(t, cfg, "out", 0, true)) }
	step := func() {
		turn(t, group)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		rs, err := txn.Poll(ctx, 1)
		if err != nil && !errors.Is(err, stream.ErrTransient) {
			t.Fatal(err)
		}
		if len(rs) == 0 {
			return
		}
		if _, err := txn.Commit(patient(t), copies(rs)); err != nil { // it took longer than a transaction may
			txn.Close()
			txn = openTxn(t, cfg, o, tables[1])
		}
	}
	eventually(t, "both work", func() bool { step(); return group.Lease() && copied() == 1 })
	away := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch}, Err: kerr.CoordinatorNotAvailable, TopLevel: true, Count: -1})
	began := time.Now()
	eventually(t, "sessions pass, and nothing is held without a coordinator", func() bool {
		step()
		return time.Since(began) > 5*time.Second && !group.Lease() && tables[0].holds()+tables[1].holds() == 0
	})
	put(t, cfg, "a", 0, "2")
	away.Remove()
	eventually(t, "both go on", func() bool { step(); return group.Lease() && copied() == 2 })
}
