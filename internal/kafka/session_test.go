package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

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
			ctx := context15(t)
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
