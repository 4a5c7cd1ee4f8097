package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// ProducerOptions bound what a Producer may hold and how long it tries. Zero
// fields have the defaults that their comments name.
type ProducerOptions struct {
	// Topics are looked up and pinned when the producer opens. A topic that is
	// not listed is pinned by its first record.
	Topics []string
	// CoPartitioned are looked up too, only to refuse unequal partition counts.
	CoPartitioned []string
	// Linger delays a batch so that it fills; 0 sends at once.
	Linger time.Duration
	// MaxBufferedRecords (10,000) and MaxBufferedBytes (64 MiB) bound what waits
	// for acknowledgement; beyond them Publish fails at once.
	MaxBufferedRecords int
	MaxBufferedBytes   int
	// RequestTimeout (5s) is the broker's time for one produce request, and once
	// more the network's.
	RequestTimeout time.Duration
	// OnLoss is called when the broker's answers show that records which it had
	// acknowledged are gone from a partition: it misses sequence numbers, or gives
	// an offset out again. It must not block; nil ignores it.
	OnLoss func(topic string, partition int32)
	// DeliveryTimeout (30s) ends the attempts for one record, where that is safe:
	// not while a request with it may be on its way.
	DeliveryTimeout time.Duration
}

func (o *ProducerOptions) defaults() {
	if o.OnLoss == nil {
		o.OnLoss = func(string, int32) {}
	}
	if o.MaxBufferedRecords == 0 {
		o.MaxBufferedRecords = 10_000
	}
	if o.MaxBufferedBytes == 0 {
		o.MaxBufferedBytes = 64 << 20
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 5 * time.Second
	}
	if o.DeliveryTimeout == 0 {
		o.DeliveryTimeout = 30 * time.Second
	}
}

// Producer writes single records with acks=all and idempotence. All methods may
// be called concurrently.
type Producer struct {
	cl       *kgo.Client
	pins     *pins
	topics   []string
	delivery time.Duration
	onLoss   func(topic string, partition int32)
	// Each client tells of its promises in order, and not in that of the other.
	tide, tideAlone Tide

	// alone makes the client whose batches have one record, when it is needed.
	alone  func() (*kgo.Client, error)
	used   bool           // alone was called
	queued sync.WaitGroup // records that wait for their turn there

	mu       sync.Mutex
	failed   error     // of the last failed record, nil after a success
	failedAt time.Time // when

	referee referee
}

// OpenProducer connects and pins the partition counts of opts.Topics. A missing
// topic, bad credentials or properties are ErrRefused; a cluster out of reach is
// ErrTransient.
func OpenProducer(ctx context.Context, cfg Config, opts ProducerOptions) (*Producer, error) {
	opts.defaults()
	p := &Producer{pins: newPins(), topics: opts.Topics, delivery: opts.DeliveryTimeout, onLoss: opts.OnLoss}
	cl, err := cfg.newClient("producer", producerOptions(p.pins, opts)...)
	if err != nil {
		return nil, err
	}
	p.cl = cl
	one := opts
	one.MaxBufferedRecords = 1
	p.alone = sync.OnceValues(func() (*kgo.Client, error) { return cfg.newClient("", producerOptions(p.pins, one)...) })
	err = pinTopics(ctx, cl, p.pins, slices.Concat(opts.Topics, opts.CoPartitioned))
	if err == nil {
		err = coPartitioned(p.pins, opts.CoPartitioned)
	}
	if err == nil {
		err = mayUse(ctx, cl, kmsg.ACLOperationWrite, opts.Topics)
	}
	if err != nil {
		cl.Close()
		return nil, err
	}
	return p, nil
}

func producerOptions(p *pins, o ProducerOptions) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(p),
		kgo.ProducerLinger(o.Linger),
		kgo.ProducerOnDataLossDetected(o.OnLoss),
		kgo.MaxBufferedRecords(o.MaxBufferedRecords),
		kgo.MaxBufferedBytes(o.MaxBufferedBytes),
		kgo.ProduceRequestTimeout(o.RequestTimeout),
		kgo.RequestTimeoutOverhead(o.RequestTimeout),
	}
}

// Publish writes rs and returns them as acknowledged, in the same order, with
// partition, offset and timestamp; or an error and nothing. It waits until all
// are acknowledged, one has failed, or ctx is done. ctx bounds the wait alone:
// the records keep their own deadline, because cancelling a record that may be
// on its way would make its fate unknowable to the client too. After an error
// of class ErrTransient any of rs may still land; after ErrTooLarge and
// ErrRefused the record that failed did not, others of rs may.
//
// Every ten seconds or so the last record of a call comes back with AppendTime
// and the broker's timestamp, where the topic has LogAppendTime; all others
// keep the timestamp that was sent.
func (p *Producer) Publish(ctx context.Context, rs ...stream.Record) ([]stream.Record, error) {
	if len(rs) == 0 {
		return nil, nil
	}
	if err := p.admit(ctx, rs); err != nil {
		return nil, err
	}
	out, i, err := p.send(ctx, rs, p.cl.TryProduce, &p.tide)
	if errors.Is(err, kerr.MessageTooLarge) && sizeOf(&rs[i]) < mostChunk {
		// The broker may have refused a batch for the sum of its records.
		out, i, err = p.send(ctx, rs, p.produceAlone, &p.tideAlone)
	}
	if err == nil {
		p.note(nil)
		p.stamp(ctx, &out[len(out)-1])
		return out, nil
	}
	if err == errLate { //nolint:errorlint // identity: it is ours
		err = fmt.Errorf("publish to %s: no acknowledgement in time: %w", rs[0].Topic, stream.ErrTransient)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) { // a caller who left says nothing about Kafka
			p.note(err)
		}
		return nil, err
	}
	if !errors.Is(err, kerr.MessageTooLarge) { // that is the record's fault
		p.note(err)
	}
	if refused := p.pins.refused(); refused != nil {
		err = refused
	}
	return nil, wrap("publish to "+rs[i].Topic, err)
}

