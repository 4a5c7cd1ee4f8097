package order_test

import (
	"testing"

	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

// Words are looked up in a table of our own: what it says is what the vocabulary
// says, of words that are there and of others of the same length.
func TestRules_knowTheVocabulary(t *testing.T) {
	status := rapid.SampledFrom(events.Statuses())
	rapid.Check(t, func(rt *rapid.T) {
		word := rapid.StringMatching(`[aAb]{0,3}|ß`)
		table := rapid.MapOfN(word, rapid.Map(status, func(s events.Status) events.Word { return events.Word{Status: s} }), 0, 6)
		v := events.Vocabulary{Orders: table.Draw(rt, "orders"), Customers: table.Draw(rt, "customers"), FoldCase: rapid.Bool().Draw(rt, "fold")}
		r, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{key.Lane(): v, events.LaneOf("other", key.Account): words})
		if err != nil {
			rt.Fatal(err)
		}
		for _, word := range append(rapid.SliceOfN(word, 20, 20).Draw(rt, "words"), "longer than all") {
			for _, kind := range []events.SubjectKind{events.Order, events.Customer} {
				k := key
				k.Kind = kind
				want, wantListed := v.Meaning(kind, word)
				if st, listed := order.Meaning(&r, k, word); st != want.Status || listed != wantListed {
					rt.Fatalf("%q of a %v means %v, %v; the vocabulary says %v, %v", word, kind, st, listed, want.Status, wantListed)
				}
				k.Provider = "other" // that has an account of the same name
				want, wantListed = words.Meaning(kind, word)
				if st, listed := order.Meaning(&r, k, word); st != want.Status || listed != wantListed {
					rt.Fatalf("%q of another provider means %v, %v; its vocabulary says %v, %v", word, st, listed, want.Status, wantListed)
				}
				k.Account = "unknown"
				if st, listed := order.Meaning(&r, k, word); st != events.StatusUnknown || listed {
					rt.Fatalf("%q of a lane that is not there means %v, %v", word, st, listed)
				}
			}
		}
	})
}
