package order

import (
	"slices"

	"github.com/cockroachdb/apd/v3"

	"rampstream/internal/events"
)

// fill takes from more what f does not state. An amount and its unit go
// together: an amount without its currency would be somebody else's money.
func fill(f, more *events.Facts) {
	if f.FiatAmount == "" && (f.FiatCurrency == "" || f.FiatCurrency == more.FiatCurrency) && more.FiatAmount != "" {
		f.FiatAmount, f.FiatCurrency = more.FiatAmount, more.FiatCurrency
	}
	if f.CryptoAmount == "" && (f.CryptoAsset == "" || f.CryptoAsset == more.CryptoAsset) && more.CryptoAmount != "" {
		f.CryptoAmount, f.CryptoAsset = more.CryptoAmount, more.CryptoAsset
	}
	if f.FiatAmount == "" {
		or(&f.FiatCurrency, more.FiatCurrency)
	}
	if f.CryptoAmount == "" {
		or(&f.CryptoAsset, more.CryptoAsset)
	}
	if f.CryptoReceiveMin == "" {
		f.CryptoReceiveMin = more.CryptoReceiveMin
	}
	if f.ProviderCreatedAt == 0 {
		f.ProviderCreatedAt = more.ProviderCreatedAt
	}
	or(&f.CryptoNetwork, more.CryptoNetwork)
	or(&f.Side, more.Side)
	or(&f.TxHash, more.TxHash)
	or(&f.CustomerID, more.CustomerID)
	or(&f.MerchantRef, more.MerchantRef)
	or(&f.CustomerRef, more.CustomerRef)
	or(&f.ExternalID, more.ExternalID)
	or(&f.StatusInData, more.StatusInData)
	or(&f.FundsTaken, more.FundsTaken)
	or(&f.KYCLevel, more.KYCLevel)
	or(&f.DocsUploaded, more.DocsUploaded)
	or(&f.VerificationStatus, more.VerificationStatus)
	or(&f.WalletStatus, more.WalletStatus)
	or(&f.WalletID, more.WalletID)
	or(&f.WalletAccounts, more.WalletAccounts)
}

func or(to *string, from string) {
	if *to == "" {
		*to = from
	}
}

// shown makes f, which is empty, the facts of the deciding evidence, each
// missing one taken from the latest poll that has it, then the latest webhook,
// then the intent.
func (s *summary) shown(f *events.Facts, deciding *events.Evidence, withIntent bool) {
	if deciding != nil && (deciding.Kind == events.EvidencePoll || deciding.Kind == events.EvidenceWebhook) {
		*f = deciding.Facts
	}
	var stack [16]*events.Evidence
	for _, kind := range [...]events.EvidenceKind{events.EvidencePoll, events.EvidenceWebhook} {
		rows := stack[:0]
		for i := range s.rows {
			if r := &s.rows[i]; r.Kind == kind && r != deciding && r.Facts != (events.Facts{}) {
				rows = append(rows, r)
			}
		}
		slices.SortFunc(rows, func(a, b *events.Evidence) int {
			if c := compareSightings(at(b), at(a)); c != 0 {
				return c
			}
			return compareRows(a, b)
		})
		for _, r := range rows {
			fill(f, &r.Facts)
		}
	}
	if withIntent {
		for _, i := range s.intents {
			fill(f, &i.Facts)
		}
	}
}

// unmet is one expectation that something seen does not meet: since when both
// were known, and where they stand.
type unmet struct {
	mismatch
	at       events.Millis
	evidence []string
}

// unmet is findUnmet, done once a view.
func (s *summary) unmet() (found []unmet, compared bool) {
	if !s.compared.done {
		s.compared.found, s.compared.any = s.findUnmet()
		s.compared.done = true
	}
	return s.compared.found, s.compared.any
}

// findUnmet compares each intent with all that said COMPLETED and with what is
// shown of that; while nothing did, with what is shown of the latest poll.
// compared is whether any amount stood on both sides.
func (s *summary) findUnmet() (found []unmet, compared bool) {
	if len(s.intents) == 0 {
		return nil, false
	}
	against := func(row *events.Evidence, seen *events.Facts) {
		for _, i := range s.intents {
			compared = compared || comparable(&i.Facts, seen, s.lane.vocabulary.AmountUnsigned)
			for _, m := range mismatches(&i.Facts, seen) {
				u := unmet{m, i.First.At, []string{i.First.Coordinates()}}
				if row != nil {
					u.at = max(u.at, row.First.At)
					u.evidence = append(u.evidence, row.First.Coordinates())
				}
				found = append(found, u)
			}
		}
	}
	var seen events.Facts
	deciding, _ := s.saidFirst(events.StatusCompleted)
	if deciding == nil {
		s.shown(&seen, s.poll, false)
		against(s.poll, &seen)
		return found, compared
	}
	s.shown(&seen, deciding, false)
	against(deciding, &seen)
	for i := range s.rows {
		if m := s.means[i]; m.known && m.status == events.StatusCompleted && &s.rows[i] != deciding {
			against(&s.rows[i], &s.rows[i].Facts)
		}
	}
	return found, compared
}

