package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// watch follows the reconcilers' positions as any consumer would, read
// committed: every record of them is a commit of its partition.
type watch struct {
	client *kgo.Client
	done   chan struct{}

	mu      sync.Mutex
	commits [][]time.Time // by partition, when they were seen
}

func newWatch(brokers []string, topic string, partitions int32) (*watch, error) {
	from := map[int32]kgo.Offset{}
	for n := range partitions {
		from[n] = kgo.NewOffset().AtStart()
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RequestTimeoutOverhead(2*time.Second))
	if err != nil {
		return nil, err
	}
	w := &watch{client: cl, done: make(chan struct{}), commits: make([][]time.Time, partitions)}
	go w.run()
	return w, nil
}

func (w *watch) run() {
	defer close(w.done)
	for {
		fetches := w.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		now := time.Now()
		w.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) { w.commits[r.Partition] = append(w.commits[r.Partition], now) })
		w.mu.Unlock()
	}
}

func (w *watch) close() {
	w.client.Close()
	<-w.done
}

// since counts the commits of each partition after t; the least of them.
func (w *watch) since(t time.Time) (least, all int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	least = -1
	for _, seen := range w.commits {
		n := 0
		for i := len(seen) - 1; i >= 0 && seen[i].After(t); i-- {
			n++
		}
		if all += n; least < 0 || n < least {
			least = n
		}
	}
	return least, all
}

// The floor of traffic before a fault: every partition committed in the last
// three seconds, and all of them together this often.
const (
	floorWindow  = 3 * time.Second
	floorCommits = 10
)

// flows waits until the floor is reached with what came after t.
func (w *watch) flows(ctx context.Context, t time.Time, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		now := time.Now()
		from := now.Add(-floorWindow)
		if from.Before(t) {
			from = t
		}
		least, all := w.since(from)
		if least > 0 && all >= floorCommits {
			return nil
		}
		if now.After(deadline) {
			return fmt.Errorf("%d commits since %v, and none in some partition: %v after the fault the reconcilers do not commit in every partition",
				all, now.Sub(from).Round(time.Millisecond), within)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// silence is the longest time without a commit of one partition, from its last
// commit before t until now.
func (w *watch) silence(t time.Time) (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seen := range w.commits {
		for i := len(seen) - 1; i > 0 && seen[i].After(t); i-- {
			longest = max(longest, seen[i].Sub(seen[i-1]))
		}
	}
	return longest
}
