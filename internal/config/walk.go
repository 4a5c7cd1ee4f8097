package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// input carries what the walk over the raw values needs and finds.
type input struct {
	env      map[string]string
	dir      string // of the configuration file
	faults   *faults
	deferred []fault
}

// walk checks raw against the tree and gives the same values in the types that
// the structs have. A null is an absent key.
func (in *input) walk(n *node, raw any, path string) any {
	switch n.kind {
	case kindStruct:
		return in.walkStruct(n, raw, path)
	case kindMap:
		return in.walkMap(n, raw, path)
	case kindList:
		return in.walkList(n, raw, path)
	default:
		return in.scalar(n, raw, path)
	}
}

func (in *input) walkStruct(n *node, raw any, path string) any {
	m, ok := raw.(map[string]any)
	if !ok {
		in.faults.add(path, "must be a section with keys")
		return nil
	}
	out := map[string]any{}
	for _, name := range sortedKeys(m) {
		at := join(path, name)
		child, ok := n.fields[name]
		switch {
		case !ok:
			in.unknown(at, name, n.names)
		case m[name] != nil:
			if v := in.walk(child, m[name], at); v != nil {
				out[name] = v
			}
		}
	}
	return out
}

func (in *input) unknown(path, name string, names []string) {
	if like := nearest(name, names); like != "" {
		in.faults.add(path, "unknown key, did you mean %s?", like)
		return
	}
	in.faults.add(path, "unknown key (known: %s)", strings.Join(names, ", "))
}

func (in *input) walkMap(n *node, raw any, path string) any {
	m, ok := raw.(map[string]any)
	if !ok {
		in.faults.add(path, "must be a section of names and strings")
		return nil
	}
	out := map[string]any{}
	for _, name := range sortedKeys(m) {
		at := join(path, name)
		// Kafka's properties are strings, but nobody quotes true or 5000 there.
		switch v := m[name].(type) {
		case nil:
			continue
		case bool, int, int64:
			out[name] = fmt.Sprint(v)
			continue
		}
		if v := in.walk(n.elem, m[name], at); v != nil {
			out[name] = v
		}
	}
	return out
}

func (in *input) walkList(n *node, raw any, path string) any {
	var items []any
	switch v := raw.(type) {
	case []any:
		items = v
	case []string:
		for _, s := range v {
			items = append(items, s)
		}
	case string:
		items = splitList(n.elem.kind, v)
	default:
		in.faults.add(path, "must be a list")
		return nil
	}
	out := make([]any, 0, len(items))
	for i, item := range items {
		at := path + "[" + strconv.Itoa(i) + "]"
		if item == nil {
			in.faults.add(at, "must not be empty")
			continue
		}
		out = append(out, in.walk(n.elem, item, at))
	}
	return out
}

// splitList reads a list out of one string, as environment variables hold
// them. A secret may contain a comma, so a secret is never split.
func splitList(elem kind, s string) []any {
	if elem == kindSecret || elem == kindStruct {
		return []any{s}
	}
	var items []any
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			items = append(items, part)
		}
	}
	return items
}

// scalar gives raw in the type of n, or nil and a fault.
func (in *input) scalar(n *node, raw any, path string) any {
	if s, ok := raw.(string); ok {
		expanded, ok := in.expand(s, path)
		if !ok {
			if n.kind == kindString || n.kind == kindSecret {
				return ""
			}
			return nil // the reference is a fault already
		}
		return in.parse(n, expanded, path)
	}
	switch n.kind {
	case kindString, kindSecret:
		// 0123 would lose its zero and 1e5 its digits on the way to a string.
		in.faults.add(path, "must be a string, write it in quotes")
		return nil
	case kindDuration:
		if d, ok := raw.(time.Duration); ok {
			return d
		}
	case kindBool:
		if b, ok := raw.(bool); ok {
			return b
		}
	default:
		switch raw.(type) {
		case int, int16, int32, int64, uint64, float64, Size:
			return in.parse(n, fmt.Sprint(raw), path)
		}
	}
	in.faults.add(path, "%s", mustBe[n.kind])
	return nil
}

// mustBe words the rule of each kind.
var mustBe = map[kind]string{
	kindInt: "must be a whole number", kindFloat: "must be a number", kindBool: "must be true or false",
	kindDuration: "must be a duration such as 90s, 5m or 24h", kindSize: "must be bytes, or a number with KiB or MiB",
}

// parse reads s as n's kind. Secrets are only ever strings, so what a fault
// quotes here is none.
func (in *input) parse(n *node, s, path string) any {
	var v any
	var err error
	switch n.kind {
	case kindInt:
		var i int64
		i, err = strconv.ParseInt(s, 10, n.bits)
		v = i
	case kindFloat:
		v, err = strconv.ParseFloat(s, 64)
	case kindBool:
		v, err = s == "true", boolError(s)
	case kindDuration:
		v, err = time.ParseDuration(s)
	case kindSize:
		v, err = ParseSize(s)
	default:
		return s
	}
	if err != nil {
		in.faults.check(false, path, mustBe[n.kind], s)
		return nil
	}
	return v
}

func boolError(s string) error {
	if s == "true" || s == "false" {
		return nil
	}
	return strconv.ErrSyntax
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
