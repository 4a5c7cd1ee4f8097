package codec

import (
	"encoding/binary"
	"math"
	"strings"
)

// reader reads Avro's binary encoding of the types that our schemas have, for
// values written with exactly our version of a schema; all others are resolved
// by the Avro library. It accepts what the library accepts, non-minimal numbers
// and arrays in several blocks included: tests hold the two equal.
//
// After a fault it reads zeros, so that callers ask once, at the end.
type reader struct {
	faults
	// s is a copy of the body. Every text that is read is a part of it, so a
	// record costs one allocation, or none of its own where it goes into a Texts,
	// and lives as long as any text of it.
	s string
	i int // the next byte of s
}

func (r *reader) open(t *Texts, value []byte) {
	if t == nil {
		r.s = string(value[frameSize:])
		return
	}
	r.s = t.Text(value[frameSize:])
}

// close finds what follows the value.
func (r *reader) close() {
	if r.i != len(r.s) {
		r.fail("bytes after the value")
	}
}

func (r *reader) fail(rule string) {
	r.add("value", rule)
	r.i = len(r.s)
}

func (r *reader) long() int64 {
	var u uint64
	i := r.i
	for shift := 0; shift < 64; shift += 7 {
		if i >= len(r.s) {
			r.fail("cut off")
			return 0
		}
		b := r.s[i]
		i++
		u |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if shift == 63 && b > 1 {
				break
			}
			r.i = i
			return int64(u>>1) ^ -int64(u&1)
		}
	}
	r.fail("number of more than 64 bits")
	return 0
}

// int is a number of 32 bits, which is also what the branch of a union is
// numbered with: at most five bytes.
func (r *reader) int() int32 {
	at := r.i
	n := r.long()
	if r.i-at > binary.MaxVarintLen32 || n < math.MinInt32 || n > math.MaxInt32 {
		r.fail("number of more than 32 bits")
		return 0
	}
	return int32(n)
}

func (r *reader) bool() bool {
	if r.i >= len(r.s) {
		r.fail("cut off")
		return false
	}
	r.i++
	return r.s[r.i-1] == 1 // as Java and the Avro library have it: any other byte is false
}

func (r *reader) text() string {
	// Nearly every text is shorter than 64 bytes: one byte of length.
	if r.i < len(r.s) && r.s[r.i]&0x81 == 0 {
		at := r.i + 1
		if end := at + int(r.s[r.i]>>1); end <= len(r.s) {
			r.i = end
			return r.s[at:end]
		}
	}
	return r.longText()
}

func (r *reader) longText() string {
	n := r.long()
	if n < 0 || n > int64(len(r.s)-r.i) {
		r.fail("cut off")
		return ""
	}
	at := r.i
	r.i += int(n)
	return r.s[at:r.i]
}

// optText reads a ["null", "string"] into p, which is empty. Most of them are
// null: the compiler inlines that much, and nothing is stored.
func (r *reader) optText(p *string) {
	if r.i < len(r.s) && r.s[r.i] == branchNull {
		r.i++
	} else {
		r.someText(p)
	}
}

func (r *reader) someText(p *string) {
	// The branch and the length are a byte each, as in text.
	if at := r.i + 2; at <= len(r.s) && r.s[at-2] == branchValue && r.s[at-1]&0x81 == 0 {
		if end := at + int(r.s[at-1]>>1); end <= len(r.s) {
			*p, r.i = r.s[at:end], end
			return
		}
	}
	if !r.null() {
		*p = r.text()
	}
}

// null reads the branch of a union ["null", T]: true if nothing follows.
func (r *reader) null() bool {
	if r.i < len(r.s) && r.s[r.i]&^branchValue == 0 {
		r.i++
		return r.s[r.i-1] == branchNull
	}
	switch r.int() {
	case 0:
		return true
	case 1:
		return false
	}
	r.fail("no such branch of a union")
	return true
}

// absentColumns is the longest run of columns that nulls is asked about, absent.
const absentColumns = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// nulls skips the next n columns, all ["null", T], if each is a null of one byte,
// and otherwise none of them: one that is there, cut off or a null of several
// bytes is for who reads them one by one. Most columns of most records are
// absent, and those that are rare stand together.
func (r *reader) nulls(n int) bool {
	if !strings.HasPrefix(r.s[r.i:], absentColumns[:n]) {
		return false
	}
	r.i += n
	return true
}

func (r *reader) optLong() int64 {
	if r.null() {
		return 0
	}
	return r.long()
}

func (r *reader) optInt() int32 {
	if r.null() {
		return 0
	}
	return r.int()
}

// optBool reads a fact that is "true", "false" or not stated.
func (r *reader) optBool() string {
	if r.null() {
		return ""
	}
	if r.bool() {
		return "true"
	}
	return "false"
}

// optTrue reads a ["null", "boolean"] whose null means no.
func (r *reader) optTrue() bool { return !r.null() && r.bool() }

// blocks counts what an array has had so far.
type blocks struct{ items, blocks int64 }

// block begins the next block of an array: the number of its items, 0 at the
// end. An item has at least least bytes, so that what is made room for is there.
func (r *reader) block(seen *blocks, least int) int {
	n := r.long()
	if n == 0 {
		return 0
	}
	if n < 0 { // the block states its size in bytes, which nobody needs here
		r.long()
		n = -n // the most negative stays what it is
	}
	seen.blocks++
	if n < 0 || n > maxItems-seen.items || seen.blocks > maxBlocks {
		r.fail(errBlocks.Error())
		return 0
	}
	seen.items += n
	if int(n)*least > len(r.s)-r.i {
		r.fail("cut off")
		return 0
	}
	return int(n)
}

func (r *reader) texts() []string {
	var out []string
	var seen blocks
	for n := r.block(&seen, 1); n > 0; n = r.block(&seen, 1) {
		for ; n > 0; n-- {
			out = append(out, r.text())
		}
	}
	return out
}
