package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"rampstream/internal/stream"
)

// assignee is a table that restores several partitions at once: each call waits
// until as many run as it asked for.
type assignee struct {
	parallel int
	fail     error // of partition 1

	mu       sync.Mutex
	assigned [][]int32
	running  int
	most     int
	full     chan struct{} // closed once as many run
	opened   bool
	revoked  []int32
}

func (a *assignee) Assigned(ps []int32) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.assigned = append(a.assigned, slices.Clone(ps))
	a.full, a.opened = make(chan struct{}), false
	return a.parallel
}

func (a *assignee) Restore(ctx context.Context, p int32, _ stream.Log, committed map[string]int64) (map[string]int64, error) {
	a.mu.Lock()
	a.running++
	a.most = max(a.most, a.running)
	full := a.full
	if a.running == a.parallel && !a.opened {
		a.opened = true // the next one may come before the others have counted down
		close(full)
	}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.running--
	}()
	select {
	case <-full:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p == 1 && a.fail != nil {
		return nil, a.fail
	}
	if a.fail != nil {
		<-ctx.Done() // the failure of one ends the others
		return nil, ctx.Err()
	}
	next := map[string]int64{}
	for topic, o := range committed {
		next[topic] = max(o, 0)
	}
	return next, nil
}

func (a *assignee) Revoke(ps []int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked = append(a.revoked, ps...)
}

func (a *assignee) last() []int32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.assigned) == 0 {
		return []int32{-1}
	}
	return a.assigned[len(a.assigned)-1]
}

func TestTxnGroup_restoresPartitionsAtOnce(t *testing.T) {
	cfg, _ := start(t, 4, "a", "b", "out")
	for p := range int32(4) {
		put(t, cfg, "a", p, fmt.Sprint(p))
	}
	tb := &assignee{parallel: 3}
	g := openTxn(t, cfg, txnOptions("0"), tb)
	var got []string
	for _, r := range pollN(t, g.Poll, 4) {
		got = append(got, fmt.Sprint(r.Partition)+string(r.Value))
	}
	slices.Sort(got)
	if want := []string{"00", "11", "22", "33"}; !slices.Equal(got, want) {
		t.Errorf("polled %v, want %v", got, want)
	}
	if tb.most != 3 || !slices.Equal(tb.last(), []int32{0, 1, 2, 3}) {
		t.Errorf("%d restores ran at once of the assignment %v, want 3 of 0-3", tb.most, tb.last())
	}
}

// One failed restore ends the others and the session.
func TestTxnGroup_failedRestoreEndsTheOthers(t *testing.T) {
	cfg, _ := start(t, 4, "a", "b", "out")
	tb := &assignee{parallel: 3, fail: fmt.Errorf("digest differs: %w", stream.ErrLoss)}
	g := openTxn(t, cfg, txnOptions("0"), tb)
	if _, err := g.Poll(patient(t), 1); !errors.Is(err, stream.ErrLoss) {
		t.Fatalf("Poll = %v, want ErrLoss", err)
	}
	g.Close()
	slices.Sort(tb.revoked)
	if want := []int32{0, 1, 2}; !slices.Equal(tb.revoked, want) {
		t.Errorf("revoked %v, want those whose restore had begun: %v", tb.revoked, want)
	}
}

// A member for which no partition is left is told so: it is not waiting for
// anything.
func TestTxnGroup_standBy(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	first := openTxn(t, cfg, txnOptions("0"), &assignee{parallel: 1})
	idle(t, first)
	tb := &assignee{parallel: 1}
	second := openTxn(t, cfg, txnOptions("1"), tb)
	eventually(t, "one member has the partition and the other nothing", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := first.Poll(ctx, 1)
		_, err2 := second.Poll(ctx, 1)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return len(tb.last()) == 0
	})
}