var errLate = errors.New("ctx is done")

// send hands rs to the client and waits for their promises, or until ctx is done
// (errLate). Beside an error it gives the index of the record that failed first.
func (p *Producer) send(ctx context.Context, rs []stream.Record, produce func(context.Context, *kgo.Record, func(*kgo.Record, error)), t *Tide) ([]stream.Record, int, error) {
	// The client's own delivery timeout counts from the record's timestamp, which
	// is long ago for a record that is written again.
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.delivery)
	d := newDelivery(len(rs), cancel)
	for i, r := range rs {
		produce(rctx, toClient(r), func(r *kgo.Record, err error) {
			if err == nil {
				if _, ok := t.rises(r.Topic, r.Partition, r.Offset); !ok {
					p.onLoss(r.Topic, r.Partition)
				}
			}
			d.settle(i, r, err)
		})
	}
	select {
	case <-d.done:
		return d.result()
	case <-ctx.Done():
		return nil, 0, errLate
	}
}

// produceAlone writes a record in a batch of its own, when those before it are
// acknowledged.
func (p *Producer) produceAlone(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	p.mu.Lock()
	p.used = true
	p.mu.Unlock()
	cl, err := p.alone()
	if err != nil {
		promise(r, err)
		return
	}
	p.queued.Go(func() { cl.Produce(ctx, r, promise) })
}

// admit refuses what no broker needs to be asked about.
func (p *Producer) admit(ctx context.Context, rs []stream.Record) error {
	if err := p.pins.refused(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("publish to %s: not started: %w", rs[0].Topic, stream.ErrTransient)
	}
	for _, r := range rs {
		if n, ok := p.pins.count(r.Topic); ok && r.Partition >= n {
			return fmt.Errorf("publish to %s: partition %d of %d: %w", r.Topic, r.Partition, n, stream.ErrRefused)
		}
	}
	return nil
}

// note keeps the last outcome for Healthy.
func (p *Producer) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failed, p.failedAt = err, time.Now()
		return
	}
	p.failed = nil
}

// suspicion is how long a failed record makes the producer unhealthy when no
// other record has tried since; longer would keep a recovered instance out of
// rotation, where nothing could prove it well.
const suspicion = 10 * time.Second

// Healthy asks the cluster for the topics' metadata and reports a changed
// partition count, a missing topic, or a record that failed within the last 10
// seconds with none acknowledged since.
func (p *Producer) Healthy(ctx context.Context) error {
	if err := p.pins.refused(); err != nil {
		return err
	}
	if err := pinTopics(ctx, p.cl, p.pins, p.topics); err != nil {
		return err
	}
	if len(p.topics) == 0 {
		if err := p.cl.Ping(ctx); err != nil {
			return wrap("ping", err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil && time.Since(p.failedAt) < suspicion {
		return wrap("last record", p.failed)
	}
	return nil
}

// Close waits for what is buffered, until ctx is done, and closes the client.
// Records that are not acknowledged by then may still land.
func (p *Producer) Close(ctx context.Context) error {
	err := p.cl.Flush(ctx)
	p.cl.Close()
	p.mu.Lock()
	used := p.used
	p.mu.Unlock()
	if !used {
		return wrap("flush", err)
	}
	if cl, aerr := p.alone(); aerr == nil {
		err = errors.Join(err, cl.Flush(ctx))
		cl.Close()
		p.queued.Wait()
	}
	return wrap("flush", err)
}

// delivery collects the promises of one Publish.
type delivery struct {
	mu    sync.Mutex
	left  int
	out   []stream.Record
	index int // of the first failure that was reported
	err   error
	done  chan struct{}
	once  sync.Once
	free  context.CancelFunc // of the records' context, when all are settled
}

func newDelivery(n int, free context.CancelFunc) *delivery {
	return &delivery{left: n, out: make([]stream.Record, n), done: make(chan struct{}), free: free}
}

// settle takes one promise; the first failure ends the wait.
func (d *delivery) settle(i int, r *kgo.Record, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	if err != nil && d.err == nil {
		d.index, d.err = i, err
	}
	if err == nil {
		d.out[i] = fromClient(r)
	}
	if d.left == 0 {
		d.free()
	}
	if d.left == 0 || d.err != nil {
		d.once.Do(func() { close(d.done) })
	}
}

func (d *delivery) result() ([]stream.Record, int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.index, d.err
	}
	return d.out, 0, nil
}
