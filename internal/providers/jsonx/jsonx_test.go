package jsonx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"rampstream/internal/providers/jsonx"
)

func TestParse_refuses(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     error
	}{
		{"empty", "", jsonx.ErrSyntax},
		{"blank", " \n", jsonx.ErrSyntax},
		{"trailing comma", `{"a":1,}`, jsonx.ErrSyntax},
		{"trailing data", `{} x`, jsonx.ErrSyntax},
		{"two values", `1 2`, jsonx.ErrSyntax},
		{"byte order mark", "\ufeff{}", jsonx.ErrEncoding},
		{"no-break space", "\u00a0{}", jsonx.ErrSyntax},
		{"leading zero", `01`, jsonx.ErrSyntax},
		{"no whole part", `.5`, jsonx.ErrSyntax},
		{"no fraction", `1.`, jsonx.ErrSyntax},
		{"plus", `+1`, jsonx.ErrSyntax},
		{"minus alone", `-`, jsonx.ErrSyntax},
		{"exponent alone", `1e`, jsonx.ErrSyntax},
		{"NaN", `NaN`, jsonx.ErrSyntax},
		{"single quotes", `{'a':1}`, jsonx.ErrSyntax},
		{"raw control", "\"\t\"", jsonx.ErrSyntax},
		{"raw control after escape", "\"\\n\t\"", jsonx.ErrSyntax},
		{"bad escape", `"\x41"`, jsonx.ErrSyntax},
		{"short escape", `"\u00"`, jsonx.ErrSyntax},
		{"escape at end", `"\`, jsonx.ErrSyntax},
		{"open string", `"a`, jsonx.ErrSyntax},
		{"half word", `tru`, jsonx.ErrSyntax},
		{"bare key", `{a:1}`, jsonx.ErrSyntax},
		{"invalid UTF-8", "\"\xff\"", jsonx.ErrEncoding},
		{"raw surrogate", "\"\xed\xa0\x80\"", jsonx.ErrEncoding},
		{"duplicate", `{"a":1,"a":2}`, jsonx.ErrDuplicate},
		{"duplicate by escape", `{"a":1,"\u0061":2}`, jsonx.ErrDuplicate},
		{"duplicate below", `[{"b":{"a":1,"a":1}}]`, jsonx.ErrDuplicate},
		{"duplicate among many", `{"a":1` + members(40) + `,"a":1}`, jsonx.ErrDuplicate},
		{"duplicate twin among many", `{"a":1` + members(40) + `,"A":1,"A":2}`, jsonx.ErrDuplicate},
		{"too deep", strings.Repeat("[", 33) + strings.Repeat("]", 33), jsonx.ErrBounds},
		{"very deep", strings.Repeat("[", 1<<20), jsonx.ErrBounds},
		{"too many values", "[0" + strings.Repeat(",0", 20_000) + "]", jsonx.ErrBounds},
		{"too many keys", `{"a":1` + members(10_000) + "}", jsonx.ErrBounds},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := jsonx.Parse([]byte(tc.in))
			if !errors.Is(err, tc.want) || v.Kind() != jsonx.Absent {
				t.Errorf("Parse = %v, %v; want absent, %v", v.Kind(), err, tc.want)
			}
		})
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"k`)
		b.WriteString(strings.Repeat("x", i%7))
		b.WriteString(string(rune('A' + i%26)))
		b.WriteString(string(rune(0x4E00 + i)))
		b.WriteString(`":0`)
	}
	return b.String()
}

