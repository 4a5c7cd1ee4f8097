package kafka_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// acknowledges answers the next produce, alone in its partition, with an offset.
func acknowledges(kc *kfake.Cluster, base int64) {
	kc.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		req := kreq.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.BaseOffset = rp.Partition, base
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
}

// A leader that has lost acknowledged records, and with them all that it knew of
// the producer, gives their offsets out again.
func TestProducer_Publish_offsetsGoBack(t *testing.T) {
	cfg, kc := start(t, 2, "s")
	var lost atomic.Int32
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"s"}, OnLoss: func(topic string, partition int32) {
		if topic != "s" || partition != 1 {
			t.Errorf("loss in %s-%d, want s-1", topic, partition)
		}
		lost.Add(1)
	}})
	write := func(partition int32) {
		t.Helper()
		if _, err := p.Publish(patient(t), stream.Record{Topic: "s", Partition: partition, Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		write(0)
		write(1)
	}
	if n := lost.Load(); n != 0 {
		t.Fatalf("%d losses while offsets rise", n)
	}
	acknowledges(kc, 2)
	write(1) // offset 2 for the second time
	if n := lost.Load(); n != 1 {
		t.Errorf("%d losses when an offset came again, want 1", n)
	}
	acknowledges(kc, 3)
	write(1)
	if n := lost.Load(); n != 1 {
		t.Errorf("%d losses after the offsets rose again, want 1", n)
	}
}

func TestTxnGroup_outputLostItsTail(t *testing.T) {
	for name, renew := range map[string]bool{"within a session": false, "since the session before": true} {
		t.Run(name, func(t *testing.T) {
			cfg, kc := start(t, 1, "a", "b", "out")
			put(t, cfg, "a", 0, "1", "2")
			o := txnOptions("0")
			o.Tide = new(kafka.Tide)
			g := openTxn(t, cfg, o, newTable(t))
			if ok, err := g.Commit(patient(t), copies(pollN(t, g.Poll, 2))); !ok || err != nil {
				t.Fatalf("Commit = %v, %v", ok, err)
			}
			if renew {
				g.Close()
				g = openTxn(t, cfg, o, newTable(t))
			}
			put(t, cfg, "a", 0, "3")
			rs := pollN(t, g.Poll, 1)
			acknowledges(kc, 1)
			for range 2 { // the session is dead
				ok, err := g.Commit(patient(t), copies(rs))
				if ok || !errors.Is(err, stream.ErrLoss) || !strings.Contains(err.Error(), "out-0") || !strings.Contains(err.Error(), "offsets 1 to 1 are gone") {
					t.Fatalf("Commit = %v, %v; want ErrLoss that names out-0 and the offsets", ok, err)
				}
			}
		})
	}
}

// Without transactions the broker's complaint about a sequence number ends the
// session too.
func TestPlainGroup_outputLostItsTail(t *testing.T) {
	for name, lose := range map[string]func(*kfake.Cluster){
		"offset given out again": func(kc *kfake.Cluster) { acknowledges(kc, 0) },
		"sequence out of order": func(kc *kfake.Cluster) {
			kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "state", Err: kerr.OutOfOrderSequenceNumber, Count: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
			put(t, cfg, "a", 0, "1")
			g := openPlain(t, cfg)
			pollN(t, g.Poll, 1)
			if ok, err := g.Commit(patient(t), staged()); !ok || err != nil {
				t.Fatalf("Commit = %v, %v", ok, err)
			}
			put(t, cfg, "a", 0, "2")
			pollN(t, g.Poll, 1)
			lose(kc)
			var err error
			eventually(t, "the session ends", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				if _, err = g.Commit(patient(t), staged()); err == nil {
					_, err = g.Poll(ctx, 1)
				}
				return err != nil
			})
			if !errors.Is(err, stream.ErrLoss) {
				t.Errorf("the session ended with %v, want ErrLoss", err)
			}
		})
	}
}

// An input that was cut and has grown again beyond the position looks whole by
// its offsets; where the epoch that was read ended tells.
func TestTxnGroup_restoreFindsAnInputCut(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1", "2", "3")
	g := openTxn(t, cfg, txnOptions("0"), newTable(t))
	if ok, err := g.Commit(patient(t), copies(pollN(t, g.Poll, 3))); !ok || err != nil {
		t.Fatalf("Commit = %v, %v", ok, err)
	}
	g.Close()
	g = openTxn(t, cfg, txnOptions("0"), newTable(t))
	eventually(t, "where nothing was cut nothing is wrong", func() bool {
		idle(t, g)
		ok, err := g.Commit(patient(t), []stream.Record{{Topic: "out", Partition: 0, Value: []byte("own")}})
		if err != nil {
			t.Fatal(err)
		}
		return ok // and who reads nothing forgets nothing of what was read
	})
	g.Close()

	asked := new(atomic.Int32)
	kc.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		req := kreq.(*kmsg.OffsetForLeaderEpochRequest)
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewOffsetForLeaderEpochResponseTopic()
			st.Topic = rt.Topic
			for _, rp := range rt.Partitions {
				sp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				sp.Partition, sp.LeaderEpoch, sp.EndOffset = rp.Partition, rp.LeaderEpoch, 1
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		asked.Add(1)
		return resp, nil, true
	})
	g = openTxn(t, cfg, txnOptions("0"), newTable(t))
	_, err := g.Poll(patient(t), 1)
	if !errors.Is(err, stream.ErrLoss) || asked.Load() == 0 || !strings.Contains(err.Error(), "a-0: the position is 3") || !strings.Contains(err.Error(), "offsets 1 to 2 were cut off") {
		t.Errorf("Poll = %v after %d questions; want ErrLoss that names a-0 and the offsets", err, asked.Load())
	}
}

// A tide knows how far the partitions reach that were written to.
func TestTide_Next(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1", "2")
	o := txnOptions("0")
	o.Tide = new(kafka.Tide)
	g := openTxn(t, cfg, o, newTable(t))
	if ok, err := g.Commit(patient(t), copies(pollN(t, g.Poll, 2))); !ok || err != nil {
		t.Fatalf("Commit = %v, %v", ok, err)
	}
	for _, tc := range []struct {
		topic     string
		partition int32
		want      int64
	}{{"out", 0, 2}, {"out", 1, 0}, {"out", -1, 0}, {"a", 0, 0}} {
		if got := o.Tide.Next(tc.topic, tc.partition); got != tc.want {
			t.Errorf("Next(%s, %d) = %d; want %d", tc.topic, tc.partition, got, tc.want)
		}
	}
}
