// Package jsonx reads JSON from strangers: strictly, within bounds, and
// without changing a digit.
//
// encoding/json is the wrong tool for bytes that a signature covers: it matches
// keys without regard to case, lets the last of two equal keys win, turns
// numbers into float64 and lone surrogates into U+FFFD, and a Decoder ignores
// what follows the value. Here a document has exactly one meaning or none.
//
// Accepted input is always valid JSON; not all valid JSON is accepted.
package jsonx

import (
	"strings"
	"unicode/utf8"
)

// Kind is the type of a Value.
type Kind uint8

// The zero Kind is a value that is not there, which is not null.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"absent", "null", "bool", "number", "string", "array", "object"}

// String is the lower-case name, for errors.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Absent]
}

// Value is one JSON value. The zero Value is absent: every accessor of it says
// so, so that a path of Get calls needs no checks in between.
type Value struct {
	kind  Kind
	truth bool
	// text is the literal of a number or the content of a string, and may be a
	// part of the whole document: what leaves by Text or Literal is a copy, so
	// that a kept id does not keep a body.
	text   string
	inside *inside // nil of everything but a filled array or object
}

// inside is apart because most values are scalars: they are copied often.
type inside struct {
	items   []Value
	members []Member
}

// Member is one key of an object with its value. Key is in the form of WTF8,
// and may be a part of the whole document: clone it to keep it.
type Member struct {
	Key   string
	Value Value
}

// Kind is the type of v.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether v is there and is null.
func (v Value) IsNull() bool { return v.kind == Null }

// Text is the content of a string. ok is false for every other kind, and for
// a string with a lone surrogate, which has no UTF-8 form.
func (v Value) Text() (s string, ok bool) {
	if v.kind != String || !utf8.ValidString(v.text) {
		return "", false
	}
	return strings.Clone(v.text), true
}

// WTF8 is the content of a string, a lone surrogate as the three bytes that
// generalised UTF-8 gives it; "" for every other kind. It may be a part of the
// whole document: clone it to keep it.
func (v Value) WTF8() string {
	if v.kind != String {
		return ""
	}
	return v.text
}

// Literal is a number as it was written, every digit kept. ok is false for
// every other kind.
func (v Value) Literal() (s string, ok bool) {
	if v.kind != Number {
		return "", false
	}
	return strings.Clone(v.text), true
}

// Digits is Literal without a copy, "" for every other kind: clone it to keep it.
func (v Value) Digits() string {
	if v.kind != Number {
		return ""
	}
	return v.text
}

// Truth is the value of a bool. ok is false for every other kind.
func (v Value) Truth() (b, ok bool) { return v.truth, v.kind == Bool }

// Items are the elements of an array, nil for every other kind. Not to be changed.
func (v Value) Items() []Value {
	if v.inside == nil {
		return nil
	}
	return v.inside.items
}

// Members are the members of an object in the order of the source, nil for
// every other kind. Not to be changed.
func (v Value) Members() []Member {
	if v.inside == nil {
		return nil
	}
	return v.inside.members
}

// Get is the member whose key is exactly key, the absent Value when there is
// none or v is no object. Of several (see Scan) it is the last, as everywhere
// in JavaScript.
func (v Value) Get(key string) Value {
	members := v.Members()
	for i := len(members) - 1; i >= 0; i-- {
		if members[i].Key == key {
			return members[i].Value
		}
	}
	return Value{}
}

// At follows a path of keys.
func (v Value) At(keys ...string) Value {
	for _, k := range keys {
		v = v.Get(k)
	}
	return v
}
