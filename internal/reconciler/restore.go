package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// tail is how much of the end of a position partition is read first: the
// latest position is nearly always there, however long ago the topic was
// compacted.
const tail = 256

// Restore reads one partition back from the reconciler's own topics and
// verifies it: the number and the digest of the states must be those of the
// position, after one more full read if they are not. A partition that is
// still in memory and whose position did not move is used as it is. It returns
// the next offset of each input. Loss is stream.ErrLoss.
func (e *Engine) Restore(ctx context.Context, n int32, log stream.Log, committed map[string]int64) (map[string]int64, error) {
	p, err := e.restorer(n, log).load(ctx, e.parts[n], committed, func() error { return e.forget(n) })
	if err != nil {
		return nil, err
	}
	return e.install(p), nil
}

// restorer reads one partition back. It uses nothing of the engine that
// changes, so that several run at once.
type restorer struct {
	cfg Config
	n   int32
	log stream.Log
	// progress hears how far it is; nil hears nothing.
	progress *progress
	now      func() time.Time // judges how old a checkpoint is
}

func (e *Engine) restorer(n int32, log stream.Log) *restorer {
	return &restorer{cfg: e.cfg, n: n, log: log, now: func() time.Time { return time.Time{} }}
}

// load gives old, if that is what the position describes, else a partition that
// was read back; forget is called before that begins, so that there is memory
// for it.
func (r *restorer) load(ctx context.Context, p *partition, committed map[string]int64, forget func() error) (*partition, error) {
	t, wrote := r.cfg.Topics, r.cfg.acknowledged(r.n)
	// The ends are captured before anything is read; the caller has fetched
	// stable offsets, so no older member's transaction can commit after that.
	ends, err := r.log.Ends(ctx, r.n, append(t.Inputs(), t.ReconcilerPosition, t.OrderState, t.CustomerState)...)
	if err != nil {
		return nil, err
	}
	pos, of, found, err := r.readPosition(ctx, ends[t.ReconcilerPosition])
	if err != nil {
		return nil, fmt.Errorf("position: %w", err)
	}
	inputs, err := r.identify(ctx, of)
	if err != nil {
		return nil, err
	}
	if err := r.admit(pos); err != nil {
		return nil, err
	}
	if err := orphaned(found, committed); err != nil {
		return nil, err
	}
	next, err := start(pos, found, ends, t.Inputs())
	if err != nil {
		return nil, err
	}
	stand, err := r.holding(ctx, ends)
	if err != nil {
		return nil, err
	}
	// Without transactions another member may have written states and no position.
	if p != nil && found && r.cfg.VerifyDigest && sameAs(p, pos) && p.held.still(stand, wrote) {
		p.source = sourceMemory
	} else {
		if err := forget(); err != nil {
			return nil, err
		}
		if p, err = r.fromCheckpoint(ctx, ends, pos, found); err != nil {
			return nil, err
		}
		if p == nil {
			p, err = r.readStates(ctx, ends, pos, found)
		}
		if err != nil {
			return nil, err
		}
	}
	p.next, p.goal, p.inputs, p.half, p.held = next, map[string]int64{}, inputs, half{}, stand
	r.inherit(p, pos)
	for i, topic := range t.Inputs() {
		p.goal[topic] = ends[topic].End
		if !r.cfg.VerifyDigest {
			p.half.restored[i] = ends[topic].End
		}
	}
	p.seen = ends // a look at the inputs, for stubs that are over
	return p, nil
}

// install makes a loaded partition one of the engine's and returns where its
// inputs go on.
func (e *Engine) install(p *partition) map[string]int64 {
	p.revoked = false
	e.parts[p.number] = p
	e.cfg.Observer.Restored(p.number, int64(p.states.Len()), p.source)
	return maps.Clone(p.next)
}

// orphaned refuses to begin at the beginning where this group has been before:
// states and positions that both vanished look like a first start, but the
// group's offsets remember. Whoever wants to start over deletes the group too.
func orphaned(found bool, committed map[string]int64) error {
	if found {
		return nil
	}
	for _, topic := range slices.Sorted(maps.Keys(committed)) {
		if committed[topic] > 0 {
			return fmt.Errorf("there is no position, but the group has committed offset %d of %s: %w", committed[topic], topic, stream.ErrLoss)
		}
	}
	return nil
}

// Revoke marks partitions as not ours: no record of them is joined any more.
// Their memory is kept until another member is known to have written, which the
// position tells at the next Restore.
func (e *Engine) Revoke(partitions []int32) {
	for _, n := range partitions {
		if p := e.parts[n]; p != nil {
			p.revoked = true
		}
	}
	e.drop()
}

// Drop gives the memory of revoked partitions back. An error says that not all
// of it was.
func (e *Engine) Drop() error {
	var errs []error
	for n, p := range e.parts {
		if p.revoked {
			errs = append(errs, e.forget(n))
		}
	}
	return errors.Join(errs...)
}

