package jsonx

import (
	"errors"
	"fmt"
	"slices"
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
	p := parser{src: string(b)}
	v, err := p.document()
	if err != nil {
		return Value{}, Flags{}, fmt.Errorf("json: byte %d: %w", p.pos, err)
	}
	return v, p.flags, nil
}

func hasBOM(b []byte) bool {
	return len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF
}

// parser reads a copy of the document, of which the texts of values are parts:
// one copy costs less than one for every string and number.
type parser struct {
	src     string
	pos     int
	depth   int
	tokens  int
	flags   Flags
	scratch []byte // of escaped strings
	keys    keyTable

	// The contents of the open arrays and objects, the innermost last: each is
	// copied out at its own size when it is closed.
	items   []Value
	members []Member
	closed  []inside // room for those that are closed next
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
	if len(p.src)-p.pos < len(w) || p.src[p.pos:p.pos+len(w)] != w {
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
	p.space()
	if p.accept(']') {
		return Value{kind: Array}, nil
	}
	start := len(p.items)
	for {
		v, err := p.value()
		if err != nil {
			return Value{}, err
		}
		p.items = append(p.items, v)
		p.space()
		if p.accept(']') {
			items := slices.Clone(p.items[start:])
			p.items = p.items[:start]
			return Value{kind: Array, inside: p.close(inside{items: items})}, nil
		}
		if !p.accept(',') {
			return Value{}, ErrSyntax
		}
	}
}

func (p *parser) object() (Value, error) {
	p.space()
	if p.accept('}') {
		return Value{kind: Object}, nil
	}
	start := len(p.members)
	for {
		m, err := p.member()
		if err != nil {
			return Value{}, err
		}
		p.members = append(p.members, m)
		p.space()
		if p.accept('}') {
			members := slices.Clone(p.members[start:])
			p.members = p.members[:start]
			p.compareKeys(members)
			return Value{kind: Object, inside: p.close(inside{members: members})}, nil
		}
		if !p.accept(',') {
			return Value{}, ErrSyntax
		}
	}
}

// close keeps the content of an array or object, several in one allocation.
func (p *parser) close(x inside) *inside {
	if len(p.closed) == cap(p.closed) {
		p.closed = make([]inside, 0, min(2*cap(p.closed)+4, 64))
	}
	p.closed = append(p.closed, x)
	return &p.closed[len(p.closed)-1]
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
