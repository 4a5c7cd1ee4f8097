package reconciler

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"slices"

	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// A step may give its outputs away before it is at its end, so that they are on
// their way while the rest is joined. The invariant:
//
//	What is given of a subject is final: no record of the batch is about it any
//	more, and nothing that the end of the step does changes it. Whatever ends the
//	step otherwise ends it with an error, after which nothing of it may be
//	written.
//
// So what a step gives early is a part of what it writes in any case, and only
// the order between subjects differs.

// ErrBegun is a step that would have begun again without a record or a state, and
// had given outputs away: what they were part of has to be dropped first. The
// next step leaves it out.
var ErrBegun = errors.New("outputs of a batch that has to begin again were given away")

// The first leastGiven outputs are given at once, then twice as many, up to
// mostGiven: small batches do as large ones do, and a large one is not given in
// thousands of parts.
const (
	leastGiven = 4
	mostGiven  = 512
)

// giving is how much of a step's outputs was given away.
type giving struct {
	give  func([]stream.Record) bool // nil, or no more
	n     int
	least int // that are worth giving
}

// joinByKey joins the records of one key after the other, and gives away what is
// complete. Which key comes first shows nowhere but in the order of outputs: what a
// record does depends on those of its key alone, unless there are too many hints of
// subjects that nobody has heard of.
func (j *joiner) joinByKey(ctx context.Context, b *share, records []stream.Record, g *giving) error {
	x := &j.mem.chains
	x.find(records, j.mine)
	j.mem.byKey = true
	defer func() { j.mem.byKey, j.mem.ended = false, false }()
	for _, head := range x.heads {
		j.mem.subject = nil
		for i, more := head, true; more; i = x.next[i] {
			more = x.next[i] != 0
			j.mem.ended = !more
			if err := j.apply(ctx, b, &records[i]); err != nil {
				return err
			}
		}
		if err := j.early(b, g); err != nil {
			return err
		}
	}
	return nil
}

// early finishes the subject all records of which were joined, and gives away what
// is complete.
func (j *joiner) early(b *share, g *giving) error {
	if t := j.mem.subject; t != nil && j.complete(t) {
		if err := guarded(t, func(t *touched) error { return j.sideOutputs(b, t) }); err != nil {
			return err
		}
		if err := guarded(t, func(t *touched) error { return j.stateOutput(b, t) }); err != nil {
			return err
		}
		t.done = true
	}
	j.leave(b)
	if g.give == nil || len(b.Out)-g.n < g.least {
		return nil
	}
	if !g.give(b.Out[g.n:]) {
		g.give = nil
		return nil
	}
	g.n, g.least = len(b.Out), min(2*g.least, mostGiven)
	return nil
}

// leave is the end of a subject's records. Once its outputs are written its outcome
// is all that is needed of it, and the next one is joined in the same memory, which
// is in the processor's caches.
func (j *joiner) leave(b *share) {
	t := j.mem.subject
	switch {
	case t == nil: // nothing of its records was joined
		j.mem.passing.Release()
		return
	case !t.done:
		b.hold(t)
		j.mem.passing.Keep()
		return
	}
	b.outcomes = append(b.outcomes, t.outcome())
	if j.spoil != nil {
		j.spoil()
	}
	j.mem.release()
}

// complete reports whether the end of the step leaves a subject alone of which
// all was read: states that other rules viewed are viewed again there, and a
// stub's marks are where the whole batch was read to.
func (j *joiner) complete(t *touched) bool {
	return j.parts[t.partition].outdated == 0 && t.shown.Rule != order.RuleForgotten
}

// chains parts the records of a batch by their keys, in their order.
type chains struct {
	seed  maphash.Seed
	slots []slot // a power of two, less than half full
	heads []int32
	next  []int32 // of each record, that of its key; 0 for none
}

// slot is a key that was met, by its hash, and its latest record; a hash of 0 is
// none.
type slot struct {
	hash uint64
	last int32
}

// find looks at the records of partitions that are mine.
func (x *chains) find(records []stream.Record, mine func(partition int32) bool) {
	if x.slots == nil {
		x.seed = maphash.MakeSeed()
	}
	n := 8
	for n < 2*len(records)+2 {
		n *= 2
	}
	if len(x.slots) < n || len(x.slots) > 16*n {
		x.slots = make([]slot, n)
	} else {
		clear(x.slots)
	}
	x.heads = x.heads[:0]
	x.next = slices.Grow(x.next[:0], len(records))[:len(records)]
	mask := uint64(len(x.slots) - 1)
	for i := range records {
		if !mine(records[i].Partition) {
			continue
		}
		key := records[i].Key
		h := maphash.Bytes(x.seed, key) | 1<<63
		at := h & mask
		for s := &x.slots[at]; s.hash != 0 && (s.hash != h || !bytes.Equal(records[s.last].Key, key)); s = &x.slots[at] {
			at = (at + 1) & mask
		}
		if s := &x.slots[at]; s.hash == 0 {
			x.heads = append(x.heads, int32(i))
		} else {
			x.next[s.last] = int32(i)
		}
		x.slots[at], x.next[i] = slot{h, int32(i)}, 0
	}
}
