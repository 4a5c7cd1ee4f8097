package reconciler

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"

	"rampstream/internal/table"
)

// entry is one live state: its record value, and the link of its transitions.
type entry struct {
	value []byte
	sum   sum // hashRecord of it
	chain string
	// clean is true when the state is known to have no discrepancy, open or
	// resolved; false says nothing.
	clean bool
	// outdated is true when the state waits to be viewed by the current rules.
	outdated bool
}

// An entry in a table is a byte of flags, the sum, the link, and the record
// value, packed where that makes it smaller. A link is nearly always a digest of
// linkSize bytes in hexadecimal and takes half of that; any other text stands
// with its length before it.
const (
	flagClean = 1 << iota
	flagOutdated
	flagDigest
	flagText
	flagPacked
	flagDoubt // the restore has to judge it again

	sumSize  = 16
	linkSize = 16
	maxText  = 255
	// minPacked is the least value that is worth packing: one row of evidence
	// repeats little.
	minPacked = 256
	// maxValue bounds what a packed value may claim to be; a record of Kafka is
	// far below.
	maxValue = 64 << 20
)

var errEntry = errors.New("an entry of the table is cut off")

// appendEntry writes e to b. A link of more than maxText bytes, which is none of
// ours, is cut: the next transition names what is left of it.
//
// The rows of a state repeat each other's facts, so that packing takes 30 to 50
// per cent off, at 1 us a state to pack and 0.3 to unpack.
func appendEntry(b []byte, e entry) []byte {
	at := len(b)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, e.sum.hi), e.sum.lo)
	flags := byte(0)
	if e.clean {
		flags |= flagClean
	}
	if e.outdated {
		flags |= flagOutdated
	}
	switch raw, ok := digestOf(e.chain); {
	case e.chain == "":
	case ok:
		flags |= flagDigest
		b = append(b, raw[:]...)
	default:
		text := e.chain[:min(len(e.chain), maxText)]
		flags |= flagText
		b = append(append(b, byte(len(text))), text...)
	}
	b, packed := appendPacked(b, e.value)
	if packed {
		flags |= flagPacked
	}
	b[at] = flags
	return b
}

// appendPacked writes value to b, packed if that is smaller.
func appendPacked(b, value []byte) ([]byte, bool) {
	if len(value) < minPacked || len(value) > maxValue {
		return append(b, value...), false
	}
	at, most := len(b), s2.MaxEncodedLen(len(value))
	if cap(b)-at < most {
		b = append(make([]byte, 0, 2*(at+most)), b...)
	}
	out := s2.Encode(b[at:cap(b)], value)
	if len(out) >= len(value) {
		return append(b, value...), false
	}
	return b[:at+len(out)], true
}

// digestOf gives the bytes of a link that is a digest in lower case.
func digestOf(link string) (raw [linkSize]byte, ok bool) {
	if len(link) != 2*linkSize {
		return raw, false
	}
	for i := range len(link) {
		if c := link[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return raw, false
		}
	}
	_, err := hex.Decode(raw[:], []byte(link))
	return raw, err == nil
}

// headOf reads the flags and the sum of an entry, which is all that most
// walks want of it.
func headOf(b []byte) (flags byte, s sum, err error) {
	if len(b) < 1+sumSize {
		return 0, sum{}, errEntry
	}
	return b[0], sum{binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])}, nil
}

// parseEntry reads what appendEntry wrote into e and appends its value to dst,
// of which e.value is a part then.
func parseEntry(dst, b []byte) (out []byte, e entry, err error) {
	flags, s, err := headOf(b)
	if err != nil {
		return dst, entry{}, err
	}
	e = entry{sum: s, clean: flags&flagClean != 0, outdated: flags&flagOutdated != 0}
	b = b[1+sumSize:]
	n := 0
	switch {
	case flags&flagDigest != 0:
		n = linkSize
	case flags&flagText != 0:
		if len(b) == 0 {
			return dst, entry{}, errEntry
		}
		n, b = int(b[0]), b[1:]
	}
	if n > len(b) {
		return dst, entry{}, errEntry
	}
	if flags&flagDigest != 0 {
		e.chain = hex.EncodeToString(b[:n])
	} else {
		e.chain = string(b[:n])
	}
	at := len(dst)
	if out, err = appendValue(dst, b[n:], flags&flagPacked != 0); err != nil {
		return dst, entry{}, err
	}
	e.value = out[at:]
	return out, e, nil
}

func appendValue(dst, b []byte, packed bool) ([]byte, error) {
	if !packed {
		return append(dst, b...), nil
	}
	n, err := s2.DecodedLen(b)
	if err != nil || n > maxValue {
		return dst, fmt.Errorf("a packed entry: %w", errEntry)
	}
	at := len(dst)
	if cap(dst)-at < n {
		dst = append(make([]byte, 0, at+n), dst...)
	}
	if _, err := s2.Decode(dst[at:at+n], b); err != nil {
		return dst, fmt.Errorf("a packed entry: %v: %w", err, errEntry)
	}
	return dst[:at+n], nil
}

// entry reads the entry of a subject into room that lives as long as the batch.
func (e *Engine) entry(b *Batch, p *partition, name string) (entry, bool, error) {
	const room, spare = 64 << 10, 8 << 10
	if cap(b.room)-len(b.room) < spare {
		b.room = make([]byte, 0, room)
	}
	e.key = append(e.key[:0], name...)
	raw, found, err := p.states.Get(e.buf[:0], e.key)
	e.buf = raw
	if err != nil || !found {
		return entry{}, false, err
	}
	at := len(b.room)
	out, en, err := parseEntry(b.room[at:at:cap(b.room)], raw)
	if len(out) <= cap(b.room)-at { // else it has memory of its own
		b.room = b.room[:at+len(out)]
	}
	return en, true, err
}

// keep puts an entry into the table of p.
func (e *Engine) keep(p *partition, name string, en entry) error {
	e.key = append(e.key[:0], name...)
	e.buf = appendEntry(e.buf[:0], en)
	return p.states.Put(e.key, e.buf)
}

// forget gives the memory of a partition back.
func (e *Engine) forget(n int32) error {
	p := e.parts[n]
	if p == nil {
		return nil
	}
	delete(e.parts, n)
	return p.states.Close()
}

// Memory reports the bytes of live keys and entries, and those of memory that
// are held for them; (0, 0) where tables cannot tell.
func (e *Engine) Memory() (live, held int64) {
	for _, p := range e.parts {
		if s, ok := p.states.(table.Sizer); ok {
			l, h := s.Size()
			live, held = live+l, held+h
		}
	}
	return live, held
}
