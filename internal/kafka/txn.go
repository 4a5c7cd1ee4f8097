package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// TxnOptions are those of a transactional session. Zero durations have the
// defaults that the comments name.
type TxnOptions struct {
	Group string
	// InstanceID makes the member static: a restart within SessionTimeout gets
	// its partitions back without a rebalance.
	InstanceID string
	// TransactionalID must be stable for a member: opening it fences an older
	// process that still has it, at once.
	TransactionalID string
	// Inputs are consumed co-partitioned, read committed.
	Inputs []string
	// Outputs are pinned at the open; one that is missing refuses it.
	Outputs []string
	// Tables are what the table's Restore reads: a right to them that is missing
	// refuses the opening, not the first record that is there.
	Tables []string
	// CoPartitioned are further topics whose partition counts must equal those
	// of Inputs.
	CoPartitioned []string
	// TxnTimeout (30s) bounds how long readers wait behind a dead member. It must
	// be less than SessionTimeout (45s).
	TxnTimeout, SessionTimeout          time.Duration
	HeartbeatInterval, RebalanceTimeout time.Duration
	// Linger (5ms) fills batches within a transaction.
	Linger time.Duration
	// Compression of what is written: none, snappy, lz4 or zstd; "" means snappy.
	Compression string
	// LeaveOnClose gives the partitions up at Close even of a static member.
	LeaveOnClose bool
	// Tide is what earlier sessions of the process were acknowledged; nil is nothing.
	Tide *Tide
}

func (o *TxnOptions) defaults() {
	if o.TxnTimeout == 0 {
		o.TxnTimeout = 30 * time.Second
	}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = 45 * time.Second
	}
	if o.Linger == 0 {
		o.Linger = 5 * time.Millisecond
	}
}

func (o *TxnOptions) validate() error {
	switch {
	case o.TransactionalID == "":
		return fmt.Errorf("transactional id is required: %w", stream.ErrRefused)
	case o.TxnTimeout >= o.SessionTimeout:
		return fmt.Errorf("transaction timeout %s must be below the session timeout %s: %w", o.TxnTimeout, o.SessionTimeout, stream.ErrRefused)
	}
	return nil
}

// TxnGroup consumes its inputs and writes its outputs and its group offsets in
// one transaction a batch. Poll, Commit and Close are for one goroutine.
type TxnGroup struct {
	*session
	opts   TxnOptions
	txn    *kgo.GroupTransactSession
	inits  inits
	ends   ends
	under  under // the open transaction, or the last one
	chunks chunks
	tide   *Tide
	rooms  []clientRecords // of the last batch, free
	open   *begun          // the transaction that is open; nil between two
	lent   atomic.Bool     // mu is held for it from a Send to Commit or Abort
	// settled are the ends without an answer that cannot arrive in a transaction any
	// more.
	settled int64
}

// begun is what the client was given of the batch whose transaction is open.
type begun struct {
	n      int             // records, the first of the batch
	rooms  []clientRecords // memory of them
	parts  [][]kgo.Record  // in it
	broken failures
	settle func(*kgo.Record, error) // broken.add: one for all records, not one for each
}

// OpenTxnGroup checks the topics, fences an older process of the same
// transactional id and joins the group. Restoring happens later, while Poll
// waits. If ctx has no deadline, cancelling it ends a restore that is running;
// with a deadline it bounds the opening alone.
func OpenTxnGroup(ctx context.Context, cfg Config, opts TxnOptions, table stream.Table) (*TxnGroup, error) {
	opts.defaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	s, err := newSession(ctx, cfg, membership{
		Group: opts.Group, InstanceID: opts.InstanceID, Topics: opts.Inputs, Tables: opts.Tables, Committed: true,
		SessionTimeout: opts.SessionTimeout, Heartbeat: opts.HeartbeatInterval, Rebalance: opts.RebalanceTimeout,
		LeaveOnClose: opts.LeaveOnClose,
	}, table)
	if err != nil {
		return nil, err
	}
	s.loan = new(loan)
	g := &TxnGroup{session: s, opts: opts, chunks: chunks{}, tide: cmp.Or(opts.Tide, new(Tide))}
	if err := g.connect(ctx, cfg); err != nil {
		s.close()
		return nil, err
	}
	return g, nil
}

