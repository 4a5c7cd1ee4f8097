package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/stream"
)

// chunks say of topics how many bytes of records may be on their way at once. A
// topic that takes less than the client's batches (max.message.bytes) refuses
// all the records of a batch for their sum, and none of them is too large: so a
// session learns how much it may send, by halves, until a record that is refused
// was alone. It has no right to ask.
type chunks map[string]int

const (
	// mostChunk is what the client puts into a batch at most.
	mostChunk = 1_000_000
	// leastChunk is less than any limit in use; below it each record goes alone.
	leastChunk = 4 << 10
)

// smaller takes the failure of a commit of rs. It reports whether the record may
// have been refused for the company that it had; then the next attempt has less.
func (c chunks) smaller(rs []stream.Record, err error) bool {
	var re *RecordError
	if !errors.Is(err, stream.ErrTooLarge) || !errors.As(err, &re) {
		return false
	}
	company := 0
	for i := range rs {
		if rs[i].Topic == re.Topic {
			company++
		}
	}
	have, ok := c[re.Topic]
	if !ok {
		have = mostChunk
	}
	if company == 1 || sizeOf(&rs[re.Index]) >= have {
		return false
	}
	if have /= 2; have < leastChunk {
		have = 1
	}
	c[re.Topic] = have
	return true
}

func sizeOf(r *stream.Record) (n int) {
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n + len(r.Key) + len(r.Value)
}

// send produces those of out that are due, as rs, and waits for their promises.
func (c chunks) send(ctx context.Context, cl *kgo.Client, out []stream.Record, rs []kgo.Record, due func(i int) bool, promise func(*kgo.Record, error)) error {
	rctx, sent := context.WithoutCancel(ctx), map[string]int{}
	for i := range rs {
		if !due(i) {
			continue
		}
		if most, ok := c[rs[i].Topic]; ok {
			n := sizeOf(&out[i])
			if sent[rs[i].Topic] > 0 && sent[rs[i].Topic]+n > most {
				if err := cl.Flush(ctx); err != nil {
					return err
				}
				clear(sent)
			}
			sent[rs[i].Topic] += n
		}
		cl.Produce(rctx, &rs[i], promise)
	}
	return cl.Flush(ctx)
}
