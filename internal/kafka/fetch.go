package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

const (
	// fetchBytes is asked for in one answer; larger than any batch we write, and
	// eight in flight still fit a small container.
	fetchBytes = 4 << 20
	// fetchWait is how long a broker may wait for new records.
	fetchWait = 500 * time.Millisecond
	// stalledAfter ends a read whose every request fails.
	stalledAfter = 60 * time.Second
	// emptyAnswers in a row, with the stable end at or past the goal, prove that
	// nothing is left there to be read: compaction removed it. One answer alone
	// may be empty because the broker was slow.
	emptyAnswers = 3
)

// reader is one Log.Read.
type reader struct {
	log       *Log
	topic     string
	partition int32
	pos, to   int64
	level     kgo.IsolationLevel
	fn        func(stream.Record) error
	empty     int
}

// run hands out the records of one answer while the next is on its way.
func (r *reader) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers, end := make(chan []*kgo.Record, 1), make(chan error, 1)
	go func() {
		defer close(answers)
		end <- r.fetchAll(ctx, answers)
	}()
	var err error
	for records := range answers {
		for i := 0; i < len(records) && err == nil; i++ {
			if err = r.fn(fromClient(records[i])); err != nil {
				cancel()
			}
		}
	}
	if err != nil {
		return err
	}
	return <-end
}

// fetchAll asks until the position is at or past the goal.
func (r *reader) fetchAll(ctx context.Context, answers chan<- []*kgo.Record) error {
	var failures int
	failing := time.Time{}
	for r.pos < r.to {
		if err := pause(ctx, failures); err != nil {
			return wrap(r.name(), err)
		}
		records, err := r.step(ctx)
		if len(records) > 0 {
			select {
			case answers <- records:
			case <-ctx.Done():
				return wrap(r.name(), ctx.Err())
			}
		}
		var fe *fetchError
		if !errors.As(err, &fe) {
			failures, failing = 0, time.Time{}
			continue
		}
		if !fe.retry {
			return wrap(r.name(), fe.err)
		}
		r.log.leaders.forget(r.topic, r.partition)
		failures++
		if failing.IsZero() {
			failing = time.Now()
		}
		if time.Since(failing) > stalledAfter {
			return wrap(r.name(), fe.err)
		}
	}
	return nil
}

func (r *reader) name() string {
	return fmt.Sprintf("read %s-%d at %d", r.topic, r.partition, r.pos)
}

// fetchError is a failure of the request.
type fetchError struct {
	err   error
	retry bool
}

func (e *fetchError) Error() string { return e.err.Error() }
func (e *fetchError) Unwrap() error { return e.err }

// step makes one request, moves the position and gives the records that were
// passed.
func (r *reader) step(ctx context.Context) ([]*kgo.Record, error) {
	before := r.pos
	rp, err := r.log.fetch(ctx, r.topic, r.partition, r.pos, r.level)
	if err != nil {
		return nil, r.failure(ctx, err)
	}
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, // they move the position
		Offset:             r.pos,
		IsolationLevel:     r.level,
		Topic:              r.topic,
		Partition:          r.partition,
	}, rp, r.log.decomp, nil)
	records := fp.Records[:0]
	for _, rec := range fp.Records {
		if rec.Offset >= r.to {
			r.pos = r.to
			return records, nil
		}
		if !rec.Attrs.IsControl() {
			records = append(records, rec)
		}
		r.pos = rec.Offset + 1
	}
	if fp.Err != nil {
		return records, r.failure(ctx, fp.Err)
	}
	if next > r.pos {
		r.pos, r.empty = next, 0
		return records, nil
	}
	if r.pos == before && len(rp.RecordBatches) > 0 {
		// It answered with what stands before the position, or with a batch that
		// ends before its own end. The next answer may be of another broker.
		r.empty = 0
		return nil, &fetchError{err: errNoProgress, retry: true}
	}
	r.skipHole(fp, len(rp.RecordBatches) == 0)
	return records, nil
}

// errNoProgress ends a read after a minute of such answers.
var errNoProgress = errors.New("the broker answers with records, and none of them is what was asked for")

