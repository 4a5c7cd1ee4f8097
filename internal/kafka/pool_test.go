package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/twmb/franz-go/pkg/kgo"
	"rampstream/internal/kafka"
	"rampstream/internal/sim"
	"rampstream/internal/stream"
)

// What Poll returned stays as it is until the batch is committed and Poll is called
// again; what was not committed stays for good, because a client may still hold
// it. Only then is its memory used again, and it is.
func TestTxnGroup_recordsAreLentUntilThePollAfterCommit(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	g := openTxn(t, cfg, txnOptions("0"), newTable(t))
	defer g.Close()
	same := func(when string, want, got []stream.Record) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s, what was polled is (-then +now):\n%s", when, d)
		}
	}
	type batch struct{ were, records []stream.Record }
	var aborted []batch
	var last []stream.Record
	for i := range 12 {
		var texts []string
		for j := range 20 {
			texts = append(texts, string(bytes.Repeat(fmt.Appendf(nil, "%d-%d ", i, j), 40)))
		}
		put(t, cfg, "a", 0, texts...)
		rs := pollN(t, g.Poll, len(texts))
		if i > 0 { // of the batch before, which was committed
			if n := bytes.Count(last[0].Value, []byte{0}); n != len(last[0].Value) && bytes.HasPrefix(last[0].Value, fmt.Appendf(nil, "%d-", i-1)) {
				t.Fatalf("batch %d is still there at the next Poll: its memory is not used again", i-1)
			}
		}
		for _, r := range rs {
			if !bytes.HasPrefix(r.Value, fmt.Appendf(nil, "%d-", i)) {
				t.Fatalf("batch %d has a record %.10q", i, r.Value)
			}
		}
		b := batch{owned(rs), rs}
		same("before Commit", b.were, rs)
		if i%3 == 1 {
			fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.MessageTooLarge})
			if ok, err := g.Commit(patient(t), copies(rs)); ok || err != nil || fault.Hits() == 0 {
				t.Fatalf("Commit = %v, %v; want an abort", ok, err)
			}
			aborted = append(aborted, b)
			rs = pollN(t, g.Poll, len(texts))
			same("read again after an abort", b.were, rs)
		}
		if ok, err := g.Commit(patient(t), copies(rs)); !ok || err != nil {
			t.Fatalf("Commit = %v, %v", ok, err)
		}
		same("after Commit", b.were, rs)
		last = rs
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := g.Poll(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for _, b := range aborted {
		same("long after an abort", b.were, b.records)
	}
}

func owned(rs []stream.Record) (out []stream.Record) {
	for _, r := range rs {
		out = append(out, sim.Own(r))
	}
	return out
}

// Memory is bounded whatever comes: huge pieces, and more of them than a batch has,
// are not kept.
func TestPool_keepsLittle(t *testing.T) {
	p := kafka.NewPool()
	for range 1000 {
		p.PutDecompressBytes(make([]byte, 0, 1<<20))
		p.PutRecords(p.GetRecords(10_000))
	}
	for range 1000 {
		p.PutDecompressBytes(make([]byte, 0, 100))
		p.PutRecords(p.GetRecords(3)[:0:3])
	}
	if records, held := kafka.Pooled(p); records > 64 || held > 64*100 {
		t.Errorf("%d pieces of records and %d bytes are kept; want 64 of each, and no huge one", records, held)
	}
}

// A batch of as much as is fetched of a partition at once comes back to the pool like
// others: its bytes are four times what they are on their way at most, and few are.
func TestPool_keepsWhatIsFetchedAtOnce(t *testing.T) {
	for _, compressed := range []int{10 << 10, 100 << 10, 150 << 10, 192 << 10} {
		p := kafka.NewPool()
		p.PutDecompressBytes(p.GetDecompressBytes(make([]byte, compressed), kgo.CodecZstd))
		if _, held := kafka.Pooled(p); held == 0 {
			t.Errorf("a batch of %d compressed bytes: its memory is made anew each time", compressed)
		}
	}
}
