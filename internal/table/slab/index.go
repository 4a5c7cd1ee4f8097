package slab

// ref is a slot of the index: 24 bits of the key's hash, and where the record
// stands, in a chunk, by the remainder of its number, and at one of 2^19 units in
// it. 0 is a free slot: the remainders begin at 1.
type ref uint64

const (
	tagBits    = 24
	offsetBits = 19 // of units: chunkSize / unit
	maxChunks  = 1<<(64-tagBits-offsetBits) - 1
	tagMask    = 1<<tagBits - 1
)

// refTo is a place without a tag.
func refTo(number uint64, offset int) ref {
	return ref((number%maxChunks+1)<<offsetBits|uint64(offset/unit)) << tagBits
}

// after is by how much the number of the chunk is above first. There are never
// maxChunks numbers in use, so that the remainders tell.
func (r ref) after(first uint64) uint64 {
	at := uint64(r>>(tagBits+offsetBits)) - 1
	return (at + maxChunks - first%maxChunks) % maxChunks
}

func (r ref) offset() int { return int(r>>tagBits&(1<<offsetBits-1)) * unit }
func (r ref) tag() uint64 { return uint64(r) & tagMask }

// tagged is the place r under the hash h.
func (r ref) tagged(h uint64) ref { return r&^tagMask | ref(h&tagMask) }

// index says where the record of a key stands. It is 256 tables by the upper
// bits of the hash, each of open addressing with linear probing; the slot of a
// key follows from its tag, so that a table grows without reading a key.
type index struct {
	parts [256]part
	len   int
	bytes int64 // of all slots
}

type part struct {
	slots []ref // a power of two
	used  int
}

const (
	minSlots = 8
	slotSize = 8 // bytes
)

func (x *index) part(h uint64) *part { return &x.parts[h>>56] }

// find gives the slot under h for which same is true.
func (x *index) find(h uint64, same func(ref) bool) (*ref, bool) {
	p := x.part(h)
	if len(p.slots) == 0 {
		return nil, false
	}
	tag, mask := h&tagMask, uint64(len(p.slots)-1)
	for i := tag & mask; p.slots[i] != 0; i = (i + 1) & mask {
		if r := p.slots[i]; r.tag() == tag && same(r) {
			return &p.slots[i], true
		}
	}
	return nil, false
}

// points reports whether some slot under h points to at.
func (x *index) points(h uint64, at ref) bool {
	at = at.tagged(h)
	_, ok := x.find(h, func(r ref) bool { return r == at })
	return ok
}

// move has the slot that points from one place point to another.
func (x *index) move(h uint64, from, to ref) {
	from = from.tagged(h)
	if r, ok := x.find(h, func(r ref) bool { return r == from }); ok {
		*r = to.tagged(h)
	}
}

// add puts a place in under h, which no slot points to yet.
func (x *index) add(h uint64, at ref) {
	p := x.part(h)
	if (p.used+1)*8 > len(p.slots)*7 {
		x.bytes -= slotSize * int64(len(p.slots))
		p.grow()
		x.bytes += slotSize * int64(len(p.slots))
	}
	p.insert(at.tagged(h))
	p.used++
	x.len++
}

func (p *part) grow() {
	old := p.slots
	p.slots = make([]ref, max(minSlots, 2*len(old)))
	for _, r := range old {
		if r != 0 {
			p.insert(r)
		}
	}
}

func (p *part) insert(r ref) {
	mask := uint64(len(p.slots) - 1)
	i := r.tag() & mask
	for p.slots[i] != 0 {
		i = (i + 1) & mask
	}
	p.slots[i] = r
}

// remove frees the slot that holds r and moves up what would not be found
// behind a free slot.
func (x *index) remove(h uint64, r ref) {
	p := x.part(h)
	mask := uint64(len(p.slots) - 1)
	hole := r.tag() & mask
	for p.slots[hole] != r {
		hole = (hole + 1) & mask
	}
	for i := (hole + 1) & mask; p.slots[i] != 0; i = (i + 1) & mask {
		// A record may stand anywhere from its own slot on: it may go to the hole if
		// the hole is not before that.
		if home := p.slots[i].tag() & mask; (i-home)&mask >= (i-hole)&mask {
			p.slots[hole] = p.slots[i]
			hole = i
		}
	}
	p.slots[hole] = 0
	p.used--
	x.len--
}
