// Package slab is a table in memory that the garbage collector does not look
// at: keys and values stand one after another in large chunks outside of its
// heap, and an index of integers says where. Five million orders then cost the
// collector nothing, and what is closed goes back to the system at once.
//
// It promises:
//
//   - A put writes at the end of the newest chunk, or over a record of the same
//     size. What it replaces is dead space.
//   - Dead space stays below a fixed share of the whole (maxDead), or a chunk. It
//     is taken back record by record, in the same call that made it: the work of
//     a put is bounded by its own size, and there are no pauses.
//   - The index grows in 256 parts, each at its own time.
package slab

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"strconv"

	"rampstream/internal/table"
)

const (
	// chunkSize is what is asked of the system at once. Untouched pages of it
	// cost nothing.
	chunkSize = 4 << 20
	// unit is what records are aligned to, so that 19 bits say where in a chunk.
	unit = 8
	// maxDead is the part of all chunks that may be dead before space is taken
	// back: an eighth.
	maxDead = 8
	// leastDead is dead space that is left alone: a chunk of which soon all is dead
	// is given back without a move. With half of it a table of 25,000 orders that
	// change in turn moves seven times as much.
	leastDead = chunkSize
	// maxWindow is how many chunk numbers may lie between the oldest chunk and the
	// newest. A chunk of orders that never change would stay the oldest for ever;
	// beyond that it is emptied like one with dead space.
	maxWindow = 1 << 18
	// moveFactor is how many bytes are moved for each byte put while there is
	// too much dead space. The chunk with most of it is emptied first, of which
	// at least an eighth is dead: to free as much as a put takes, seven times as
	// much has to be moved.
	moveFactor = 8
)

// Table is a table.Table in memory.
type Table struct {
	seed   maphash.Seed
	index  index
	chunks []*chunk // by number less first; nil where the chunk was given back
	first  uint64   // number of chunks[0]
	window int
	live   int64 // bytes of live records
	total  int64 // bytes of records, dead ones included
	bytes  int64 // of live keys and values
	held   int64 // of chunks
	// victim is the chunk that is being emptied, and from where.
	victim   *chunk
	victimAt int
	spare    []byte // one chunk kept for the next one
}

var (
	_ table.Table = (*Table)(nil)
	_ table.Sizer = (*Table)(nil)
)

// chunk is a piece of memory with records from its start on.
type chunk struct {
	number uint64
	mem    []byte
	used   int // bytes of records
	live   int // of those, of records that the index points to
}

// New makes an empty table.
func New() *Table { return &Table{seed: maphash.MakeSeed(), window: maxWindow} }

var errCorrupt = errors.New("slab: a record does not stand where the index says")

// Get implements table.Reader.
func (t *Table) Get(dst, key []byte) ([]byte, bool, error) {
	r, ok := t.find(maphash.Bytes(t.seed, key), key)
	if !ok {
		return dst, false, nil
	}
	_, rec := t.record(*r)
	return append(dst, rec.value...), true, nil
}

// Len implements table.Reader.
func (t *Table) Len() int { return t.index.len }

// Size implements table.Sizer.
func (t *Table) Size() (live, held int64) { return t.bytes, t.held + t.index.bytes }

// Put implements table.Writer.
func (t *Table) Put(key, value []byte) error {
	h := maphash.Bytes(t.seed, key)
	size := sizeOf(key, value)
	r, ok := t.find(h, key)
	if ok {
		c, old := t.record(*r)
		t.bytes += int64(len(value) - len(old.value))
		if old.size == size { // the common case of a state that only moved on in time
			write(c.mem[r.offset():], key, value)
			return nil
		}
		t.kill(c, old.size)
	}
	at, err := t.append(key, value, size)
	if err != nil {
		return err
	}
	if ok {
		*r = at.tagged(h)
	} else {
		t.index.add(h, at)
		t.bytes += int64(len(key) + len(value))
	}
	return t.tidy(moveFactor * size)
}

// Delete implements table.Writer.
func (t *Table) Delete(key []byte) error {
	h := maphash.Bytes(t.seed, key)
	r, ok := t.find(h, key)
	if !ok {
		return nil
	}
	c, old := t.record(*r)
	t.kill(c, old.size)
	t.bytes -= int64(len(key) + len(old.value))
	t.index.remove(h, *r)
	return t.tidy(moveFactor * old.size)
}

// Close implements table.Writer.
func (t *Table) Close() error {
	var errs []error
	for _, c := range t.chunks {
		if c != nil {
			errs = append(errs, give(c.mem))
			c.mem = nil
		}
	}
	errs = append(errs, give(t.spare))
	*t = Table{seed: t.seed, window: t.window}
	return errors.Join(errs...)
}

