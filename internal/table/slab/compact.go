package slab

import "hash/maphash"

// lookCost is what it costs to look at a record, in bytes moved.
const lookCost = 64

// tidy takes dead space back while there is more of it than may be, moving at
// most about budget bytes.
func (t *Table) tidy(budget int) error {
	for budget > 0 {
		if t.victim == nil && !t.choose() {
			return nil
		}
		moved, err := t.moveOne()
		if err != nil {
			return err
		}
		budget -= moved
	}
	return nil
}

// choose picks the chunk with the most dead space, if there is too much of it
// in all. The newest is still being written and is none.
func (t *Table) choose() bool {
	t.victimAt = 0
	if len(t.chunks) > t.window {
		t.victim = t.chunks[0]
		return true
	}
	if t.total-t.live <= t.total/maxDead || t.total-t.live < leastDead {
		return false
	}
	for _, c := range t.chunks[:len(t.chunks)-1] {
		if c != nil && c.live < c.used && (t.victim == nil || c.used-c.live > t.victim.used-t.victim.live) {
			t.victim = c
		}
	}
	return t.victim != nil
}

// moveOne looks at the next record of the victim, and moves it to the end if
// it is alive. It returns how much it moved; to look costs something too.
func (t *Table) moveOne() (int, error) {
	c := t.victim
	if t.victimAt >= c.used || c.live == 0 {
		return lookCost, t.free(c)
	}
	rec := read(c.mem[t.victimAt:])
	if rec.size == 0 {
		return 0, errCorrupt
	}
	h, from := maphash.Bytes(t.seed, rec.key), refTo(c.number, t.victimAt)
	t.victimAt += rec.size
	if !t.index.points(h, from) {
		return lookCost, nil
	}
	to, err := t.append(rec.key, rec.value, rec.size)
	if err != nil {
		return 0, err
	}
	t.kill(c, rec.size)
	t.index.move(h, from, to)
	return rec.size, nil
}

// free gives an empty chunk back; one is kept for the next to be begun.
func (t *Table) free(c *chunk) error {
	if c.live != 0 {
		return errCorrupt
	}
	t.total -= int64(c.used)
	t.chunks[c.number-t.first] = nil
	for len(t.chunks) > 0 && t.chunks[0] == nil {
		t.chunks = t.chunks[1:]
		t.first++
	}
	t.victim = nil
	mem := c.mem
	c.mem = nil
	if t.spare == nil && len(mem) == chunkSize {
		t.spare = mem
		return nil
	}
	t.held -= int64(len(mem))
	return give(mem)
}
