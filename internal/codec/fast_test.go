package codec_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/schemas"
)

// pair reads every value twice: with our reader, and with the Avro library.
type pair struct{ fast, slow *codec.Codec }

func newPair(t testing.TB) pair {
	c := newCodec(t)
	return pair{fast: c, slow: codec.Slow(c)}
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Context() context.Context
	Fatalf(format string, args ...any)
}

// agree wants both to accept value, as the same, or both to refuse it as
// corrupt. It reports whether they accepted it.
func (p pair) agree(t tester, r record, value []byte) bool {
	got, err := r.decode(t.Context(), p.fast, value)
	want, err2 := r.decode(t.Context(), p.slow, value)
	switch {
	case (err == nil) != (err2 == nil), err != nil && !(errors.Is(err, codec.ErrCorrupt) && errors.Is(err2, codec.ErrCorrupt)):
		t.Fatalf("%s %x:\nours    %v\nlibrary %v", r.name, value, err, err2)
	case err != nil && !reflect.ValueOf(got).IsZero():
		t.Fatalf("%s %x: %+v beside %v", r.name, value, got, err)
	case !reflect.DeepEqual(got, want):
		t.Fatalf("%s %x (-library +ours):\n%s", r.name, value, cmp.Diff(want, got))
	}
	return err == nil
}

// frameOf is the frame of a record as newCodec writes it.
func frameOf(name string) []byte { return []byte{0, 0, 0, 0, byte(ids()[name])}[:5:5] }

// What we write, the library reads as the value that it was and writes as the
// same bytes. TestRecords_areWhatGoavroReadsAndWrites says so of a second one,
// and the vectors of two more.
func TestAppend_writesWhatTheLibraryWrites(t *testing.T) {
	p := newPair(t)
	for _, r := range records() {
		t.Run(r.name, func(t *testing.T) {
			schema, err := avro.Parse(schemas.Text(r.name))
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(rt *rapid.T) {
				v := r.draw(rt)
				b, err := r.encode(p.fast, v)
				if err != nil {
					rt.Fatal(err)
				}
				if cap(b) != len(b) {
					rt.Fatalf("a value of %d bytes keeps %d", len(b), cap(b))
				}
				var native any
				if _, err := schema.Decode(codec.Body(b), &native); err != nil {
					rt.Fatal(err)
				}
				if again, err := schema.AppendEncode(nil, native); err != nil || !bytes.Equal(again, codec.Body(b)) {
					rt.Fatalf("library writes %x, %v; want %x", again, err, codec.Body(b))
				}
				if got, err := r.decode(rt.Context(), p.slow, b); err != nil || !reflect.DeepEqual(got, v) {
					rt.Fatalf("library reads %v (-want +got):\n%s", err, cmp.Diff(v, got))
				}
				p.agree(rt, r, b)
			})
		})
	}
}

func TestReader_readsTheVectors(t *testing.T) {
	p := newPair(t)
	paths, err := filepath.Glob("testdata/vectors/*/*.hex")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, path := range paths {
		name, _, _ := strings.Cut(filepath.Base(path), "-")
		if old, err := os.ReadFile(filepath.Join("../../schemas/released", filepath.Base(filepath.Dir(path)), name+".avsc")); err != nil {
			t.Fatal(err)
		} else if schema, err := avro.Parse(string(old)); err != nil {
			t.Fatal(err)
		} else if root := schema.Root().ExpandReferences(); columnsOf(root) != columnsOf(rootOf(t, name)) {
			continue // of an older version: resolved
		}
		if !p.agree(t, recordOf(t, name), readVector(t, path, ids()[name])) {
			t.Errorf("%s is refused", path)
		}
	}
}

// Every cut, and every byte changed to some others.
func TestReader_refusesWhatTheLibraryRefuses(t *testing.T) {
	p := newPair(t)
	for vector, v := range samples() {
		name, _, _ := strings.Cut(vector, "-")
		r := recordOf(t, name)
		b, err := r.encode(p.fast, v)
		if err != nil {
			t.Fatal(err)
		}
		for i := len(frameOf(name)); i < len(b); i++ {
			p.agree(t, r, b[:i])
			for _, c := range []byte{0, 3, 0xff, b[i] ^ 1, b[i] + 2, b[i] | 0x80} {
				odd := bytes.Clone(b)
				odd[i] = c
				p.agree(t, r, odd)
			}
		}
	}
}

// Random damage to random values.
func TestReader_agreesOnDamage(t *testing.T) {
	p := newPair(t)
	for _, r := range records() {
		t.Run(r.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				b, err := r.encode(p.fast, r.draw(rt))
				if err != nil {
					rt.Fatal(err)
				}
				for range rapid.IntRange(1, 4).Draw(rt, "wounds") {
					i := rapid.IntRange(5, len(b)).Draw(rt, "at")
					j := min(len(b), i+rapid.IntRange(0, 3).Draw(rt, "cut"))
					in := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(rt, "in")
					b = append(append(bytes.Clone(b[:i]), in...), b[j:]...)
				}
				p.agree(rt, r, b)
			})
		})
	}
}

