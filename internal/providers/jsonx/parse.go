package jsonx

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// The bounds of a document. Deliveries and answers of providers have depth 6
// and some hundred values.
const (
	MaxDepth  = 32     // nested arrays and objects
	MaxTokens = 20_000 // values and keys
)

// The classes of refusal. The text of an error names the class and the byte
// offset, never the content.
var (
	ErrSyntax    = errors.New("not JSON")
	ErrDuplicate = errors.New("duplicate key")
	ErrBounds    = errors.New("too deep or too many values")
	ErrEncoding  = errors.New("not UTF-8 without a byte order mark")
)

// Flags tell what is ambiguous about a document.
type Flags struct {
	// Duplicates: an object has two equal keys.
	Duplicates bool
	// CaseTwins: an object has two keys that differ only by ASCII case. Harmless
	// here, where keys match exactly; other readers take one for the other.
	CaseTwins bool
}

// Parse reads one document and refuses duplicate keys. On error, which wraps
// one of the classes above, the Value is absent.
func Parse(b []byte) (Value, error) {
	v, flags, err := Scan(b)
	if err != nil {
		return Value{}, err
	}
	if flags.Duplicates {
		return Value{}, fmt.Errorf("json: %w", ErrDuplicate)
	}
	return v, nil
}

// Scan is Parse that keeps duplicate keys, every member in the order of the
// source, and reports them.
func Scan(b []byte) (Value, Flags, error) {
	if !utf8.Valid(b) || hasBOM(b) {
		return Value{}, Flags{}, fmt.Errorf("json: %w", ErrEncoding)
	}
	p := parser{src: b}
	v, err := p.document()
	if err != nil {
		return Value{}, Flags{}, fmt.Errorf("json: byte %d: %w", p.pos, err)
	}
	return v, p.flags, nil
}

func hasBOM(b []byte) bool {
	return len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF
}

type parser struct {
	src    []byte
	pos    int
	depth  int
	tokens int
	flags  Flags
}

func (p *parser) document() (Value, error) {
	v, err := p.value()
	if err != nil {
		return Value{}, err
	}
	p.space()
	if p.pos != len(p.src) {
		return Value{}, ErrSyntax // trailing data
	}
	return v, nil
}

// space skips the four characters that JSON calls white space; no-break
// spaces and such are not among them.
func (p *parser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// peek is the next byte; 0, which starts nothing in JSON, at the end.
func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *parser) accept(c byte) bool {
	if p.peek() != c || c == 0 {
		return false
	}
	p.pos++
	return true
}

func (p *parser) token() error {
	if p.tokens++; p.tokens > MaxTokens {
		return ErrBounds
	}
	return nil
}

func (p *parser) value() (Value, error) {
	if err := p.token(); err != nil {
		return Value{}, err
	}
	p.space()
	switch c := p.peek(); {
	case c == '{':
		return p.nested(p.object)
	case c == '[':
		return p.nested(p.array)
	case c == '"':
		s, err := p.string()
		return Value{kind: String, text: s}, err
	case c == '-' || (c >= '0' && c <= '9'):
		return p.number()
	case c == 't':
		return Value{kind: Bool, truth: true}, p.word("true")
	case c == 'f':
		return Value{kind: Bool}, p.word("false")
	case c == 'n':
		return Value{kind: Null}, p.word("null")
	}
	return Value{}, ErrSyntax
}

func (p *parser) word(w string) error {
	if len(p.src)-p.pos < len(w) || string(p.src[p.pos:p.pos+len(w)]) != w {
		return ErrSyntax
	}
	p.pos += len(w)
	return nil
}

func (p *parser) nested(read func() (Value, error)) (Value, error) {
	if p.depth++; p.depth > MaxDepth {
		return Value{}, ErrBounds
	}
	p.pos++
	v, err := read()
	p.depth--
	return v, err
}

func (p *parser) array() (Value, error) {
	out := Value{kind: Array}
	p.space()
	if p.accept(']') {
		return out, nil
	}
	for {
		v, err := p.value()
		if err != nil {
			return Value{}, err
		}
		out.items = append(out.items, v)
		p.space()
		if p.accept(']') {
			return out, nil
		}
		if !p.accept(',') {
			return Value{}, ErrSyntax
		}
	}
}

func (p *parser) object() (Value, error) {
	out := Value{kind: Object}
	p.space()
	if p.accept('}') {
		return out, nil
	}
	for {
		m, err := p.member()
		if err != nil {
			return Value{}, err
		}
		out.members = append(out.members, m)
		p.space()
		if p.accept('}') {
			p.compareKeys(out.members)
			return out, nil
		}
		if !p.accept(',') {
			return Value{}, ErrSyntax
		}
	}
}

func (p *parser) member() (Member, error) {
	if err := p.token(); err != nil {
		return Member{}, err
	}
	p.space()
	if p.peek() != '"' {
		return Member{}, ErrSyntax
	}
	key, err := p.string()
	if err != nil {
		return Member{}, err
	}
	p.space()
	if !p.accept(':') {
		return Member{}, ErrSyntax
	}
	v, err := p.value()
	return Member{Key: key, Value: v}, err
}
