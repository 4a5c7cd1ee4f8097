package config

import (
	"reflect"
	"strings"
	"sync"
	"time"

	"rampstream/internal/providers"
)

// kind says what a key may hold.
type kind uint8

const (
	kindString kind = iota
	kindSecret
	kindInt
	kindFloat
	kindBool
	kindDuration
	kindSize
	kindList   // of elem
	kindMap    // of strings
	kindStruct // of fields
)

// node is one key of the configuration. The tree is read off the structs, so
// that a key exists for files, environment and faults as soon as its field does.
type node struct {
	kind   kind
	bits   int // of an integer
	elem   *node
	names  []string // in the order of the struct
	fields map[string]*node
}

// root is the tree of Config.
var root = sync.OnceValue(func() *node { return nodeOf(reflect.TypeFor[Config]()) })

func nodeOf(t reflect.Type) *node {
	switch t {
	case reflect.TypeFor[providers.Secret]():
		return &node{kind: kindSecret}
	case reflect.TypeFor[time.Duration]():
		return &node{kind: kindDuration}
	case reflect.TypeFor[Size]():
		return &node{kind: kindSize}
	}
	switch t.Kind() {
	case reflect.String:
		return &node{kind: kindString}
	case reflect.Bool:
		return &node{kind: kindBool}
	case reflect.Float64:
		return &node{kind: kindFloat}
	case reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64:
		return &node{kind: kindInt, bits: t.Bits()}
	case reflect.Slice:
		return &node{kind: kindList, elem: nodeOf(t.Elem())}
	case reflect.Map:
		return &node{kind: kindMap, elem: nodeOf(t.Elem())}
	case reflect.Struct:
		return structNode(t)
	default:
		panic("config: no key can hold a " + t.String())
	}
}

func structNode(t reflect.Type) *node {
	n := &node{kind: kindStruct, fields: map[string]*node{}}
	for i := range t.NumField() {
		f := t.Field(i)
		name, ok := f.Tag.Lookup("koanf")
		if !ok {
			continue
		}
		n.names = append(n.names, name)
		n.fields[name] = nodeOf(f.Type)
	}
	return n
}

// nearest is the name most like s, or "" when none is like it.
func nearest(s string, names []string) string {
	best, at := "", max(2, len(s)/3)+1
	for _, name := range names {
		if d := distance(strings.ToLower(s), name); d < at {
			best, at = name, d
		}
	}
	return best
}

// distance counts the edits between a and b (Levenshtein), over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
