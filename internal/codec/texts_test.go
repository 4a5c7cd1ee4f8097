package codec_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"rampstream/internal/codec"
)

// Texts that were not released are never written over, whatever is released around
// them, and how often.
func TestTexts_kept(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var texts codec.Texts
	type text struct{ want, got string }
	var kept, passing []text
	for i := range 20_000 {
		want := strings.Repeat(fmt.Sprint(i), rng.IntN(9))
		if rng.IntN(500) == 0 {
			want = strings.Repeat("x", 100_000) // more than there is room for at once
		}
		passing = append(passing, text{want, texts.Text([]byte(want))})
		switch rng.IntN(40) {
		case 0:
			texts.Keep()
			kept, passing = append(kept, passing...), nil
		case 1, 2, 3:
			texts.Release()
			passing = nil
		}
		for _, x := range passing {
			if x.got != x.want {
				t.Fatalf("step %d: a text reads %.20q; want %.20q", i, x.got, x.want)
			}
		}
	}
	if len(kept) < 1000 {
		t.Fatalf("%d texts were kept; want many", len(kept))
	}
	for _, x := range kept {
		if x.got != x.want {
			t.Fatalf("a text that was kept reads %.20q; want %.20q", x.got, x.want)
		}
	}
}

// What is released is used again: that is what it is for.
func TestTexts_releaseAndReset(t *testing.T) {
	var texts codec.Texts
	texts.Text([]byte("kept"))
	texts.Keep()
	long := make([]byte, 60_000)
	if n := testing.AllocsPerRun(1000, func() {
		texts.Text(long)
		texts.Release()
	}); n != 0 {
		t.Errorf("%v allocations for a text that is released; want none", n)
	}
	left := texts.Left()
	texts.Reset()
	if got := texts.Left(); got != left+len("kept") {
		t.Errorf("%d bytes are left after Reset, %d before; want those of what was kept too", got, left)
	}
}
