package schemas_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/avro"

	"rampstream/schemas"
)

// released reads every released version of a record. A released file is never
// edited: values written with it are on disk somewhere.
func released(t *testing.T, name string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("released", "*", name+".avsc"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no released version of %s: %v", name, err)
	}
	out := map[string]string{}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		out[p] = string(text)
	}
	return out
}

// broken reports what a new schema promises and does not hold against an old
// one: nil when all is well.
func broken(promise, old, current string) error {
	o, err := avro.Parse(old)
	if err != nil {
		return err
	}
	c, err := avro.Parse(current)
	if err != nil {
		return err
	}
	if err := avro.CheckCompatibility(o, c); err != nil { // old writes, new reads
		return err
	}
	if promise == schemas.FullTransitive {
		return avro.CheckCompatibility(c, o) // new writes, old reads
	}
	return nil
}

func TestSchemas_keepTheirPromiseToEveryRelease(t *testing.T) {
	for _, name := range schemas.Names() {
		for path, old := range released(t, name) {
			if err := broken(schemas.Compatibility(name), old, schemas.Text(name)); err != nil {
				t.Errorf("%s.avsc is not %s with %s: %v", name, schemas.Compatibility(name), path, err)
			}
		}
	}
}

// The check finds what the promises forbid, and lets through what they allow.
func TestPromise_bites(t *testing.T) {
	const field = `{"name": "event_id", "type": "string",`
	text := schemas.Text("Webhook")
	if !strings.Contains(text, field) {
		t.Fatalf("Webhook.avsc has no %s", field)
	}
	with := func(repl string) string { return strings.Replace(text, field, repl+field, 1) }
	optional := with(`{"name": "extra", "type": ["null", "string"], "default": null, "doc": "x"},`)
	required := with(`{"name": "extra", "type": "string", "doc": "x"},`)
	retyped := strings.Replace(text, field, `{"name": "event_id", "type": "long",`, 1)
	renamed := strings.Replace(text, field, `{"name": "id_of_event", "type": "string",`, 1)
	for _, tc := range []struct {
		name, promise, old, current string
		ok                          bool
	}{
		{"optional field added", schemas.FullTransitive, text, optional, true},
		{"optional field removed", schemas.FullTransitive, optional, text, true},
		{"required field added", schemas.BackwardTransitive, text, required, false},
		{"required field removed", schemas.BackwardTransitive, required, text, true},
		{"required field removed", schemas.FullTransitive, required, text, false},
		{"type changed", schemas.BackwardTransitive, text, retyped, false},
		{"field renamed", schemas.BackwardTransitive, text, renamed, false},
	} {
		if err := broken(tc.promise, tc.old, tc.current); (err == nil) != tc.ok {
			t.Errorf("%s under %s: %v, want ok = %v", tc.name, tc.promise, err, tc.ok)
		}
	}
}