// skipHole moves the position to the goal when the partition is stable up to it
// and repeatedly has nothing to show in between.
func (r *reader) skipHole(fp kgo.FetchPartition, nothing bool) {
	stable := fp.HighWatermark
	if r.level == kgo.ReadCommitted() {
		stable = fp.LastStableOffset
	}
	if !nothing || len(fp.Records) > 0 || stable < r.to {
		r.empty = 0
		return
	}
	if r.empty++; r.empty >= emptyAnswers {
		r.pos = r.to
	}
}

// failure decides whether another try may help.
func (r *reader) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &fetchError{err: ctx.Err()}
	}
	if errors.Is(err, kerr.OffsetOutOfRange) {
		ends, eerr := r.log.Ends(ctx, r.partition, r.topic)
		if eerr != nil {
			return &fetchError{err: err}
		}
		return &fetchError{err: lossError(r.topic, r.partition, r.pos, r.to, ends[r.topic])}
	}
	// The leader cache may hold the id of a topic that was recreated.
	retry := errors.Is(Classify(err), stream.ErrTransient) || kerr.IsRetriable(err)
	return &fetchError{err: err, retry: retry}
}

// fetch asks the leader for what stands at offset.
func (l *Log) fetch(ctx context.Context, topic string, partition int32, offset int64, level kgo.IsolationLevel) (*kmsg.FetchResponseTopicPartition, error) {
	leader, err := l.leaders.find(ctx, topic, partition)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(fetchWait / time.Millisecond)
	req.MinBytes = 1
	req.MaxBytes = fetchBytes
	req.SessionEpoch = -1 // no fetch session
	if level == kgo.ReadCommitted() {
		req.IsolationLevel = 1
	}
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = topic, leader.id
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = partition, offset, fetchBytes
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)

	kresp, err := l.askLeader(ctx, leader, req)
	if err != nil {
		return nil, err
	}
	resp := kresp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			return &resp.Topics[i].Partitions[j], nil
		}
	}
	// Throttled: the broker left the partition out.
	return nil, kerr.ThrottlingQuotaExceeded
}

// askLeader asks the broker that leads, or led a moment ago: one that has gone
// since is not in the cluster's metadata, and the client's error for that has
// neither type nor code.
func (l *Log) askLeader(ctx context.Context, leader leaderOf, req kmsg.Request) (kmsg.Response, error) {
	resp, err := l.cl.Broker(int(leader.node)).RetriableRequest(ctx, req)
	if err != nil && ctx.Err() == nil && !errors.Is(err, kgo.ErrClientClosed) && classOf(err) == nil {
		err = fmt.Errorf("broker %d: %w: %w", leader.node, stream.ErrTransient, err)
	}
	return resp, err
}

// leaderCache remembers where a partition is led, until told to forget.
type leaderCache struct {
	cl *kgo.Client
	mu sync.Mutex
	m  map[topicPartition]leaderOf
}

type topicPartition struct {
	topic     string
	partition int32
}

type leaderOf struct {
	node int32
	id   [16]byte
}

func (c *leaderCache) forget(topic string, partition int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, topicPartition{topic, partition})
}

func (c *leaderCache) find(ctx context.Context, topic string, partition int32) (leaderOf, error) {
	c.mu.Lock()
	l, ok := c.m[topicPartition{topic, partition}]
	c.mu.Unlock()
	if ok {
		return l, nil
	}
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, c.cl)
	if err != nil {
		return l, err
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return l, err
		}
		for _, p := range t.Partitions {
			c.keep(topic, p.Partition, leaderOf{p.Leader, t.TopicID}, p.ErrorCode)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok = c.m[topicPartition{topic, partition}]; !ok {
		return l, kerr.LeaderNotAvailable
	}
	return l, nil
}

func (c *leaderCache) keep(topic string, partition int32, l leaderOf, code int16) {
	if l.node < 0 || kerr.ErrorForCode(code) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[topicPartition]leaderOf{}
	}
	c.m[topicPartition{topic, partition}] = l
}
