package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

func TestProducer_Publish_partitions(t *testing.T) {
	cfg, _ := start(t, 12, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}})
	for _, key := range []string{"kado/acme/o-1", "kuna/acme/customer/7", "", "x"} {
		acked, err := p.Publish(patient(t), stream.Record{Topic: "s", Partition: stream.Auto, Key: []byte(key)})
		if err != nil {
			t.Fatal(err)
		}
		if want := stream.PartitionOf([]byte(key), 12); acked[0].Partition != want {
			t.Errorf("Publish(key %q) went to partition %d, want %d", key, acked[0].Partition, want)
		}
		// The client library's own Java-compatible partitioner must agree.
		lib := kgo.StickyKeyPartitioner(nil).ForTopic("s").Partition(&kgo.Record{Key: []byte(key)}, 12)
		if key != "" && int(acked[0].Partition) != lib {
			t.Errorf("Publish(key %q) went to partition %d, the library's murmur2 says %d", key, acked[0].Partition, lib)
		}
	}
	rs := []stream.Record{{Topic: "s", Partition: 7, Key: []byte("lane")}, {Topic: "s", Partition: 3, Key: []byte("lane")}}
	acked, err := p.Publish(patient(t), rs...)
	if err != nil || acked[0].Partition != 7 || acked[1].Partition != 3 {
		t.Errorf("Publish to chosen partitions = %v, %v; want 7 and 3", acked, err)
	}
	if _, err := p.Publish(patient(t), stream.Record{Topic: "s", Partition: 12}); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("Publish to partition 12 of 12 = %v, want ErrRefused", err)
	}
	if acked, err := p.Publish(patient(t)); acked != nil || err != nil {
		t.Errorf("Publish() = %v, %v; want nothing", acked, err)
	}
}

func TestProducer_Publish_classifies(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}})
	for _, tc := range []struct {
		code *kerr.Error
		want error
	}{
		{kerr.MessageTooLarge, stream.ErrTooLarge},
		{kerr.TopicAuthorizationFailed, stream.ErrRefused},
		{kerr.InvalidTimestamp, stream.ErrClock},
		{kerr.PolicyViolation, stream.ErrRefused},
	} {
		t.Run(tc.code.Message, func(t *testing.T) {
			fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "s", Err: tc.code, Count: -1})
			defer fault.Remove()
			acked, err := p.Publish(patient(t), stream.Record{Topic: "s", Value: []byte("v")})
			if !errors.Is(err, tc.want) || acked != nil || fault.Hits() == 0 {
				t.Errorf("Publish with %s = %v, %v (%d hits); want %v", tc.code.Message, acked, err, fault.Hits(), tc.want)
			}
		})
	}
	t.Run("retriable codes are retried", func(t *testing.T) {
		fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "s", Err: kerr.NotEnoughReplicas, Count: 2})
		if _, err := p.Publish(patient(t), stream.Record{Topic: "s", Value: []byte("v")}); err != nil || fault.Hits() != 2 {
			t.Errorf("Publish = %v after %d faults, want success after 2", err, fault.Hits())
		}
	})
	t.Run("too large for the client", func(t *testing.T) {
		_, err := p.Publish(patient(t), stream.Record{Topic: "s", Value: bytes.Repeat([]byte{1}, 2<<20)})
		if !errors.Is(err, stream.ErrTooLarge) {
			t.Errorf("Publish of 2 MiB = %v, want ErrTooLarge", err)
		}
	})
	t.Run("missing topic", func(t *testing.T) {
		_, err := p.Publish(patient(t), stream.Record{Topic: "nowhere"})
		if !errors.Is(err, stream.ErrRefused) {
			t.Errorf("Publish to a missing topic = %v, want ErrRefused", err)
		}
	})
}

