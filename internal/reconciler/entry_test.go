package reconciler_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
)

func TestEntry_roundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		chain := rapid.OneOf(rapid.Just(""), rapid.StringMatching("[0-9a-fA-F]{32}"), rapid.StringN(0, 60, 255)).Draw(t, "chain")
		clean := rapid.Bool().Draw(t, "clean")
		_, v, c, cl, err := reconciler.EntryRoundTrip(value, chain, clean)
		if err != nil || !bytes.Equal(v, value) || c != chain || cl != clean {
			t.Fatalf("entry %x %q %v came back as %x %q %v, %v", value, chain, clean, v, c, cl, err)
		}
		_ = reconciler.ParseEntry(value) // any bytes: no panic
	})
	if n, _, _, _, _ := reconciler.EntryRoundTrip(nil, events.Digest("x"), true); n != 33 {
		t.Errorf("an entry has %d bytes beside its value, want 33", n)
	}
	if _, _, c, _, err := reconciler.EntryRoundTrip(nil, strings.Repeat("x", 300), true); err != nil || len(c) != 255 {
		t.Errorf("a link of 300 bytes came back with %d, %v", len(c), err)
	}
}
