package poller_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/stream"
)

func TestRecords_Restore(t *testing.T) {
	r, c := newRecords(t)
	k := newMemKafka()
	n := stream.PartitionOf([]byte(lane), partitions)
	a, b := known("a", 0, 1000), known("b", 0, 2000)
	a2 := a
	a2.DueAt = at(5000)
	dead := taskRecord(t, c, b)
	dead.Value = nil
	garbage := taskRecord(t, c, known("g", 0, 0))
	garbage.Value = []byte("no task")
	elsewhere := taskRecord(t, c, known("e", 0, 0))
	elsewhere.Partition = (n + 1) % partitions
	put(t, k, taskRecord(t, c, a), taskRecord(t, c, b), taskRecord(t, c, a2), dead, garbage, elsewhere)
	put(t, k,
		laneRecord(t, r, events.LaneState{Lane: lane, NonceReserved: 900, UpdatedAt: at(0)}),
		// What a former owner wrote late must not hide the higher reservation.
		laneRecord(t, r, events.LaneState{Lane: lane, NonceReserved: 500, RetryAfter: at(7000), UpdatedAt: at(0)}))

	got, err := r.Restore(t.Context(), k, n)
	if err != nil {
		t.Fatal(err)
	}
	want := poller.Restored{
		Assigned: poller.Assigned{Partition: n, Tasks: []events.CheckTask{a2},
			Lanes: []events.LaneState{{Lane: lane, NonceReserved: 900, RetryAfter: at(7000), UpdatedAt: at(0)}}},
		Next: map[string]int64{topics.CheckSchedule: 5}, Refused: 1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Restore (-want +got):\n%s", d)
	}
	got, err = r.Restore(t.Context(), k, elsewhere.Partition)
	if err != nil || len(got.Tasks) != 0 || got.Refused != 1 {
		t.Errorf("Restore of a partition with another lane's task = %+v, %v; want it refused", got, err)
	}
}

// A new owner that cannot read the reservation would reuse nonces.
func TestRecords_RestoreOfACorruptLaneState(t *testing.T) {
	r, _ := newRecords(t)
	good := laneRecord(t, r, events.LaneState{Lane: lane, NonceReserved: 1, UpdatedAt: at(0)})
	for _, tc := range []struct {
		name   string
		mutate func(*stream.Record)
	}{
		{"unreadable value", func(r *stream.Record) { r.Value = []byte("garbage") }},
		{"key of another lane", func(r *stream.Record) { r.Key = []byte("kanga/other") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := good
			rec.Partition = 0
			tc.mutate(&rec)
			k := newMemKafka()
			put(t, k, rec)
			if _, err := r.Restore(t.Context(), k, 0); !errors.Is(err, stream.ErrLoss) {
				t.Errorf("Restore = %v; want stream.ErrLoss", err)
			}
		})
	}
}

func TestRecords_Schedule(t *testing.T) {
	r, c := newRecords(t)
	for _, tc := range []struct {
		name   string
		mutate func(*stream.Record)
		class  string
	}{
		{"a task", func(*stream.Record) {}, ""},
		{"a tombstone", func(r *stream.Record) { r.Value = nil }, ""},
		{"a key that is none", func(r *stream.Record) { r.Key = []byte("kanga/acme") }, "BAD_KEY"},
		{"a value of another subject", func(r *stream.Record) { r.Key = []byte("kanga/acme/other") }, "KEY_MISMATCH"},
		{"another lane's partition", func(r *stream.Record) { r.Partition = (r.Partition + 1) % partitions }, "WRONG_PARTITION"},
		{"garbage", func(r *stream.Record) { r.Value = []byte{0, 0, 0, 0, 1, 7} }, "UNDECODABLE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := taskRecord(t, c, known("o", 0, 0))
			tc.mutate(&rec)
			in, err := r.Schedule(t.Context(), rec)
			var bad *poller.ScheduleError
			switch {
			case tc.class == "" && (err != nil || in.Key != key("o") || in.Gone != (rec.Value == nil)):
				t.Errorf("Schedule = %+v, %v; want the task or its end", in, err)
			case tc.class != "" && (!errors.As(err, &bad) || bad.Class != tc.class):
				t.Errorf("Schedule error = %v; want class %s", err, tc.class)
			case tc.class != "" && in != (poller.Scheduled{}):
				t.Errorf("Schedule = %+v beside an error", in)
			}
		})
	}
}