func (g *TxnGroup) connect(ctx context.Context, cfg Config) error {
	if err := g.prepare(ctx, g.opts.Outputs, g.opts.CoPartitioned); err != nil {
		return err
	}
	opts, err := cfg.options("txn")
	if err != nil {
		return err
	}
	pack, err := compression(g.opts.Compression)
	if err != nil {
		return err
	}
	opts = append(opts, g.membership.options(g.session)...)
	opts = append(opts,
		kgo.TransactionalID(g.opts.TransactionalID),
		kgo.TransactionTimeout(g.opts.TxnTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(g.pins),
		kgo.ProducerLinger(g.opts.Linger),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.MaxBufferedBytes(256<<20),
		pack,
		kgo.WithPools(new(pool)),
		kgo.WithHooks(&g.inits, &g.ends),
	)
	g.beforeRestore = g.forgetRebalance
	// The client may call back before the constructor returns: hold the fence.
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.txn, err = kgo.NewGroupTransactSession(opts...); err != nil {
		return wrap("open session", err)
	}
	g.cl = g.txn.Client()
	if _, _, err := g.cl.ProducerID(ctx); err != nil {
		return wrap("transactional id "+g.opts.TransactionalID, err)
	}
	return nil
}

// forgetRebalance clears the client's memory of a revocation that happened
// while no transaction was open. Without it the client would abort the first
// transaction of the new assignment and not announce the next revocation. There
// is nothing buffered, no transaction and no assigned partition, so that this
// End does nothing else.
func (g *TxnGroup) forgetRebalance(ctx context.Context) error {
	_, err := g.txn.End(ctx, kgo.TryAbort)
	return wrap("reset session", err)
}

// Poll waits for records of the inputs, at most n, until ctx is done. It may
// return records and an error together: the records count as read and the next
// Commit moves past them. It may be called several times before Commit. An
// error of class ErrLoss, ErrFenced or ErrRefused ends the session: Close it. So
// does ErrRenew, in which nothing is in doubt: what Commit said holds.
// ErrTransient does not. When ctx ends first it returns nothing and no error.
func (g *TxnGroup) Poll(ctx context.Context, n int) ([]stream.Record, error) {
	if g.open != nil {
		return nil, errOpen
	}
	return g.poll(ctx, n)
}

// Commit writes out and the offsets of everything that Poll returned since the
// last Commit, atomically. After (true, nil) keys, values and headers of those
// records are there until the next Poll, and written over then: whoever wants
// some of them for longer copies them.
//
// (true, nil): committed. (false, nil): aborted, because partitions were taken
// away, the broker asked for it, or a topic took less at once than was sent; the
// caller drops what the batch changed and
// the next Poll reads it again. (false, *RecordError): aborted as well, and it
// says which record was not acknowledged. (false, any other error): unknown;
// the session is dead and must be closed, opened and restored anew. One of class
// ErrLoss says that records which were acknowledged before are gone.
//
// A ctx that ends while records are on their way aborts the batch; the
// transaction itself is always resolved. After (true, nil) rebalances stay
// blocked until the next Poll, so that the caller can apply the batch
// undisturbed. Every Commit needs a Poll before it.
//
// What Send took of the batch are the first of out.
func (g *TxnGroup) Commit(ctx context.Context, out []stream.Record) (bool, error) {
	if g.open != nil && !g.lent.Swap(false) {
		return false, errClosed
	}
	if g.open == nil {
		if ok, err := g.begin(); !ok {
			return false, err
		}
	}
	defer g.done()
	if err := g.err(); err != nil {
		return false, err
	}
	endCtx, cancel := g.endContext(ctx)
	defer cancel()
	if err := g.produce(ctx, out); err != nil {
		if _, aerr := g.end(endCtx, kgo.TryAbort); aerr != nil {
			return false, g.die("abort transaction", errors.Join(aerr, err))
		}
		if errors.Is(err, stream.ErrFenced) || errors.Is(err, stream.ErrLoss) {
			return false, g.die("transaction", err)
		}
		if g.chunks.smaller(out, err) {
			return false, nil
		}
		return false, err
	}
	before := g.inits.n.Load()
	committed, err := g.end(kgo.PreTxnCommitFnContext(endCtx, g.fence), kgo.TryCommit)
	if err == nil && !committed && g.inits.n.Load() != before {
		err = errInDoubt
	}
	if err != nil {
		return false, g.die("commit transaction", err)
	}
	g.loan.over = committed
	return committed, nil
}

// begin opens the transaction of a batch; (false, nil) as for Commit.
func (g *TxnGroup) begin() (bool, error) {
	if err := g.err(); err != nil {
		return false, err
	}
	if !g.polled {
		return false, errNotPolled
	}
	// A restore is running: partitions are about to come, and what the caller
	// wants to write belongs to an assignment that is over. To wait here could be
	// a deadlock, because Restore may wait for a lock that the caller holds.
	if !g.mu.TryLock() {
		return false, nil
	}
	g.under = g.now(context.Background())
	if err := g.txn.Begin(); err != nil {
		g.batch, g.polled = false, false
		g.loan.end()
		g.mu.Unlock()
		return false, g.die("begin transaction", err)
	}
	g.open = &begun{rooms: g.rooms, broken: failures{tide: g.tide}}
	g.open.settle = g.open.broken.add
	g.rooms = nil // until all are acknowledged
	return true, nil
}

// done is after the end of a transaction.
func (g *TxnGroup) done() {
	g.open, g.batch, g.polled = nil, false, false
	g.loan.end()
	g.mu.Unlock()
}

func (g *TxnGroup) endContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), g.opts.TxnTimeout+15*time.Second)
}

