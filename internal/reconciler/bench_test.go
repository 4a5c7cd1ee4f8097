package reconciler_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// What joining costs, apart from Kafka: one iteration is a batch of benchBatch
// records, and what it did is rolled back. Divide by benchBatch for one record.
const benchBatch = 1000

// benchOrders is more than the cache of decoded states holds.
const benchOrders = 20 * benchBatch

func BenchmarkEngineStep(b *testing.B) {
	w := newWorld(b)
	w.now = minute(1000)
	for n := range 5 {
		for at := 0; at < benchOrders; at += benchBatch {
			w.take(w.lives(at, benchBatch, n))
		}
	}
	for _, tc := range []struct {
		name  string
		batch func(i int) []stream.Record
	}{
		{"new orders", func(i int) []stream.Record { return w.lives(benchOrders+i*benchBatch, benchBatch, 0) }},
		{"a poll of a cold order", func(i int) []stream.Record { return w.lives(i%10*benchBatch, benchBatch, 5) }},
		{"a poll of a warm order", func(int) []stream.Record { return w.lives(benchOrders-benchBatch, benchBatch, 5) }},
		{"five of each order", func(i int) []stream.Record {
			var out []stream.Record
			for n := range 5 {
				out = append(out, w.lives(benchOrders+i*benchBatch, benchBatch/5, n)...)
			}
			return out
		}},
		{"repeats", func(i int) []stream.Record { return w.lives(i%10*benchBatch, benchBatch, 4) }},
		{"hints", func(i int) []stream.Record { return w.hinted(i%10*benchBatch, benchBatch) }},
	} {
		b.Run(tc.name, func(b *testing.B) {
			batches := make([][]stream.Record, 10)
			for i := range batches {
				batches[i] = tc.batch(i)
			}
			b.ReportAllocs()
			began := cpuTime()
			for i := 0; b.Loop(); i++ {
				if _, err := w.eng.Step(context.Background(), batches[i%len(batches)], true); err != nil {
					b.Fatal(err)
				}
				w.eng.Rollback()
			}
			b.ReportMetric(float64((cpuTime()-began).Nanoseconds())/float64(b.N*benchBatch), "cpu-ns/record")
		})
	}
}

// BenchmarkEngineLives is all that orders go through, from the first word to the
// last confirmation, accepted: the table's share is in it. Its batches are as
// large as a program's under load, and given away early, as there: what a batch
// spreads over memory that no cache holds shows.
func BenchmarkEngineLives(b *testing.B) {
	const benchBatch, words = 5000, 10
	const orders = 4 * benchBatch
	w := newWorld(b)
	w.now = minute(1000)
	var batches [][]stream.Record
	for n := range words {
		for at := 0; at < orders; at += benchBatch {
			batches = append(batches, w.lives(at, benchBatch, n))
		}
	}
	b.ReportAllocs()
	var cpu time.Duration
	for b.Loop() {
		w.restart()
		began := cpuTime()
		for _, rs := range batches {
			w.take(rs)
		}
		cpu += cpuTime() - began
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N*orders*words), "cpu-ns/record")
}

// cpuTime is what this process has used so far, the collector included: unlike
// the time on the wall it says the same on a busy machine.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// take joins records and accepts what follows, without a log to write it to.
func (w *world) take(rs []stream.Record) {
	w.t.Helper()
	if _, err := w.eng.StepEarly(context.Background(), rs, true, func([]stream.Record) bool { return true }); err != nil {
		w.t.Fatal(err)
	}
	if err := w.eng.Accept(); err != nil {
		w.t.Fatal(err)
	}
}

// lives is the n-th record of each of count orders: webhooks and polls in turn,
// waiting, running, done.
func (w *world) lives(from, count, n int) []stream.Record {
	word := []string{"wait", "run", "done"}[min(n/2, 2)]
	out := make([]stream.Record, 0, count)
	for i := from; i < from+count; i++ {
		k := key(fmt.Sprintf("%024x", i))
		facts := events.Facts{FiatAmount: "100.50", FiatCurrency: "USD", CryptoAmount: "0.00215", CryptoAsset: "BTC"}
		id := events.EventID(events.Digest(k.String(), fmt.Sprint(n)))
		r := stream.Record{Topic: topics.Webhook, Key: []byte(k.String()), Offset: int64(i * 10), TimestampMs: int64(minute(n * 2))}
		var err error
		if n%2 == 0 {
			r.Value, err = w.codec.EncodeWebhook(events.Webhook{Key: k, EventID: id, ObservedAt: minute(n * 2), Trust: events.TrustSigned, EventType: word,
				StatusRaw: word, BodyDigest: events.Digest(word), Scheme: "canonical/current", Facts: facts})
		} else {
			r.Topic = topics.StatusCheck
			r.Value, err = w.codec.EncodeStatusCheck(events.StatusCheck{Key: k, EventID: id, ObservedAt: minute(n * 2), AnsweredAt: minute(n*2) + 40,
				Outcome: events.OutcomeOK, StatusRaw: word, HTTPStatus: 200, Attempt: 1, Facts: facts})
		}
		if err != nil {
			w.t.Fatal(err)
		}
		r.Partition = stream.PartitionOf(r.Key, partitions)
		out = append(out, r)
	}
	return out
}

func (w *world) hinted(from, count int) []stream.Record {
	out := w.lives(from, count, 0)
	for i := range out {
		r := w.hook(fmt.Sprintf("%024x", from+i), "done", minute(900), events.TrustHint)
		out[i].Value = r.Value
	}
	return out
}
