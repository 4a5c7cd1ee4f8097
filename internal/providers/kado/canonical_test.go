package kado_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"

	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
)

// vectorFile is the layout of testdata/kado-vectors.json and testdata/v8-corpus.json,
// both made with the JSON.parse, JSON.stringify and crypto of node.
type vectorFile struct {
	Key       providers.Secret `json:"key"`
	Timestamp string           `json:"timestamp"`
	Method    string           `json:"method"`
	Path      string           `json:"path"`
	Vectors   []struct {
		Name        string `json:"name"`
		Body        []byte `json:"body_b64"`
		Canonical   []byte `json:"canon_b64"`
		PayloadHex  string `json:"payloadHex"`
		RawMD5Equal bool   `json:"raw_md5_equal"`
		ToSign      string `json:"toSign"`
		Signature   string `json:"signature"`
	} `json:"vectors"`
	Rejects []struct {
		Body string `json:"body"`
	} `json:"json_parse_rejects"`
	Empty struct {
		Method    string `json:"method"`
		Path      string `json:"path"`
		Signature string `json:"signature"`
	} `json:"empty_payload"`
}

func readVectors(t testing.TB) vectorFile {
	t.Helper()
	b, err := os.ReadFile("testdata/kado-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Vectors) < 23 {
		t.Fatalf("%d vectors, want at least 23", len(f.Vectors))
	}
	return f
}

func TestCanonical_vectors(t *testing.T) {
	f := readVectors(t)
	for _, v := range f.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			got, err := kado.Canonical(v.Body)
			if err != nil || string(got) != string(v.Canonical) {
				t.Fatalf("Canonical(%s) = %s, %v; want %s", v.Body, got, err, v.Canonical)
			}
			if h := kado.PayloadHex(got); h != v.PayloadHex {
				t.Errorf("PayloadHex = %s, want %s", h, v.PayloadHex)
			}
			if raw := kado.PayloadHex(v.Body) == v.PayloadHex; raw != v.RawMD5Equal {
				t.Errorf("raw MD5 equal = %v, want %v", raw, v.RawMD5Equal)
			}
			if s := kado.Sign(f.Key, f.Method, f.Timestamp, f.Path, kado.PayloadHex(got)); s != v.Signature {
				t.Errorf("Sign = %s, want %s", s, v.Signature)
			}
			if again, err := kado.Canonical(got); err != nil || string(again) != string(got) {
				t.Errorf("Canonical is not idempotent: %s, %v", again, err)
			}
		})
	}
	if s := kado.Sign(f.Key, f.Empty.Method, f.Timestamp, f.Empty.Path, kado.PayloadHex(nil)); s != f.Empty.Signature {
		t.Errorf("Sign without a body = %s, want %s", s, f.Empty.Signature)
	}
}

func TestCanonical_refusesWhatJSONParseRefuses(t *testing.T) {
	for _, r := range readVectors(t).Rejects {
		if got, err := kado.Canonical([]byte(r.Body)); err == nil || got != nil {
			t.Errorf("Canonical(%q) = %q, %v; JSON.parse refuses it", r.Body, got, err)
		}
	}
	for _, b64 := range []string{"eyJhIjoi/yJ9", "eyJhIjoi7aCAIn0="} { // not UTF-8; a surrogate as raw bytes
		body, err := base64.StdEncoding.DecodeString(b64)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := kado.Canonical(body); err == nil || got != nil {
			t.Errorf("Canonical(%x) = %q, %v; it is not UTF-8", body, got, err)
		}
	}
}
