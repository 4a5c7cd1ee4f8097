package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	// stalledAfter is Log.stalled.
	stalledAfter = 60 * time.Second
	// emptyAnswers in a row, with the stable end at or past the goal, prove that
	// nothing is left there to be read: compaction removed it. One answer alone
	// may be empty because the broker was slow.
	emptyAnswers = 3
)

// reader is one Log.Read or Log.ReadRuns.
type reader struct {
	log       *Log
	topic     string
	partition int32
	pos, to   int64
	level     kgo.IsolationLevel
	room      func() (*stream.Run, error)
	send      func(*stream.Run) error
	run       *stream.Run // to be filled next; nil where room has to be asked
	unpack    *unpacker
	empty     int
}

// each hands out the records of one run while the next is on its way.
func (r *reader) each(ctx context.Context, fn func(stream.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	runs, end := make(chan *stream.Run, 1), make(chan error, 1)
	r.room = func() (*stream.Run, error) { return new(stream.Run), nil }
	r.send = func(run *stream.Run) error {
		select {
		case runs <- run:
			return nil
		case <-ctx.Done():
			return wrap(r.name(), ctx.Err())
		}
	}
	go func() {
		defer close(runs)
		end <- r.fetchAll(ctx)
	}()
	var err error
	for run := range runs {
		for i := 0; i < len(run.Records) && err == nil; i++ {
			if err = fn(run.Records[i]); err != nil {
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
func (r *reader) fetchAll(ctx context.Context) error {
	r.unpack = newUnpacker()
	var failures int
	failing := time.Time{}
	for r.pos < r.to {
		if err := pause(ctx, failures); err != nil {
			return wrap(r.name(), err)
		}
		fe, err := r.step(ctx)
		if err != nil {
			return err
		}
		if fe == nil {
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
		if time.Since(failing) > r.log.stalled {
			return wrap(r.name(), fe.err)
		}
	}
	return nil
}

func (r *reader) name() string {
	return fmt.Sprintf("read %s-%d at %d", r.topic, r.partition, r.pos)
}

// fetchError is a failure of a request.
type fetchError struct {
	err   error
	retry bool
}

// step makes one request, moves the position and sends the records that were
// passed. err is of room or send.
func (r *reader) step(ctx context.Context) (fe *fetchError, err error) {
	before := r.pos
	rp, ferr := r.log.fetch(ctx, r.topic, r.partition, r.pos, r.level)
	if ferr == nil {
		ferr = kerr.ErrorForCode(rp.ErrorCode)
	}
	if ferr != nil {
		return r.failure(ctx, ferr), nil
	}
	ferr, err = r.take(rp)
	switch {
	case err != nil:
		return nil, err
	case ferr != nil:
		return r.failure(ctx, ferr), nil
	case r.pos > before:
		r.empty = 0
	case len(rp.RecordBatches) > 0:
		// It answered with what stands before the position, or with a batch that
		// ends before its own end. The next answer may be of another broker.
		r.empty = 0
		return &fetchError{err: errNoProgress, retry: true}, nil
	default:
		r.skipHole(rp)
	}
	return nil, nil
}

// take sends what an answer has. ferr is of the answer, err of room or send.
func (r *reader) take(rp *kmsg.FetchResponseTopicPartition) (ferr, err error) {
	before, b := r.pos, newBatches(rp, r.level == kgo.ReadCommitted(), r.unpack)
	b.pos, b.to, b.topic, b.partition = r.pos, r.to, r.topic, r.partition
	for more := true; more; {
		if err := r.ready(); err != nil {
			return nil, err
		}
		more = b.fill(r.run)
		if b.odd && b.pos == before {
			return r.library(rp)
		} // else the next answer begins with what is odd
		r.pos = b.pos
		if err := r.flush(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// ready makes r.run empty.
func (r *reader) ready() (err error) {
	if r.run == nil {
		if r.run, err = r.room(); err != nil {
			return err
		}
	}
	r.unpack.begin(r.run)
	return nil
}

func (r *reader) flush() error {
	if len(r.run.Records) == 0 {
		return nil
	}
	run := r.run
	r.run = nil
	return r.send(run)
}

// library reads an answer that is odd from its beginning as the client's library
// does.
func (r *reader) library(rp *kmsg.FetchResponseTopicPartition) (ferr, err error) {
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, // they move the position
		Offset:             r.pos,
		IsolationLevel:     r.level,
		Topic:              r.topic,
		Partition:          r.partition,
	}, rp, r.log.decomp, nil)
	r.pos = max(r.pos, next)
	for _, rec := range fp.Records {
		if rec.Offset >= r.to {
			r.pos, fp.Err = r.to, nil
			break
		}
		if !rec.Attrs.IsControl() {
			r.run.Records = append(r.run.Records, fromClient(rec))
		}
	}
	return fp.Err, r.flush()
}

// errNoProgress ends a read after a minute of such answers.
var errNoProgress = errors.New("the broker answers with records, and none of them is what was asked for")

// skipHole moves the position to the goal when the partition is stable up to it
// and repeatedly has nothing to show in between.
func (r *reader) skipHole(rp *kmsg.FetchResponseTopicPartition) {
	stable := rp.HighWatermark
	if r.level == kgo.ReadCommitted() {
		stable = rp.LastStableOffset
	}
	if stable < r.to {
		r.empty = 0
		return
	}
	if r.empty++; r.empty >= emptyAnswers {
		r.pos = r.to
	}
}

// failure decides whether another try may help.
func (r *reader) failure(ctx context.Context, err error) *fetchError {
	if ctx.Err() != nil {
		return &fetchError{err: ctx.Err()}
	}
	if errors.Is(err, kerr.OffsetOutOfRange) {
		// A broker that leads no more answers consumers as a follower, as far as its
		// own log reaches: what the leader holds decides.
		ends, eerr := r.log.Ends(ctx, r.partition, r.topic)
		if eerr != nil {
			return &fetchError{err: eerr, retry: errors.Is(eerr, stream.ErrTransient)}
		}
		at := ends[r.topic]
		if r.pos < at.Start || r.pos > at.End || r.to > at.End && r.to != math.MaxInt64 {
			return &fetchError{err: lossError(r.topic, r.partition, r.pos, r.to, at)}
		}
		return &fetchError{err: fmt.Errorf("the leader holds [%d,%d): %w: %w", at.Start, at.End, stream.ErrTransient, err), retry: true}
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
