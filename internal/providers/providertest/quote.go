package providertest

import (
	"encoding/json"
	"reflect"
)

// Quote is s as a JSON string, whatever is in it, for bodies of a Subject.
func Quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return `""`
	}
	return string(b)
}

// Result is the result of a typed call as Call.Open returns it: nil where it is
// the zero value, so that a result beside an error shows.
func Result[T any](v T, err error) (any, error) {
	if rv := reflect.ValueOf(&v).Elem(); rv.IsZero() {
		return nil, err
	}
	return v, err
}

// Done is the result of a call that returns nothing but an error.
func Done(err error) (any, error) { return nil, err }