// sameAs reports whether memory is what the position describes.
func sameAs(p *partition, pos events.Position) bool {
	if int64(p.states.Len()) != pos.States || p.digest.String() != pos.Digest || len(pos.Next) != len(p.next) {
		return false
	}
	for _, in := range pos.Next {
		if p.next[in.Topic] != in.Offset {
			return false
		}
	}
	return true
}

// readPosition gives the latest position and what its header says of the inputs
// that it is a position in.
func (r *restorer) readPosition(ctx context.Context, at stream.Range) (pos events.Position, of string, found bool, err error) {
	read := func(from int64) error {
		return r.log.Read(ctx, r.cfg.Topics.ReconcilerPosition, r.n, from, at.End, true, func(rec stream.Record) error {
			if string(rec.Key) != positionKey(r.n) || rec.Value == nil {
				return nil
			}
			got, err := r.cfg.Codec.DecodePosition(ctx, rec.Value)
			if err != nil {
				return fmt.Errorf("offset %d: %w", rec.Offset, ownRecord(err))
			}
			if newer, err := r.cfg.Codec.WrittenNewer(ctx, rec.Value); err != nil || newer {
				return fmt.Errorf("offset %d was written by a newer version of this program, deploy that one: %w", rec.Offset, errors.Join(err, stream.ErrRefused))
			}
			ids, _ := rec.Header(HeaderInputs)
			pos, of, found = got, string(ids), true
			return nil
		})
	}
	if err := read(max(at.Start, at.End-tail)); err != nil {
		return events.Position{}, "", false, err
	}
	if !found && at.End-tail > at.Start {
		err = read(at.Start)
	}
	return pos, of, found, err
}

// readStates reads the live states and checks them against the position, twice
// if need be: the first read may have raced the log cleaner.
func (r *restorer) readStates(ctx context.Context, ends map[string]stream.Range, pos events.Position, found bool) (*partition, error) {
	for attempt := 0; ; attempt++ {
		p, err := r.readOnce(ctx, ends)
		if err != nil {
			return nil, err
		}
		err = r.verify(p, pos, found)
		if err == nil {
			return p, nil
		}
		if cerr := p.states.Close(); attempt == 1 || cerr != nil {
			t := r.cfg.Topics
			return nil, errors.Join(fmt.Errorf("%s-%d up to offset %d and %s-%d up to offset %d: %w",
				t.OrderState, r.n, ends[t.OrderState].End, t.CustomerState, r.n, ends[t.CustomerState].End, err), cerr)
		}
	}
}

func (r *restorer) verify(p *partition, pos events.Position, found bool) error {
	states := int64(p.states.Len())
	switch {
	case !found && states == 0:
		return nil
	case states < pos.States: // also where a crash may leave more: no state is ever taken back
		return fmt.Errorf("%d states, the position counts %d: %w", states, pos.States, stream.ErrLoss)
	case !r.cfg.VerifyDigest:
		return nil
	case !found:
		return fmt.Errorf("%d states but no position: %w", states, stream.ErrLoss)
	case states != pos.States:
		return fmt.Errorf("%d states, the position counts %d: %w", states, pos.States, stream.ErrLoss)
	case p.digest.String() != pos.Digest:
		return fmt.Errorf("digest of %d states is %s, the position has %s: %w", states, p.digest, pos.Digest, stream.ErrLoss)
	}
	return nil
}

func span(ends map[string]stream.Range, topics []string) (n int64) {
	for _, topic := range topics {
		n += ends[topic].End - ends[topic].Start
	}
	return n
}

// readOnce fills a table from the state topics. What it opened beside an error
// is closed.
func (r *restorer) readOnce(ctx context.Context, ends map[string]stream.Range) (*partition, error) {
	states, err := r.cfg.OpenTable(r.n)
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	r.progress.begin(r.n, span(ends, r.stateTopics()))
	p := &partition{number: r.n, states: states, hints: map[string]events.Millis{}, source: sourceTopic}
	err = r.fill(ctx, p, ends)
	if err == nil {
		err = r.count(ctx, p)
	}
	if err != nil {
		return nil, errors.Join(err, states.Close())
	}
	return p, nil
}

// start gives where each input goes on, and refuses to skip what is gone.
func start(pos events.Position, found bool, ends map[string]stream.Range, inputs []string) (map[string]int64, error) {
	at, out := map[string]int64{}, map[string]int64{}
	for _, in := range pos.Next {
		at[in.Topic] = in.Offset
	}
	for _, topic := range inputs {
		r := ends[topic]
		next, known := at[topic]
		if !found || !known {
			next = r.Start
		}
		switch {
		case next < r.Start:
			return nil, fmt.Errorf("%s: offsets %d to %d were removed unread: %w", topic, next, r.Start-1, stream.ErrLoss)
		case next > r.End:
			return nil, fmt.Errorf("%s: the position is at %d, beyond the end of the log at %d: %w", topic, next, r.End, stream.ErrLoss)
		}
		out[topic] = next
	}
	return out, nil
}
