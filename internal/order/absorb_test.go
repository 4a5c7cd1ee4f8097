package order_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

func TestAbsorb_isJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genRows().Draw(t, "a"), genRows().Draw(t, "b")
		b = b[:min(len(b), rapid.IntRange(1, 3).Draw(t, "n"))]
		want := order.Join(a, b)
		before := slices.Clone(a)
		dst := make([]events.Evidence, 0, rapid.IntRange(0, 20).Draw(t, "cap"))
		got, change := order.Absorb(dst, a, b)
		if d := cmp.Diff(want, got); d != "" || change.Any == slices.Equal(want, before) {
			t.Fatalf("%+v, join differs:\n%s", change, d)
		}
		if change.One {
			others, had := slices.Delete(slices.Clone(got), change.At, change.At+1), slices.Clone(before)
			if !change.New {
				had = slices.Delete(had, change.At, change.At+1)
			}
			if !slices.Equal(others, had) {
				t.Fatalf("%+v, but other rows differ:\n%s", change, cmp.Diff(had, others))
			}
		}
		if !slices.Equal(a, before) {
			t.Fatal("a was changed though dst was other memory")
		}
		inPlace := append(make([]events.Evidence, 0, len(a)+2), a...)
		if got, _ := order.Absorb(inPlace[:0], inPlace, b); !slices.Equal(got, want) {
			t.Fatalf("in place:\n%s", cmp.Diff(want, got))
		}
	})
}

// Many words and many meanings: the bounds are met on the way.
func TestAbsorb_isJoinAtTheBounds(t *testing.T) {
	var a, want []events.Evidence
	for i := range 90 {
		r := events.Evidence{Kind: events.EvidenceWebhook, Word: string(rune('a' + i%17*i%80)), Digest: string(rune('A' + i%7)), Listed: i%3 == 0,
			First: events.Sighting{At: minute(100 - i), Topic: "t", Offset: int64(i)}}
		if i%5 == 0 {
			r.Kind, r.Last = events.EvidencePoll, r.First
		}
		want = order.Join(want, []events.Evidence{r})
		a, _ = order.Absorb(a[:0], a, []events.Evidence{r})
		if d := cmp.Diff(want, a); d != "" {
			t.Fatalf("after %d rows:\n%s", i+1, d)
		}
	}
}

func TestComparisonsByPointer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := genRows().Draw(t, "rows")
		for i := range rows {
			for j := range rows {
				a, b := &rows[i], &rows[j]
				if got, want := order.CompareRows(a, b), a.Compare(*b); got != want {
					t.Fatalf("CompareRows = %d, Compare = %d", got, want)
				}
				if got, want := order.CompareSightings(&a.Last, &b.First), a.Last.Compare(b.First); got != want {
					t.Fatalf("CompareSightings = %d, Compare = %d", got, want)
				}
			}
		}
	})
}
