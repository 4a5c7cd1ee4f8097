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
	kind    Kind
	truth   bool
	text    string // the literal of a number; the content of a string
	items   []Value
	members []Member
}

// Member is one key of an object with its value. Key is in the form of WTF8.
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
	return v.text, true
}

// WTF8 is the content of a string, a lone surrogate as the three bytes that
// generalised UTF-8 gives it; "" for every other kind.
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
	return v.text, true
}

// Truth is the value of a bool. ok is false for every other kind.
func (v Value) Truth() (b, ok bool) { return v.truth, v.kind == Bool }

// Items are the elements of an array, nil for every other kind. Not to be changed.
func (v Value) Items() []Value { return v.items }

// Members are the members of an object in the order of the source, nil for
// every other kind. Not to be changed.
func (v Value) Members() []Member { return v.members }

// Get is the member whose key is exactly key, the absent Value when there is
// none or v is no object. Of several (see Scan) it is the last, as everywhere
// in JavaScript.
func (v Value) Get(key string) Value {
	for i := len(v.members) - 1; i >= 0; i-- {
		if v.members[i].Key == key {
			return v.members[i].Value
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
