package codec_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/linkedin/goavro/v2"
	"pgregory.net/rapid"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/schemas"
)

// Whatever is written is read as the same value, and written again as the same
// bytes.
func TestRecords_roundTrip(t *testing.T) {
	c := newCodec(t)
	for _, r := range records() {
		t.Run(r.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				v := r.draw(rt)
				b, err := r.encode(c, v)
				if err != nil {
					rt.Fatalf("encode %+v: %v", v, err)
				}
				got, err := r.decode(t.Context(), c, b)
				if err != nil {
					rt.Fatalf("decode what encode made of %+v: %v", v, err)
				}
				if d := cmp.Diff(v, got); d != "" {
					rt.Fatalf("decode(encode(v)) differs from v (-v +got):\n%s", d)
				}
				if again, err := r.encode(c, got); err != nil || !bytes.Equal(again, b) {
					rt.Fatalf("encode(decode(b)) = %x, %v; want %x", again, err, b)
				}
			})
		})
	}
}

// linkedin/goavro shares no code with what writes: it must read every value and
// make the same bytes of what it read.
func TestRecords_areWhatGoavroReadsAndWrites(t *testing.T) {
	c := newCodec(t)
	for _, r := range records() {
		t.Run(r.name, func(t *testing.T) {
			oracle, err := goavro.NewCodec(schemas.Text(r.name))
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(rt *rapid.T) {
				b, err := r.encode(c, r.draw(rt))
				if err != nil {
					rt.Fatal(err)
				}
				native, rest, err := oracle.NativeFromBinary(codec.Body(b))
				if err != nil || len(rest) != 0 {
					rt.Fatalf("goavro reads %x: %v, %d bytes left", b, err, len(rest))
				}
				again, err := oracle.BinaryFromNative(nil, native)
				if err != nil || !bytes.Equal(again, codec.Body(b)) {
					rt.Fatalf("goavro writes %x, %v; want %x", again, err, codec.Body(b))
				}
			})
		})
	}
}

// The order in which evidence, open discrepancies and inputs are held in
// memory does not show in the bytes.
func TestEncode_sortsWhatHasNoOrder(t *testing.T) {
	c := newCodec(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := drawState(rt, events.Order)
		want, err := c.EncodeState(s)
		if err != nil {
			rt.Fatal(err)
		}
		s.Evidence = rapid.Permutation(s.Evidence).Draw(rt, "evidence order")
		s.Open = rapid.Permutation(s.Open).Draw(rt, "open order")
		before := append([]events.Evidence(nil), s.Evidence...)
		if got, err := c.EncodeState(s); err != nil || !bytes.Equal(got, want) {
			rt.Fatalf("shuffled state = %x, %v; want %x", got, err, want)
		}
		if d := cmp.Diff(before, append([]events.Evidence(nil), s.Evidence...)); d != "" {
			rt.Fatalf("EncodeState changed the caller's evidence: %s", d)
		}
		p := drawPosition(rt)
		want, err = c.EncodePosition(p)
		if err != nil {
			rt.Fatal(err)
		}
		p.Next = rapid.Permutation(p.Next).Draw(rt, "input order")
		if got, err := c.EncodePosition(p); err != nil || !bytes.Equal(got, want) {
			rt.Fatalf("shuffled position = %x, %v; want %x", got, err, want)
		}
	})
}

// A state shows the facts that it has columns for. The evidence keeps them all.
func TestEncodeState_showsWhatItHasColumnsFor(t *testing.T) {
	c := newCodec(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := drawState(rt, rapid.SampledFrom([]events.SubjectKind{events.Order, events.Customer}).Draw(rt, "subject"))
		s.Facts = drawFacts(rt)
		b, err := c.EncodeState(s)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := c.DecodeState(t.Context(), b)
		if err != nil {
			rt.Fatal(err)
		}
		s.Facts = columns(s.Key.Kind, s.Facts)
		if d := cmp.Diff(s, got); d != "" {
			rt.Fatalf("(-want +got):\n%s", d)
		}
	})
}
