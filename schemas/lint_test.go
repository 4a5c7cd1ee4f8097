package schemas_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/schemas"
)

// node is one schema of a parsed .avsc, as plain JSON.
type node = map[string]any

var (
	recordName = regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	fieldName  = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
)

// recordKeys and fieldKeys are all that may stand in a schema: no alias, order
// or property that some engine reads and another does not.
var (
	recordKeys = []string{"type", "name", "namespace", "doc", "fields"}
	fieldKeys  = []string{"name", "type", "default", "doc"}
)

// closedSets are the fields whose doc must list every word they may hold.
func closedSets() map[string][]string {
	var statuses, outcomes, types []string
	for _, s := range events.Statuses() {
		statuses = append(statuses, s.String())
	}
	for _, o := range events.Outcomes() {
		outcomes = append(outcomes, string(o))
	}
	for _, d := range events.DiscrepancyTypes() {
		types = append(types, string(d))
	}
	return map[string][]string{
		"status": statuses, "from_status": statuses, "to_status": statuses, "announced_status": statuses,
		"outcome": outcomes, "type": types,
	}
}

// lint reports everything in a schema that some engine cannot read, or that
// leaves its reader guessing.
func lint(text string) []string {
	var root node
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		return []string{"not a JSON object: " + err.Error()}
	}
	l := linter{closed: closedSets()}
	if root["namespace"] != schemas.Namespace {
		l.add("record", "namespace is not %s", schemas.Namespace)
	}
	l.record(root, 0)
	return l.out
}

type linter struct {
	out    []string
	closed map[string][]string
}

func (l *linter) add(where, format string, args ...any) {
	l.out = append(l.out, where+": "+fmt.Sprintf(format, args...))
}

func (l *linter) record(r node, depth int) {
	name, _ := r["name"].(string)
	if !recordName.MatchString(name) {
		l.add(name, "record name is not in camel case")
	}
	l.doc(name, r)
	l.keys(name, r, recordKeys)
	fields, _ := r["fields"].([]any)
	if r["type"] != "record" || len(fields) == 0 {
		l.add(name, "not a record with fields")
	}
	names := map[string]bool{}
	for _, f := range fields {
		fn, _ := f.(node)["name"].(string)
		names[fn] = true
	}
	for _, f := range fields {
		l.field(f.(node), names, depth)
	}
}

func (l *linter) field(f node, siblings map[string]bool, depth int) {
	name, _ := f["name"].(string)
	if !fieldName.MatchString(name) {
		l.add(name, "field name is not in snake case")
	}
	l.doc(name, f)
	l.keys(name, f, fieldKeys)
	base := l.typ(name, f, depth)
	switch {
	case strings.HasSuffix(name, "_at") != (base == "timestamp-millis"):
		l.add(name, "a name ends in _at exactly when its type is timestamp-millis")
	case strings.HasSuffix(name, "_amount") && base != "string":
		l.add(name, "an amount is a string")
	}
	if strings.HasSuffix(name, "_amount") && !strings.Contains(f["doc"].(string), "lain decimal") {
		l.add(name, "the doc of an amount says that it is a plain decimal")
	}
	if (name == "status" || name == "from_status" || name == "to_status") && !siblings[name+"_raw"] {
		l.add(name, "a status stands beside the provider's word in %s_raw", name)
	}
	words, closed := l.closed[name]
	if !closed {
		return
	}
	if base != "string" {
		l.add(name, "a closed set is a string")
	}
	doc, _ := f["doc"].(string)
	for _, w := range words {
		if !slices.Contains(strings.FieldsFunc(doc, func(r rune) bool { return strings.ContainsRune(" ,.:", r) }), w) {
			l.add(name, "the doc does not list %s", w)
		}
	}
}

