package reconciler

import (
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

// early finishes the subject of the record that was just joined if that was its
// last one, and gives away what is complete.
func (j *joiner) early(b *share, g *giving) error {
	if t := j.mem.at; t != nil && j.mem.ended && j.complete(t) {
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

// leave is the end of a record. Nothing else of the batch is about a subject that
// only this record was about: once its outputs are written, its outcome is all
// that is needed of it, and the next one is joined in the same memory, which is
// in the processor's caches.
func (j *joiner) leave(b *share) {
	t := j.mem.at
	if !j.mem.alone || t == nil {
		return
	}
	if !t.done {
		b.hold(t)
		return
	}
	b.outcomes = append(b.outcomes, t.outcome())
	j.mem.at = nil
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

// ends says which records of a batch are the last ones of their keys, and which
// of these the only ones. Keys are told apart by a hash: two with the same one are
// taken for one key, whose earlier ends are not found.
type ends struct {
	seed  maphash.Seed
	slots []slot // a power of two, less than half full
	of    []end  // each record
}

// slot is a key that was met, by its hash, and its last record; a hash of 0 is
// none.
type slot struct {
	hash uint64
	last int
}

// end is what a record is to its key.
type end struct{ last, alone bool }

func (x *ends) find(records []stream.Record, mine func(partition int32) bool) {
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
	x.of = slices.Grow(x.of[:0], len(records))[:len(records)]
	mask := uint64(len(x.slots) - 1)
	for i := len(records) - 1; i >= 0; i-- {
		if !mine(records[i].Partition) {
			continue
		}
		h := maphash.Bytes(x.seed, records[i].Key) | 1<<63
		at := h & mask
		for x.slots[at].hash != 0 && x.slots[at].hash != h {
			at = (at + 1) & mask
		}
		if s := &x.slots[at]; s.hash == 0 {
			*s, x.of[i] = slot{h, i}, end{last: true, alone: true}
		} else {
			x.of[i], x.of[s.last].alone = end{}, false
		}
	}
}
