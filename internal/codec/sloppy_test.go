package codec_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"rampstream/internal/codec"
	"rampstream/internal/events"
)

// sloppy writes a value again as other writers of Avro might: numbers longer
// than they need be, arrays in blocks that state their size or not, bytes other
// than 0 for false. The value stays the same, unless a number becomes too long.
type sloppy struct {
	rnd *rand.Rand
	out []byte
}

func (s *sloppy) number(in []byte) (int64, []byte) {
	n, size := binary.Varint(in)
	s.put(n)
	return n, in[size:]
}

func (s *sloppy) put(n int64) {
	b := binary.AppendVarint(nil, n)
	if s.rnd.IntN(8) == 0 {
		for range 1 + s.rnd.IntN(5) {
			b[len(b)-1] |= 0x80
			b = append(b, 0)
		}
	}
	s.out = append(s.out, b...)
}

// value rewrites the value of the type at the start of in and returns what
// follows it.
func (s *sloppy) value(n *avro.SchemaNode, in []byte) []byte {
	switch n.Type {
	case "boolean":
		s.out = append(s.out, in[0])
		if in[0] == 0 && s.rnd.IntN(4) == 0 {
			s.out[len(s.out)-1] = byte(2 + s.rnd.IntN(250))
		}
		return in[1:]
	case "int", "long":
		_, in = s.number(in)
		return in
	case "string":
		size, in := s.number(in)
		s.out = append(s.out, in[:size]...)
		return in[size:]
	case "union":
		i, in := s.number(in)
		return s.value(&n.Branches[i], in)
	case "record":
		for i := range n.Fields {
			in = s.value(&n.Fields[i].Type, in)
		}
	case "array":
		return s.array(n, in)
	}
	return in
}

func (s *sloppy) array(n *avro.SchemaNode, in []byte) []byte {
	left, size := binary.Varint(in)
	in = in[size:]
	if left == 0 {
		s.put(0)
		return in
	}
	for left > 0 {
		block := 1 + s.rnd.Int64N(left)
		left -= block
		items := sloppy{rnd: s.rnd}
		for range block {
			in = items.value(n.Items, in)
		}
		if s.rnd.IntN(2) == 0 {
			s.put(-block)
			s.put(int64(len(items.out)) * int64(s.rnd.IntN(3)-1) * -1) // often wrong
		} else {
			s.put(block)
		}
		s.out = append(s.out, items.out...)
	}
	s.put(0)
	return in[1:]
}

func TestReader_takesOtherWritersSpelling(t *testing.T) {
	p := newPair(t)
	for _, r := range records() {
		t.Run(r.name, func(t *testing.T) {
			root, accepted := rootOf(t, r.name), 0
			rapid.Check(t, func(rt *rapid.T) {
				b, err := r.encode(p.fast, r.draw(rt))
				if err != nil {
					rt.Fatal(err)
				}
				s := sloppy{rnd: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)), out: frameOf(r.name)}
				if rest := s.value(root, codec.Body(b)); len(rest) != 0 {
					rt.Fatalf("%d bytes left of %x", len(rest), b)
				}
				if p.agree(rt, r, s.out) {
					accepted++
				}
			})
			if accepted == 0 {
				t.Error("every value was refused")
			}
		})
	}
}

// The bounds of arrays, exactly.
func TestReader_boundsArrays(t *testing.T) {
	p := newPair(t)
	b, err := p.fast.EncodeDiscrepancy(events.Discrepancy{Key: minimalKey, Type: events.Stuck, Severity: "info"})
	if err != nil {
		t.Fatal(err)
	}
	head := b[: len(b)-1 : len(b)-1]
	block := func(count int64, size []byte, items int) []byte {
		return append(append(binary.AppendVarint(nil, count), size...), bytes.Repeat([]byte{0}, items)...)
	}
	for _, tc := range []struct {
		name string
		tail []byte
		want bool
	}{
		{"16 blocks", bytes.Repeat(block(1, nil, 1), codec.MaxBlocks), true},
		{"17 blocks", bytes.Repeat(block(1, nil, 1), codec.MaxBlocks+1), false},
		{"4096 items", block(codec.MaxItems, nil, codec.MaxItems), true},
		{"4097 items", block(codec.MaxItems+1, nil, codec.MaxItems+1), false},
		{"4097 items in two blocks", append(block(codec.MaxItems, nil, codec.MaxItems), block(1, nil, 1)...), false},
		{"negative count with its size", block(-3, []byte{6}, 3), true},
		{"negative count with a wrong size", block(-3, []byte{1}, 3), true},
		{"negative count without a size", block(-3, nil, 0), false},
		{"more items than bytes", block(9, nil, 3), false},
		{"count of -2^63", append(binary.AppendVarint(nil, -1<<63), 0), false},
		{"count of 2^63-1", append(binary.AppendVarint(nil, 1<<63-1), 0), false},
	} {
		r := recordOf(t, "Discrepancy")
		if got := p.agree(t, r, append(append(head, tc.tail...), 0)); got != tc.want {
			t.Errorf("%s: accepted = %v, want %v", tc.name, got, tc.want)
		}
		p.agree(t, r, append(head, tc.tail...)) // without its end
	}
}

// Numbers of 64 bits, of 32 bits and branches have their own longest forms.
func TestReader_boundsNumbers(t *testing.T) {
	p := newPair(t)
	long := func(n int64, pad int) []byte {
		b := binary.AppendVarint(nil, n)
		for range pad {
			b[len(b)-1] |= 0x80
			b = append(b, 0)
		}
		return b
	}
	const top = 0x80
	for _, tc := range []struct {
		what   string
		number []byte
		want   bool
	}{
		{"long", long(1<<62, 0), true}, {"long", long(1, 9), true}, {"long", long(1, 10), false},
		{"long", append(bytes.Repeat([]byte{top}, 9), 2), false}, {"long", append(bytes.Repeat([]byte{0xff}, 9), 1), false}, // negative
		{"long", bytes.Repeat([]byte{0xff}, 10), false}, {"long", nil, false},
		{"int", long(1<<31-1, 0), true}, {"int", long(1<<31, 0), false}, {"int", long(1, 4), true}, {"int", long(1, 5), false},
		{"int", long(-1<<31, 0), false}, {"int", []byte{top, top, top, top, 0x10}, false}, // the first is negative
		{"branch", long(0, 0), true}, {"branch", long(0, 4), true}, {"branch", long(0, 5), false}, {"branch", long(2, 0), false}, {"branch", long(-1, 0), false},
		{"branch", long(1<<32, 0), false},
	} {
		name, body := "ReconcilerPosition", append(bytes.Clone(tc.number), 0, 0, 0, 0, 0, 0, 0)
		if tc.what != "int" {
			name, body = "LaneState", []byte("\x06p/a\x02p\x02a")
			if tc.what == "branch" {
				body = append(append(append(body, 0), tc.number...), 0, 0)
			} else {
				body = append(append(body, tc.number...), 0, 0, 0)
			}
		}
		if got := p.agree(t, recordOf(t, name), append(frameOf(name), body...)); got != tc.want {
			t.Errorf("%s", fmt.Sprintf("%s %x: accepted = %v, want %v", tc.what, tc.number, got, tc.want))
		}
	}
}
