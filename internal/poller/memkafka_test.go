package poller_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

const partitions = 4

// memKafka is a log in memory: Publisher, stream.Log, and sessions upon it.
type memKafka struct {
	mu      sync.Mutex
	topics  map[string][][]stream.Record
	changed chan struct{}
	fail    func(stream.Record) error
}

func newMemKafka() *memKafka {
	return &memKafka{topics: map[string][][]stream.Record{}, changed: make(chan struct{})}
}

func (k *memKafka) partition(topic string, n int32) *[]stream.Record {
	if k.topics[topic] == nil {
		k.topics[topic] = make([][]stream.Record, partitions)
	}
	return &k.topics[topic][n]
}

func (k *memKafka) Publish(_ context.Context, rs ...stream.Record) ([]stream.Record, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []stream.Record
	for _, r := range rs {
		if k.fail != nil {
			if err := k.fail(r); err != nil {
				return nil, err
			}
		}
		if r.Partition == stream.Auto {
			r.Partition = stream.PartitionOf(r.Key, partitions)
		}
		p := k.partition(r.Topic, r.Partition)
		r.Offset = int64(len(*p))
		*p = append(*p, r)
		out = append(out, r)
	}
	close(k.changed)
	k.changed = make(chan struct{})
	return out, nil
}

func (k *memKafka) Ends(_ context.Context, n int32, topics ...string) (map[string]stream.Range, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]stream.Range{}
	for _, t := range topics {
		out[t] = stream.Range{End: int64(len(*k.partition(t, n)))}
	}
	return out, nil
}

func (k *memKafka) Read(_ context.Context, topic string, n int32, from, to int64, _ bool, fn func(stream.Record) error) error {
	for _, r := range k.all(topic)[n][from:to] {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// all is a copy of a topic, by partition.
func (k *memKafka) all(topic string) [][]stream.Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([][]stream.Record, partitions)
	for n := range out {
		out[n] = bytesClone(*k.partition(topic, int32(n)))
	}
	return out
}

func bytesClone(rs []stream.Record) []stream.Record { return append([]stream.Record(nil), rs...) }

func (k *memKafka) records(topic string) []stream.Record {
	var out []stream.Record
	for _, p := range k.all(topic) {
		out = append(out, p...)
	}
	return out
}

// member is a session that owns what assign gave it.
type member struct {
	k     *memKafka
	table stream.Table

	mu   sync.Mutex
	next map[int32]int64
	end  error // what Poll returns, beside records
	lost bool  // the lease
}

func (k *memKafka) join(table stream.Table) *member {
	return &member{k: k, table: table, next: map[int32]int64{}}
}

func (m *member) assign(t testing.TB, ns ...int32) {
	t.Helper()
	for _, n := range ns {
		next, err := m.table.Restore(context.Background(), n, m.k, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		m.next[n] = next[topics.CheckSchedule]
		m.mu.Unlock()
	}
}

func (m *member) revoke(ns ...int32) {
	m.mu.Lock()
	for _, n := range ns {
		delete(m.next, n)
	}
	m.mu.Unlock()
	m.table.Revoke(ns)
}

func (m *member) Lease() bool { m.mu.Lock(); defer m.mu.Unlock(); return !m.lost }
func (m *member) Allow()      {}

func (m *member) Poll(ctx context.Context, limit int) ([]stream.Record, error) {
	for {
		m.k.mu.Lock()
		changed := m.k.changed
		m.k.mu.Unlock()
		if out, err := m.take(limit); len(out) > 0 || err != nil {
			return out, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (m *member) take(limit int) (out []stream.Record, err error) {
	all := m.k.all(topics.CheckSchedule)
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, from := range m.next {
		p := all[n][from:]
		p = p[:min(len(p), limit-len(out))]
		m.next[n] += int64(len(p))
		out = append(out, p...)
	}
	return out, m.end
}

var topics = stream.DefaultTopics("ramp.")

func newRecords(t testing.TB) (poller.Records, *codec.Codec) {
	t.Helper()
	ids := map[string]int{}
	for i, name := range schemas.Names() {
		ids[name] = i + 1
	}
	c, err := codec.New(ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	return poller.Records{Codec: c, Topics: topics, Partitions: partitions}, c
}

// taskRecord is a record of the schedule as the reconciler writes it.
func taskRecord(t testing.TB, c *codec.Codec, task events.CheckTask) stream.Record {
	t.Helper()
	value, err := c.EncodeCheckTask(task)
	if err != nil {
		t.Fatal(err)
	}
	return stream.Record{Topic: topics.CheckSchedule, Partition: stream.PartitionOf([]byte(task.Key.Lane()), partitions),
		Key: []byte(task.Key.String()), Value: value}
}

func laneRecord(t testing.TB, r poller.Records, s events.LaneState) stream.Record {
	t.Helper()
	rec, err := r.LaneState(s)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func put(t testing.TB, k *memKafka, rs ...stream.Record) {
	t.Helper()
	for _, r := range rs {
		if _, err := k.Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func header(r stream.Record, name string) string {
	v, _ := r.Header(name)
	return string(bytes.Clone(v))
}

var errRefused = fmt.Errorf("produce: %w", stream.ErrRefused)