func TestProducer_Publish_callerLeavesRecordLands(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}})
	arrived, release := make(chan struct{}), make(chan struct{})
	kc.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.DropControl()
		close(arrived)
		kc.SleepControl(func() { <-release })
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := p.Publish(ctx, stream.Record{Topic: "s", Value: []byte("v")}); !errors.Is(err, stream.ErrTransient) {
		t.Errorf("Publish of a caller who left = %v, want ErrTransient", err)
	}
	close(release)
	eventually(t, "the record lands", func() bool { return kc.PartitionInfo("s", 0).HighWatermark == 1 })
	if _, err := p.Publish(ctx, stream.Record{Topic: "s"}); !errors.Is(err, stream.ErrTransient) {
		t.Errorf("Publish after the end = %v, want ErrTransient", err)
	}
	if n := kc.PartitionInfo("s", 0).HighWatermark; n != 1 {
		t.Errorf("a record of an ended ctx was started: %d records", n)
	}
}

func TestProducer_Publish_fullBufferFailsAtOnce(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}, MaxBufferedRecords: 1})
	release, arrived := make(chan struct{}), make(chan struct{})
	kc.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.DropControl()
		close(arrived)
		kc.SleepControl(func() { <-release })
		return nil, nil, false
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := p.Publish(patient(t), stream.Record{Topic: "s"}); err != nil {
			t.Errorf("Publish of the first record = %v", err)
		}
	})
	<-arrived
	ctx := patient(t)
	_, err := p.Publish(ctx, stream.Record{Topic: "s"})
	if !errors.Is(err, stream.ErrTransient) || ctx.Err() != nil { // room comes with release, or never
		t.Errorf("Publish with a full buffer = %v, %v; want ErrTransient without a wait", err, ctx.Err())
	}
	close(release)
	wg.Wait()
}

func TestProducer_Publish_unreachable(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}, DeliveryTimeout: 300 * time.Millisecond})
	kc.Close()
	_, err := p.Publish(patient(t), stream.Record{Topic: "s"})
	if !errors.Is(err, stream.ErrTransient) {
		t.Errorf("Publish without a cluster = %v, want ErrTransient", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := p.Healthy(ctx); !errors.Is(err, stream.ErrTransient) {
		t.Errorf("Healthy without a cluster = %v, want ErrTransient", err)
	}
	if _, err := kafka.OpenProducer(ctx, cfg, kafka.ProducerOptions{Topics: []string{"s"}}); !errors.Is(err, stream.ErrTransient) {
		t.Errorf("OpenProducer without a cluster = %v, want ErrTransient", err)
	}
}

func TestProducer_partitionCountChanges(t *testing.T) {
	cfg, kc := start(t, 2, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}})
	if err := p.Healthy(patient(t)); err != nil {
		t.Fatalf("Healthy = %v", err)
	}
	raise(t, cfg, "s", 3)
	var err error
	eventually(t, "an unhealthy producer", func() bool { err = p.Healthy(patient(t)); return err != nil })
	if !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "partition count changed from 2 to 3") {
		t.Errorf("Healthy after a partition was added = %v", err)
	}
	before := kc.PartitionInfo("s", 0).HighWatermark
	if _, err := p.Publish(patient(t), stream.Record{Topic: "s"}); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("Publish after a partition was added = %v, want ErrRefused", err)
	}
	if after := kc.PartitionInfo("s", 0).HighWatermark; after != before {
		t.Error("a record was written under the new count")
	}
}

func TestProducer_partitionCountChangesBetweenRecords(t *testing.T) {
	// Without Healthy: the client's own refresh of metadata has to notice.
	cfg, kc := start(t, 2, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}})
	publish := func() error {
		_, err := p.Publish(patient(t), stream.Record{Topic: "s"})
		return err
	}
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	raise(t, cfg, "s", 3)
	// A moved leader makes the client ask.
	kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "s", Err: kerr.NotLeaderForPartition})
	_ = publish()
	eventually(t, "the new count is refused", func() bool { return errors.Is(publish(), stream.ErrRefused) })
}