// Walk implements table.Reader: in the order of writing. A record that is moved
// goes to the end, so that a walk meets it there, if it has not met it before.
func (t *Table) Walk(pos table.Pos, max int, fn func(key, value []byte) error) (table.Pos, bool, error) {
	number, offset, err := parse(pos)
	if err != nil {
		return pos, false, err
	}
	if number < t.first {
		number, offset = t.first, 0
	}
	for ; number-t.first < uint64(len(t.chunks)); number, offset = number+1, 0 {
		c := t.chunks[number-t.first]
		for c != nil && offset < c.used {
			if max <= 0 {
				return format(number, offset), true, nil
			}
			rec := read(c.mem[offset:])
			if rec.size == 0 {
				return pos, false, errCorrupt
			}
			if max -= lookCost; t.index.points(maphash.Bytes(t.seed, rec.key), refTo(number, offset)) {
				max -= len(rec.key) + len(rec.value)
				if err := fn(rec.key, rec.value); err != nil {
					return pos, false, err
				}
			}
			offset += rec.size
		}
	}
	return format(number, 0), false, nil
}

// A place within a chunk has less than 32 bits, the longest record included.
func format(number uint64, offset int) table.Pos {
	return table.Pos(strconv.FormatUint(number<<32|uint64(offset), 16))
}

func parse(pos table.Pos) (number uint64, offset int, err error) {
	if pos == "" {
		return 0, 0, nil
	}
	n, err := strconv.ParseUint(string(pos), 16, 64)
	return n >> 32, int(uint32(n)), err
}

// find gives where the index points to the record of key.
func (t *Table) find(h uint64, key []byte) (*ref, bool) {
	return t.index.find(h, func(r ref) bool {
		_, rec := t.record(r)
		return string(rec.key) == string(key)
	})
}

func (t *Table) record(r ref) (*chunk, record) {
	c := t.chunks[r.after(t.first)]
	return c, read(c.mem[r.offset():])
}

// append writes a record at the end.
func (t *Table) append(key, value []byte, size int) (ref, error) {
	c, err := t.room(size)
	if err != nil {
		return 0, err
	}
	at := c.used
	write(c.mem[at:], key, value)
	c.used += size
	c.live += size
	t.live += int64(size)
	t.total += int64(size)
	return refTo(c.number, at), nil
}

// room is the newest chunk, or a new one where it has no room for size bytes.
func (t *Table) room(size int) (*chunk, error) {
	if n := len(t.chunks); n > 0 {
		if c := t.chunks[n-1]; c != nil && len(c.mem)-c.used >= size {
			return c, nil
		}
	}
	if len(t.chunks) >= maxChunks {
		return nil, errors.New("slab: no chunk number is free")
	}
	var mem []byte
	if size <= len(t.spare) {
		mem, t.spare = t.spare, nil
	} else {
		var err error
		if mem, err = take(max(size, chunkSize)); err != nil {
			return nil, err
		}
		t.held += int64(len(mem))
	}
	c := &chunk{number: t.first + uint64(len(t.chunks)), mem: mem}
	t.chunks = append(t.chunks, c)
	return c, nil
}

// kill makes a record dead.
func (t *Table) kill(c *chunk, size int) {
	c.live -= size
	t.live -= int64(size)
}

type record struct {
	key, value []byte
	size       int // with lengths and padding
}

// sizeOf is the room that a record takes: lengths, key, value, padding.
func sizeOf(key, value []byte) int {
	n := varintLen(len(key)) + varintLen(len(value)) + len(key) + len(value)
	return (n + unit - 1) &^ (unit - 1)
}

func varintLen(n int) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}

func write(to, key, value []byte) {
	n := binary.PutUvarint(to, uint64(len(key)))
	n += binary.PutUvarint(to[n:], uint64(len(value)))
	n += copy(to[n:], key)
	copy(to[n:], value)
}

// read gives the record that begins from; its size is 0 where none does.
func read(from []byte) record {
	k, n := binary.Uvarint(from)
	v, m := binary.Uvarint(from[max(n, 0):])
	end := uint64(n+m) + k + v
	if n <= 0 || m <= 0 || k > uint64(len(from)) || v > uint64(len(from)) || end > uint64(len(from)) {
		return record{}
	}
	at := n + m
	return record{from[at : at+int(k) : at+int(k)], from[at+int(k) : end : end], int((end + unit - 1) &^ (unit - 1))}
}