// comparable reports whether an amount is stated on both sides; and its unit, where
// the payer can change that too.
func comparable(want, seen *events.Facts, units bool) bool {
	fiat := want.FiatAmount != "" && seen.FiatAmount != ""
	crypto := (want.CryptoAmount != "" || want.CryptoReceiveMin != "") && seen.CryptoAmount != ""
	return (fiat && (!units || want.FiatCurrency != "" && seen.FiatCurrency != "")) ||
		(crypto && (!units || want.CryptoAsset != "" && seen.CryptoAsset != ""))
}

// mismatch is one stated expectation that what was seen does not meet.
type mismatch struct {
	kind           events.DiscrepancyType
	expected, seen string
	stake          events.Amount
	stakeCurrency  string
}

// mismatches compares only what the intent states with what was seen: a field
// that either leaves out says nothing. Amounts compare as decimals, units
// exactly.
func mismatches(want, seen *events.Facts) []mismatch {
	var out []mismatch
	out = append(out, amountMismatch(want.FiatAmount, want.FiatCurrency, seen.FiatAmount, seen.FiatCurrency)...)
	out = append(out, amountMismatch(want.CryptoAmount, want.CryptoAsset, seen.CryptoAmount, seen.CryptoAsset)...)
	if want.CryptoReceiveMin != "" && seen.CryptoAmount != "" && compare(seen.CryptoAmount, want.CryptoReceiveMin) < 0 {
		out = append(out, mismatch{events.AmountMismatch, "at least " + string(want.CryptoReceiveMin) + " " + want.CryptoAsset,
			string(seen.CryptoAmount) + " " + seen.CryptoAsset, minus(want.CryptoReceiveMin, seen.CryptoAmount), seen.CryptoAsset})
	}
	return append(out, otherMoney(want, seen)...)
}

// otherMoney: the right amount on the wrong chain, or a sale instead of a
// purchase. The whole of it is at stake. Networks have one name each, which
// people spell in capitals or not.
func otherMoney(want, seen *events.Facts) (out []mismatch) {
	if want.CryptoNetwork != "" && seen.CryptoNetwork != "" && !equalFold(want.CryptoNetwork, seen.CryptoNetwork) {
		amount, unit := seen.CryptoAmount, seen.CryptoAsset
		if amount == "" {
			amount, unit = want.CryptoAmount, want.CryptoAsset
		}
		out = append(out, mismatch{events.AssetMismatch, "network " + want.CryptoNetwork, "network " + seen.CryptoNetwork, amount, unit})
	}
	if want.Side != "" && seen.Side != "" && want.Side != seen.Side {
		var d events.Discrepancy
		if stake(&d, seen); d.AtStake == "" {
			stake(&d, want)
		}
		out = append(out, mismatch{events.AssetMismatch, "side " + want.Side, "side " + seen.Side, d.AtStake, d.AtStakeCurrency})
	}
	return out
}

// equalFold compares without regard to the case of ASCII letters.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func amountMismatch(want events.Amount, wantUnit string, seen events.Amount, seenUnit string) []mismatch {
	if wantUnit != "" && seenUnit != "" && wantUnit != seenUnit {
		return []mismatch{{events.AssetMismatch, string(want) + " " + wantUnit, string(seen) + " " + seenUnit, want, wantUnit}}
	}
	if want == "" || seen == "" || compare(want, seen) == 0 {
		return nil
	}
	unit := wantUnit
	or(&unit, seenUnit)
	return []mismatch{{events.AmountMismatch, string(want) + " " + wantUnit, string(seen) + " " + seenUnit, minus(want, seen), unit}}
}

// compare orders two amounts as decimals. An amount that is no decimal cannot
// come from a decoded record; it is below every other.
func compare(a, b events.Amount) int {
	if a == b {
		return 0
	}
	x, _, errA := apd.NewFromString(string(a))
	y, _, errB := apd.NewFromString(string(b))
	switch {
	case errA != nil && errB != nil:
		return 0
	case errA != nil:
		return -1
	case errB != nil:
		return 1
	}
	return mutateAmounts(x.Cmp(y), x, y)
}

// exact holds every digit of two amounts of 80 digits each.
var exact = apd.BaseContext.WithPrecision(200)

// minus is |a-b| as a plain decimal, "" when it cannot be said.
func minus(a, b events.Amount) events.Amount {
	x, _, errA := apd.NewFromString(string(a))
	y, _, errB := apd.NewFromString(string(b))
	if errA != nil || errB != nil {
		return ""
	}
	var d apd.Decimal
	if cond, err := exact.Sub(&d, x, y); err != nil || cond.Inexact() {
		return ""
	}
	d.Abs(&d)
	out, err := events.ParseAmount(d.Text('f'))
	if err != nil {
		return ""
	}
	return out
}
