package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/stream"
)

// benchTable starts where the group stands.
type benchTable struct{}

func (benchTable) Restore(_ context.Context, _ int32, _ stream.Log, committed map[string]int64) (map[string]int64, error) {
	next := map[string]int64{}
	for topic, o := range committed {
		next[topic] = max(o, 0)
	}
	return next, nil
}

func (benchTable) Revoke([]int32) {}

// sink has the broker acknowledge whatever is produced without a look at it, so
// that the figures are about the client.
func sink(c *kfake.Cluster) {
	var mu sync.Mutex
	next := map[string]int64{}
	c.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := kreq.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		mu.Lock()
		defer mu.Unlock()
		for _, t := range req.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				at := fmt.Sprint(t.Topic, t.TopicID, p.Partition)
				rp.Partition, rp.BaseOffset = p.Partition, next[at]
				next[at] += 1 << 20 // more than any batch has
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}

// processor is the processor time of this process, the broker's too.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchGroup(b *testing.B) (*kafka.TxnGroup, *embedded.Cluster, kafka.Config) {
	b.Helper()
	c, err := embedded.Start(embedded.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	for _, name := range []string{"a", "b", "out", "task", "log"} {
		if err := c.Kafka().CreateTopic(name, 4, nil); err != nil {
			b.Fatal(err)
		}
	}
	cfg := kafka.Config{Brokers: c.Brokers()}
	g, err := kafka.OpenTxnGroup(b.Context(), cfg, kafka.TxnOptions{
		Group: "g", InstanceID: "0", TransactionalID: "g-0", Inputs: []string{"a", "b"}, Outputs: []string{"out", "task", "log"}, LeaveOnClose: true,
	}, benchTable{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(g.Close)
	return g, c, cfg
}

// BenchmarkTxnGroup_Commit is what a batch of the reconciler's shape costs from
// Send to the end of Commit.
func BenchmarkTxnGroup_Commit(b *testing.B) {
	g, c, _ := benchGroup(b)
	const batch, part = 8192, 512
	out := make([]stream.Record, batch)
	for i := range out {
		key := fmt.Appendf(nil, "kado/demo/%024x", i*7919)
		out[i] = stream.Record{Partition: int32(i/3) % 4, Key: key}
		switch r := &out[i]; i % 3 {
		case 0:
			r.Topic, r.Value = "out", fmt.Appendf(nil, "%0200d%0200x%x", i, i*31, key)
			r.Headers = []stream.Header{{Key: "ramp_transition_digest", Value: key}}
		case 1:
			r.Topic, r.Value = "task", fmt.Appendf(nil, "%060d%x", i, key)
		default:
			r.Topic, r.Value = "log", fmt.Appendf(nil, "%0100d%0100x%x", i, i*37, key)
		}
	}
	past, end := context.WithCancel(b.Context())
	end()
	commit := func() {
		if _, err := g.Poll(past, 1); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < batch; n += part {
			if !g.Send(out[n : n+part]) {
				b.Fatal("nothing was taken")
			}
		}
		if ok, err := g.Commit(b.Context(), out); !ok || err != nil {
			b.Fatalf("Commit = %v, %v", ok, err)
		}
	}
	for { // until it holds partitions
		ctx, cancel := context.WithTimeout(b.Context(), 100*time.Millisecond)
		_, err := g.Poll(ctx, 1)
		cancel()
		if err != nil {
			b.Fatal(err)
		}
		if ok, _ := g.Commit(b.Context(), nil); ok {
			break
		}
	}
	sink(c.Kafka())
	commit()
	b.ReportAllocs()
	b.ResetTimer()
	began := processor()
	for b.Loop() {
		commit()
	}
	b.ReportMetric(float64(processor()-began)/float64(b.N*batch), "cpu-ns/record")
}

// BenchmarkTxnGroup_Poll is what reading costs, in polls of a batch.
func BenchmarkTxnGroup_Poll(b *testing.B) {
	g, _, cfg := benchGroup(b)
	const batch = 5000
	p, err := kafka.OpenProducer(b.Context(), cfg, kafka.ProducerOptions{Linger: 5 * time.Millisecond, MaxBufferedRecords: 1 << 20, MaxBufferedBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	rs := make([]stream.Record, batch)
	for i := range rs {
		rs[i] = stream.Record{Topic: []string{"a", "b"}[i%2], Partition: int32(i/2) % 4, Key: fmt.Appendf(nil, "kado/demo/%024x", i*7919), Value: fmt.Appendf(nil, "%0150d%0100x", i, i*31)}
	}
	for range b.N {
		if _, err := p.Publish(b.Context(), rs...); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	began := processor()
	for n := 0; n < b.N*batch; {
		rs, err := g.Poll(b.Context(), batch)
		if err != nil {
			b.Fatal(err)
		}
		n += len(rs)
	}
	b.ReportMetric(float64(processor()-began)/float64(b.N*batch), "cpu-ns/record")
}

// BenchmarkFromFetches is the conversion alone of what a poll of a batch gives.
func BenchmarkFromFetches(b *testing.B) {
	const batch = 5000
	topics := []kgo.FetchTopic{{Topic: "a"}, {Topic: "b"}}
	for t := range topics {
		p := kgo.FetchPartition{Partition: 3}
		for i := range batch / len(topics) {
			p.Records = append(p.Records, &kgo.Record{Topic: topics[t].Topic, Partition: 3, Offset: int64(i), Key: []byte("key"), Value: []byte("value"), Timestamp: time.UnixMilli(int64(i))})
		}
		topics[t].Partitions = []kgo.FetchPartition{p}
	}
	fetches := kgo.Fetches{{Topics: topics}}
	least := time.Hour // others may have the processor in any other
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		if rs := kafka.FromFetches(fetches); len(rs) != batch {
			b.Fatalf("%d records of %d", len(rs), batch)
		}
		least = min(least, time.Since(began))
	}
	b.ReportMetric(float64(least)/batch, "least-ns/record")
}

// BenchmarkConvert is the conversion alone of a part of a batch.
func BenchmarkConvert(b *testing.B) {
	convert, rs := kafka.Converting(), make([]stream.Record, 512)
	for i := range rs {
		rs[i] = stream.Record{Topic: "a", Partition: 1, Key: []byte("key"), Value: []byte("value")}
		if i%2 == 0 {
			rs[i].Headers = []stream.Header{{Key: "k", Value: []byte("v")}}
		}
	}
	now, least := time.Now(), time.Hour
	for b.Loop() {
		began := time.Now()
		convert(rs, now)
		least = min(least, time.Since(began))
	}
	b.ReportMetric(float64(least)/float64(len(rs)), "least-ns/record")
}