// Send gives records of a batch to the client before Commit is called with them
// and the rest: the first Send begins the transaction, and only Commit or Abort
// ends it, so that no Poll may come between. It returns at once and answers
// nothing of what becomes of the records; Commit does. False: none of out was
// taken, and the batch is for Commit from here on. The memory of what was taken
// must not be written to before Commit or Abort has returned.
func (g *TxnGroup) Send(out []stream.Record) bool {
	if len(g.chunks) > 0 { // what goes together is decided with all of it at hand
		return false
	}
	if g.open == nil {
		if ok, _ := g.begin(); !ok { // Commit will say why
			return false
		}
		g.lent.Store(true)
	}
	ctx, settle := context.Background(), g.open.settle
	for rs, i := g.open.take(out), 0; i < len(rs); i++ {
		g.cl.Produce(ctx, &rs[i], settle)
	}
	return true
}

// Abort, instead of Commit, drops what Send took. The next Poll reads the batch
// again. After an error the session is dead. Without a Send it does nothing.
func (g *TxnGroup) Abort(ctx context.Context) error {
	if g.open == nil {
		return nil
	}
	if !g.lent.Swap(false) {
		return errClosed
	}
	defer g.done()
	endCtx, cancel := g.endContext(ctx)
	defer cancel()
	if _, err := g.end(endCtx, kgo.TryAbort); err != nil {
		return g.die("abort transaction", err)
	}
	err := g.open.broken.first(g.open.parts, g.pins)
	if errors.Is(err, stream.ErrFenced) || errors.Is(err, stream.ErrLoss) {
		return g.die("transaction", err)
	}
	return nil
}

// take converts the next records of the batch.
func (b *begun) take(out []stream.Record) []kgo.Record {
	if len(b.parts) == len(b.rooms) {
		b.rooms = append(b.rooms, clientRecords{})
	}
	rs := b.rooms[len(b.parts)].convert(out, time.Now())
	b.parts, b.n = append(b.parts, rs), b.n+len(out)
	return rs
}

// keep gives the memory back that is worth keeping: every record is acknowledged.
func (b *begun) keep() []clientRecords {
	n := 0
	for i := range b.rooms {
		if n += len(b.rooms[i].records); n > maxRoom {
			return b.rooms[:i:i]
		}
	}
	return b.rooms
}

var errInDoubt = errors.New("the broker does not know whether it committed")

// inits counts how often the client had its transactional id initialised. Within
// an end it does so when the broker answered the commit by an error of its own:
// whatever was still open is aborted then, and the client calls the transaction
// aborted. But it may have been committed before that answer.
type inits struct{ n atomic.Int64 }

// OnBrokerWrite is the client's hook.
func (i *inits) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.InitProducerID) {
		i.n.Add(1)
	}
}

