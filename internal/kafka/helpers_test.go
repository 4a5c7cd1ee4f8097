package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/stream"
)

// start runs an embedded cluster with the named topics of n partitions.
func start(t *testing.T, n int32, topics ...string) (kafka.Config, *kfake.Cluster) {
	t.Helper()
	c, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for _, name := range topics {
		if err := c.Kafka().CreateTopic(name, n, nil); err != nil {
			t.Fatal(err)
		}
	}
	return kafka.Config{Brokers: c.Brokers(), MetadataMinAge: 50 * time.Millisecond}, c.Kafka()
}

// patience is more than anything here takes where others have the processors, and
// long is longer than a whole test: what happens within it is not the end of a
// session, of a transaction or of a rebalance. Who wants one of those to end says so.
const (
	patience = time.Minute
	long     = 4 * time.Minute
)

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func openProducer(t *testing.T, cfg kafka.Config, o kafka.ProducerOptions) *kafka.Producer {
	t.Helper()
	p, err := kafka.OpenProducer(patient(t), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

func openLog(t *testing.T, cfg kafka.Config) *kafka.Log {
	t.Helper()
	l, err := kafka.OpenLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// put writes values, with keys of their own, to one partition.
func put(t *testing.T, cfg kafka.Config, topic string, partition int32, values ...string) {
	t.Helper()
	p := openProducer(t, cfg, kafka.ProducerOptions{})
	for _, v := range values {
		if _, err := p.Publish(patient(t), stream.Record{Topic: topic, Partition: partition, Key: []byte("k-" + v), Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
}

// values reads a whole partition.
func values(t *testing.T, cfg kafka.Config, topic string, partition int32, committed bool) []string {
	t.Helper()
	l := openLog(t, cfg)
	ends, err := l.Ends(patient(t), partition, topic)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	err = l.Read(patient(t), topic, partition, ends[topic].Start, ends[topic].End, committed, func(r stream.Record) error {
		out = append(out, string(r.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// table is a stream.Table that starts at what the group committed, or where at
// says, and records its calls. It fails the test when two calls overlap or one
// comes while a batch is out.
type table struct {
	t  *testing.T
	at func(ctx context.Context, p int32, log stream.Log, committed map[string]int64) (map[string]int64, error)

	mu    sync.Mutex
	busy  bool
	batch bool
	calls []string
	held  map[int32]bool
}

func newTable(t *testing.T) *table { return &table{t: t, held: map[int32]bool{}} }

func (tb *table) enter(call string) func() {
	tb.mu.Lock()
	if tb.busy || tb.batch {
		tb.t.Errorf("%s while another call runs (%v) or a batch is out (%v)", call, tb.busy, tb.batch)
	}
	tb.busy = true
	tb.calls = append(tb.calls, call)
	tb.mu.Unlock()
	return func() {
		tb.mu.Lock()
		tb.busy = false
		tb.mu.Unlock()
	}
}

// out says whether a batch is between Poll and the end of Commit.
func (tb *table) out(v bool) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.batch = v
}

func (tb *table) Restore(ctx context.Context, p int32, log stream.Log, committed map[string]int64) (map[string]int64, error) {
	defer tb.enter(fmt.Sprintf("restore %d", p))()
	tb.mu.Lock()
	tb.held[p] = true
	tb.mu.Unlock()
	if tb.at != nil {
		return tb.at(ctx, p, log, committed)
	}
	next := map[string]int64{}
	for topic, o := range committed {
		next[topic] = max(o, 0)
	}
	return next, nil
}

func (tb *table) Revoke(ps []int32) {
	defer tb.enter(fmt.Sprintf("revoke %v", ps))()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, p := range ps {
		if !tb.held[p] {
			tb.t.Errorf("Revoke(%v): partition %d is not held", ps, p)
		}
		delete(tb.held, p)
	}
}

func (tb *table) trace() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return append([]string(nil), tb.calls...)
}

func (tb *table) holds() int {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return len(tb.held)
}

// eventually polls a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within %s", what, patience)
		case <-tick.C:
		}
	}
}

// leave throws a static member out of a group.
func leave(t *testing.T, cfg kafka.Config, group, instance string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).LeaveGroup(patient(t), kadm.LeaveGroup(group).InstanceIDs(instance)); err != nil {
		t.Fatal(err)
	}
}
