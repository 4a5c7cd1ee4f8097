package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"rampstream/internal/codec"
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
	t := e.cfg.Topics
	// The ends are captured before anything is read; the caller has fetched
	// stable offsets, so no older member's transaction can commit after that.
	ends, err := log.Ends(ctx, n, append(t.Inputs(), t.ReconcilerPosition, t.OrderState, t.CustomerState)...)
	if err != nil {
		return nil, fmt.Errorf("restore partition %d: %w", n, err)
	}
	pos, found, err := e.readPosition(ctx, n, log, ends[t.ReconcilerPosition])
	if err != nil {
		return nil, fmt.Errorf("restore partition %d: position: %w", n, err)
	}
	if err := e.admit(n, pos); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	p := e.parts[n]
	if err := orphaned(found, committed); err != nil {
		return nil, fmt.Errorf("restore partition %d: %w", n, err)
	}
	reused := p != nil && found && sameAs(p, pos)
	if !reused {
		if err := e.forget(n); err != nil {
			return nil, fmt.Errorf("restore partition %d: %w", n, err)
		}
		if p, err = e.readStates(ctx, n, log, ends, pos, found); err != nil {
			return nil, fmt.Errorf("restore partition %d: %w", n, err)
		}
	}
	p.revoked = false
	e.inherit(p, pos)
	if err := start(p, pos, found, ends, t.Inputs()); err != nil {
		return nil, fmt.Errorf("restore partition %d: %w", n, err)
	}
	e.parts[n] = p
	e.cfg.Observer.Restored(n, int64(p.states.Len()), reused)
	next := make(map[string]int64, len(p.next))
	for topic, offset := range p.next {
		next[topic] = offset
	}
	return next, nil
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
	e.batch = nil
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

func (e *Engine) readPosition(ctx context.Context, n int32, log stream.Log, r stream.Range) (pos events.Position, found bool, err error) {
	read := func(from int64) error {
		return log.Read(ctx, e.cfg.Topics.ReconcilerPosition, n, from, r.End, true, func(rec stream.Record) error {
			if string(rec.Key) != positionKey(n) || rec.Value == nil {
				return nil
			}
			got, err := e.cfg.Codec.DecodePosition(ctx, rec.Value)
			if err != nil {
				return fmt.Errorf("offset %d: %w", rec.Offset, ownRecord(err))
			}
			if newer, err := e.cfg.Codec.WrittenNewer(ctx, rec.Value); err != nil || newer {
				return fmt.Errorf("offset %d was written by a newer version of this program, deploy that one: %w", rec.Offset, errors.Join(err, stream.ErrRefused))
			}
			pos, found = got, true
			return nil
		})
	}
	if err := read(max(r.Start, r.End-tail)); err != nil {
		return events.Position{}, false, err
	}
	if !found && r.End-tail > r.Start {
		err = read(r.Start)
	}
	return pos, found, err
}

// readStates reads the live states and checks them against the position, twice
// if need be: the first read may have raced the log cleaner.
func (e *Engine) readStates(ctx context.Context, n int32, log stream.Log, ends map[string]stream.Range, pos events.Position, found bool) (*partition, error) {
	for attempt := 0; ; attempt++ {
		p, err := e.readOnce(ctx, n, log, ends)
		if err != nil {
			return nil, err
		}
		err = e.verify(p, pos, found)
		if err == nil {
			return p, nil
		}
		if cerr := p.states.Close(); attempt == 1 || cerr != nil {
			return nil, errors.Join(err, cerr)
		}
	}
}

func (e *Engine) verify(p *partition, pos events.Position, found bool) error {
	states := int64(p.states.Len())
	switch {
	case !found && states == 0:
		return nil
	case states < pos.States: // also where a crash may leave more: no state is ever taken back
		return fmt.Errorf("%d states, the position counts %d: %w", states, pos.States, stream.ErrLoss)
	case !e.cfg.VerifyDigest:
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

// readOnce fills a table from the state topics. What it returns beside an error
// is closed.
func (e *Engine) readOnce(ctx context.Context, n int32, log stream.Log, ends map[string]stream.Range) (*partition, error) {
	states, err := e.cfg.OpenTable(n)
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	e.recent = recent{} // it may know states of this partition from another time
	p := &partition{number: n, states: states, next: map[string]int64{}, hints: map[string]events.Millis{}}
	if err := e.fill(ctx, p, log, ends); err != nil {
		return nil, errors.Join(err, states.Close())
	}
	slices.Sort(p.outdated)
	return p, nil
}

func (e *Engine) fill(ctx context.Context, p *partition, log stream.Log, ends map[string]stream.Range) error {
	for _, topic := range []string{e.cfg.Topics.OrderState, e.cfg.Topics.CustomerState} {
		r := ends[topic]
		err := log.Read(ctx, topic, p.number, r.Start, r.End, true, func(rec stream.Record) error { return e.take(p, rec) })
		if err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
	}
	_, _, err := p.states.Walk("", math.MaxInt, func(key, raw []byte) error { return e.check(ctx, p, string(key), raw) })
	return err
}

// take keeps the latest value of a key.
func (e *Engine) take(p *partition, rec stream.Record) error {
	if rec.Value == nil {
		return p.states.Delete(rec.Key)
	}
	chain, _ := rec.Header(HeaderChain)
	e.buf = appendEntry(e.buf[:0], entry{value: rec.Value, chain: string(chain)})
	return p.states.Put(rec.Key, e.buf)
}

// check judges a restored state and adds it to the digest.
func (e *Engine) check(ctx context.Context, p *partition, name string, raw []byte) error {
	en, err := parseEntry(raw)
	if err != nil {
		return err
	}
	key, err := events.ParseKey(name)
	if err != nil {
		return fmt.Errorf("state key: %w", ownRecord(err))
	}
	st, err := e.decodeState(ctx, key, en.value)
	if err != nil {
		return fmt.Errorf("state %s: %w", name, ownRecord(err))
	}
	// A newer version of this program knows fields that this one would drop
	// when it writes the state back.
	// Nothing is lost: that version can go on.
	if newer, err := e.cfg.Codec.WrittenNewer(ctx, en.value); err != nil || newer {
		return fmt.Errorf("state %s was written by a newer version of this program, deploy that one: %w", name, errors.Join(err, stream.ErrRefused))
	}
	p.digest = p.digest.add(hashRecord(name, en.value))
	if e.cfg.Rules.Configured(key.Lane()) && st.RulesVersion != e.cfg.Rules.LaneVersion(key.Lane()) {
		e.outdate(p, key, st.RulesVersion)
	}
	return nil
}

// ownRecord marks an undecodable record of our own topics as loss, unless the
// registry just does not answer.
func ownRecord(err error) error {
	if errors.Is(err, codec.ErrSchemaUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", err, stream.ErrLoss)
}

// start sets where each input goes on, and refuses to skip what is gone.
func start(p *partition, pos events.Position, found bool, ends map[string]stream.Range, inputs []string) error {
	at := map[string]int64{}
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
			return fmt.Errorf("%s: offsets %d to %d were removed unread: %w", topic, next, r.Start-1, stream.ErrLoss)
		case next > r.End:
			return fmt.Errorf("%s: the position is at %d, beyond the end of the log at %d: %w", topic, next, r.End, stream.ErrLoss)
		}
		p.next[topic] = next
	}
	return nil
}