func TestRecords_Checks(t *testing.T) {
	r, c := newRecords(t)
	check := events.StatusCheck{Key: key("o"), EventID: "e", ObservedAt: at(0), AnsweredAt: at(1), Outcome: events.OutcomeOK, StatusRaw: "NEW", Attempt: 1}
	bad := check
	bad.Facts.FiatAmount = "1e5 EUR" // a provider package's fault
	recs, err := r.Checks(poller.Publish{Lane: lane, Checks: []events.StatusCheck{check, bad}})
	if err != nil || len(recs) != 2 {
		t.Fatalf("Checks = %d records, %v; want 2", len(recs), err)
	}
	for name, want := range map[string]string{
		"ce_specversion": "1.0", "ce_id": "e", "ce_type": "rampstream.v1.StatusCheck",
		"ce_source": "/rampstream/poller/kanga/acme", "content-type": "application/avro",
	} {
		if got := header(recs[0], name); got != want {
			t.Errorf("header %s = %q; want %q", name, got, want)
		}
	}
	if recs[0].Partition != stream.Auto || string(recs[0].Key) != "kanga/acme/o" {
		t.Errorf("partition %d, key %s; want murmur2 of the subject's key", recs[0].Partition, recs[0].Key)
	}
	got, err := c.DecodeStatusCheck(t.Context(), recs[1].Value)
	if err != nil || got.Outcome != events.OutcomeMalformed || got.Facts != (events.Facts{}) {
		t.Errorf("a check against the contract became %+v, %v; want malformed without facts", got, err)
	}
}

func FuzzRecords_Schedule(f *testing.F) {
	r, c := newRecords(f)
	good := taskRecord(f, c, known("o", 0, 0))
	f.Add(good.Key, good.Value, good.Partition)
	f.Add([]byte("kanga/acme/customer/c"), []byte(nil), int32(0))
	f.Add([]byte("a/b"), []byte{0}, int32(3))
	f.Fuzz(func(t *testing.T, key, value []byte, n int32) {
		in, err := r.Schedule(t.Context(), stream.Record{Key: key, Value: value, Partition: n})
		switch {
		case err != nil && in != (poller.Scheduled{}):
			t.Fatalf("Schedule = %+v beside %v", in, err)
		case err == nil && (!in.Key.Valid() || in.Key.String() != string(key) || !in.Gone && in.Task.Key != in.Key):
			t.Fatalf("Schedule accepted %+v for key %q", in, key)
		}
	})
}

// BenchmarkRecords_Restore restores a partition of open orders into a core.
func BenchmarkRecords_Restore(b *testing.B) {
	const orders = 100_000
	records, c := newRecords(b)
	k := newMemKafka()
	own := stream.PartitionOf([]byte(lane), partitions)
	for i := range orders {
		task := known(fmt.Sprintf("%032x", i), -48*time.Hour, time.Duration(i)*time.Millisecond)
		task.ExpectedAmount, task.ExpectedCurrency = "0.00215", "BTC"
		put(b, k, taskRecord(b, c, task))
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := records.Restore(b.Context(), k, own)
		if err != nil {
			b.Fatal(err)
		}
		core := poller.NewCore(poller.Settings{Partitions: partitions}, []poller.Account{account()}, rand.New(rand.NewPCG(1, 2)), nil)
		core.Step(epoch.Add(-time.Hour), r.Assigned)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/orders, "ns/order")
}

// Whatever words the schedule holds, a restore finds the last one on each key.
func TestRecords_RestoreFindsTheLastWord(t *testing.T) {
	records, c := newRecords(t)
	own := stream.PartitionOf([]byte(lane), partitions)
	rng := rand.New(rand.NewPCG(3, 4))
	k := newMemKafka()
	want := map[events.Key]events.CheckTask{}
	for i := range 20_000 {
		task := known(fmt.Sprint(rng.IntN(4000)), 0, time.Duration(i)*time.Millisecond)
		rec := taskRecord(t, c, task)
		if rng.IntN(3) > 0 {
			want[task.Key] = task
		} else {
			rec.Value = nil
			delete(want, task.Key)
		}
		put(t, k, rec)
	}
	r, err := records.Restore(t.Context(), k, own)
	if err != nil || len(r.Tasks) != len(want) {
		t.Fatalf("Restore = %d tasks, %v; want %d", len(r.Tasks), err, len(want))
	}
	for _, task := range r.Tasks {
		if want[task.Key] != task {
			t.Fatalf("Restore has %+v, want %+v", task, want[task.Key])
		}
	}
}