func raise(t *testing.T, cfg kafka.Config, topic string, n int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	rs, err := kadm.NewClient(cl).UpdatePartitions(patient(t), n, topic)
	if err == nil {
		err = rs.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestProducer_Healthy_afterAFailure(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}})
	kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "s", Err: kerr.TopicAuthorizationFailed})
	if _, err := p.Publish(patient(t), stream.Record{Topic: "s"}); err == nil {
		t.Fatal("the fault did not hit")
	}
	if err := p.Healthy(patient(t)); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("Healthy after a refused record = %v, want ErrRefused", err)
	}
	if _, err := p.Publish(patient(t), stream.Record{Topic: "s"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Healthy(patient(t)); err != nil {
		t.Errorf("Healthy after a success = %v", err)
	}
}

func TestOpenProducer_refuses(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	if _, err := kafka.OpenProducer(patient(t), cfg, kafka.ProducerOptions{Topics: []string{"s", "missing"}}); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "topics apply") {
		t.Errorf("OpenProducer with a missing topic = %v, want ErrRefused with the command", err)
	}
	unequal := kafka.ProducerOptions{Topics: []string{"s"}, CoPartitioned: []string{"s", "two"}}
	if err := kc.CreateTopic("two", 2, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := kafka.OpenProducer(patient(t), cfg, unequal); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "equal partition counts") {
		t.Errorf("OpenProducer with unequal counts = %v, want ErrRefused", err)
	}
	cfg.Properties = map[string]string{"sasl.mechanims": "PLAIN"}
	if _, err := kafka.OpenProducer(patient(t), cfg, kafka.ProducerOptions{}); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "sasl.mechanism?") {
		t.Errorf("OpenProducer with a misspelt property = %v, want ErrRefused with the right name", err)
	}
}

func TestProducer_Publish_brokerTime(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	// kfake keeps CreateTime: answer as a broker with LogAppendTime would.
	var appended, asked atomic.Int64
	var hidden atomic.Bool
	kc.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		lo := req.(*kmsg.ListOffsetsRequest)
		if lo.Topics[0].Partitions[0].Timestamp != -3 || appended.Load() == 0 {
			return nil, nil, false
		}
		asked.Add(1)
		resp := lo.ResponseKind().(*kmsg.ListOffsetsResponse)
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = "s"
		rp := kmsg.NewListOffsetsResponseTopicPartition()
		if rp.Timestamp = appended.Load(); !hidden.Load() {
			rp.Offset = kc.PartitionInfo("s", 0).HighWatermark - 1
		}
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	publish := func() stream.Record {
		p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}}) // its first record is a sample
		acked, err := p.Publish(patient(t), stream.Record{Topic: "s", TimestampMs: 1000})
		if err != nil {
			t.Fatal(err)
		}
		before := asked.Load()
		again, err := p.Publish(patient(t), stream.Record{Topic: "s", TimestampMs: 1000})
		if err != nil || acked[0].AppendTime && (again[0].AppendTime || asked.Load() != before) {
			t.Errorf("the next record = %+v, %v; want it unsampled", again, err)
		}
		return acked[0]
	}
	if r := publish(); r.AppendTime || r.TimestampMs != 1000 {
		t.Errorf("record of a CreateTime topic = %+v", r)
	}
	appended.Store(2000)
	eventually(t, "the broker's time", func() bool { // an answer that comes too late is not waited for
		r := publish()
		if r.AppendTime && r.TimestampMs != 2000 {
			t.Errorf("record of a LogAppendTime topic = %+v, want the broker's 2000", r)
		}
		return r.AppendTime
	})
	hidden.Store(true)
	before := asked.Load()
	if r := publish(); r.AppendTime || asked.Load() == before {
		t.Errorf("record that another one hides = %+v, want no claim, and that it was asked for", r)
	}
}

// A record that no broker would take says nothing about the brokers.
func TestProducer_Healthy_afterARecordThatIsTooLarge(t *testing.T) {
	cfg, _ := start(t, 1, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}})
	if _, err := p.Publish(patient(t), stream.Record{Topic: "s", Value: bytes.Repeat([]byte{1}, 2<<20)}); !errors.Is(err, stream.ErrTooLarge) {
		t.Fatalf("Publish of 2 MiB = %v, want ErrTooLarge", err)
	}
	if err := p.Healthy(patient(t)); err != nil {
		t.Errorf("Healthy after a record that was too large = %v", err)
	}
}
