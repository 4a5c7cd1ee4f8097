package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

const (
	// refereeEvery is how often a record is given the broker's time: one more
	// round trip for one record in ten seconds.
	refereeEvery = 10 * time.Second
	// refereeRetry bounds the attempts when other records come in between.
	refereeRetry = time.Second
	// refereeWait bounds what the caller of Publish pays for it.
	refereeWait = 250 * time.Millisecond
	// maxTimestamp asks ListOffsets for the record with the latest timestamp
	// (KIP-734, brokers from 3.0 on).
	maxTimestamp = -3
)

// referee learns broker time. The client library does not hand on the append
// time that an acknowledgement carries, so it is asked for: ListOffsets needs no
// more than the right to describe, which every writer has.
type referee struct {
	mu   sync.Mutex
	next time.Time
	off  bool // the brokers do not know the request
}

// due claims the next attempt.
func (r *referee) due(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.off || now.Before(r.next) {
		return false
	}
	r.next = now.Add(refereeRetry)
	return true
}

// stamp replaces the timestamp of rec, just acknowledged, by the broker's
// append time, if the topic has one and no later record hides it. On a topic
// with CreateTime the broker shows the timestamp that was sent.
func (p *Producer) stamp(ctx context.Context, rec *stream.Record) {
	now := time.Now()
	if !p.referee.due(now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, refereeWait)
	defer cancel()
	offset, at, err := p.latest(ctx, rec.Topic, rec.Partition)
	p.referee.mu.Lock()
	defer p.referee.mu.Unlock()
	switch {
	case err != nil:
		p.referee.off = ctx.Err() == nil && !kerr.IsRetriable(err) && classOf(err) != stream.ErrTransient
	case offset == rec.Offset:
		p.referee.next = now.Add(refereeEvery)
		if at != rec.TimestampMs { // equal says nothing, and then the clocks agree
			rec.TimestampMs, rec.AppendTime = at, true
		}
	}
}

// latest gives offset and timestamp of the record with the greatest timestamp.
func (p *Producer) latest(ctx context.Context, topic string, partition int32) (offset, at int64, err error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp = partition, maxTimestamp
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, p.cl)
	if err != nil {
		return 0, 0, err
	}
	if resp.Version < 7 {
		return 0, 0, kerr.UnsupportedVersion // older brokers take -3 for a time
	}
	for _, t := range resp.Topics {
		for _, rp := range t.Partitions {
			return rp.Offset, rp.Timestamp, kerr.ErrorForCode(rp.ErrorCode)
		}
	}
	return 0, 0, kerr.UnknownTopicOrPartition
}
