package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// batches reads the record batches of one fetch answer into runs, without an
// allocation for each record, which the client's library makes several of: a
// restore reads millions of records, and keeps none.
//
// It reads what brokers and producers write in fact. Whatever else it meets it
// calls odd and stops before it: the library then has the last word. Tests hold
// the two equal.
type batches struct {
	in        []byte // the batches that are left
	pos, to   int64  // the position, and where to end
	topic     string
	partition int32
	aborted   map[int64][]int64 // first offsets of aborted transactions by producer; nil shows all
	unpack    *unpacker
	odd       bool
}

// batchHead is how many bytes a batch has before its records.
const batchHead = 61

// Attributes of a batch.
const (
	attrCodec   = 0x07
	attrAppend  = 0x08 // stamped by the broker
	attrTxn     = 0x10
	attrControl = 0x20
	attrUnknown = 0x80 // the library takes it for a mark of its own
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newBatches(rp *kmsg.FetchResponseTopicPartition, committed bool, unpack *unpacker) *batches {
	b := &batches{in: rp.RecordBatches, unpack: unpack}
	if committed && len(rp.AbortedTransactions) > 0 {
		b.aborted = map[int64][]int64{}
		for _, t := range rp.AbortedTransactions {
			b.aborted[t.ProducerID] = append(b.aborted[t.ProducerID], t.FirstOffset)
		}
		for _, offsets := range b.aborted {
			slices.Sort(offsets) // not every broker does
		}
	}
	return b
}

// fill appends records to run until it has enough. It reports whether there may
// be more.
func (b *batches) fill(run *stream.Run) bool {
	for b.pos < b.to && len(run.Records) < stream.RunRecords {
		if !b.next(run) {
			return false
		}
	}
	return b.pos < b.to
}

// next appends the records of one batch. It is false where the answer ends, which
// may be amid a batch, and where something is odd.
func (b *batches) next(run *stream.Run) bool {
	if len(b.in) <= 17 {
		return false
	}
	size := int32(binary.BigEndian.Uint32(b.in[8:])) + 12
	if size < 0 || int(size) > len(b.in) {
		return false
	}
	records, headers, pos := len(run.Records), len(run.Headers), b.pos
	if !b.batch(run, b.in[:size]) {
		run.Records, run.Headers, b.pos, b.odd = run.Records[:records], run.Headers[:headers], pos, true
		return false
	}
	b.in = b.in[size:]
	return true
}

// batch appends the records of in. It is false where anything is odd, in the
// middle of it too.
func (b *batches) batch(run *stream.Run, in []byte) bool {
	if len(in) < batchHead || in[16] != 2 || crc32.Checksum(in[21:], castagnoli) != binary.BigEndian.Uint32(in[17:]) {
		return false
	}
	first, ahead := int64(binary.BigEndian.Uint64(in)), int32(binary.BigEndian.Uint32(in[23:]))
	attrs, n := in[22], int32(binary.BigEndian.Uint32(in[57:]))
	if first < 0 || ahead < 0 || attrs&attrUnknown != 0 {
		return false
	}
	if first+int64(ahead) < b.pos {
		return true
	}
	body, err := b.unpack.batch(run, in[batchHead:], attrs&attrCodec)
	if err != nil || n < 0 || int(n) > len(body) {
		return false
	}
	base := batchBase{
		offset: first, attrs: attrs, producer: int64(binary.BigEndian.Uint64(in[43:])),
		stamp: int64(binary.BigEndian.Uint64(in[27:])), latest: int64(binary.BigEndian.Uint64(in[35:])),
	}
	if !b.records(run, &base, body, int(n)) {
		return false
	}
	// Compaction keeps the last offset of a batch, also when its record is gone.
	b.pos = max(b.pos, first+int64(ahead)+1)
	return true
}

// batchBase is what the records of a batch have in common.
type batchBase struct {
	offset, producer int64
	stamp, latest    int64
	attrs            byte
}

func (b *batches) records(run *stream.Run, base *batchBase, body []byte, n int) bool {
	hidden, marked := b.hides(base), false
	run.Records = slices.Grow(run.Records, n)
	for range n {
		size, used := kbin.Varint(body)
		if used <= 0 || size < 0 || int(size) > len(body)-used {
			return false
		}
		c := cursor{b: body[used : used+int(size)]}
		body = body[used+int(size):]
		c.skip(1) // attributes, which nobody uses
		stamp := c.long()
		offset := base.offset + int64(c.int())
		key, value := c.bytes(), c.bytes()
		room := len(run.Headers)
		run.Headers = c.headers(run.Headers)
		if c.bad {
			return false
		}
		if hidden && base.attrs&attrControl != 0 && !marked && isAbort(key) {
			b.aborted[base.producer], marked = b.aborted[base.producer][1:], true
		}
		if offset < b.pos || hidden || base.attrs&attrControl != 0 || offset >= b.to {
			run.Headers, b.pos = run.Headers[:room], max(b.pos, offset+1)
			continue
		}
		b.pos = offset + 1
		r := stream.Record{Topic: b.topic, Partition: b.partition, Offset: offset, Key: key, Value: value, AppendTime: base.attrs&attrAppend != 0}
		if stamp += base.stamp; r.AppendTime {
			stamp = base.latest
		}
		r.TimestampMs = time.Unix(0, stamp*1e6).UnixMilli() // as the library has it
		if room < len(run.Headers) {
			r.Headers = run.Headers[room:len(run.Headers):len(run.Headers)]
		}
		run.Records = append(run.Records, r)
	}
	return true
}

// hides reports whether a batch is of an aborted transaction.
func (b *batches) hides(base *batchBase) bool {
	offsets := b.aborted[base.producer]
	return base.attrs&attrTxn != 0 && len(offsets) > 0 && base.offset >= offsets[0]
}

// isAbort reads the key of a control record: a version, and what it is.
func isAbort(key []byte) bool { return len(key) >= 4 && key[2] == 0 && key[3] == 0 }

// cursor walks over one record. After a fault it reads zeros.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) fail() { c.b, c.bad = nil, true }

func (c *cursor) skip(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail()
		return nil
	}
	skipped := c.b[:n:n]
	c.b = c.b[n:]
	return skipped
}

