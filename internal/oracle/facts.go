package oracle

import (
	"math/big"
	"reflect"
	"sort"
	"strings"

	"rampstream/internal/events"
)

// shown are the facts of row, each missing one from the polls, latest first,
// then from the webhooks, then from the intents.
func (v *view) shown(row *events.Evidence, withIntents bool) events.Facts {
	var sources []events.Facts
	if row != nil && (row.Kind == events.EvidenceWebhook || row.Kind == events.EvidencePoll) {
		sources = append(sources, row.Facts)
	}
	for _, is := range []func(statement) bool{isPoll, isWebhook} {
		all := v.where(is)
		sort.SliceStable(all, func(i, j int) bool { return before(all[j].last(), all[i].last()) })
		for _, s := range all {
			sources = append(sources, s.Facts)
		}
	}
	if withIntents {
		for _, i := range v.intents {
			sources = append(sources, i.Facts)
		}
	}
	var out events.Facts
	for _, f := range sources { // in their order
		pair(&out.FiatAmount, &out.FiatCurrency, f.FiatAmount, f.FiatCurrency)
		pair(&out.CryptoAmount, &out.CryptoAsset, f.CryptoAmount, f.CryptoAsset)
	}
	// All other facts stand alone.
	alone := reflect.ValueOf(&out).Elem()
	for _, f := range sources {
		from := reflect.ValueOf(f)
		for _, i := range single {
			if alone.Field(i).IsZero() {
				alone.Field(i).Set(from.Field(i))
			}
		}
	}
	return out
}

// single are the fields of events.Facts that are no amount with a unit: all
// others, so that a new fact is not forgotten here.
var single = func() (out []int) {
	t := reflect.TypeFor[events.Facts]()
	for i := range t.NumField() {
		switch t.Field(i).Name {
		case "FiatAmount", "FiatCurrency", "CryptoAmount", "CryptoAsset":
		default:
			out = append(out, i)
		}
	}
	return out
}()

// pair takes an amount with its unit, unless another unit is shown already; a
// unit alone is taken while there is no amount.
func pair(amount *events.Amount, unit *string, moreAmount events.Amount, moreUnit string) {
	switch {
	case *amount != "":
	case moreAmount != "" && (*unit == "" || *unit == moreUnit):
		*amount, *unit = moreAmount, moreUnit
	case *unit == "":
		*unit = moreUnit
	}
}

// unmet is an expectation that what was seen does not meet, and since when
// both were known.
type unmet struct {
	kind events.DiscrepancyType
	at   events.Millis
}

// unmet compares as docs/ORDER.md, sections 2.6 and 4, say.
func (v *view) unmet() (found []unmet, compared bool) {
	compare := func(i events.Evidence, seen events.Facts, at events.Millis) {
		for _, kind := range differs(i.Facts, seen) {
			found = append(found, unmet{kind, max(i.First.At, at)})
		}
		fiat := i.Facts.FiatAmount != "" && seen.FiatAmount != ""
		crypto := (i.Facts.CryptoAmount != "" || i.Facts.CryptoReceiveMin != "") && seen.CryptoAmount != ""
		if v.rules.Vocabulary.AmountUnsigned { // the payer can change the unit too
			fiat = fiat && i.Facts.FiatCurrency != "" && seen.FiatCurrency != ""
			crypto = crypto && i.Facts.CryptoAsset != "" && seen.CryptoAsset != ""
		}
		compared = compared || fiat || crypto
	}
	for _, i := range v.intents {
		done := v.where(says(events.StatusCompleted))
		if len(done) == 0 {
			if poll := lastSaid(v.where(isPoll, isKnown)); poll != nil {
				compare(i, v.shown(&poll.Evidence, false), poll.First.At)
			} else {
				compare(i, v.shown(nil, false), 0)
			}
			continue
		}
		first := firstSaid(done)
		compare(i, v.shown(&first.Evidence, false), first.First.At)
		for _, s := range done {
			compare(i, s.Facts, s.First.At)
		}
	}
	return found, compared
}

func differs(want, seen events.Facts) (out []events.DiscrepancyType) {
	pair := func(w events.Amount, wu string, s events.Amount, su string) {
		switch {
		case wu != "" && su != "" && wu != su:
			out = append(out, events.AssetMismatch)
		case w != "" && s != "" && number(w).Cmp(number(s)) != 0:
			out = append(out, events.AmountMismatch)
		}
	}
	pair(want.FiatAmount, want.FiatCurrency, seen.FiatAmount, seen.FiatCurrency)
	pair(want.CryptoAmount, want.CryptoAsset, seen.CryptoAmount, seen.CryptoAsset)
	if want.CryptoReceiveMin != "" && seen.CryptoAmount != "" && number(seen.CryptoAmount).Cmp(number(want.CryptoReceiveMin)) < 0 {
		out = append(out, events.AmountMismatch)
	}
	if w, s := strings.ToLower(want.CryptoNetwork), strings.ToLower(seen.CryptoNetwork); w != "" && s != "" && w != s {
		out = append(out, events.AssetMismatch)
	}
	if want.Side != "" && seen.Side != "" && want.Side != seen.Side {
		out = append(out, events.AssetMismatch)
	}
	return out
}

// number is a plain decimal as an exact fraction. Records hold nothing else.
func number(a events.Amount) *big.Rat {
	r, ok := new(big.Rat).SetString(string(a))
	if !ok {
		return new(big.Rat)
	}
	return r
}
