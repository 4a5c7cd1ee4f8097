package codec_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/codec"
	"rampstream/schemas"
)

var newVectors = flag.Bool("new-vectors", false, "write the .json of samples that have none; the .hex is made by testdata/vectors/make.py")

// releases resolves ids 1000, 1001, ... to the released schemas of a version.
type releases struct{ version string }

func (r releases) SchemaByID(_ context.Context, id int) (string, error) {
	names := schemas.Names()
	if id -= 1000; id < 0 || id >= len(names) {
		return "", fmt.Errorf("no schema %d", id)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "schemas", "released", r.version, names[id]+".avsc"))
	return string(text), err
}

func (r releases) id(name string) int {
	for i, n := range schemas.Names() {
		if n == name {
			return 1000 + i
		}
	}
	return 0
}

func recordOf(t *testing.T, name string) record {
	t.Helper()
	for _, r := range records() {
		if r.name == name {
			return r
		}
	}
	t.Fatalf("no record %s", name)
	return record{}
}

// A vector is never edited: consumers have these bytes on disk. A change that
// needs one edited is a new version of the schema, with vectors of its own.
func TestVectors_v1(t *testing.T) { vectors(t, "v1", samples()) }

// Version 2 has the listed words of evidence, and where a position's rules stand.
func TestVectors_v2(t *testing.T) { vectors(t, "v2", samplesOfVersion2()) }

func vectors(t *testing.T, version string, all map[string]any) {
	c, err := codec.New(nil, releases{version})
	if err != nil {
		t.Fatal(err)
	}
	for vector, value := range all {
		t.Run(vector, func(t *testing.T) {
			name, _, _ := strings.Cut(vector, "-")
			path := filepath.Join("testdata", "vectors", version, vector)
			r := recordOf(t, name)
			if *newVectors {
				writeJSON(t, r, value, path+".json")
			}
			framed := readVector(t, path+".hex", releases{version}.id(name))
			got, err := r.decode(t.Context(), c, framed)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(value, got); d != "" {
				t.Errorf("decode (-want +got):\n%s", d)
			}
			_, line, err := c.DecodeAny(t.Context(), framed)
			if want := readJSON(t, path+".json"); err != nil || string(line) != want {
				t.Errorf("DecodeAny = %s, %v; want %s", line, err, want)
			}
			// As long as the schema has not changed since, we write the same.
			released, err := releases{version}.SchemaByID(t.Context(), releases{version}.id(name))
			if err != nil || strings.TrimSpace(released) != schemas.Text(name) {
				return
			}
			again, err := r.encode(newCodec(t), value)
			if err != nil || !bytes.Equal(codec.Body(again), codec.Body(framed)) {
				t.Errorf("encode = %x, %v; want %x", codec.Body(again), err, codec.Body(framed))
			}
		})
	}
}

// readVector frames the Avro body in a file of hexadecimal digits.
func readVector(t *testing.T, path string, id int) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{0, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}, body...)
}

func readJSON(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func writeJSON(t *testing.T, r record, value any, path string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	c := newCodec(t)
	b, err := r.encode(c, value)
	if err != nil {
		t.Fatal(err)
	}
	_, line, err := c.DecodeAny(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, line, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