// Allocations are what made the library slow: a state of four rows took a
// hundred. The bounds leave room for the race detector, which empties pools.
func TestCodec_allocatesLittle(t *testing.T) {
	c, state, hook := newCodec(t), benchState(), benchWebhook()
	stateValue, err1 := c.EncodeState(state)
	hookValue, err2 := c.EncodeWebhook(hook)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		most float64
		do   func() error
	}{
		{"EncodeState", 6, func() error { _, err := c.EncodeState(state); return err }},
		{"DecodeState", 6, func() error { _, err := c.DecodeState(t.Context(), stateValue); return err }},
		{"EncodeWebhook", 6, func() error { _, err := c.EncodeWebhook(hook); return err }},
		{"DecodeWebhook", 2, func() error { _, err := c.DecodeWebhook(t.Context(), hookValue); return err }},
	} {
		got := testing.AllocsPerRun(100, func() {
			if err := tc.do(); err != nil {
				t.Fatal(err)
			}
		})
		if got > tc.most {
			t.Errorf("%s allocates %v times, want at most %v", tc.name, got, tc.most)
		}
	}
}

// What is returned must not change when the caller reuses its buffer, nor when
// the next value is encoded.
func TestCodec_keepsNoMemoryOfTheCaller(t *testing.T) {
	c := newCodec(t)
	first, err := c.EncodeState(fullOrderState())
	if err != nil {
		t.Fatal(err)
	}
	kept := bytes.Clone(first)
	got, err := c.DecodeState(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.EncodeState(benchState()); err != nil || !bytes.Equal(first, kept) {
		t.Errorf("an encoded value changed when the next was encoded (%v)", err)
	}
	clear(first)
	if d := cmp.Diff(fullOrderState(), got); d != "" {
		t.Errorf("a decoded value changed with the bytes it was read from (-want +got):\n%s", d)
	}
}

// The short forms of what events says at length.
func TestShortForms_areThoseOfEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		k := drawAnyKey(rt)
		if s := rapid.OneOf(rapid.Just(k.String()), rapid.StringMatching(`[a-z]{0,2}/[a-z]{0,2}(/customer)?/?[a-z]{0,2}`)).Draw(rt, "key"); events.Named(k, s) != (s == k.String()) {
			rt.Fatalf("Named(%q, %+v) = %v", s, k, events.Named(k, s))
		}
		at := events.Sighting{Topic: rapid.StringN(1, 80, -1).Draw(rt, "topic"), Partition: rapid.Int32Min(0).Draw(rt, "partition"), Offset: rapid.Int64Min(0).Draw(rt, "offset")}
		if got, want := codec.AppendCoordinates(nil, at.Topic, at.Partition, at.Offset), at.Coordinates(); !bytes.HasSuffix(got, []byte(want)) || codec.TextOf(got) != want {
			rt.Fatalf("appendCoordinates = %x, want %q", got, want)
		}
		row := rapid.Custom(func(t *rapid.T) events.Evidence {
			return events.Evidence{Kind: events.EvidenceKind(rapid.IntRange(0, 2).Draw(t, "kind")), Word: rapid.StringMatching(`[ab]?`).Draw(t, "word"), Digest: rapid.StringMatching(`[ab]?`).Draw(t, "digest")}
		})
		rows := rapid.SliceOfN(row, 0, 3).Draw(rt, "rows")
		want := true
		for i := 1; i < len(rows); i++ {
			want = want && rows[i-1].Compare(rows[i]) < 0
		}
		if codec.RowsSorted(rows) != want {
			rt.Fatalf("rowsSorted(%+v) = %v", rows, !want)
		}
	})
}

func TestASCII_looksAtEveryByte(t *testing.T) {
	for n := range 40 {
		if s := strings.Repeat("\x7f", n); !codec.ASCII(s) {
			t.Errorf("ascii(%q) = false", s)
		}
		for i := range n {
			if s := strings.Repeat("a", i) + "\x80" + strings.Repeat("a", n-i-1); codec.ASCII(s) {
				t.Errorf("ascii(%q) = true", s)
			}
		}
	}
}

func TestReader_readsCoordinates(t *testing.T) {
	p := newPair(t)
	for text, want := range map[string]bool{
		"": true, "t-0-0": true, "a-b-1-2": true, "--1-2": true, "t-2147483647-9223372036854775807": true,
		"t-2147483648-0": false, "t-4294967296-0": false, "t-0-9223372036854775808": false, "t-0-18446744073709551616": false, "t-0-99999999999999999999": false,
		"-0-0": false, "0-0": false, "t-0": false, "t": false, "-": false, "--": false, "t--0": false, "t-0-": false,
		"t-00-0": false, "t-0-01": false, "t-+1-0": false, "t-1-+0": false, "t- 1-0": false, "t-1-0 ": false, "t-1-1e3": false,
	} {
		value := otherwise(t, "OrderState", fullOrderState(), func(n native) {
			n["evidence"].([]any)[3].(native)["last_coordinates"] = optional("string", text)
		})
		if got := p.agree(t, recordOf(t, "OrderState"), value); got != want {
			t.Errorf("coordinates %q: accepted = %v, want %v", text, got, want)
		}
	}
}

// Room is made for no more items than can be there, and for all that are.
func TestReader_readsTheSmallestItems(t *testing.T) {
	p := newPair(t)
	hook := fullWebhook()
	hook.Facts.WalletAccounts = events.JoinWalletAccounts(make([]events.WalletAccount, 100))
	inputs := make([]events.InputOffset, 26)
	for i := range inputs {
		inputs[i].Topic = string(rune('a' + i))
	}
	for name, v := range map[string]any{"Webhook": hook, "ReconcilerPosition": events.Position{Next: inputs}} {
		r := recordOf(t, name)
		b, err := r.encode(p.fast, v)
		if err != nil || !p.agree(t, r, b) {
			t.Errorf("%s with the smallest items is refused (%v)", name, err)
		}
	}
}
