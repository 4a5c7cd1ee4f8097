package kado

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rampstream/internal/providers/jsonx"
)

// Canonical returns what JSON.stringify(JSON.parse(body)) returns in V8, byte
// for byte: the text whose MD5 Kado signs. The errors are those of jsonx; a
// body that JSON.parse refuses is one of them, and so is one that is not UTF-8
// or is larger than jsonx admits.
//
// The differences to encoding/json are the numbers, the escapes and the order
// of integer-like keys, so nothing of json.Marshal can be used here.
func Canonical(body []byte) ([]byte, error) {
	v, flags, err := jsonx.Scan(body)
	if err != nil {
		return nil, err
	}
	out, _, err := stringify(v, flags)
	return out, err
}

// stringify also reports whether a number lost digits: whether the decimal
// value of some literal differs from that of its canonical form. Its error is
// jsonx.ErrBounds, see maxWork.
func stringify(v jsonx.Value, flags jsonx.Flags) (out []byte, lossy bool, err error) {
	w := writer{duplicates: flags.Duplicates}
	w.value(v)
	if w.work > maxWork {
		return nil, false, fmt.Errorf("numbers: %w", jsonx.ErrBounds)
	}
	return w.out, w.lossy, nil
}

type writer struct {
	out        []byte
	lossy      bool
	duplicates bool // some object of the document has two equal keys
	work       int  // see maxWork
	indices    []indexed
}

func (w *writer) value(v jsonx.Value) {
	switch v.Kind() {
	case jsonx.Bool:
		truth, _ := v.Truth()
		w.out = strconv.AppendBool(w.out, truth)
	case jsonx.Number:
		w.number(v)
	case jsonx.String:
		w.string(v.WTF8())
	case jsonx.Array:
		w.array(v.Items())
	case jsonx.Object:
		w.object(v.Members())
	case jsonx.Null, jsonx.Absent: // an absent value never comes out of a parser
		w.out = append(w.out, "null"...)
	}
}

func (w *writer) array(items []jsonx.Value) {
	w.out = append(w.out, '[')
	for i, item := range items {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.value(item)
	}
	w.out = append(w.out, ']')
}

func (w *writer) object(members []jsonx.Member) {
	w.out = append(w.out, '{')
	for i, m := range w.propertyOrder(members) {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.string(m.Key)
		w.out = append(w.out, ':')
		w.value(m.Value)
	}
	w.out = append(w.out, '}')
}

// propertyOrder is the order of an object's own properties in ECMAScript:
// array indices ascending, then the others as first written. Of equal keys the
// last value stands in the place of the first. "__proto__" is an ordinary key
// to JSON.parse.
func (w *writer) propertyOrder(members []jsonx.Member) []jsonx.Member {
	if w.duplicates {
		members = lastOfEqual(members)
	}
	w.indices = w.indices[:0]
	for i, m := range members {
		if n, ok := arrayIndex(m.Key); ok {
			w.indices = append(w.indices, indexed{n, i})
		}
	}
	if len(w.indices) == 0 {
		return members
	}
	slices.SortFunc(w.indices, func(a, b indexed) int { return cmp.Compare(a.n, b.n) })
	out := make([]jsonx.Member, 0, len(members))
	for _, x := range w.indices {
		out = append(out, members[x.at])
	}
	for _, m := range members {
		if _, ok := arrayIndex(m.Key); !ok {
			out = append(out, m)
		}
	}
	return out
}

// indexed is a member whose key is the array index n.
type indexed struct {
	n  int64
	at int
}

func lastOfEqual(members []jsonx.Member) []jsonx.Member {
	unique := make([]jsonx.Member, 0, len(members))
	place := make(map[string]int, len(members))
	for _, m := range members {
		if i, ok := place[m.Key]; ok {
			unique[i].Value = m.Value
			continue
		}
		place[m.Key] = len(unique)
		unique = append(unique, m)
	}
	return unique
}

// arrayIndex reads a canonical array index, "0" to "4294967294" (2^32 - 2).
func arrayIndex(key string) (int64, bool) {
	if len(key) == 0 || len(key) > 10 || (key[0] == '0' && len(key) > 1) {
		return 0, false
	}
	var n int64
	for i := range len(key) {
		if key[i] < '0' || key[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(key[i]-'0')
	}
	return n, n <= 1<<32-2
}

const hexDigits = "0123456789abcdef"

// string quotes like the well-formed JSON.stringify of ES2019: only quotes,
// backslashes, controls below U+0020 and lone surrogates are escaped.
func (w *writer) string(s string) {
	w.out = append(w.out, '"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			w.out = append(w.out, '\\', c)
		case c < 0x20:
			w.control(c)
		case c == 0xED && i+2 < len(s) && s[i+1] >= 0xA0: // a surrogate, see jsonx.Value.WTF8
			w.escape(rune(0xD000) | rune(s[i+1]&0x3F)<<6 | rune(s[i+2]&0x3F))
			i += 2
		default:
			w.out = append(w.out, c)
		}
	}
	w.out = append(w.out, '"')
}

func (w *writer) control(c byte) {
	if i := strings.IndexByte("\b\t\n\f\r", c); i >= 0 {
		w.out = append(w.out, '\\', "btnfr"[i])
		return
	}
	w.escape(rune(c))
}

func (w *writer) escape(r rune) {
	w.out = append(w.out, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
