package codec_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"rampstream/internal/codec"
	"rampstream/internal/events"
)

// What a peek says of a state is what decoding it says.
func TestPeekState_agreesWithDecode(t *testing.T) {
	c, err := codec.New(ids(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		st := drawState(rt, rapid.SampledFrom([]events.SubjectKind{events.Order, events.Customer}).Draw(rt, "kind"))
		value, err := c.EncodeState(st)
		if err != nil {
			rt.Fatal(err)
		}
		h, err := c.PeekState(t.Context(), value)
		if err != nil || string(h.Key) != st.Key.String() || string(h.RulesVersion) != st.RulesVersion || h.Newer {
			rt.Fatalf("PeekState = %q %q %v, %v; want %q %q", h.Key, h.RulesVersion, h.Newer, err, st.Key, st.RulesVersion)
		}
		cut := rapid.IntRange(0, len(value)-1).Draw(rt, "cut")
		if _, err := c.PeekState(t.Context(), value[:cut]); err != nil && !errors.Is(err, codec.ErrCorrupt) {
			rt.Fatalf("PeekState of %d bytes of %d = %v, want ErrCorrupt or nothing", cut, len(value), err)
		}
	})
}

func TestPeekState_refusesOtherRecords(t *testing.T) {
	c, err := codec.New(ids(), nil)
	if err != nil {
		t.Fatal(err)
	}
	value, err := c.EncodePosition(events.Position{Digest: "d", RulesVersion: "r", Next: []events.InputOffset{{Topic: "t"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PeekState(t.Context(), value); !errors.Is(err, codec.ErrWrongRecord) {
		t.Errorf("PeekState of a position = %v, want ErrWrongRecord", err)
	}
}

// Whatever the bytes are: an answer or ErrCorrupt, and what decodes is peeked at
// alike.
func FuzzPeekState(f *testing.F) {
	c, err := codec.New(ids(), nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, st := range []events.State{fullOrderState(), fullCustomerState()} {
		value, err := c.EncodeState(st)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		h, perr := c.PeekState(t.Context(), value)
		st, err := c.DecodeState(t.Context(), value)
		if err == nil && (perr != nil || string(h.Key) != st.Key.String() || string(h.RulesVersion) != st.RulesVersion) {
			t.Fatalf("PeekState = %q %q, %v; DecodeState = %q %q", h.Key, h.RulesVersion, perr, st.Key, st.RulesVersion)
		}
	})
}
