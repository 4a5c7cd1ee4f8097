package kafka_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// Attributes of a batch.
const (
	byBroker = 1 << 3
	inTxn    = 1 << 4
	control  = 1 << 5
)

// batchOf is one record batch as a broker has it. The offsets of the records may
// have holes, as compaction leaves them.
type batchOf struct {
	first    int64
	ahead    int32
	attrs    int16
	producer int64
	stamp    int64
	records  []kmsg.Record
	damage   func(*kmsg.RecordBatch) // before the checksum is made
}

func (o batchOf) append(t testing.TB, b []byte) []byte {
	var body []byte
	for _, r := range o.records {
		r.Length = 0
		raw := r.AppendTo(nil)[1:] // of a length of 0
		body = append(kbin.AppendVarint(body, int32(len(raw))), raw...)
	}
	if codec := o.attrs & 7; codec != 0 {
		c, err := kgo.DefaultCompressor([]kgo.CompressionCodec{{}, kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}[codec])
		if err != nil {
			t.Fatal(err)
		}
		out, made := c.Compress(new(bytes.Buffer), body)
		body, o.attrs = slices.Clone(out), o.attrs&^7|int16(made)
	}
	rb := kmsg.RecordBatch{FirstOffset: o.first, Magic: 2, Attributes: o.attrs, LastOffsetDelta: o.ahead, FirstTimestamp: o.stamp,
		MaxTimestamp: o.stamp + 1000, ProducerID: o.producer, NumRecords: int32(len(o.records)), Records: body}
	rb.Length = int32(49 + len(body))
	if o.damage != nil {
		o.damage(&rb)
	}
	return append(b, sealed(rb.AppendTo(nil))...)
}

// sealed puts the checksum of a batch right.
func sealed(raw []byte) []byte {
	if len(raw) > 21 {
		binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return raw
}

// same decodes an answer and holds what was read of it to what the client's
// library makes of the same bytes.
func same(t interface {
	Helper()
	Fatalf(string, ...any)
}, rp kmsg.FetchResponseTopicPartition, committed bool, from, to int64, run *stream.Run) (kafka.Decoded, []stream.Record) {
	t.Helper()
	rp.Partition = 3
	var got []stream.Record
	d := kafka.Decode(&rp, committed, from, to, run, func(rs []stream.Record) { got = append(got, deep(rs)...) })
	o := kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: from, IsolationLevel: kgo.ReadUncommitted(), Topic: "t", Partition: 3}
	if committed {
		o.IsolationLevel = kgo.ReadCommitted()
	}
	rp.RecordBatches = rp.RecordBatches[:d.Read]
	fp, next := kgo.ProcessFetchPartition(o, &rp, kgo.DefaultDecompressor(), nil)
	var want []stream.Record
	for _, r := range fp.Records {
		if !r.Attrs.IsControl() && r.Offset < to {
			want = append(want, kafka.FromClient(r))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("records (-library +ours):\n%s", diff)
	}
	if fp.Err != nil || d.Pos != next {
		t.Fatalf("position = %d after %d bytes, the library has %d, %v", d.Pos, d.Read, next, fp.Err)
	}
	return d, got
}

// deep copies records out of a run's memory.
func deep(rs []stream.Record) []stream.Record {
	out := slices.Clone(rs)
	for i := range out {
		r := &out[i]
		r.Key, r.Value, r.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), slices.Clone(r.Headers)
		for j := range r.Headers {
			r.Headers[j].Value = bytes.Clone(r.Headers[j].Value)
		}
	}
	return out
}

func plainBatch(first int64, attrs int16, values ...string) batchOf {
	o := batchOf{first: first, ahead: int32(len(values)) - 1, attrs: attrs, stamp: 1_700_000_000_000}
	for i, v := range values {
		o.records = append(o.records, kmsg.Record{OffsetDelta: int32(i), TimestampDelta64: int64(i), Key: []byte("k"), Value: []byte(v),
			Headers: []kmsg.Header{{Key: "ce_id", Value: []byte{byte(i)}}, {Key: "chain", Value: nil}}})
	}
	return o
}

func marker(first, producer int64, what byte) batchOf {
	return batchOf{first: first, attrs: inTxn | control, producer: producer, records: []kmsg.Record{{Key: []byte{0, 0, 0, what}, Value: []byte{0, 0, 0, 0, 0, 0}}}}
}

