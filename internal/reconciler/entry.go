package reconciler

import (
	"encoding/hex"
	"errors"

	"rampstream/internal/table"
)

// entry is one live state: its record value, and the link of its transitions.
type entry struct {
	value []byte
	chain string
	// clean is true when the state is known to have no discrepancy, open or
	// resolved; false says nothing.
	clean bool
}

// An entry in a table is a byte of flags, the link, and the record value. A link
// is nearly always a digest of linkSize bytes in hexadecimal and takes half of
// that; any other text stands with its length before it.
const (
	flagClean = 1 << iota
	flagDigest
	flagText

	linkSize = 16
	maxText  = 255
)

var errEntry = errors.New("an entry of the table is cut off")

// appendEntry writes e to b. A link of more than maxText bytes, which is none of
// ours, is cut: the next transition names what is left of it.
func appendEntry(b []byte, e entry) []byte {
	at := len(b)
	b = append(b, 0)
	if e.clean {
		b[at] |= flagClean
	}
	switch raw, ok := digestOf(e.chain); {
	case e.chain == "":
	case ok:
		b[at] |= flagDigest
		b = append(b, raw[:]...)
	default:
		text := e.chain[:min(len(e.chain), maxText)]
		b[at] |= flagText
		b = append(append(b, byte(len(text))), text...)
	}
	return append(b, e.value...)
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

// parseEntry reads what appendEntry wrote; the value is a part of b.
func parseEntry(b []byte) (entry, error) {
	if len(b) == 0 {
		return entry{}, errEntry
	}
	e := entry{clean: b[0]&flagClean != 0}
	flags, b := b[0], b[1:]
	n := 0
	switch {
	case flags&flagDigest != 0:
		n = linkSize
	case flags&flagText != 0:
		if len(b) == 0 {
			return entry{}, errEntry
		}
		n, b = int(b[0]), b[1:]
	}
	if n > len(b) {
		return entry{}, errEntry
	}
	if e.chain = string(b[:n]); flags&flagDigest != 0 {
		e.chain = hex.EncodeToString(b[:n])
	}
	e.value = b[n:]
	return e, nil
}

// entry reads the entry of a subject into room that lives as long as the batch.
func (e *Engine) entry(b *Batch, p *partition, name string) (entry, bool, error) {
	const room, spare = 64 << 10, 4 << 10
	if cap(b.room)-len(b.room) < spare {
		b.room = make([]byte, 0, room)
	}
	e.buf = append(e.buf[:0], name...)
	at := len(b.room)
	raw, found, err := p.states.Get(b.room[at:at:cap(b.room)], e.buf)
	if err != nil || !found {
		return entry{}, false, err
	}
	if len(raw) <= cap(b.room)-at { // else it has memory of its own
		b.room = b.room[:at+len(raw)]
	}
	en, err := parseEntry(raw)
	return en, true, err
}

// keep puts an entry into the table of p.
func (e *Engine) keep(p *partition, name string, en entry) error {
	e.buf = appendEntry(append(e.buf[:0], name...), en)
	return p.states.Put(e.buf[:len(name)], e.buf[len(name):])
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
