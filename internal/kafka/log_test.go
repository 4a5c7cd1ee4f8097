package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// txnWriter is a transactional producer that is not ours.
type txnWriter struct {
	t  *testing.T
	cl *kgo.Client
}

func newTxnWriter(t *testing.T, cfg kafka.Config, id string) txnWriter {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.TransactionalID(id),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return txnWriter{t, cl}
}

func (w txnWriter) write(topic string, values ...string) {
	w.t.Helper()
	if err := w.cl.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	for _, v := range values {
		if err := w.cl.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w txnWriter) end(commit kgo.TransactionEndTry) {
	w.t.Helper()
	if err := w.cl.EndTransaction(w.t.Context(), commit); err != nil {
		w.t.Fatal(err)
	}
}

func TestLog_Read_tails(t *testing.T) {
	cfg, kc := start(t, 1, "aborted", "committed", "mixed", "empty", "trimmed", "compacted")
	w := newTxnWriter(t, cfg, "w")
	w.write("aborted", "x", "y")
	w.end(kgo.TryAbort)
	w.write("committed", "a")
	w.end(kgo.TryCommit)
	w.write("mixed", "a")
	w.end(kgo.TryCommit)
	w.write("mixed", "x")
	w.end(kgo.TryAbort)
	put(t, cfg, "mixed", 0, "b")
	w.write("mixed", "y", "z")
	w.end(kgo.TryAbort)
	put(t, cfg, "trimmed", 0, "1", "2", "3")
	if err := kc.DeleteRecords("trimmed", 0, 3); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name, topic string
		committed   bool
		want        []string
	}{
		{"only aborted records, then the marker", "aborted", true, nil},
		{"aborted records are there for those who want them", "aborted", false, []string{"x", "y"}},
		{"control record at the end", "committed", true, []string{"a"}},
		{"aborted in the middle and at the end", "mixed", true, []string{"a", "b"}},
		{"uncommitted sees all", "mixed", false, []string{"a", "x", "b", "y", "z"}},
		{"empty", "empty", true, nil},
		{"all deleted", "trimmed", true, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, values(t, cfg, tc.topic, 0, tc.committed)); diff != "" {
				t.Errorf("Read(%s, committed %v) (-want +got):\n%s", tc.topic, tc.committed, diff)
			}
		})
	}
}

func TestLog_Read_holesOfCompaction(t *testing.T) {
	cfg, kc := start(t, 1)
	compact := "compact"
	if err := kc.CreateTopic("c", 1, map[string]string{"cleanup.policy": compact, "segment.bytes": "1", "min.compaction.lag.ms": "0", "delete.retention.ms": "0"}); err != nil {
		t.Fatal(err)
	}
	p := openProducer(t, cfg, kafka.ProducerOptions{})
	for _, kv := range [][2]string{{"a", "1"}, {"b", "1"}, {"a", "2"}, {"a", "3"}, {"b", "2"}} {
		if _, err := p.Publish(patient(t), stream.Record{Topic: "c", Key: []byte(kv[0]), Value: []byte(kv[1])}); err != nil {
			t.Fatal(err)
		}
	}
	kc.Compact()
	l := openLog(t, cfg)
	ends, err := l.Ends(patient(t), 0, "c")
	if err != nil {
		t.Fatal(err)
	}
	// From every offset, also from inside of a hole.
	for from := ends["c"].Start; from <= 5; from++ {
		var got []string
		err := l.Read(patient(t), "c", 0, from, 5, true, func(r stream.Record) error {
			got = append(got, string(r.Key)+string(r.Value))
			return nil
		})
		if err != nil {
			t.Fatalf("Read from %d: %v", from, err)
		}
		t.Logf("from %d: %q", from, got)
		if from <= 3 && (len(got) < 2 || got[len(got)-2] != "a3" || got[len(got)-1] != "b2") {
			t.Errorf("Read from %d = %q, want it to end in a3 b2", from, got)
		}
	}
}

func TestLog_Read_nothingLeftBeforeTheEnd(t *testing.T) {
	// A broker whose tail was compacted away answers with no batches for ever.
	cfg, kc := start(t, 1, "hole")
	put(t, cfg, "hole", 0, "1", "2", "3")
	answers := 0
	kc.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		fr := req.(*kmsg.FetchRequest)
		if fr.Topics[0].Partitions[0].FetchOffset < 1 {
			return nil, nil, false
		}
		answers++
		resp := fr.ResponseKind().(*kmsg.FetchResponse)
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = fr.Topics[0].Topic, fr.Topics[0].TopicID
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.HighWatermark, rp.LastStableOffset = 3, 3
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	l := openLog(t, cfg)
	if err := l.Read(patient(t), "hole", 0, 1, 3, true, func(stream.Record) error { return errors.New("unexpected") }); err != nil {
		t.Fatal(err)
	}
	if answers < 3 {
		t.Errorf("gave up after %d empty answers; one alone may be a slow broker", answers)
	}
}

