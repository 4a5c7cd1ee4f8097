package integration

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/stream"
)

// History is everything that stands in the topics of one prefix, read twice.
type History struct {
	Topics     stream.Topics
	Partitions int32
	// Committed is what read_committed shows, All what read_uncommitted shows,
	// without control records; by topic, then by partition, in offset order.
	Committed, All map[string][][]stream.Record
	// Writers says who wrote a record of All; by topic, partition and offset.
	Writers map[string][]map[int64]Writer
	// Stable and High are the last stable offset and the high watermark, by
	// topic, then by partition.
	Stable, High map[string][]int64
}

// Writer is the producer of a record. A transaction is one epoch of an id where
// the cluster's transaction.version is 2.
type Writer struct {
	ID            int64
	Epoch         int16
	Transactional bool
}

// openFor is how long a transaction may stay open: that of a process that died
// for its timeout (30 s), until the coordinator comes round to it (10 s), and on a
// busy machine for longer.
const openFor = 90 * time.Second

// Read reads the whole of every topic. It waits, at most for openFor, until no
// transaction is open.
func Read(ctx context.Context, brokers []string, topics stream.Topics, partitions int32) (History, error) {
	h := History{Topics: topics, Partitions: partitions}
	var err error
	if h.Stable, h.High, err = settledEnds(ctx, brokers, topics.All(), partitions); err != nil {
		return History{}, err
	}
	if h.Committed, _, err = readTo(ctx, brokers, h.High, kgo.ReadCommitted()); err != nil {
		return History{}, fmt.Errorf("read committed: %w", err)
	}
	if h.All, h.Writers, err = readTo(ctx, brokers, h.High, kgo.ReadUncommitted()); err != nil {
		return History{}, fmt.Errorf("read uncommitted: %w", err)
	}
	return h, nil
}

// settledEnds lists the ends of all partitions, again until the stable ends are
// the ends or openFor is over: then what hangs shows in the result. Brokers that
// come back may have to be asked again.
func settledEnds(ctx context.Context, brokers, topics []string, partitions int32) (stable, high map[string][]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, openFor)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for {
		s, h, lerr := bothEnds(ctx, adm, topics, partitions)
		if lerr == nil {
			stable, high = s, h
		}
		if lerr == nil && equalEnds(s, h) {
			return stable, high, nil
		}
		select {
		case <-ctx.Done():
			if high == nil {
				return nil, nil, lerr
			}
			return stable, high, nil
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func bothEnds(ctx context.Context, adm *kadm.Client, topics []string, partitions int32) (stable, high map[string][]int64, err error) {
	if high, err = ends(ctx, adm.ListEndOffsets, topics, partitions); err != nil {
		return nil, nil, err
	}
	stable, err = ends(ctx, adm.ListCommittedOffsets, topics, partitions)
	return stable, high, err
}

func ends(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), topics []string, partitions int32) (map[string][]int64, error) {
	listed, err := list(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	out := map[string][]int64{}
	for _, t := range topics {
		out[t] = make([]int64, partitions)
		for n := range partitions {
			o, ok := listed.Lookup(t, n)
			if !ok {
				return nil, fmt.Errorf("list offsets: no %s-%d", t, n)
			}
			out[t][n] = o.Offset
		}
	}
	return out, nil
}

func equalEnds(a, b map[string][]int64) bool {
	for t, ns := range a {
		for n, o := range ns {
			if b[t][n] != o {
				return false
			}
		}
	}
	return true
}

// readTo reads every partition from its start to the given end. Control records
// are kept by the client, because they move the position, and dropped here.
func readTo(ctx context.Context, brokers []string, to map[string][]int64, level kgo.IsolationLevel) (map[string][][]stream.Record, map[string][]map[int64]Writer, error) {
	out, by := map[string][][]stream.Record{}, map[string][]map[int64]Writer{}
	from := map[string]map[int32]kgo.Offset{}
	left := 0
	for t, ns := range to {
		out[t], by[t] = make([][]stream.Record, len(ns)), make([]map[int64]Writer, len(ns))
		for n, end := range ns {
			if end == 0 {
				continue
			}
			if from[t] == nil {
				from[t] = map[int32]kgo.Offset{}
			}
			from[t][int32(n)] = kgo.NewOffset().AtStart()
			by[t][n] = map[int64]Writer{}
			left++
		}
	}
	if left == 0 {
		return out, by, nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(level),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, nil, fmt.Errorf("%d partitions not read to their ends: %w", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end := to[r.Topic][r.Partition]
			if r.Offset < end && !r.Attrs.IsControl() {
				out[r.Topic][r.Partition] = append(out[r.Topic][r.Partition], record(r))
				by[r.Topic][r.Partition][r.Offset] = Writer{r.ProducerID, r.ProducerEpoch, r.Attrs.IsTransactional()}
			}
			if r.Offset == end-1 {
				left--
			}
		})
	}
	return out, by, nil
}

// appendTime is the timestamp type of a record stamped by the broker.
const appendTime = 1

func record(r *kgo.Record) stream.Record {
	out := stream.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value,
		TimestampMs: r.Timestamp.UnixMilli(), AppendTime: r.Attrs.TimestampType() == appendTime,
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, stream.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

// Each calls fn for every record of a topic that read_committed shows.
func (h History) Each(topic string, fn func(stream.Record)) {
	for _, rs := range h.Committed[topic] {
		for _, r := range rs {
			fn(r)
		}
	}
}

// Latest is the last committed record of every key of a topic, tombstones
// included.
func (h History) Latest(topic string) map[string]stream.Record {
	out := map[string]stream.Record{}
	h.Each(topic, func(r stream.Record) { out[string(r.Key)] = r })
	return out
}

// Count is the number of committed records of a topic.
func (h History) Count(topic string) (n int) {
	for _, rs := range h.Committed[topic] {
		n += len(rs)
	}
	return n
}
