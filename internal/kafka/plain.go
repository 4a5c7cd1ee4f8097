package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/stream"
)

// PlainOptions are those of an at-least-once session.
type PlainOptions struct {
	Group      string
	InstanceID string
	Inputs     []string
	Outputs    []string
	// Tables are what the table's Restore reads: a right to them that is missing
	// refuses the opening, not the first record that is there.
	Tables []string
	// CoPartitioned are as in TxnOptions.
	CoPartitioned []string
	// Last are the topics that are written after all others, one stage after
	// the other, each stage acknowledged before the next: the state, then the
	// position.
	Last [][]string
	// SessionTimeout (45s), HeartbeatInterval (3s), RebalanceTimeout (60s),
	// CommitTimeout (30s) for all stages of one Commit.
	SessionTimeout, HeartbeatInterval, RebalanceTimeout time.Duration
	CommitTimeout                                       time.Duration
	LeaveOnClose                                        bool
	// Tide is as in TxnOptions.
	Tide *Tide
	// Compression is as in TxnOptions.
	Compression string
}

// PlainGroup is TxnGroup for platforms without transactions. What a batch
// writes may appear twice, and a part of it without the rest; it never appears
// in the wrong order of stages.
type PlainGroup struct {
	*session
	opts     PlainOptions
	lease    lease
	tide     *Tide
	chunks   chunks
	room     clientRecords // of the last batch, free
	stage    map[string]int
	standing bool                                 // the batch is to be committed before anything is polled
	next     map[string]map[int32]kgo.EpochOffset // positions of the last Commit
	after    map[string]map[int32]kgo.EpochOffset // positions after what Poll returned
}

// OpenPlainGroup checks the topics and joins the group. If ctx has no deadline,
// cancelling it ends a restore that is running.
func OpenPlainGroup(ctx context.Context, cfg Config, opts PlainOptions, table stream.Table) (*PlainGroup, error) {
	if opts.CommitTimeout == 0 {
		opts.CommitTimeout = 30 * time.Second
	}
	s, err := newSession(ctx, cfg, membership{
		Group: opts.Group, InstanceID: opts.InstanceID, Topics: opts.Inputs, Tables: opts.Tables, Committed: true,
		SessionTimeout: opts.SessionTimeout, Heartbeat: opts.HeartbeatInterval, Rebalance: opts.RebalanceTimeout,
		LeaveOnClose: opts.LeaveOnClose,
	}, table)
	if err != nil {
		return nil, err
	}
	g := &PlainGroup{session: s, opts: opts, stage: map[string]int{}, chunks: chunks{}, tide: cmp.Or(opts.Tide, new(Tide))}
	for i, topics := range opts.Last {
		for _, t := range topics {
			g.stage[t] = i + 1
		}
	}
	if err := g.open(ctx, cfg); err != nil {
		s.close()
		return nil, err
	}
	return g, nil
}

func (g *PlainGroup) open(ctx context.Context, cfg Config) error {
	if err := g.prepare(ctx, g.opts.Outputs, g.opts.CoPartitioned); err != nil {
		return err
	}
	pack, err := compression(g.opts.Compression)
	if err != nil {
		return err
	}
	return g.join(cfg, &g.lease, "plain",
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(g.pins),
		kgo.ProducerOnDataLossDetected(g.lost),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.MaxBufferedBytes(256<<20),
		pack,
	)
}

// Poll is TxnGroup.Poll.
func (g *PlainGroup) Poll(ctx context.Context, n int) ([]stream.Record, error) {
	if g.standing && g.err() == nil {
		return nil, errStanding
	}
	rs, err := g.poll(ctx, n)
	if len(rs) > 0 && g.after == nil {
		g.next = g.cl.CommittedOffsets()
	}
	if len(rs) > 0 {
		g.after = g.cl.UncommittedOffsets()
	}
	return rs, err
}

// Commit writes out in stages and then the group offsets. (true, nil): all
// stages are acknowledged; the group offsets are for lag tools and may lag.
// (false, nil): the lease had run out before the first stage, or a topic took less
// of that at once than was sent; the caller drops what the
// batch changed. (false, *RecordError): some of the first stage may have been
// written; the caller drops what the batch changed, and the next Poll reads it
// again. If it says Standing, some of the others too, and the caller joins the same
// records again. Any other error ends the session: what is written may be newer
// than what the caller has, who restores it.
func (g *PlainGroup) Commit(ctx context.Context, out []stream.Record) (bool, error) {
	if err := g.err(); err != nil {
		return false, err
	}
	if !g.polled {
		return false, errNotPolled
	}
	if !g.mu.TryLock() { // as in TxnGroup.Commit
		if g.standing {
			g.fail(errLeaseOver)
		}
		return false, g.err()
	}
	defer g.mu.Unlock()
	after, next := g.after, g.next
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.opts.CommitTimeout)
	defer cancel()
	room := g.room
	g.room = clientRecords{} // until all are acknowledged
	rs := room.convert(out, time.Now())
	for stage := range len(g.opts.Last) + 1 {
		if ok, err := g.stageUntilSmall(wctx, out, rs, stage); !ok {
			if g.standing = stands(err); !g.standing {
				g.settled()
				g.cl.SetOffsets(next)
			}
			return false, err
		}
	}
	g.settled()
	if len(room.records) <= maxRoom {
		g.room = room
	}
	g.commitOffsets(wctx, after)
	return true, nil
}

