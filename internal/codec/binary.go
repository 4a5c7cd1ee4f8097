package codec

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"
)

// The append functions write Avro's binary encoding of the types that our
// schemas have. Every record is written by a function of its own, field by
// field in the order of its schema: through the Avro library's reflection a
// state took four times as long and fifteen allocations instead of one. Tests
// hold the bytes equal to those of that library and of three others.

func appendLong(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

func appendText(b []byte, s string) []byte {
	if len(s) < 64 { // one byte of zigzag
		b = append(b, byte(len(s)<<1))
	} else {
		b = binary.AppendVarint(b, int64(len(s)))
	}
	return append(b, s...)
}

func appendBool(b []byte, yes bool) []byte {
	if yes {
		return append(b, 1)
	}
	return append(b, 0)
}

// The branches of our unions, which are all ["null", T].
const (
	branchNull  = 0
	branchValue = 1 << 1
)

func appendOptText(b []byte, s string) []byte {
	if s == "" {
		return append(b, branchNull)
	}
	return appendText(append(b, branchValue), s)
}

func appendOptLong(b []byte, n int64) []byte {
	if n == 0 {
		return append(b, branchNull)
	}
	return appendLong(append(b, branchValue), n)
}

// appendOptTrue writes a ["null", "boolean"] that is null for no.
func appendOptTrue(b []byte, yes bool) []byte {
	if !yes {
		return append(b, branchNull)
	}
	return append(b, branchValue, 1)
}

// appendOptBool writes a fact that is "true", "false" or not stated.
func appendOptBool(b []byte, word string) []byte {
	if word == "" {
		return append(b, branchNull)
	}
	return appendBool(append(b, branchValue), word == "true")
}

// appendCount begins the one block that an array of n items is written as. The
// end of the array, appendCount of 0, follows the items; an empty array is
// nothing but that.
func appendCount(b []byte, n int) []byte { return appendLong(b, int64(n)) }

func appendTexts(b []byte, texts []string) []byte {
	if len(texts) > 0 {
		b = appendCount(b, len(texts))
		for _, s := range texts {
			b = appendText(b, s)
		}
	}
	return appendCount(b, 0)
}

// appendCoordinates writes the text topic-partition-offset without making it.
func appendCoordinates(b []byte, topic string, partition int32, offset int64) []byte {
	if topic == "" {
		return append(b, 0)
	}
	b = appendLong(b, int64(len(topic)+2+digits(int64(partition))+digits(offset)))
	b = append(append(b, topic...), '-')
	b = append(strconv.AppendInt(b, int64(partition), 10), '-')
	return strconv.AppendInt(b, offset, 10)
}

// digits is the length of n, which is not negative, in decimal.
func digits(n int64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

// buffer is where a value is written before its length is known. What Encode
// returns is a copy of exactly that length: states stay in memory.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 2048)} }}

// maxBuffer bounds what the pool keeps.
const maxBuffer = 64 << 10

func newBuffer() *buffer {
	v := buffers.Get().(*buffer)
	v.b = v.b[:0]
	return v
}

// frame begins a value of the record in b.
func (c *Codec) frame(b []byte, record string) ([]byte, error) {
	id, ok := c.ids[record]
	if !ok {
		return b, fmt.Errorf("codec: encode %s: %w", record, ErrNoID)
	}
	return binary.BigEndian.AppendUint32(append(b, magic), uint32(id)), nil
}

// begin is frame in a buffer.
func (c *Codec) begin(record string) (*buffer, error) {
	v := newBuffer()
	b, err := c.frame(v.b, record)
	if err != nil {
		return nil, err
	}
	v.b = b
	return v, nil
}

// end is the value that was written to b, which v had; v must not be used after
// it.
func (v *buffer) end(b []byte, err error) ([]byte, error) {
	var out []byte
	if err == nil {
		out = make([]byte, len(b))
		copy(out, b)
	}
	if cap(b) <= maxBuffer { // after the copy: the next encoder may have it at once
		v.b = b
		buffers.Put(v)
	}
	return out, err
}
