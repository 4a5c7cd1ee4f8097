package codec

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/avro"
)

// Bounds of one array. A state has at most a few hundred rows of evidence. The
// bound on blocks is what keeps decoding linear: the Avro library grows a slice
// to the exact size at every block, so that 20,000 blocks of one row each, 700
// kB in all, would keep it copying for a minute. Writers of Avro use one block.
const (
	maxItems  = 4096
	maxBlocks = 16
)

// shape is the layout of an Avro value, as far as it matters for walking over
// it. Every value is walked once before it is decoded.
type shape struct {
	kind  shapeKind
	size  int      // shapeFixed
	parts []*shape // fields of a record, branches of a union, the item of an array
}

type shapeKind uint8

const (
	shapeFixed  shapeKind = iota // size bytes: null, boolean, float, double, fixed
	shapeVarint                  // int, long, enum
	shapeBytes                   // string, bytes
	shapeUnion
	shapeRecord
	shapeArray
)

// shapeOf compiles the layout of a schema. Maps and types that contain
// themselves are refused: no record of ours may have them.
func shapeOf(n *avro.SchemaNode) (*shape, error) {
	switch n.Type {
	case "null":
		return &shape{kind: shapeFixed}, nil
	case "boolean":
		return &shape{kind: shapeFixed, size: 1}, nil
	case "float":
		return &shape{kind: shapeFixed, size: 4}, nil
	case "double":
		return &shape{kind: shapeFixed, size: 8}, nil
	case "fixed":
		return &shape{kind: shapeFixed, size: n.Size}, nil
	case "int", "long", "enum":
		return &shape{kind: shapeVarint}, nil
	case "string", "bytes":
		return &shape{kind: shapeBytes}, nil
	case "union":
		return shapeOfParts(shapeUnion, len(n.Branches), func(i int) *avro.SchemaNode { return &n.Branches[i] })
	case "record":
		return shapeOfParts(shapeRecord, len(n.Fields), func(i int) *avro.SchemaNode { return &n.Fields[i].Type })
	case "array":
		return shapeOfParts(shapeArray, 1, func(int) *avro.SchemaNode { return n.Items })
	}
	return nil, fmt.Errorf("type %q has no place in our records", n.Type)
}

func shapeOfParts(kind shapeKind, n int, part func(int) *avro.SchemaNode) (*shape, error) {
	s := &shape{kind: kind, parts: make([]*shape, n)}
	for i := range s.parts {
		p, err := shapeOf(part(i))
		if err != nil {
			return nil, err
		}
		s.parts[i] = p
	}
	return s, nil
}

// The faults of a walk.
var (
	errShort  = errors.New("cut off")
	errVarint = errors.New("number of more than 64 bits")
	errBranch = errors.New("no such branch of a union")
	errBlocks = fmt.Errorf("array of more than %d items or %d blocks", maxItems, maxBlocks)
)

// walk returns what follows the value at the start of b.
func (s *shape) walk(b []byte) ([]byte, error) {
	switch s.kind {
	case shapeVarint:
		_, b, err := varint(b)
		return b, err
	case shapeBytes:
		n, b, err := varint(b)
		if err != nil {
			return nil, err
		}
		return skip(b, n)
	case shapeUnion:
		i, b, err := varint(b)
		if err != nil {
			return nil, err
		}
		if i < 0 || i >= int64(len(s.parts)) {
			return nil, errBranch
		}
		return s.parts[i].walk(b)
	case shapeRecord:
		var err error
		for _, p := range s.parts {
			if b, err = p.walk(b); err != nil {
				return nil, err
			}
		}
		return b, nil
	case shapeArray:
		return s.walkArray(b)
	}
	return skip(b, int64(s.size))
}

func (s *shape) walkArray(b []byte) ([]byte, error) {
	var items int64
	for range maxBlocks + 1 { // and the empty block that ends the array
		n, rest, err := varint(b)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return rest, nil
		}
		if n < 0 { // the block states its size in bytes, which nobody needs here
			if _, rest, err = varint(rest); err != nil {
				return nil, err
			}
			n = -n
		}
		if items += n; n < 0 || n > maxItems || items > maxItems {
			return nil, errBlocks
		}
		for b = rest; n > 0; n-- {
			if b, err = s.parts[0].walk(b); err != nil {
				return nil, err
			}
		}
	}
	return nil, errBlocks
}

// varint reads a zigzag number.
func varint(b []byte) (int64, []byte, error) {
	v, n := binary.Varint(b)
	switch {
	case n == 0:
		return 0, nil, errShort
	case n < 0:
		return 0, nil, errVarint
	}
	return v, b[n:], nil
}

func skip(b []byte, n int64) ([]byte, error) {
	if n < 0 || n > int64(len(b)) {
		return nil, errShort
	}
	return b[n:], nil
}