// What brokers and producers write is read without the library's help.
func TestBatches_areWhatTheLibraryReads(t *testing.T) {
	var many []string
	for i := range 3000 {
		many = append(many, fmt.Sprint(i))
	}
	hole := plainBatch(0, 2, "a", "b", "c")
	hole.records, hole.ahead = slices.Delete(hole.records, 1, 2), 9
	none := plainBatch(20, 0)
	none.ahead = 4
	txn := func(first, producer int64, values ...string) batchOf {
		o := plainBatch(first, 2|inTxn, values...)
		o.producer = producer
		return o
	}
	nulls := plainBatch(0, 0, "a", "b")
	nulls.records[0].Value, nulls.records[1].Key, nulls.records[1].Value, nulls.records[1].Headers = nil, nil, []byte{}, nil
	for _, tc := range []struct {
		name    string
		in      []batchOf
		aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction
		from    int64
		to      int64
		want    int
	}{
		{"nothing", nil, nil, 0, 9, 0},
		{"plain", []batchOf{plainBatch(0, 0, "a", "b")}, nil, 0, 9, 2},
		{"gzip", []batchOf{plainBatch(0, 1, many...)}, nil, 0, 9999, 3000},
		{"snappy", []batchOf{plainBatch(0, 2, many...), plainBatch(3000, 2, many...)}, nil, 0, 9999, 6000},
		{"lz4", []batchOf{plainBatch(0, 3, many...)}, nil, 0, 9999, 3000},
		{"zstd", []batchOf{plainBatch(0, 4, many...), plainBatch(3000, 4, many...)}, nil, 0, 9999, 6000},
		{"stamped by the broker", []batchOf{plainBatch(0, byBroker, "a")}, nil, 0, 9, 1},
		{"nulls", []batchOf{nulls}, nil, 0, 9, 2},
		{"holes", []batchOf{hole, none, plainBatch(30, 0, "z")}, nil, 0, 99, 3},
		{"from amid a batch", []batchOf{plainBatch(0, 2, "a", "b"), plainBatch(2, 2, "c", "d", "e")}, nil, 3, 99, 2},
		{"to amid a batch", []batchOf{plainBatch(0, 2, many...)}, nil, 5, 9, 4},
		{"transactions", []batchOf{txn(0, 7, "x", "y"), txn(2, 8, "a"), marker(3, 8, 1), marker(4, 7, 0), txn(5, 7, "b"), marker(6, 7, 1), txn(7, 7, "z"), marker(8, 7, 0), txn(9, 7, "c")},
			[]kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 7, FirstOffset: 7}, {ProducerID: 7, FirstOffset: 0}}, 0, 99, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rp := kmsg.FetchResponseTopicPartition{AbortedTransactions: tc.aborted}
			for _, o := range tc.in {
				rp.RecordBatches = o.append(t, rp.RecordBatches)
			}
			whole := len(rp.RecordBatches)
			if tc.to == 99 || tc.to == 9999 { // an answer may end amid a batch
				next := plainBatch(1000, 0, "cut off").append(t, nil)
				rp.RecordBatches = append(rp.RecordBatches, next[:len(next)-1]...)
			}
			for _, committed := range []bool{true, false} {
				d, got := same(t, rp, committed, tc.from, tc.to, new(stream.Run))
				if committed && len(got) != tc.want {
					t.Errorf("%d records, want %d", len(got), tc.want)
				}
				if d.Odd || d.Read != whole {
					t.Errorf("odd %v after %d bytes of %d", d.Odd, d.Read, whole)
				}
			}
		})
	}
}

// What is odd is not read at all, nor is anything behind it.
func TestBatches_stopBeforeWhatIsOdd(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(*kmsg.RecordBatch)
		spoil  func([]byte)
	}{
		{"another format", func(b *kmsg.RecordBatch) { b.Magic = 1 }, nil},
		{"no format there is", func(b *kmsg.RecordBatch) { b.Magic = 3 }, nil},
		{"an offset below 0", func(b *kmsg.RecordBatch) { b.FirstOffset = -1 }, nil},
		{"an end before its start", func(b *kmsg.RecordBatch) { b.LastOffsetDelta = -5 }, nil},
		{"a codec that nobody knows", func(b *kmsg.RecordBatch) { b.Attributes = 7 }, nil},
		{"a codec that it is not of", func(b *kmsg.RecordBatch) { b.Attributes = 2 }, nil},
		{"an attribute of the library's own", func(b *kmsg.RecordBatch) { b.Attributes = 0x80 }, nil},
		{"more records than there are", func(b *kmsg.RecordBatch) { b.NumRecords++ }, nil},
		{"more records than bytes", func(b *kmsg.RecordBatch) { b.NumRecords = math.MaxInt32 }, nil},
		{"a number of records below 0", func(b *kmsg.RecordBatch) { b.NumRecords = -1 }, nil},
		{"a record that is cut off", func(b *kmsg.RecordBatch) { b.Records = b.Records[:len(b.Records)-1]; b.Length-- }, nil},
		{"a wrong checksum", nil, func(b []byte) { b[bytes.LastIndexByte(b, 'd')]++ }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := plainBatch(0, 2, "a", "b").append(t, nil)
			o := plainBatch(2, 0, "c", "d")
			o.damage = tc.damage
			odd := o.append(t, nil)
			if tc.spoil != nil {
				tc.spoil(odd)
			}
			rp := kmsg.FetchResponseTopicPartition{RecordBatches: plainBatch(4, 0, "e").append(t, slices.Concat(before, odd))}
			d, got := same(t, rp, true, 0, 9, new(stream.Run))
			if !d.Odd || d.Read != len(before) || d.Pos != 2 || len(got) != 2 {
				t.Errorf("odd %v after %d bytes of %d, at %d with %d records", d.Odd, d.Read, len(before), d.Pos, len(got))
			}
		})
	}
}

