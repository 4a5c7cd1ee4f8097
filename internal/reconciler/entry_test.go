package reconciler_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

func TestEntry_roundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.SliceOfN(rapid.Just(byte(64)), 1, 3), // 64 is how a digest's length is written
			rapid.Custom(func(t *rapid.T) []byte {
				return []byte(rapid.StringMatching("@[0-9a-fA-F]{30,34}").Draw(t, "digest"))
			}))
		value := bytes.Join(rapid.SliceOfN(piece, 0, 40).Draw(t, "value"), nil)
		chain := rapid.OneOf(rapid.Just(""), rapid.StringMatching("[0-9a-fA-F]{32}"), rapid.StringN(0, 60, 255)).Draw(t, "chain")
		clean := rapid.Bool().Draw(t, "clean")
		_, v, c, cl, err := reconciler.EntryRoundTrip(value, chain, clean, rapid.Bool().Draw(t, "open"))
		if err != nil || !bytes.Equal(v, value) || c != chain || cl != clean {
			t.Fatalf("entry %x %q %v came back as %x %q %v, %v", value, chain, clean, v, c, cl, err)
		}
		_ = reconciler.ParseEntry(value) // any bytes: no panic
	})
	if n, _, _, _, _ := reconciler.EntryRoundTrip(nil, events.Digest("x"), true, false); n != 33 {
		t.Errorf("an entry has %d bytes beside its value, want 33", n)
	}
	if _, _, c, _, err := reconciler.EntryRoundTrip(nil, strings.Repeat("x", 300), true, false); err != nil || len(c) != 255 {
		t.Errorf("a link of 300 bytes came back with %d, %v", len(c), err)
	}
}

func TestHex_isLowerCaseAlone(t *testing.T) {
	text := []byte(events.Digest("x"))
	for i := range text {
		was := text[i]
		for c := range 256 {
			text[i] = byte(c)
			raw, ok := reconciler.Unhex(text)
			want, err := hex.DecodeString(string(text))
			if lower := err == nil && (c < 'A' || c > 'F'); ok != lower {
				t.Fatalf("Unhex(%q) = %v, want %v", text, ok, lower)
			}
			if ok && (!bytes.Equal(raw[:], want) || !bytes.Equal(reconciler.Hex(raw[:]), text)) {
				t.Fatalf("Unhex(%q) = %x, and back %s", text, raw, reconciler.Hex(raw[:]))
			}
		}
		text[i] = was
	}
}

// Whatever the bytes of an entry are, reading them ends without a panic, and what
// was written comes back.
func FuzzEntry(f *testing.F) {
	f.Add([]byte("@0123456789abcdef0123456789abcdef"), true)
	f.Add(bytes.Repeat([]byte("@0123456789abcdef0123456789abcdeF"), 20), false)
	f.Fuzz(func(t *testing.T, value []byte, clean bool) {
		_ = reconciler.ParseEntry(value)
		_, v, _, cl, err := reconciler.EntryRoundTrip(value, "", clean, len(value)%2 == 0)
		if err != nil || !bytes.Equal(v, value) || cl != clean {
			t.Fatalf("%x came back as %x, %v", value, v, err)
		}
	})
}

// A settled order is kept as it is for as long as its first confirmation is to come,
// and packed with what is said then: it has one row more and takes less.
func TestEngine_whatIsNotReadAgainSoonIsPacked(t *testing.T) {
	for _, tc := range []struct{ word, last string }{{"done", "done"}, {"fail", "fail"}} {
		w := newWorld(t)
		w.now = minute(5000)
		size := func(rs ...stream.Record) int64 {
			w.append(rs...)
			w.drain()
			live, _ := w.eng.Memory()
			return live
		}
		w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.check("o1", "wait", minute(2), events.CauseSchedule))
		settled := size(w.hook("o1", tc.word, minute(3), events.TrustSigned))
		if value := w.table(topics.OrderState)[key("o1").String()]; settled < int64(len(value)) {
			t.Errorf("%s: %d bytes are held of a value of %d before the first confirmation, want all", tc.word, settled, len(value))
		}
		confirmed := size(w.check("o1", tc.last, minute(3+16), events.CauseConfirm), w.check("o1", tc.last, minute(3+61), events.CauseConfirm))
		if value := w.table(topics.OrderState)[key("o1").String()]; confirmed >= settled || confirmed >= int64(len(value)) {
			t.Errorf("%s: %d bytes are held of a value of %d after the first confirmations, %d before", tc.word, confirmed, len(value), settled)
		}
	}
}
