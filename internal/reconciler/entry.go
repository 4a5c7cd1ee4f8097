package reconciler

import (
	"encoding/binary"
	"errors"

	"rampstream/internal/table"
)

// entry is one live state: its record value, and the link of its transitions.
type entry struct {
	value []byte
	sum   sum // hashRecord of it
	chain string
	link  link // of one that was read, the chain
	// clean is true when the state is known to have no discrepancy, open or
	// resolved; false says nothing.
	clean bool
	// written is true when this process made the value: its rows of evidence have
	// the bytes that they would be given again. What was restored may be
	// another program's.
	written bool
	// outdated is true when the state waits to be viewed by the current rules.
	outdated bool
	// open is true when the subject has not settled, or is about to be asked about
	// again: it is read again soon, and few are at a time, so its value is not
	// packed. It is not kept.
	open bool
}

// link is the chain of an entry as it stands in a table.
type link struct {
	raw    []byte
	digest bool // else a text
}

// append appends the chain to b.
func (l link) append(b []byte) []byte {
	if l.digest {
		return appendHex(b, l.raw)
	}
	return append(b, l.raw...)
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
	flagWritten

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
// room is for packing, as with appendPacked.
func appendEntry(b, room []byte, e entry) (out, nextRoom []byte) {
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
	if e.written {
		flags |= flagWritten
	}
	var raw [linkSize]byte
	switch {
	case e.chain == "":
	case len(e.chain) == hexDigest && unhex(&raw, []byte(e.chain)):
		flags |= flagDigest
		b = append(b, raw[:]...)
	default:
		text := e.chain[:min(len(e.chain), maxText)]
		flags |= flagText
		b = append(append(b, byte(len(text))), text...)
	}
	packed := false
	if e.open {
		b = append(b, e.value...)
	} else if b, room, packed = appendPacked(b, room, e.value); packed {
		flags |= flagPacked
	}
	b[at] = flags
	return b, room
}

// headOf reads the flags and the sum of an entry, which is all that most
// walks want of it.
func headOf(b []byte) (flags byte, s sum, err error) {
	if len(b) < 1+sumSize {
		return 0, sum{}, errEntry
	}
	return b[0], sum{binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])}, nil
}

// parseEntry reads what appendEntry wrote into e, but for its chain, which is in
// e.link. A packed value is appended to dst, of which e.value is a part then; else
// it is a part of b, as is the link. room is for unpacking.
func parseEntry(dst, room, b []byte) (out, nextRoom []byte, e entry, err error) {
	flags, s, err := headOf(b)
	if err != nil {
		return dst, room, entry{}, err
	}
	e = entry{sum: s, clean: flags&flagClean != 0, outdated: flags&flagOutdated != 0, written: flags&flagWritten != 0}
	b = b[1+sumSize:]
	n := 0
	switch {
	case flags&flagDigest != 0:
		n = linkSize
	case flags&flagText != 0:
		if len(b) == 0 {
			return dst, room, entry{}, errEntry
		}
		n, b = int(b[0]), b[1:]
	}
	if n > len(b) {
		return dst, room, entry{}, errEntry
	}
	if e.link = (link{b[:n], flags&flagDigest != 0}); flags&flagPacked == 0 {
		e.value = b[n:]
		return dst, room, e, nil
	}
	at := len(dst)
	if out, room, err = appendUnpacked(dst, room, b[n:]); err != nil {
		return dst, room, entry{}, err
	}
	e.value = out[at:]
	return out, room, e, nil
}

// entry reads the entry of a subject. Its value and its link are there until the
// next call.
func (j *joiner) entry(p *partition, name string) (en entry, found bool, err error) {
	j.key = append(j.key[:0], name...)
	j.buf, found, err = p.states.Get(j.buf[:0], j.key)
	if err != nil || !found {
		return entry{}, false, err
	}
	j.mem.value, j.pack, en, err = parseEntry(j.mem.value[:0], j.pack, j.buf)
	return en, true, err
}

// keep puts an entry into the table of p.
func (j *joiner) keep(p *partition, name string, en entry) error {
	j.key = append(j.key[:0], name...)
	j.buf, j.pack = appendEntry(j.buf[:0], j.pack, en)
	return p.states.Put(j.key, j.buf)
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
