package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"rampstream/integration"
	"rampstream/internal/providers/simulator"
	"rampstream/internal/stream"
)

// readers: a client that shares no code with ours reads the same records, and
// another Avro library, in the checker, reads every value. Kafka's own client and
// librdkafka join where they are installed: they read every topic by both
// isolation levels.
func readers(t *testing.T, p platform) {
	w := newWorld(t, p, options{faults: simulator.DefaultFaults(), stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 16, 2, 2*time.Second))
	w.agree()
	run := w.finish([]*process{ingest}, []*process{poller}, reconciler)
	for _, topic := range append(w.topics().Inputs(), w.topics().LaneState) {
		for n, want := range run.Committed[topic] {
			got := w.readOther(topic, n, len(want))
			if len(got) != len(want) {
				t.Errorf("kafka-go reads %d records of %s-%d, kgo %d", len(got), topic, n, len(want))
				continue
			}
			for i := range want {
				if !sameRecord(want[i], got[i]) {
					t.Errorf("kafka-go and kgo read different records at %s-%d offset %d", topic, n, want[i].Offset)
				}
			}
		}
	}
	for _, reader := range integration.OtherReaders("..") {
		found, line, err := reader.Agree(t.Context(), p.brokers, run.History)
		must(t, err)
		for _, v := range found {
			t.Error(v)
		}
		t.Log(line)
	}
	python(t, w, run)
	folded(t, w, run)
}

// readOther reads a partition from its start to its present end with
// segmentio/kafka-go. That follows no leader and tries nothing again, so a read
// that breaks off begins anew.
func (w *world) readOther(topic string, partition, want int) (out []kafka.Message) {
	w.t.Helper()
	eventually(w.t, patience, fmt.Sprintf("kafka-go reads %s-%d", topic, partition), func() (bool, string) {
		var err error
		out, err = w.readOnce(topic, partition)
		return err == nil, fmt.Sprintf("after %d of %d records: %v", len(out), want, err)
	})
	return out
}

func (w *world) readOnce(topic string, partition int) (out []kafka.Message, err error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	conn, err := kafka.DialLeader(ctx, "tcp", w.cfg.Kafka.Brokers[0], topic, partition)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	end, err := conn.ReadLastOffset()
	if err != nil || end == 0 {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	for {
		batch := conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: 16 << 20, IsolationLevel: kafka.ReadCommitted})
		for {
			m, err := batch.ReadMessage()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					return out, err
				}
				break
			}
			out = append(out, m)
		}
		if err := batch.Close(); err != nil {
			return out, err
		}
		if at, _ := conn.Offset(); at >= end {
			return out, nil
		}
	}
}

func sameRecord(a stream.Record, b kafka.Message) bool {
	if len(a.Headers) != len(b.Headers) {
		return false
	}
	for i, h := range a.Headers {
		if h.Key != b.Headers[i].Key || !bytes.Equal(h.Value, b.Headers[i].Value) {
			return false
		}
	}
	// Of a topic with LogAppendTime kafka-go shows the producer's time.
	return a.Offset == b.Offset && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) &&
		(a.AppendTime || a.TimestampMs == b.Time.UnixMilli())
}