func TestParse_keepsWhatWasWritten(t *testing.T) {
	v, err := jsonx.Parse([]byte(` {"n":1.10E+2,"N":-0,"s":"caf\u00e9 \ud83d\ude00","l":"\ud800x","o":{"":null},"b":[true,false]} `))
	if err != nil {
		t.Fatal(err)
	}
	if lit, ok := v.Get("n").Literal(); lit != "1.10E+2" || !ok {
		t.Errorf("Literal(n) = %q, %v", lit, ok)
	}
	if lit, _ := v.Get("N").Literal(); lit != "-0" {
		t.Errorf("Literal(N) = %q: keys must match by exact case", lit)
	}
	if s, ok := v.Get("s").Text(); s != "caf\u00e9 \U0001F600" || !ok {
		t.Errorf("Text(s) = %q, %v", s, ok)
	}
	if s, ok := v.Get("l").Text(); s != "" || ok {
		t.Errorf("Text of a lone surrogate = %q, %v; want none", s, ok)
	}
	if s := v.Get("l").WTF8(); s != "\xed\xa0\x80x" {
		t.Errorf("WTF8 of a lone surrogate = %x", s)
	}
	if !v.At("o", "").IsNull() || v.At("o", "x", "y").Kind() != jsonx.Absent {
		t.Error("At does not follow the path")
	}
	if b, ok := v.Get("b").Items()[0].Truth(); !b || !ok {
		t.Errorf("Truth = %v, %v", b, ok)
	}
}

func TestScan_flags(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want jsonx.Flags
	}{
		{`{"a":1,"b":2}`, jsonx.Flags{}},
		{`{"a":1,"a":2}`, jsonx.Flags{Duplicates: true}},
		{`{"status":1,"Status":2}`, jsonx.Flags{CaseTwins: true}},
		{`{"a":{"x":1},"b":{"X":1}}`, jsonx.Flags{}},
		{`{"a":1` + members(30) + `,"A":2}`, jsonx.Flags{CaseTwins: true}},
		{`{"\ud800":1,"\udfff":2}`, jsonx.Flags{}},
	} {
		v, got, err := jsonx.Scan([]byte(tc.in))
		if err != nil || got != tc.want {
			t.Errorf("Scan(%.40s) = %+v, %v; want %+v", tc.in, got, err, tc.want)
		}
		if tc.in == `{"a":1,"a":2}` {
			if lit, _ := v.Get("a").Literal(); lit != "2" {
				t.Errorf("Get of a duplicate = %s, want the last", lit)
			}
		}
	}
}

// A document that we accept is JSON for everyone; one that is JSON for
// everyone is refused only for a reason we name.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+7,"\u00e9\ud83d\ude00\ud800"],"b":null}`, `{"a":1,"A":1,"a":2}`, "", "\ufeff1", "[[[[1]]]]", `"\`, "01", "\"\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, flags, err := jsonx.Scan(b)
		if err != nil {
			if v.Kind() != jsonx.Absent || flags != (jsonx.Flags{}) {
				t.Fatalf("Scan(%q): a value beside %v", b, err)
			}
			if errors.Is(err, jsonx.ErrSyntax) && json.Valid(b) {
				t.Fatalf("Scan(%q) = %v, but it is JSON", b, err)
			}
			return
		}
		if !json.Valid(b) {
			t.Fatalf("Scan(%q) accepts what is not JSON", b)
		}
		sameMeaning(t, v, b, flags)
	})
}

// sameMeaning compares the strings and literals with encoding/json, which
// shares no code with the scanner, where it is able to keep them.
func sameMeaning(t *testing.T, v jsonx.Value, b []byte, flags jsonx.Flags) {
	if flags.Duplicates {
		return
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var want any
	if err := dec.Decode(&want); err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	compare(t, v, want)
}

func compare(t *testing.T, v jsonx.Value, want any) {
	switch w := want.(type) {
	case map[string]any:
		for _, m := range v.Members() {
			if utf8.ValidString(m.Key) && !strings.ContainsRune(m.Key, utf8.RuneError) {
				compare(t, m.Value, w[m.Key])
			}
		}
	case []any:
		if len(v.Items()) != len(w) {
			t.Fatalf("%d items, want %d", len(v.Items()), len(w))
		}
		for i, item := range v.Items() {
			compare(t, item, w[i])
		}
	case string:
		if s, ok := v.Text(); ok && s != w {
			t.Fatalf("Text = %q, want %q", s, w)
		}
	case json.Number:
		if lit, ok := v.Literal(); !ok || lit != w.String() {
			t.Fatalf("Literal = %q, want %q", lit, w)
		}
	case bool:
		if got, ok := v.Truth(); !ok || got != w {
			t.Fatalf("Truth = %v, want %v", got, w)
		}
	case nil:
		if !v.IsNull() {
			t.Fatalf("kind %v, want null", v.Kind())
		}
	}
}