func TestLog_Read_waitsForAnOpenTransaction(t *testing.T) {
	cfg, _ := start(t, 1, "s")
	w := newTxnWriter(t, cfg, "w")
	w.write("s", "late")
	l := openLog(t, cfg)
	ends, err := l.Ends(patient(t), 0, "s")
	if err != nil || ends["s"] != (stream.Range{Start: 0, End: 1}) {
		t.Fatalf("Ends = %v, %v; want the high watermark 1", ends, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	none := func(r stream.Record) error { t.Errorf("got %q of an open transaction", r.Value); return nil }
	if err := l.Read(short, "s", 0, 0, 1, true, none); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read of an open transaction = %v, want it to wait", err)
	}
	w.end(kgo.TryCommit)
	var got []string
	if err := l.Read(patient(t), "s", 0, 0, 1, true, func(r stream.Record) error { got = append(got, string(r.Value)); return nil }); err != nil || len(got) != 1 {
		t.Errorf("Read after the commit = %q, %v", got, err)
	}
}

func TestLog_Read_bounds(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	put(t, cfg, "s", 0, "1", "2", "3", "4")
	if err := kc.DeleteRecords("s", 0, 2); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, cfg)
	stop := errors.New("stop")
	for _, tc := range []struct {
		name     string
		topic    string
		from, to int64
		err      error
		want     int
	}{
		{"all", "s", 2, 4, nil, 2},
		{"to is excluded", "s", 2, 3, nil, 1},
		{"from at to", "s", 4, 4, nil, 0},
		{"from after to asks nobody", "nowhere", 5, 4, nil, 0},
		{"below the start", "s", 1, 4, stream.ErrLoss, 0},
		{"to beyond the end", "s", 2, 5, stream.ErrLoss, 0},
		{"from beyond the end", "s", 5, 6, stream.ErrLoss, 0},
		{"missing topic", "nowhere", 0, 1, stream.ErrRefused, 0},
		{"error of fn", "s", 2, 4, stop, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := 0
			err := l.Read(patient(t), tc.topic, 0, tc.from, tc.to, true, func(stream.Record) error {
				n++
				if tc.err == stop {
					return stop
				}
				return nil
			})
			if !errors.Is(err, tc.err) || n != tc.want {
				t.Errorf("Read(%s, %d, %d) = %v after %d records; want %v after %d", tc.topic, tc.from, tc.to, err, n, tc.err, tc.want)
			}
		})
	}
	if _, err := l.Ends(patient(t), 7, "s"); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("Ends of a partition that is not there = %v, want ErrRefused", err)
	}
}