func (c *cursor) int() int32 {
	if len(c.b) > 0 && c.b[0] < 0x80 { // nearly all of them
		u := uint32(c.b[0])
		c.b = c.b[1:]
		return int32(u>>1) ^ -int32(u&1)
	}
	v, n := kbin.Varint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) long() int64 {
	v, n := kbin.Varlong(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

// bytes is nil where there are none, which is not the same as empty.
func (c *cursor) bytes() []byte {
	n := c.int()
	if n < 0 || c.bad {
		return nil
	}
	return c.skip(int(n))
}

// headers appends the headers of a record. Records have mostly the names of the
// record before them, whose memory is then used.
func (c *cursor) headers(to []stream.Header) []stream.Header {
	n := int(c.int())
	if n > len(c.b) {
		c.fail()
		return to
	}
	for range n {
		name := c.bytes()
		h := stream.Header{Value: c.bytes()}
		if at := len(to) - n; at >= 0 && to[at].Key == string(name) {
			h.Key = to[at].Key
		} else {
			h.Key = string(name)
		}
		to = append(to, h)
	}
	return to
}

// unpacker decompresses batches into the memory of runs. It is for one
// goroutine.
type unpacker struct {
	decomp kgo.Decompressor
	room   []byte // what is left of that of the run
}

func newUnpacker() *unpacker {
	u := &unpacker{}
	u.decomp = kgo.DefaultDecompressor(u)
	return u
}

// begin makes the memory of run free.
func (u *unpacker) begin(run *stream.Run) {
	run.Records, run.Headers = run.Records[:0], run.Headers[:0]
	u.room = run.Bytes[:0]
}

func (u *unpacker) batch(run *stream.Run, in []byte, codec byte) ([]byte, error) {
	if codec == 0 {
		return in, nil
	}
	if n := unpackedSize(in, codec); n > cap(u.room) {
		// What was there stays with the records that are parts of it.
		run.Bytes = make([]byte, 0, max(n, 2*cap(run.Bytes)))
		u.room = run.Bytes
	}
	out, err := u.decomp.Decompress(in, kgo.CompressionCodecType(codec))
	if err == nil && len(out) > 0 && cap(u.room) >= len(out) && &out[0] == &u.room[:1][0] {
		u.room = u.room[len(out):len(out):cap(u.room)]
	}
	return out, err
}

// maxUnpacked is more than any batch of ours has: what claims more is left to
// the library to find wrong.
const maxUnpacked = 16 << 20

// unpackedSize is how much memory a batch will take; 0 where it does not say.
func unpackedSize(in []byte, codec byte) int {
	if kgo.CompressionCodecType(codec) != kgo.CodecSnappy {
		return 0
	}
	n, used := binary.Uvarint(in)
	if used <= 0 || n > maxUnpacked {
		return 0
	}
	return int(n)
}

// GetDecompressBytes implements kgo.PoolDecompressBytes.
func (u *unpacker) GetDecompressBytes([]byte, kgo.CompressionCodecType) []byte { return u.room }

// PutDecompressBytes implements kgo.PoolDecompressBytes: the memory stays the
// run's.
func (u *unpacker) PutDecompressBytes([]byte) {}
