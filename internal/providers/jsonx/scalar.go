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
	return Value{kind: Number, text: p.src[start:p.pos]}, nil
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
			s := p.src[start:p.pos]
			p.pos++
			return s, nil
		case c == '\\':
			s, err := p.escaped(append(p.scratch[:0], p.src[start:p.pos]...))
			return s, err
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
			p.scratch = out
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
