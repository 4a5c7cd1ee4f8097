package reconciler

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// sum is an order-independent digest of a set of records: the sum, modulo
// 2^128, of a 128-bit hash of each. Adding and removing one record is O(1).
type sum struct{ hi, lo uint64 }

// hashRecord is the summand of one live record. The key's length keeps key and
// value apart.
func hashRecord[K string | []byte](key K, value []byte) sum {
	var room [2048]byte // most records fit: one pass over one piece of memory
	b := binary.BigEndian.AppendUint64(room[:0], uint64(len(key)))
	b = append(append(b, key...), value...)
	d := sha256.Sum256(b)
	return sum{binary.BigEndian.Uint64(d[:]), binary.BigEndian.Uint64(d[8:])}
}

func (s sum) add(o sum) sum {
	lo, carry := bits.Add64(s.lo, o.lo, 0)
	hi, _ := bits.Add64(s.hi, o.hi, carry)
	return sum{hi, lo}
}

func (s sum) sub(o sum) sum {
	lo, borrow := bits.Sub64(s.lo, o.lo, 0)
	hi, _ := bits.Sub64(s.hi, o.hi, borrow)
	return sum{hi, lo}
}

func (s sum) bytes() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], s.hi)
	binary.BigEndian.PutUint64(b[8:], s.lo)
	return b
}

// String is 32 hexadecimal digits, as a position carries it.
func (s sum) String() string {
	b := s.bytes()
	return hex.EncodeToString(b[:])
}

// Digest is the order-independent digest of a set of states that a position
// carries. The zero value is that of none.
type Digest struct{ s sum }

// Add adds the state of key to the set. Adding one twice is another set.
func (d *Digest) Add(key string, value []byte) { d.s = d.s.add(hashRecord(key, value)) }

// Join adds the states of another set.
func (d *Digest) Join(o Digest) { d.s = d.s.add(o.s) }

// String is what a position carries.
func (d *Digest) String() string { return d.s.String() }