func TestLog_Read_followsAndSurvivesLeaderMoves(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	put(t, cfg, "s", 0, "1")
	fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "s", Err: kerr.NotLeaderForPartition, Count: 2})
	l := openLog(t, cfg)
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	var got []string
	err := l.Read(ctx, "s", 0, 0, math.MaxInt64, true, func(r stream.Record) error {
		if got = append(got, string(r.Value)); len(got) == 1 {
			put(t, cfg, "s", 0, "2")
		} else {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v, want context.Canceled", err)
	}
	if diff := cmp.Diff([]string{"1", "2"}, got); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
	if fault.Hits() != 2 {
		t.Errorf("the fault was used %d times, want 2", fault.Hits())
	}
}

// A leader that was killed is not in the metadata any more when it is asked.
func TestLog_Read_leaderThatIsGone(t *testing.T) {
	cfg, _ := start(t, 1, "a")
	put(t, cfg, "a", 0, "1", "2")
	l := openLog(t, cfg)
	l.Mislead("a", 0, 99)
	var got []string
	err := l.Read(patient(t), "a", 0, 0, 2, true, func(r stream.Record) error {
		got = append(got, string(r.Value))
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("Read = %q, %v; want it to ask who leads now", got, err)
	}
}

func TestLog_Read_recordsKeepEverything(t *testing.T) {
	cfg, _ := start(t, 1, "s")
	p := openProducer(t, cfg, kafka.ProducerOptions{})
	want := []stream.Record{
		{Topic: "s", Key: []byte("k"), Value: nil, TimestampMs: 1_700_000_000_123},
		{Topic: "s", Key: []byte("k"), Value: []byte{}, TimestampMs: 5,
			Headers: []stream.Header{{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}, {Key: "", Value: []byte("2")}}},
		{Topic: "s", Key: nil, Value: []byte("v"), TimestampMs: 6},
	}
	for i := range want {
		acked, err := p.Publish(patient(t), want[i])
		if err != nil {
			t.Fatal(err)
		}
		want[i].Offset = int64(i)
		if diff := cmp.Diff(want[i:i+1], acked); diff != "" {
			t.Errorf("acknowledged (-want +got):\n%s", diff)
		}
	}
	var got []stream.Record
	l := openLog(t, cfg)
	if err := l.Read(patient(t), "s", 0, 0, 3, false, func(r stream.Record) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestLog_Since(t *testing.T) {
	cfg, _ := start(t, 2, "timed")
	p := openProducer(t, cfg, kafka.ProducerOptions{})
	for _, at := range []int64{1000, 2000, 3000} {
		if _, err := p.Publish(patient(t), stream.Record{Topic: "timed", Partition: 1, Key: []byte("k"), Value: []byte("v"), TimestampMs: at}); err != nil {
			t.Fatal(err)
		}
	}
	l := openLog(t, cfg)
	for _, tc := range []struct {
		partition int32
		at, want  int64
	}{{1, -5, 0}, {1, 1000, 0}, {1, 1001, 1}, {1, 3000, 2}, {1, 3001, 3}, {0, 0, 0}} {
		if got, err := l.Since(patient(t), "timed", tc.partition, tc.at); err != nil || got != tc.want {
			t.Errorf("Since(partition %d, %d) = %d, %v; want %d", tc.partition, tc.at, got, err, tc.want)
		}
	}
	if _, err := l.Since(patient(t), "nowhere", 0, 0); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("Since of a missing topic = %v, want ErrRefused", err)
	}
}

// A broker that answers again and again with what was read already is asked with
// pauses, and by the way of a new look at who leads: not at full speed for ever.
func TestLog_Read_noProgress(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	put(t, cfg, "s", 0, "0", "1", "2")
	first := rawBatch(t, cfg, "s")
	var lies atomic.Int32
	kc.ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		at := req.Topics[0].Partitions[0]
		if at.FetchOffset == 0 || lies.Add(1) > 3 {
			return nil, nil, false
		}
		return answer(req, first), nil, true
	})
	l, began := openLog(t, cfg), time.Now()
	var got []string
	err := l.Read(patient(t), "s", 0, 1, 3, true, func(r stream.Record) error {
		got = append(got, string(r.Value))
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("Read = %q, %v; want what stands behind", got, err)
	}
	if d := time.Since(began); d < 500*time.Millisecond { // 100 ms, 200 ms, 300 ms
		t.Errorf("asked %d times within %s: no pause between them", lies.Load(), d)
	}
}

// answer to a fetch of a partition that ends at 3.
func answer(req *kmsg.FetchRequest, batches []byte) *kmsg.FetchResponse {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	rt := kmsg.NewFetchResponseTopic()
	rt.Topic, rt.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.Partition, rp.HighWatermark, rp.LastStableOffset, rp.RecordBatches = req.Topics[0].Partitions[0].Partition, 3, 3, batches
	rt.Partitions = append(rt.Partitions, rp)
	resp.Topics = append(resp.Topics, rt)
	return resp
}

// What is odd in an answer the client's library reads, once it comes first: an
// older format, and the error of what cannot be read.
func TestLog_Read_oddAnswers(t *testing.T) {
	old := kmsg.MessageV1{Offset: 2, MessageSize: 22 + 3, Magic: 1, Timestamp: 9, Value: []byte("old")}
	older := old.AppendTo(nil)
	binary.BigEndian.PutUint32(older[12:], crc32.ChecksumIEEE(older[16:]))
	spoilt := plainBatch(2, 0, "spoilt").append(t, nil)
	spoilt[len(spoilt)-20]++
	for _, tc := range []struct {
		name string
		odd  []byte
		want []string
		fine bool
	}{
		{"an older format", older, []string{"a", "b", "old"}, true},
		{"a wrong checksum", spoilt, []string{"a", "b"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, kc := start(t, 1, "s")
			put(t, cfg, "s", 0, "0", "1", "2")
			var asked []int64
			kc.ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				kc.KeepControl()
				req := kreq.(*kmsg.FetchRequest)
				asked = append(asked, req.Topics[0].Partitions[0].FetchOffset)
				if len(asked) == 1 {
					return answer(req, append(plainBatch(0, 2, "a", "b").append(t, nil), tc.odd...)), nil, true
				}
				return answer(req, tc.odd), nil, true
			})
			var got []string
			err := openLog(t, cfg).Read(patient(t), "s", 0, 0, 3, true, func(r stream.Record) error {
				got = append(got, string(r.Value))
				return nil
			})
			if !slices.Equal(got, tc.want) || (err == nil) != tc.fine || !slices.Equal(asked, []int64{0, 2}) {
				t.Errorf("Read = %q, %v, after questions for %v; want %q", got, err, asked, tc.want)
			}
		})
	}
}

// rawBatch is the first batch of a partition as a broker sends it.
func rawBatch(t *testing.T, cfg kafka.Config, topic string) []byte {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	md, err := kadm.NewClient(cl).Metadata(patient(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.SessionEpoch = 1<<20, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = topic, md.Topics[topic].ID
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.PartitionMaxBytes = 1 << 20
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	kresp, err := cl.Broker(int(md.Topics[topic].Partitions[0].Leader)).Request(patient(t), req)
	if err != nil {
		t.Fatal(err)
	}
	b := kresp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches
	return b[:12+binary.BigEndian.Uint32(b[8:])]
}
