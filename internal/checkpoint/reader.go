package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Reader reads one checkpoint. It is for one goroutine.
type Reader struct {
	f       io.ReadCloser
	in      *bufio.Reader
	head    []byte
	number  uint64
	entries uint64
}

// Open reads the head of a checkpoint. Errors: os.ErrNotExist, ErrDamaged, and
// those of the file system.
func (d *Dir) Open(name string) (*Reader, error) {
	f, err := os.Open(d.file(name))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	r, err := NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("checkpoint: %w", err), f.Close())
	}
	return r, nil
}

// NewReader reads the head of a checkpoint from f.
func NewReader(f io.ReadCloser) (*Reader, error) {
	r := &Reader{f: f, in: bufio.NewReaderSize(f, blockSize)}
	var m [len(magic)]byte
	if _, err := io.ReadFull(r.in, m[:]); err != nil {
		return nil, short("the first bytes", err)
	}
	if string(m[:]) != magic {
		return nil, damaged("another format")
	}
	kind, head, err := r.block(nil)
	if err != nil {
		return nil, err
	}
	if kind != kindHead {
		return nil, damaged("no head")
	}
	r.head = head
	return r, nil
}

// Head is what the writer gave to Create.
func (r *Reader) Head() []byte { return r.head }

// Close ends the reading.
func (r *Reader) Close() error { return r.f.Close() }

// Next appends the payload of the next block of entries to b. It returns io.EOF
// at the end of a file that is whole. Errors: ErrDamaged, and those of the file
// system.
func (r *Reader) Next(b []byte) (Block, error) {
	kind, payload, err := r.block(b)
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindEntries:
		n, ok := Block(payload).count()
		if !ok {
			return nil, damaged("block %d is no list of entries", r.number-1)
		}
		r.entries += n
		return payload, nil
	case kindEnd:
		if len(payload) != 8 || binary.BigEndian.Uint64(payload) != r.entries {
			return nil, damaged("%d entries are not as many as were written", r.entries)
		}
		if _, err := r.in.ReadByte(); err != io.EOF {
			return nil, damaged("something follows the end")
		}
		return nil, io.EOF
	}
	return nil, damaged("block %d is of kind %d", r.number-1, kind)
}

// Block is some entries of a checkpoint, whole and checked.
type Block []byte

// Each calls fn with every entry; key and value are parts of the block.
func (b Block) Each(fn func(key, value []byte) error) error {
	for len(b) > 0 {
		key, value, rest, ok := nextEntry(b)
		if !ok {
			return damaged("an entry is cut off")
		}
		if err := fn(key, value); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func (b Block) count() (n uint64, ok bool) {
	err := b.Each(func(_, _ []byte) error { n++; return nil })
	return n, err == nil
}

// block reads a block into b.
func (r *Reader) block(b []byte) (kind byte, payload []byte, err error) {
	var f [frame]byte
	if _, err := io.ReadFull(r.in, f[:]); err != nil {
		return 0, nil, short("a block", err)
	}
	n := int(binary.BigEndian.Uint32(f[:]))
	if n > maxBlock {
		return 0, nil, damaged("a block of %d bytes", n)
	}
	if payload, err = r.payload(b[:0], n); err != nil {
		return 0, nil, err
	}
	kind = f[8]
	if checksum(r.number, kind, payload) != binary.BigEndian.Uint32(f[4:]) {
		return 0, nil, damaged("block %d has another checksum", r.number)
	}
	r.number++
	return kind, payload, nil
}

// payload reads n bytes, in steps: n may be a lie, and then the end comes before
// much memory was taken.
func (r *Reader) payload(b []byte, n int) ([]byte, error) {
	for len(b) < n {
		at := len(b)
		step := min(n-at, 4*blockSize)
		if cap(b)-at < step {
			b = append(make([]byte, 0, max(2*cap(b), at+step)), b...)
		}
		b = b[:at+step]
		if _, err := io.ReadFull(r.in, b[at:]); err != nil {
			return nil, short("a block", err)
		}
	}
	return b, nil
}

// short makes an end before its time damage.
func short(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("%s is cut off", what)
	}
	return fmt.Errorf("read %s: %w", what, err)
}
