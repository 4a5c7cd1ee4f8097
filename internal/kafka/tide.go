package kafka

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// Tide remembers how far the offsets that were acknowledged to a producer have
// come in each partition. They only rise: an offset that is given out a second
// time says that the log was cut there, after an unclean election of a leader
// that had not all of it, and that what was acknowledged is gone. The client
// hears of it by sequence numbers alone, and a leader that has forgotten the
// producer altogether takes any.
//
// The zero Tide has heard of nothing. One that the sessions of a process share, one
// after the other, knows what was acknowledged to those before. It may be used by
// several goroutines.
type Tide struct {
	mu   sync.Mutex
	next map[string][]int64 // by topic and partition: behind the last acknowledged
	// Acknowledgements come in batches of a partition: the last topic's part of next.
	topic string
	of    []int64
}

// rises takes an acknowledged offset. It is false where that was given out
// before, and next is where the partition had come then; the next call compares
// with this offset. Offsets that the broker left out say nothing.
func (t *Tide) rises(topic string, partition int32, offset int64) (next int64, ok bool) {
	if offset < 0 || partition < 0 {
		return 0, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if topic != t.topic {
		t.topic, t.of = topic, t.next[topic]
	}
	at := t.of
	if n := int(partition) + 1 - len(at); n > 0 {
		if t.next == nil {
			t.next = map[string][]int64{}
		}
		at = append(at, make([]int64, n)...)
		t.next[topic], t.of = at, at
	}
	next = at[partition]
	at[partition] = offset + 1
	return next, offset >= next
}

// Next is the offset behind the last that was acknowledged in a partition, 0 for
// none: the partition reaches as far, unless it was cut.
func (t *Tide) Next(topic string, partition int32) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if of := t.next[topic]; partition >= 0 && int(partition) < len(of) {
		return of[partition]
	}
	return 0
}

// fell is the loss that a tide found.
func fell(topic string, partition int32, next, offset int64) error {
	return fmt.Errorf("%s-%d: records were acknowledged up to offset %d, and the broker gives out offset %d again: offsets %d to %d are gone: %w",
		topic, partition, next-1, offset, offset, next-1, stream.ErrLoss)
}

// cut says whether the log still has what stood below an offset that was read
// when epoch led: it asks the leader where that epoch ended. A log that was cut
// and has grown again looks whole by its offsets, and what was written since
// below the position would never be read. An epoch that nobody knows says
// nothing.
func (l *Log) cut(ctx context.Context, topic string, partition int32, offset int64, epoch int32) error {
	if epoch < 0 || offset <= 0 {
		return nil
	}
	var err error
	for try := range 20 {
		if err = pause(ctx, try); err != nil {
			break
		}
		var end int64
		end, err = l.endOfEpoch(ctx, topic, partition, epoch)
		switch {
		case err == nil && end >= 0 && end < offset:
			return fmt.Errorf("%s-%d: the position is %d, but what was read in leader epoch %d ends at %d now: offsets %d to %d were cut off, and others may stand there: %w",
				topic, partition, offset, epoch, end, end, offset-1, stream.ErrLoss)
		case err == nil, classOf(err) == stream.ErrRefused && !kerr.IsRetriable(err):
			return nil // a broker without epochs, or one that does not tell us: offsets alone decide
		}
		l.leaders.forget(topic, partition)
	}
	return wrap(fmt.Sprintf("end of epoch %d of %s-%d", epoch, topic, partition), err)
}

// endOfEpoch is the first offset behind an epoch; -1 when the leader does not
// know it.
func (l *Log) endOfEpoch(ctx context.Context, topic string, partition, epoch int32) (int64, error) {
	leader, err := l.leaders.find(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	rp.Partition, rp.LeaderEpoch = partition, epoch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	kresp, err := l.askLeader(ctx, leader, req)
	if err != nil {
		return 0, err
	}
	for _, t := range kresp.(*kmsg.OffsetForLeaderEpochResponse).Topics {
		for _, p := range t.Partitions {
			return p.EndOffset, kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return 0, kerr.UnknownTopicOrPartition
}
