package jsonx

import (
	"unicode/utf16"
	"unicode/utf8"
)

// number reads the grammar of RFC 8259: no plus sign, no leading zero, digits
// on both sides of the point.
func (p *parser) number() (Value, error) {
	start := p.pos
	p.accept('-')
	if !p.accept('0') && !p.digits() {
		return Value{}, ErrSyntax
	}
	if p.accept('.') && !p.digits() {
		return Value{}, ErrSyntax
	}
	if p.accept('e') || p.accept('E') {
		if !p.accept('+') {
			p.accept('-')
		}
		if !p.digits() {
			return Value{}, ErrSyntax
		}
	}
	// What follows is checked by whoever reads on: "01" fails there.
	return Value{kind: Number, text: string(p.src[start:p.pos])}, nil
}

func (p *parser) digits() bool {
	start := p.pos
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}

// string reads a string from its opening quote.
func (p *parser) string() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '"': // no escape so far: the common case
			s := string(p.src[start:p.pos])
			p.pos++
			return s, nil
		case c == '\\':
			return p.escaped(append([]byte(nil), p.src[start:p.pos]...))
		case c < 0x20:
			return "", ErrSyntax
		}
		p.pos++
	}
	return "", ErrSyntax
}

func (p *parser) escaped(out []byte) (string, error) {
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		p.pos++
		switch {
		case c == '"':
			return string(out), nil
		case c < 0x20:
			return "", ErrSyntax
		case c != '\\':
			out = append(out, c)
		default:
			var err error
			if out, err = p.escape(out); err != nil {
				return "", err
			}
		}
	}
	return "", ErrSyntax
}

func (p *parser) escape(out []byte) ([]byte, error) {
	c := p.peek()
	p.pos++
	switch c {
	case '"', '\\', '/':
		return append(out, c), nil
	case 'b':
		return append(out, '\b'), nil
	case 'f':
		return append(out, '\f'), nil
	case 'n':
		return append(out, '\n'), nil
	case 'r':
		return append(out, '\r'), nil
	case 't':
		return append(out, '\t'), nil
	case 'u':
		return p.unicode(out)
	}
	return nil, ErrSyntax
}

// unicode reads the four digits after \u, and the second half of a pair when
// the next escape is one.
func (p *parser) unicode(out []byte) ([]byte, error) {
	r, ok := p.hex4()
	if !ok {
		return nil, ErrSyntax
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(out, r), nil
	}
	if r < 0xDC00 && p.pos+1 < len(p.src) && p.src[p.pos] == '\\' && p.src[p.pos+1] == 'u' {
		back := p.pos
		p.pos += 2
		low, ok := p.hex4()
		if !ok {
			return nil, ErrSyntax
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return utf8.AppendRune(out, pair), nil
		}
		p.pos = back // not its other half: read again as an escape of its own
	}
	// utf8.AppendRune would write U+FFFD here, and two different documents
	// would become one.
	return append(out, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F), nil
}

func (p *parser) hex4() (rune, bool) {
	if len(p.src)-p.pos < 4 {
		return 0, false
	}
	var r rune
	for range 4 {
		c := p.src[p.pos]
		p.pos++
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// fewKeys is where a map becomes cheaper than comparing every pair.
const fewKeys = 12

// compareKeys raises the flags for one object.
func (p *parser) compareKeys(members []Member) {
	if len(members) <= fewKeys {
		for i := range members {
			for j := range i {
				p.comparePair(members[i].Key, members[j].Key)
			}
		}
		return
	}
	folded := make(map[string]string, len(members))
	for _, m := range members {
		f := foldASCII(m.Key)
		if other, ok := folded[f]; ok {
			p.comparePair(m.Key, other)
			if m.Key != other {
				continue
			}
		}
		folded[f] = m.Key
	}
	p.exactDuplicates(members)
}

func (p *parser) comparePair(a, b string) {
	switch {
	case a == b:
		p.flags.Duplicates = true
	case len(a) == len(b) && foldASCII(a) == foldASCII(b):
		p.flags.CaseTwins = true
	}
}

// exactDuplicates finds what the folded map misses: a, A, A.
func (p *parser) exactDuplicates(members []Member) {
	if p.flags.Duplicates || !p.flags.CaseTwins {
		return
	}
	seen := make(map[string]struct{}, len(members))
	for _, m := range members {
		if _, ok := seen[m.Key]; ok {
			p.flags.Duplicates = true
			return
		}
		seen[m.Key] = struct{}{}
	}
}

// foldASCII works on bytes: keys may hold lone surrogates, which are no runes.
func foldASCII(s string) string {
	var out []byte
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			if out == nil {
				out = []byte(s)
			}
			out[i] = c + 'a' - 'A'
		}
	}
	if out == nil {
		return s
	}
	return string(out)
}