// typ checks a field's type and returns what it holds, null apart: string,
// boolean, int, long, timestamp-millis or array.
func (l *linter) typ(name string, f node, depth int) string {
	t := f["type"]
	if union, ok := t.([]any); ok {
		def, has := f["default"]
		if len(union) != 2 || union[0] != "null" || !has || def != nil {
			l.add(name, `a union is ["null", T] with default null`)
			return ""
		}
		t = union[1]
		if m, ok := t.(node); ok && m["type"] == "array" {
			l.add(name, "an array is empty rather than null")
		}
	}
	switch t := t.(type) {
	case string:
		return l.primitive(name, t)
	case node:
		return l.complex(name, t, depth)
	}
	l.add(name, "no type that every engine reads")
	return ""
}

func (l *linter) primitive(name, t string) string {
	switch t {
	case "string", "boolean", "int", "long":
		return t
	case "float", "double":
		l.add(name, "money and rates are never floating point")
	default: // a name here would be a reference to a schema elsewhere
		l.add(name, "type %q is not string, boolean, int or long", t)
	}
	return t
}

func (l *linter) complex(name string, t node, depth int) string {
	switch t["type"] {
	case "long":
		l.keys(name, t, []string{"type", "logicalType"})
		if t["logicalType"] != "timestamp-millis" {
			l.add(name, "logical type %v is not timestamp-millis", t["logicalType"])
		}
		return "timestamp-millis"
	case "array":
		l.keys(name, t, []string{"type", "items"})
		if depth > 0 {
			l.add(name, "an array inside an array: records nest one level deep")
		}
		if items, ok := t["items"].(node); ok {
			l.record(items, depth+1)
		} else if t["items"] != "string" {
			l.add(name, "items are strings or flat records")
		}
		return "array"
	}
	l.add(name, "type %v is not one that every engine reads", t["type"])
	return ""
}

func (l *linter) doc(name string, n node) {
	if doc, _ := n["doc"].(string); strings.TrimSpace(doc) == "" {
		l.add(name, "no doc")
	}
}

func (l *linter) keys(name string, n node, allowed []string) {
	for k := range n {
		if !slices.Contains(allowed, k) {
			l.add(name, "attribute %q is not one of %v", k, allowed)
		}
	}
}

func TestSchemas_obeyTheLint(t *testing.T) {
	names := schemas.Names()
	if len(names) != 10 {
		t.Errorf("Names() = %v, want ten records", names)
	}
	seen := map[string]string{}
	for _, name := range names {
		for _, fault := range lint(schemas.Text(name)) {
			t.Errorf("%s.avsc: %s", name, fault)
		}
		var r node
		if err := json.Unmarshal([]byte(schemas.Text(name)), &r); err != nil || r["name"] != name {
			t.Errorf("Text(%q) is the schema %v, %v", name, r["name"], err)
		}
		// One name for one record over all files: code generators put them in
		// one package.
		for _, n := range recordNames(r) {
			if other, twice := seen[n]; twice {
				t.Errorf("record %s is defined by %s.avsc and by %s.avsc", n, other, name)
			}
			seen[n] = name
		}
	}
	if schemas.Text("Order") != "" || schemas.Compatibility("Order") != "" {
		t.Error(`Text("Order") and Compatibility("Order") are not empty, but there is no such record`)
	}
}

func recordNames(r node) []string {
	out := []string{r["name"].(string)}
	for _, f := range r["fields"].([]any) {
		if t, ok := f.(node)["type"].(node); ok && t["type"] == "array" {
			if items, ok := t["items"].(node); ok {
				out = append(out, recordNames(items)...)
			}
		}
	}
	return out
}

