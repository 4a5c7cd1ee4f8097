package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"rampstream/internal/table"
)

// Table is the table of one partition in a store.
type Table struct {
	db    *pebble.DB
	first []byte // of its keys: the prefix
	end   []byte // above all of them
	key   []byte // room
	count int
	bytes int64
}

var (
	_ table.Table = (*Table)(nil)
	_ table.Sizer = (*Table)(nil)
)

// prefixSize is the partition before every key.
const prefixSize = 4

// OpenTable makes an empty table of a partition. Another of the same partition
// must have been closed.
func (s *Store) OpenTable(partition int32) (table.Table, error) {
	t := &Table{db: s.db, first: binary.BigEndian.AppendUint32(nil, uint32(partition)), end: binary.BigEndian.AppendUint32(nil, uint32(partition)+1)}
	return t, t.clear()
}

func (t *Table) clear() error {
	if err := t.db.DeleteRange(t.first, t.end, pebble.NoSync); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	return nil
}

// of is the key in the store. It is not kept in the table: several readers may
// come at once.
func (t *Table) of(room, key []byte) []byte { return append(append(room[:0], t.first...), key...) }

// Get implements table.Reader.
func (t *Table) Get(dst, key []byte) ([]byte, bool, error) {
	var room [128]byte
	value, done, err := t.db.Get(t.of(room[:], key))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return dst, false, nil
	case err != nil:
		return dst, false, fmt.Errorf("disk: %w", err)
	}
	dst = append(dst, value...)
	return dst, true, done.Close()
}

// Len implements table.Reader.
func (t *Table) Len() int { return t.count }

// Size implements table.Sizer. No memory is held for single states.
func (t *Table) Size() (live, held int64) { return t.bytes, 0 }

// after begins a place behind a key, which may be empty.
const after = ">"

// Walk implements table.Reader: in the order of keys, as they were when the call
// began.
func (t *Table) Walk(pos table.Pos, max int, fn func(key, value []byte) error) (table.Pos, bool, error) {
	from := t.first
	if last, ok := strings.CutPrefix(string(pos), after); ok {
		from = append(t.of(nil, []byte(last)), 0)
	}
	it, err := t.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: t.end})
	if err != nil {
		return pos, false, fmt.Errorf("disk: %w", err)
	}
	next, more, err := walk(it, pos, max, fn)
	if cerr := it.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("disk: %w", cerr)
	}
	return next, more, err
}

func walk(it *pebble.Iterator, pos table.Pos, max int, fn func(key, value []byte) error) (table.Pos, bool, error) {
	for ok := it.First(); ok; ok = it.Next() {
		if max <= 0 {
			return pos, true, nil
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return pos, false, fmt.Errorf("disk: %w", err)
		}
		key := it.Key()[prefixSize:]
		if err := fn(key, value); err != nil {
			return pos, false, err
		}
		max -= len(key) + len(value)
		pos = after + table.Pos(key)
	}
	return pos, false, nil
}

// old is the size of the value of a key in the store, -1 for none.
func (t *Table) old(key []byte) (int, error) {
	value, done, err := t.db.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return -1, nil
	case err != nil:
		return 0, fmt.Errorf("disk: %w", err)
	}
	n := len(value)
	return n, done.Close()
}

// Put implements table.Writer.
func (t *Table) Put(key, value []byte) error {
	t.key = t.of(t.key, key)
	old, err := t.old(t.key)
	if err != nil {
		return err
	}
	if err := t.db.Set(t.key, value, pebble.NoSync); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	if old < 0 {
		old = 0
		t.count++
		t.bytes += int64(len(key))
	}
	t.bytes += int64(len(value) - old)
	return nil
}

// Delete implements table.Writer.
func (t *Table) Delete(key []byte) error {
	t.key = t.of(t.key, key)
	old, err := t.old(t.key)
	if err != nil || old < 0 {
		return err
	}
	if err := t.db.Delete(t.key, pebble.NoSync); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	t.count--
	t.bytes -= int64(len(key) + old)
	return nil
}

// Close implements table.Writer.
func (t *Table) Close() error {
	t.count, t.bytes = 0, 0
	return t.clear()
}
