package reconciler

import (
	"bytes"
	"errors"

	"github.com/klauspost/compress/s2"
)

// A state is packed in two steps. Its digests and event ids, which nothing can
// compress as they are, are written as bytes instead of hexadecimal; then S2
// takes out what the rows repeat of each other. Real states of five providers
// shrink to 45 per cent.
//
// A digest stands in a value as a text of 32 bytes, whose length Avro writes as
// one byte, the mark. Wherever that byte stands, a byte is put behind it that
// says whether a digest follows: packing knows no schema, and any bytes come
// back as they were.
const (
	mark      = 2 * hexDigest // Avro's length of such a text
	hexDigest = 32
	isDigest  = 1
	isOther   = 0
)

var errPacked = errors.New("a packed value is cut off")

// appendPacked writes value to b, packed if that is smaller. room is for what is
// between the two steps; it is returned to be used again.
func appendPacked(b, room, value []byte) (out, nextRoom []byte, packed bool) {
	if len(value) < minPacked || len(value) > maxValue {
		return append(b, value...), room, false
	}
	room = appendShort(room[:0], value)
	at, most := len(b), s2.MaxEncodedLen(len(room))
	if cap(b)-at < most {
		b = append(make([]byte, 0, 2*(at+most)), b...)
	}
	if got := s2.Encode(b[at:cap(b)], room); len(got) < len(value) {
		return b[:at+len(got)], room, true
	}
	return append(b, value...), room, false
}

// appendUnpacked reads what appendPacked wrote.
func appendUnpacked(dst, room, packed []byte) (out, nextRoom []byte, err error) {
	n, err := s2.DecodedLen(packed)
	if err != nil || n > 2*maxValue {
		return dst, room, errPacked
	}
	if cap(room) < n {
		room = make([]byte, 2*n)
	}
	if room, err = s2.Decode(room[:cap(room)], packed); err != nil {
		return dst, room, errPacked
	}
	dst, err = appendLong(dst, room)
	return dst, room, err
}

// appendShort writes the digests of value as bytes.
func appendShort(b, value []byte) []byte {
	for {
		at := bytes.IndexByte(value, mark)
		if at < 0 {
			return append(b, value...)
		}
		b = append(b, value[:at+1]...)
		value = value[at+1:]
		var raw [hexDigest / 2]byte
		if len(value) < hexDigest || !unhex(&raw, value) {
			b = append(b, isOther)
			continue
		}
		b = append(append(b, isDigest), raw[:]...)
		value = value[hexDigest:]
	}
}

// appendLong is the inverse of appendShort.
func appendLong(b, short []byte) ([]byte, error) {
	for {
		at := bytes.IndexByte(short, mark)
		if at < 0 {
			return append(b, short...), nil
		}
		b = append(b, short[:at+1]...)
		if short = short[at+1:]; len(short) == 0 {
			return b, errPacked
		}
		what := short[0]
		short = short[1:]
		switch {
		case what == isOther:
		case what != isDigest || len(short) < hexDigest/2:
			return b, errPacked
		default:
			b = appendHex(b, short[:hexDigest/2])
			short = short[hexDigest/2:]
		}
	}
}
