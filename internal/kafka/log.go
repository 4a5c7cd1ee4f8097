package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// Log implements stream.Log with requests of its own, apart from any group. Its
// methods may be called concurrently.
//
// It fetches directly instead of consuming, because only a fetch answer says
// how far the position went when nothing of it is shown: a tail of aborted
// records, of control records, or of what compaction removed.
type Log struct {
	cl      *kgo.Client
	decomp  kgo.Decompressor
	leaders leaderCache
	stalled time.Duration // ends a read whose every request fails
}

var (
	_ stream.Log       = (*Log)(nil)
	_ stream.RunReader = (*Log)(nil)
)

// OpenLog makes a Log. It connects lazily; errors here are of configuration.
func OpenLog(cfg Config) (*Log, error) {
	cl, err := cfg.newClient("", kgo.RequestTimeoutOverhead(10*time.Second))
	if err != nil {
		return nil, err
	}
	l := &Log{cl: cl, decomp: kgo.DefaultDecompressor(), stalled: stalledAfter}
	l.leaders.cl = cl
	return l, nil
}

// Close ends all reads.
func (l *Log) Close() { l.cl.Close() }

// Ends implements stream.Log.
func (l *Log) Ends(ctx context.Context, partition int32, topics ...string) (map[string]stream.Range, error) {
	starts, err := l.offsets(ctx, partition, topics, -2)
	if err != nil {
		return nil, err
	}
	ends, err := l.offsets(ctx, partition, topics, -1)
	if err != nil {
		return nil, err
	}
	out := make(map[string]stream.Range, len(topics))
	for _, t := range topics {
		out[t] = stream.Range{Start: starts[t], End: ends[t]}
	}
	return out, nil
}

// Since is the offset of the first record whose timestamp is not before at, in
// milliseconds since the epoch, by the broker's time index; the end of the
// partition when there is none.
func (l *Log) Since(ctx context.Context, topic string, partition int32, at int64) (int64, error) {
	found, err := l.offsets(ctx, partition, []string{topic}, max(at, 0))
	if err != nil {
		return 0, err
	}
	if n := found[topic]; n >= 0 {
		return n, nil
	}
	ends, err := l.offsets(ctx, partition, []string{topic}, -1)
	return ends[topic], err
}

// offsets lists the offset at a timestamp (-2 oldest, -1 high watermark; -1 is
// the answer when no record is as young), again while leaders move.
func (l *Log) offsets(ctx context.Context, partition int32, topics []string, at int64) (map[string]int64, error) {
	var err error
	for try := range 20 {
		if err = pause(ctx, try); err != nil {
			break
		}
		var out map[string]int64
		if out, err = l.listOffsets(ctx, partition, topics, at); err == nil {
			return out, nil
		}
		// A topic created a moment ago may not have reached every broker.
		var ke *kerr.Error
		unknown := errors.As(err, &ke) && ke == kerr.UnknownTopicOrPartition && try >= 2
		if unknown || !errors.Is(Classify(err), stream.ErrTransient) && !kerr.IsRetriable(err) {
			break
		}
	}
	return nil, wrap(fmt.Sprintf("list offsets of partition %d", partition), err)
}

func (l *Log) listOffsets(ctx context.Context, partition int32, topics []string, at int64) (map[string]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	for _, t := range topics {
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = t
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition = partition
		rp.Timestamp = at
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, l.cl)
	if err != nil {
		return nil, err
	}
	out := make(map[string]int64, len(topics))
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("topic %s: %w", t.Topic, err)
			}
			out[t.Topic] = p.Offset
		}
	}
	for _, t := range topics {
		if _, ok := out[t]; !ok {
			return nil, fmt.Errorf("topic %s: %w", t, kerr.UnknownTopicOrPartition)
		}
	}
	return out, nil
}

// pause waits before try number n; the first goes at once.
func pause(ctx context.Context, n int) error {
	if n == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(min(time.Duration(n)*100*time.Millisecond, time.Second))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Read implements stream.Log. to must not be beyond the high watermark, which
// would be the sign of a truncated log (ErrLoss); math.MaxInt64 follows the
// partition until ctx is done. from >= to reads nothing and asks nobody.
func (l *Log) Read(ctx context.Context, topic string, partition int32, from, to int64, committed bool, fn func(stream.Record) error) error {
	rd, err := l.reader(ctx, topic, partition, from, to, committed)
	if err != nil || rd == nil {
		return err
	}
	return rd.each(ctx, fn)
}

// ReadRuns implements stream.RunReader.
func (l *Log) ReadRuns(ctx context.Context, topic string, partition int32, from, to int64, committed bool, room func() (*stream.Run, error), send func(*stream.Run) error) error {
	rd, err := l.reader(ctx, topic, partition, from, to, committed)
	if err != nil || rd == nil {
		return err
	}
	rd.room, rd.send = room, send
	return rd.fetchAll(ctx)
}

// reader begins a read; nil where there is nothing to be read.
func (l *Log) reader(ctx context.Context, topic string, partition int32, from, to int64, committed bool) (*reader, error) {
	if from >= to {
		return nil, nil
	}
	ends, err := l.Ends(ctx, partition, topic)
	if err != nil {
		return nil, err
	}
	r := ends[topic]
	if from < r.Start || from > r.End || (to > r.End && to != math.MaxInt64) {
		return nil, lossError(topic, partition, from, to, r)
	}
	rd := &reader{log: l, topic: topic, partition: partition, pos: from, to: to, level: kgo.ReadUncommitted()}
	if committed {
		rd.level = kgo.ReadCommitted()
	}
	return rd, nil
}

func lossError(topic string, partition int32, from, to int64, r stream.Range) error {
	want := fmt.Sprintf("[%d,%d)", from, to)
	if to == math.MaxInt64 {
		want = fmt.Sprintf("[%d,...)", from)
	}
	return fmt.Errorf("%s-%d: wanted %s but the log holds [%d,%d): %w", topic, partition, want, r.Start, r.End, stream.ErrLoss)
}