// drawBatch is any batch that a broker might have at an offset.
func drawBatch(t *rapid.T, first int64) batchOf {
	text := rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.Byte(), 0, 90))
	o := batchOf{first: first, attrs: rapid.Int16Range(0, 4).Draw(t, "codec") | rapid.SampledFrom([]int16{0, byBroker, inTxn, inTxn | control, 1 << 6}).Draw(t, "attributes"),
		producer: rapid.Int64Range(-1, 2).Draw(t, "producer"), stamp: rapid.Int64().Draw(t, "stamp")}
	at := int32(0)
	for range rapid.IntRange(0, 5).Draw(t, "records") {
		r := kmsg.Record{OffsetDelta: at + rapid.Int32Range(0, 2).Draw(t, "hole"), TimestampDelta64: rapid.Int64().Draw(t, "delta"),
			Key: text.Draw(t, "key"), Value: text.Draw(t, "value")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.Headers = append(r.Headers, kmsg.Header{Key: rapid.SampledFrom([]string{"", "a", "bb"}).Draw(t, "name"), Value: text.Draw(t, "said")})
		}
		if o.attrs&control != 0 {
			r.Key = []byte{0, 0, 0, byte(rapid.IntRange(0, 1).Draw(t, "marker"))}
		}
		o.records, at = append(o.records, r), r.OffsetDelta+1
	}
	o.ahead = at + rapid.Int32Range(-1, 2).Draw(t, "tail")
	return o
}

// Whatever the batches, and whatever the memory of the run held before, the
// records are those of the library.
func TestBatches_anyAnswer(t *testing.T) {
	run := new(stream.Run)
	rapid.Check(t, func(rt *rapid.T) {
		var rp kmsg.FetchResponseTopicPartition
		at := int64(0)
		for range rapid.IntRange(0, 6).Draw(rt, "batches") {
			o := drawBatch(rt, at)
			rp.RecordBatches = o.append(t, rp.RecordBatches)
			at += int64(o.ahead) + 1
		}
		for range rapid.IntRange(0, 3).Draw(rt, "aborts") {
			rp.AbortedTransactions = append(rp.AbortedTransactions, kmsg.FetchResponseTopicPartitionAbortedTransaction{
				ProducerID: rapid.Int64Range(-1, 2).Draw(rt, "aborted"), FirstOffset: rapid.Int64Range(0, at).Draw(rt, "since")})
		}
		from := rapid.Int64Range(0, at).Draw(rt, "from")
		same(rt, rp, rapid.Bool().Draw(rt, "committed"), from, rapid.Int64Range(from, at+1).Draw(rt, "to"), run)
	})
}

// FuzzBatches: of any bytes, with the checksum of the first batch put right.
func FuzzBatches(f *testing.F) {
	for codec := range int16(5) {
		f.Add(plainBatch(0, codec|inTxn, "a", "b").append(f, nil), int64(0), int64(9))
	}
	f.Add(marker(1, 0, 0).append(f, plainBatch(0, inTxn, "a").append(f, nil)), int64(0), int64(1))
	run := new(stream.Run)
	f.Fuzz(func(t *testing.T, in []byte, from, to int64) {
		if len(in) > 21 {
			if n := int64(binary.BigEndian.Uint32(in[8:])) + 12; n > 21 && n <= int64(len(in)) {
				sealed(in[:n:n])
			}
		}
		rp := kmsg.FetchResponseTopicPartition{RecordBatches: in, AbortedTransactions: []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 0, FirstOffset: 0}}}
		from = max(from, 0)
		same(t, rp, true, from, max(to, from), run)
	})
}
