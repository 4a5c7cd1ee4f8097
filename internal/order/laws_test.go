package order_test

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

// genRows are rows as no single log can have made them: one sighting with
// several facts, one digest with several contents, as two regions or a
// producer's mistake may leave them. The laws hold for them as well.
func genRows() *rapid.Generator[[]events.Evidence] {
	sighting := rapid.Custom(func(t *rapid.T) events.Sighting {
		return events.Sighting{At: minute(rapid.IntRange(0, 2).Draw(t, "at")), EventID: events.EventID(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id")),
			Topic: rapid.SampledFrom([]string{"north", "south"}).Draw(t, "topic"), Offset: rapid.Int64Range(0, 2).Draw(t, "offset")}
	})
	row := rapid.Custom(func(t *rapid.T) events.Evidence {
		e := events.Evidence{Kind: events.EvidenceKind(rapid.SampledFrom([]int{0, 0, 1, 2, 2, 2, 3, 4, 6, 7}).Draw(t, "kind")), First: sighting.Draw(t, "first")}
		digest := fmt.Sprintf("d%d", rapid.IntRange(1, 6).Draw(t, "digest"))
		amount := events.Facts{CryptoAmount: events.Amount(rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "amount"))}
		switch e.Kind {
		case events.EvidenceWebhook:
			e.Word, e.Digest, e.Facts = rapid.SampledFrom([]string{"wait", "done"}).Draw(t, "word"), digest, amount
		case events.EvidencePoll:
			e.Word, e.Facts, e.Last = rapid.SampledFrom([]string{"wait", "done"}).Draw(t, "word"), amount, e.First
			if l := sighting.Draw(t, "last"); l.Compare(e.First) > 0 {
				e.Last = l
			}
		case events.EvidenceIntent:
			e.Digest, e.Facts, e.Revision = digest, amount, int64(digest[1]-'0')/3
		case events.EvidenceDecision:
			e.Word, e.Digest, e.Last = "FAILED", digest, e.First
		case events.EvidenceWebhookMore:
			e.Word = rapid.SampledFrom([]string{"wait", "done"}).Draw(t, "word")
		default:
			e.Word, e.Last = rapid.SampledFrom([]string{"webhook", "poll"}).Draw(t, "source"), e.First
		}
		if e.Kind <= events.EvidencePoll {
			e.Listed = rapid.Bool().Draw(t, "listed")
		}
		return e
	})
	return rapid.Custom(func(t *rapid.T) []events.Evidence {
		return order.Join(rapid.SliceOfN(row, 0, 10).Draw(t, "rows"), nil)
	})
}

func TestJoin_lawsHoldForForeignRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := genRows().Draw(t, "a"), genRows().Draw(t, "b"), genRows().Draw(t, "c")
		ab := order.Join(a, b)
		if d := cmp.Diff(ab, order.Join(b, a)); d != "" {
			t.Fatalf("not commutative:\n%s", d)
		}
		if d := cmp.Diff(order.Join(ab, c), order.Join(a, order.Join(b, c))); d != "" {
			t.Fatalf("not associative:\n%s", d)
		}
		if d := cmp.Diff(ab, order.Join(ab, ab)); d != "" {
			t.Fatalf("not idempotent:\n%s", d)
		}
		if d := cmp.Diff(ab, order.Join(ab, a)); d != "" {
			t.Fatalf("a part adds something:\n%s", d)
		}
	})
}

// One sighting with two sets of facts: the choice does not depend on the order.
func TestJoin_choosesFactsByContent(t *testing.T) {
	at := events.Sighting{At: minute(1), EventID: "e", Topic: "t"}
	row := func(amount events.Amount) []events.Evidence {
		return []events.Evidence{{Kind: events.EvidencePoll, Word: "wait", First: at, Last: at, Facts: events.Facts{CryptoAmount: amount}}}
	}
	if a, b := order.Join(row("1"), row("2")), order.Join(row("2"), row("1")); !cmp.Equal(a, b) {
		t.Errorf("the facts depend on the order:\n%s", cmp.Diff(a, b))
	}
}

// Amounts compare as fractions do, whatever their digits; the difference at
// stake is exact.
func TestAmounts_compareExactly(t *testing.T) {
	r := rules(t, nil)
	literal := rapid.Custom(func(t *rapid.T) events.Amount {
		s := fmt.Sprintf("%se%d", rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?`).Draw(t, "digits"), rapid.IntRange(-7, 7).Draw(t, "exponent"))
		a, err := events.ParseAmount(s)
		if err != nil {
			t.Skip(s)
		}
		return a
	})
	rapid.Check(t, func(t *rapid.T) {
		want, seen := literal.Draw(t, "want"), literal.Draw(t, "seen")
		if rapid.Bool().Draw(t, "equal") {
			seen = want + "0"
			if _, frac := new(big.Rat).SetString(string(want) + ".0"); frac {
				seen = want + ".0"
			}
		}
		x, _ := new(big.Rat).SetString(string(want))
		y, ok := new(big.Rat).SetString(string(seen))
		if !ok {
			t.Fatalf("%q is no number", seen)
		}
		st, all := r.Assess(key, fold(r, say{"intent", "", 1, want, 0}, say{"poll", "done", 2, seen, 0}))
		if equal := x.Cmp(y) == 0; equal != (st.Status == events.StatusCompleted) {
			t.Fatalf("expected %s, seen %s: %v by %s", want, seen, st.Status, st.DecidedBy)
		}
		for _, d := range all {
			stake, ok := new(big.Rat).SetString(string(d.AtStake))
			if diff := new(big.Rat).Sub(x, y); d.Type == events.AmountMismatch && (!ok || stake.Cmp(diff.Abs(diff)) != 0) {
				t.Fatalf("expected %s, seen %s: %q at stake", want, seen, d.AtStake)
			}
		}
	})
}