// Each row breaks one rule in an otherwise good schema.
func TestLint_bites(t *testing.T) {
	const good = `{"name": "word", "type": "string", "doc": "A word."}`
	wrap := func(fields string) string {
		return `{"type": "record", "name": "Thing", "namespace": "rampstream.v1", "doc": "A thing.", "fields": [` + fields + `]}`
	}
	if faults := lint(wrap(good)); len(faults) != 0 {
		t.Fatalf("lint of a good schema = %q", faults)
	}
	for _, tc := range []struct{ rule, text, want string }{
		{"namespace", strings.Replace(wrap(good), "rampstream.v1", "rampstream.v2", 1), "namespace"},
		{"record doc", strings.Replace(wrap(good), "A thing.", " ", 1), "no doc"},
		{"record name", strings.Replace(wrap(good), "Thing", "thing", 1), "camel case"},
		{"no fields", wrap(""), "with fields"},
		{"field doc", wrap(`{"name": "word", "type": "string"}`), "no doc"},
		{"field name", wrap(`{"name": "aWord", "type": "string", "doc": "x"}`), "snake case"},
		{"attribute", wrap(`{"name": "word", "type": "string", "doc": "x", "aliases": ["w"]}`), "attribute"},
		{"float", wrap(`{"name": "word", "type": "double", "doc": "x"}`), "floating point"},
		{"bytes", wrap(`{"name": "word", "type": "bytes", "doc": "x"}`), "not string"},
		{"reference", wrap(`{"name": "word", "type": "rampstream.v1.Other", "doc": "x"}`), "not string"},
		{"enum", wrap(`{"name": "word", "type": {"type": "enum", "name": "E", "symbols": ["A"]}, "doc": "x"}`), "every engine"},
		{"fixed", wrap(`{"name": "word", "type": {"type": "fixed", "name": "F", "size": 4}, "doc": "x"}`), "every engine"},
		{"map", wrap(`{"name": "word", "type": {"type": "map", "values": "string"}, "doc": "x"}`), "every engine"},
		{"decimal", wrap(`{"name": "word", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9}, "doc": "x"}`), "every engine"},
		{"micros", wrap(`{"name": "made_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "x"}`), "not timestamp-millis"},
		{"time without _at", wrap(`{"name": "made", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "x"}`), "ends in _at"},
		{"_at without time", wrap(`{"name": "made_at", "type": "long", "doc": "x"}`), "ends in _at"},
		{"amount as long", wrap(`{"name": "fiat_amount", "type": "long", "doc": "Plain decimal."}`), "an amount is a string"},
		{"amount doc", wrap(`{"name": "fiat_amount", "type": "string", "doc": "x"}`), "says that it is a plain decimal"},
		{"union order", wrap(`{"name": "word", "type": ["string", "null"], "default": "", "doc": "x"}`), "a union is"},
		{"union of three", wrap(`{"name": "word", "type": ["null", "string", "long"], "default": null, "doc": "x"}`), "a union is"},
		{"union without default", wrap(`{"name": "word", "type": ["null", "string"], "doc": "x"}`), "a union is"},
		{"nullable array", wrap(`{"name": "words", "type": ["null", {"type": "array", "items": "string"}], "default": null, "doc": "x"}`), "empty rather than null"},
		{"nested record", wrap(`{"name": "word", "type": ` + wrap(good) + `, "doc": "x"}`), "every engine"},
		{"array of longs", wrap(`{"name": "words", "type": {"type": "array", "items": "long"}, "doc": "x"}`), "flat records"},
		{"array in array", wrap(`{"name": "words", "type": {"type": "array", "items": ` +
			wrap(`{"name": "more", "type": {"type": "array", "items": "string"}, "doc": "x"}`) + `}, "doc": "x"}`), "one level deep"},
		{"status alone", wrap(`{"name": "status", "type": "string", "doc": "x"}`), "stands beside"},
		{"status set", wrap(`{"name": "announced_status", "type": "string", "doc": "One of UNKNOWN."}`), "does not list REFUNDED"},
		{"status as int", wrap(`{"name": "announced_status", "type": "int", "doc": "x"}`), "a closed set is a string"},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			faults := lint(tc.text)
			if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, tc.want) }) {
				t.Errorf("lint(%s) = %q, want a fault with %q", tc.text, faults, tc.want)
			}
		})
	}
}