// fence has every transaction that commits carry offsets, which the coordinator
// takes from a member of this generation only. A batch that wrote without
// reading has none of its own: it commits again what is committed, lest one that
// was thrown out writes over its successor. Who holds no partition has nothing to
// commit.
func (g *TxnGroup) fence(req *kmsg.TxnOffsetCommitRequest) error {
	if len(req.Topics) > 0 {
		return nil
	}
	for topic, offsets := range g.cl.CommittedOffsets() {
		rt := kmsg.NewTxnOffsetCommitRequestTopic()
		rt.Topic = topic
		for partition, o := range offsets {
			rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			if was := g.epochs[topic][partition]; o.Epoch < 0 && was.Offset == o.Offset {
				o.Epoch = was.Epoch // what was read there last is not forgotten
			}
			rp.Partition, rp.Offset, rp.LeaderEpoch = partition, o.Offset, o.Epoch
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	if len(req.Topics) == 0 {
		return kerr.RebalanceInProgress // the client aborts
	}
	return nil
}

// end ends the transaction. The client first wants a heartbeat; a membership
// that broke meanwhile sends none until its loss was announced, and the
// announcement waits for the batch. So a rebalance that waits is let in when the
// end takes long: the transaction is then aborted. The table hears of it later,
// because its lock may be our caller's.
func (g *TxnGroup) end(ctx context.Context, commit kgo.TransactionEndTry) (bool, error) {
	g.committing.Store(true)
	defer g.committing.Store(false)
	done := make(chan struct{})
	var watch sync.WaitGroup
	defer watch.Wait()
	defer close(done)
	watch.Go(func() {
		tick := time.NewTicker(min(2*time.Second, g.Heartbeat))
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if g.blocked.Load() {
					g.cl.AllowRebalance()
				}
			}
		}
	})
	committed, err := g.txn.End(ctx, commit)
	if err == nil {
		g.overdue(ctx)
	}
	return committed, err
}

var (
	errNotPolled = errors.New("commit without a poll before it")
	errClosed    = errors.New("the session was closed within a batch")
	errOpen      = errors.New("poll of the next batch before the end of this one")
)

// produce returns nil only when every record was acknowledged. The client's End
// does not look at that.
func (g *TxnGroup) produce(ctx context.Context, out []stream.Record) error {
	b := g.open
	rest := out[b.n:]
	rs := b.take(rest)
	flushCtx, cancel := context.WithTimeout(ctx, g.opts.TxnTimeout)
	defer cancel()
	ferr := g.chunks.send(flushCtx, g.cl, rest, rs, func(int) bool { return true }, b.settle)
	if err := b.broken.first(b.parts, g.pins); err != nil {
		return err
	}
	if ferr != nil {
		return fmt.Errorf("flush %d records: %w: %w", len(out), stream.ErrTransient, ferr)
	}
	g.rooms = b.keep()
	return nil
}

// die makes err the end of the session.
func (g *TxnGroup) die(op string, err error) error {
	err = g.named(wrap(op, err))
	g.fail(err)
	return err
}

// Close leaves an open transaction to be fenced by the next owner of the id and
// revokes the table. Commit must have returned.
func (g *TxnGroup) Close() {
	if g.lent.Swap(false) { // the caller ends between Send and Commit
		g.mu.Unlock()
	}
	g.close()
}

// failures collects broken promises, and offsets that were given out again. Most
// batches have none.
type failures struct {
	tide *Tide
	mu   sync.Mutex
	errs map[*kgo.Record]error
	lost error
}

func (f *failures) add(r *kgo.Record, err error) {
	next, ok := int64(0), true
	if err == nil {
		if next, ok = f.tide.rises(r.Topic, r.Partition, r.Offset); ok {
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !ok {
		f.lost = cmp.Or(f.lost, fell(r.Topic, r.Partition, next, r.Offset))
		return
	}
	if f.errs == nil {
		f.errs = map[*kgo.Record]error{}
	}
	f.errs[r] = err
}

// first picks the failure to report: loss before all others, and one that says
// what is wrong with the record before one that another record's failure may
// have caused. The index is that in all parts together.
func (f *failures) first(parts [][]kgo.Record, p *pins) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost != nil || len(f.errs) == 0 {
		return f.lost
	}
	var best *RecordError
	index := -1
	for _, rs := range parts {
		for i := range rs {
			index++
			err, ok := f.errs[&rs[i]]
			if !ok {
				continue
			}
			if refused := p.refused(); refused != nil && Classify(err) == err { //nolint:errorlint // identity: it has no class of its own
				err = refused
			}
			re := &RecordError{Index: index, Topic: rs[i].Topic, Err: Classify(err)}
			if errors.Is(re, stream.ErrTooLarge) || errors.Is(re, stream.ErrRefused) {
				return re
			}
			if best == nil {
				best = re
			}
		}
	}
	if best == nil {
		return nil
	}
	return best
}