// settled is the end of a batch.
func (g *PlainGroup) settled() {
	g.after, g.next, g.batch, g.polled, g.standing = nil, nil, false, false, false
}

var errStanding = errors.New("poll before the batch that stands is committed")

func stands(err error) bool {
	var re *RecordError
	return errors.As(err, &re) && re.Standing
}

// stageUntilSmall writes a stage; false, with or without an error, as for Commit.
// Where a topic takes less at once than was sent, the first stage is left to the
// next batch, and the others, which say the same when they are written twice, are
// written again at once.
func (g *PlainGroup) stageUntilSmall(ctx context.Context, out []stream.Record, rs []kgo.Record, stage int) (bool, error) {
	first := stage == 0 && !g.standing
	for {
		until, ok := g.leased()
		if !ok && first {
			return false, nil
		}
		err := errLeaseOver
		if ok {
			err = g.stageOut(ctx, until, out, rs, stage)
		}
		var re *RecordError
		switch small := g.chunks.smaller(out, err); {
		case err == nil:
			return true, nil
		case errors.Is(err, stream.ErrLoss):
			g.fail(err)
			return false, err
		case first && small:
			return false, nil
		case first:
			return false, err
		case small && g.err() == nil:
			continue
		case errors.Is(err, stream.ErrTooLarge) && errors.As(err, &re) && g.err() == nil:
			re.Standing = true
			return false, re
		}
		g.fail(err)
		if errors.Is(err, stream.ErrTransient) { // it is not the record's fault, nor over with the batch
			err = fmt.Errorf("stage %d: %w: %v", stage+1, stream.ErrTransient, err)
		}
		return false, err
	}
}

var errLeaseOver = fmt.Errorf("%w: the lease ended behind the first stage", stream.ErrTransient)

// leased says until when nobody else can have our partitions, and whether that
// is long enough to begin a stage. Who comes with our instance id gets them at
// once, though, so a static member asks whether it still is one. A rebalance that
// waits for this very batch is no obstacle: the coordinator waits too, for the
// rebalance timeout. But it answers the heartbeats of who did not join in time,
// too; so it is asked then as well.
func (g *PlainGroup) leased() (until time.Time, ok bool) {
	waiting := g.blocked.Load()
	until, ok = g.lease.until(time.Now(), waiting)
	if ok && (waiting || g.InstanceID != "") {
		ok = g.lease.ask(waiting)
	}
	return until, ok
}

// stageOut writes one stage; what is not acknowledged at the end of the lease
// ends the session.
func (g *PlainGroup) stageOut(ctx context.Context, until time.Time, out []stream.Record, rs []kgo.Record, stage int) error {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return g.produce(ctx, out, rs, stage)
}

func (g *PlainGroup) produce(ctx context.Context, out []stream.Record, rs []kgo.Record, stage int) error {
	f := failures{tide: g.tide}
	ferr := g.chunks.send(ctx, g.cl, out, rs, func(i int) bool { return g.stage[out[i].Topic] == stage }, f.add)
	err := f.first([][]kgo.Record{rs}, g.pins)
	if ferr != nil && !errors.Is(err, stream.ErrLoss) {
		// What is still on its way must not land after the batch is read again, even
		// where another record was refused.
		err = fmt.Errorf("flush: %w: %w", stream.ErrTransient, ferr)
		g.fail(err)
		g.cl.UnsafeAbortBufferedRecords() // the client would try them until it is closed
	}
	return err
}

// lost ends the session when the client finds that sequence numbers which were
// acknowledged are not in a partition any more.
func (g *PlainGroup) lost(topic string, partition int32) {
	g.fail(fmt.Errorf("%s-%d: acknowledged records are gone: the broker does not have the sequence numbers that it confirmed: %w", topic, partition, stream.ErrLoss))
}

// commitOffsets is a courtesy to lag tools: the position that counts is the
// program's own record. An error is kept out of the caller's way.
func (g *PlainGroup) commitOffsets(ctx context.Context, offsets map[string]map[int32]kgo.EpochOffset) {
	if len(offsets) > 0 {
		g.cl.CommitOffsetsSync(ctx, offsets, nil)
	}
}

// Lease is Group.Lease.
func (g *PlainGroup) Lease() bool { return g.leaseHolds(&g.lease) }

// Close is Group.Close.
func (g *PlainGroup) Close() {
	g.lease.end()
	g.close()
	g.lease.asking.Wait()
}
