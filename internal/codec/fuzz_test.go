package codec_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"rampstream/internal/codec"
	"rampstream/schemas"
)

// fuzzDecode feeds bodies of one record to the codec. A value that is accepted
// is written and read again as the same value; beside an error stands nothing.
func fuzzDecode(f *testing.F, name string) {
	c, err := codec.New(ids(), nil)
	if err != nil {
		f.Fatal(err)
	}
	r := benchRecord(name)
	for vector, v := range samples() {
		if strings.HasPrefix(vector, name+"-") {
			b, err := r.encode(c, v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(codec.Body(b))
		}
	}
	frame := []byte{0, 0, 0, 0, byte(ids()[name])}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := r.decode(t.Context(), c, append(frame[:5:5], body...))
		if err != nil {
			if !errors.Is(err, codec.ErrCorrupt) {
				t.Fatalf("decode: %v, want ErrCorrupt", err)
			}
			if !reflect.ValueOf(v).IsZero() {
				t.Fatalf("decode = %+v beside %v", v, err)
			}
			return
		}
		b, err := r.encode(c, v)
		if err != nil {
			t.Fatalf("accepted %+v, but encode: %v", v, err)
		}
		again, err := r.decode(t.Context(), c, b)
		if err != nil || !reflect.DeepEqual(again, v) {
			t.Fatalf("decode(encode(v)) = %+v, %v; want %+v", again, err, v)
		}
	})
}

func FuzzDecodeWebhook(f *testing.F)     { fuzzDecode(f, "Webhook") }
func FuzzDecodeIntent(f *testing.F)      { fuzzDecode(f, "Intent") }
func FuzzDecodeStatusCheck(f *testing.F) { fuzzDecode(f, "StatusCheck") }
func FuzzDecodeState(f *testing.F)       { fuzzDecode(f, "OrderState") }
func FuzzDecodeCustomer(f *testing.F)    { fuzzDecode(f, "CustomerState") }
func FuzzDecodeTransition(f *testing.F)  { fuzzDecode(f, "Transition") }
func FuzzDecodeDiscrepancy(f *testing.F) { fuzzDecode(f, "Discrepancy") }
func FuzzDecodeCheckTask(f *testing.F)   { fuzzDecode(f, "CheckTask") }
func FuzzDecodeLaneState(f *testing.F)   { fuzzDecode(f, "LaneState") }
func FuzzDecodePosition(f *testing.F)    { fuzzDecode(f, "ReconcilerPosition") }

// DecodeAny takes whatever stands in a topic.
func FuzzDecodeAny(f *testing.F) {
	c, err := codec.New(ids(), nil)
	if err != nil {
		f.Fatal(err)
	}
	for vector, v := range samples() {
		name, _, _ := strings.Cut(vector, "-")
		if b, err := benchRecord(name).encode(c, v); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		name, line, err := c.DecodeAny(t.Context(), value)
		if (err != nil) != (name == "") || (err != nil) != (line == nil) {
			t.Fatalf("DecodeAny = %q, %s beside %v", name, line, err)
		}
		if err == nil && schemas.Text(name) == "" {
			t.Fatalf("DecodeAny accepts a record %q", name)
		}
	})
}

// FuzzFastAgainstSlow feeds bodies of any record to our reader and to the Avro
// library, which must agree on what is refused and on what the rest means.
func FuzzFastAgainstSlow(f *testing.F) {
	p, all := newPair(f), records()
	for vector, v := range samples() {
		name, _, _ := strings.Cut(vector, "-")
		for i, r := range all {
			if r.name != name {
				continue
			}
			b, err := r.encode(p.fast, v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), codec.Body(b))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		r := all[int(which)%len(all)]
		p.agree(t, r, append(frameOf(r.name), body...))
	})
}
