package kafka_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// What the memory of a batch held before shows in none of the next one's records.
func TestConvert_usesItsMemoryAgain(t *testing.T) {
	convert := kafka.Converting()
	text := rapid.SliceOfN(rapid.Byte(), 0, 3)
	record := rapid.Custom(func(t *rapid.T) stream.Record {
		r := stream.Record{Topic: rapid.StringN(1, 3, 9).Draw(t, "topic"), Partition: rapid.Int32Range(-1, 3).Draw(t, "partition"),
			Key: text.Draw(t, "key"), Value: text.Draw(t, "value"), TimestampMs: rapid.Int64Range(0, 3).Draw(t, "at")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.Headers = append(r.Headers, stream.Header{Key: "k" + string(text.Draw(t, "header")), Value: text.Draw(t, "said")})
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		rs := rapid.SliceOfN(record, 0, 9).Draw(t, "records")
		now := time.UnixMilli(rapid.Int64Range(10, 19).Draw(t, "now"))
		got := convert(rs, now)
		for i := range got { // as the client leaves them
			want := kafka.ToClient(rs[i])
			if rs[i].TimestampMs == 0 {
				want.Timestamp = now
			}
			if d := cmp.Diff(want, &got[i], cmpopts.IgnoreUnexported(kgo.Record{}, kgo.RecordAttrs{})); d != "" {
				t.Fatalf("record %d (-new memory +used):\n%s", i, d)
			}
			got[i].Offset, got[i].LeaderEpoch, got[i].ProducerID, got[i].Headers = 7, 7, 7, append(got[i].Headers, kgo.RecordHeader{Key: "late"})
		}
		if len(got) != len(rs) {
			t.Fatalf("%d records of %d", len(got), len(rs))
		}
	})
}

// What a poll gave is converted as each record alone would be, in its order, and
// no record's headers have room for those of another.
func TestFromFetches_isEachRecordAlone(t *testing.T) {
	text := rapid.SliceOfN(rapid.Byte(), 0, 3)
	record := rapid.Custom(func(t *rapid.T) *kgo.Record {
		r := &kgo.Record{Topic: rapid.StringN(1, 3, 9).Draw(t, "topic"), Partition: rapid.Int32Range(0, 3).Draw(t, "partition"), Offset: rapid.Int64Range(0, 9).Draw(t, "offset"),
			Key: text.Draw(t, "key"), Value: text.Draw(t, "value"), Timestamp: time.UnixMilli(rapid.Int64Range(0, 3).Draw(t, "at"))}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "k" + string(text.Draw(t, "header")), Value: text.Draw(t, "said")})
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		var fetches kgo.Fetches
		var want []stream.Record
		for range rapid.IntRange(0, 3).Draw(t, "brokers") {
			var f kgo.Fetch
			for range rapid.IntRange(0, 3).Draw(t, "topics") {
				rs := rapid.SliceOfN(record, 0, 4).Draw(t, "records")
				f.Topics = append(f.Topics, kgo.FetchTopic{Partitions: []kgo.FetchPartition{{Records: rs}, {}}})
				for _, r := range rs {
					want = append(want, kafka.FromClient(r))
				}
			}
			fetches = append(fetches, f)
		}
		got := kafka.FromFetches(fetches)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("(-each alone +together):\n%s", d)
		}
		for i := range got {
			if len(got[i].Headers) != cap(got[i].Headers) {
				t.Fatalf("record %d: %d headers have room for %d", i, len(got[i].Headers), cap(got[i].Headers))
			}
		}
	})
}
