// Package sim holds the parts of a single-threaded, seeded simulation of the
// ring: an in-memory partitioned log that behaves as the programs' Kafka
// sessions promise, without Kafka. Only tests import it.
package sim

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"rampstream/internal/stream"
)

// Log is an in-memory set of topics with one partition count. Records are
// visible when Append returns; there are no open transactions. It is not safe
// for concurrent use.
type Log struct {
	Partitions int32
	// Now stamps appended records (LogAppendTime), in milliseconds.
	Now    func() int64
	topics map[string][]*part
}

type part struct {
	start   int64
	next    int64
	records []stream.Record
}

// NewLog makes an empty log.
func NewLog(partitions int32, now func() int64, topics ...string) *Log {
	l := &Log{Partitions: partitions, Now: now, topics: map[string][]*part{}}
	for _, t := range topics {
		parts := make([]*part, partitions)
		for i := range parts {
			parts[i] = &part{}
		}
		l.topics[t] = parts
	}
	return l
}

// Append writes records, all or none, and returns them with coordinates.
func (l *Log) Append(rs ...stream.Record) ([]stream.Record, error) {
	out := make([]stream.Record, 0, len(rs))
	for _, r := range rs {
		if l.topics[r.Topic] == nil || r.Partition >= l.Partitions {
			return nil, fmt.Errorf("append to %s-%d: %w", r.Topic, r.Partition, stream.ErrRefused)
		}
	}
	for _, r := range rs {
		if r.Partition == stream.Auto {
			r.Partition = stream.PartitionOf(r.Key, l.Partitions)
		}
		p := l.topics[r.Topic][r.Partition]
		r = Own(r)
		r.Offset, r.TimestampMs, r.AppendTime = p.next, l.Now(), true
		p.next++
		p.records = append(p.records, r)
		out = append(out, r)
	}
	return out, nil
}

// Own is r in memory of its own: who wrote it may use theirs again.
func Own(r stream.Record) stream.Record {
	r.Key, r.Value, r.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), slices.Clone(r.Headers)
	for i := range r.Headers {
		r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
	}
	return r
}

// Ends implements stream.Log.
func (l *Log) Ends(_ context.Context, n int32, topics ...string) (map[string]stream.Range, error) {
	out := map[string]stream.Range{}
	for _, t := range topics {
		if l.topics[t] == nil || n >= l.Partitions {
			return nil, fmt.Errorf("ends of %s-%d: %w", t, n, stream.ErrRefused)
		}
		p := l.topics[t][n]
		out[t] = stream.Range{Start: p.start, End: p.next}
	}
	return out, nil
}

// Read implements stream.Log.
func (l *Log) Read(_ context.Context, topic string, n int32, from, to int64, _ bool, fn func(stream.Record) error) error {
	if l.topics[topic] == nil || n >= l.Partitions {
		return fmt.Errorf("read %s-%d: %w", topic, n, stream.ErrRefused)
	}
	p := l.topics[topic][n]
	if from < p.start {
		return fmt.Errorf("read %s-%d from %d: the log starts at %d: %w", topic, n, from, p.start, stream.ErrLoss)
	}
	for _, r := range p.records {
		if r.Offset < from || r.Offset >= to {
			continue
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// Since is the offset of the first record that is not older than at, in
// milliseconds; the end when there is none.
func (l *Log) Since(_ context.Context, topic string, n int32, at int64) (int64, error) {
	if l.topics[topic] == nil || n >= l.Partitions {
		return 0, fmt.Errorf("since %s-%d: %w", topic, n, stream.ErrRefused)
	}
	p := l.topics[topic][n]
	for _, r := range p.records {
		if r.TimestampMs >= at {
			return r.Offset, nil
		}
	}
	return p.next, nil
}

// All is every record of a topic, by partition and offset.
func (l *Log) All(topic string) []stream.Record {
	var out []stream.Record
	for _, p := range l.topics[topic] {
		out = append(out, p.records...)
	}
	return out
}

// Compact keeps the latest record of each key.
func (l *Log) Compact(topic string) {
	for _, p := range l.topics[topic] {
		last := map[string]int64{}
		for _, r := range p.records {
			last[string(r.Key)] = r.Offset
		}
		p.records = slices.DeleteFunc(p.records, func(r stream.Record) bool { return last[string(r.Key)] != r.Offset })
	}
}

// Truncate removes what is below offset, as retention does.
func (l *Log) Truncate(topic string, n int32, offset int64) {
	p := l.topics[topic][n]
	p.start = max(p.start, offset)
	p.records = slices.DeleteFunc(p.records, func(r stream.Record) bool { return r.Offset < p.start })
}

// Change replaces the value of the record at a coordinate, or removes the
// record when value is nil: damage for a restore to find.
func (l *Log) Change(topic string, n int32, offset int64, value []byte) {
	p := l.topics[topic][n]
	i := slices.IndexFunc(p.records, func(r stream.Record) bool { return r.Offset == offset })
	if i < 0 {
		return
	}
	if value == nil {
		p.records = slices.Delete(p.records, i, i+1)
		return
	}
	p.records[i].Value = value
}

// SetHeader replaces the value of a header of the record at a coordinate.
func (l *Log) SetHeader(topic string, n int32, offset int64, header, value string) {
	p := l.topics[topic][n]
	for i := range p.records {
		if r := &p.records[i]; r.Offset == offset {
			r.Headers = slices.Clone(r.Headers)
			for j := range r.Headers {
				if r.Headers[j].Key == header {
					r.Headers[j].Value = []byte(value)
				}
			}
		}
	}
}
