package reconciler_test

import (
	"encoding/hex"
	"testing"

	"github.com/zeebo/xxh3"

	"rampstream/internal/reconciler"
)

// The hash is that of the specification, on whatever processor: the first two
// values are those of its reference implementation. The digest of a position is a
// contract of stored data.
func TestDigest_isFrozen(t *testing.T) {
	for text, want := range map[string]string{
		"": "99aa06d3014798d86001c324468d497f", "a": "a96faf705af16834e6c632b61e964e1f",
	} {
		if h := xxh3.HashString128(text).Bytes(); hex.EncodeToString(h[:]) != want {
			t.Errorf("XXH3-128 of %q = %x, want %s", text, h, want)
		}
	}
	var d reconciler.Digest
	d.Add("kado/shop/1", []byte("one"))
	d.Add("kado/shop/2", []byte("two"))
	if got, want := d.String(), "42000da66a236a1240da642ee10e4208"; got != want {
		t.Errorf("digest = %s, want %s", got, want)
	}
}

// Sets are equal whatever the order, and unlike with another value, key or
// border between the two.
func TestDigest_tellsSetsApart(t *testing.T) {
	of := func(pairs ...string) string {
		var d reconciler.Digest
		for i := 0; i < len(pairs); i += 2 {
			d.Add(pairs[i], []byte(pairs[i+1]))
		}
		return d.String()
	}
	base := of("a", "1", "b", "2")
	if got := of("b", "2", "a", "1"); got != base {
		t.Errorf("another order has digest %s, want %s", got, base)
	}
	for name, got := range map[string]string{
		"another value": of("a", "1", "b", "3"), "swapped values": of("a", "2", "b", "1"), "one less": of("a", "1"),
		"another border": of("a1", "", "b", "2"), "one twice": of("a", "1", "b", "2", "b", "2"),
	} {
		if got == base {
			t.Errorf("%s has the same digest", name)
		}
	}
}
