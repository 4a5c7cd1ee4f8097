package codec

import (
	"math"
	"slices"
	"strings"

	"rampstream/internal/events"
)

// appendState writes an OrderState or a CustomerState, by the kind of the key.
// They differ in the columns of what is shown and expected.
func appendState(b []byte, x *events.State, rows Rows) []byte {
	b = appendSubject(b, &x.Key)
	b = appendText(b, x.Status.String())
	b = appendOptText(b, x.StatusRaw)
	b = appendText(b, x.DecidedBy)
	b = appendOptText(b, x.DecidedSource)
	b = appendBool(b, x.Terminal)
	b = appendOptLong(b, int64(x.Since))
	b = appendLong(b, int64(x.FirstSeenAt))
	b = appendLong(b, int64(x.LastSeenAt))
	b = appendOptLong(b, int64(x.StaleSince))
	b = appendTexts(b, x.Open)
	b = appendText(b, x.RulesVersion)
	if x.Key.Kind == events.Customer {
		b = appendShownOfCustomer(b, x)
	} else {
		b = appendOrder(b, &x.Facts)
		b = appendOptText(b, x.Facts.WalletID)
		b = appendStated(b, &x.Expected)
	}
	if len(x.Evidence) > 0 {
		b = appendCount(b, len(x.Evidence))
		for i := range x.Evidence {
			if row := rows.at(i); row != "" {
				b = append(b, row...)
			} else {
				b = appendEvidence(b, &x.Evidence[i])
			}
		}
	}
	return appendCount(b, 0)
}

func (r *reader) readState(x *events.State, kind events.SubjectKind, rows *Rows) {
	x.Key = r.readSubject()
	x.Status = statusOf(&r.faults, "status", r.text())
	r.optText(&x.StatusRaw)
	x.DecidedBy = r.text()
	r.optText(&x.DecidedSource)
	x.Terminal = r.bool()
	x.Since = events.Millis(r.optLong())
	x.FirstSeenAt = events.Millis(r.long())
	x.LastSeenAt = events.Millis(r.long())
	x.StaleSince = events.Millis(r.optLong())
	x.Open = r.texts()
	x.RulesVersion = r.text()
	if kind == events.Customer {
		r.readShownOfCustomer(x)
	} else {
		r.readOrder(&x.Facts)
		r.optText(&x.Facts.WalletID)
		r.readStated(&x.Expected)
	}
	const least = 34 // empty texts, zeros and nulls
	var seen blocks
	for n := r.block(&seen, least); n > 0; n = r.block(&seen, least) {
		at := len(x.Evidence)
		x.Evidence = slices.Grow(x.Evidence, n)[:at+n]
		for i := at; i < at+n && r.err == nil; i++ {
			from := r.i
			if r.readEvidence(&x.Evidence[i]); rows != nil {
				*rows = append(*rows, r.s[from:r.i])
			}
		}
	}
}

func appendShownOfCustomer(b []byte, x *events.State) []byte {
	b = appendOptText(b, x.Facts.CustomerID)
	b = appendOptText(b, x.Facts.CustomerRef)
	b = appendOptText(b, x.Facts.ExternalID)
	b = appendOptText(b, x.Facts.StatusInData)
	b = appendOptLong(b, int64(x.Facts.ProviderCreatedAt))
	b = appendCustomer(b, &x.Facts)
	b = appendWallets(b, x.Facts.WalletAccounts)
	b = appendOptText(b, x.Expected.CustomerID)
	b = appendOptText(b, x.Expected.CustomerRef)
	return appendOptText(b, x.Expected.ExternalID)
}

func (r *reader) readShownOfCustomer(x *events.State) {
	r.optText(&x.Facts.CustomerID)
	r.optText(&x.Facts.CustomerRef)
	r.optText(&x.Facts.ExternalID)
	r.optText(&x.Facts.StatusInData)
	x.Facts.ProviderCreatedAt = events.Millis(r.optLong())
	r.readCustomer(&x.Facts)
	x.Facts.WalletAccounts = r.readWallets()
	r.optText(&x.Expected.CustomerID)
	r.optText(&x.Expected.CustomerRef)
	r.optText(&x.Expected.ExternalID)
}

// appendEvidence writes a row of evidence.
func appendEvidence(b []byte, x *events.Evidence) []byte {
	b = appendText(b, x.Kind.String())
	b = appendText(b, x.Word)
	b = appendOptTrue(b, x.Listed)
	b = appendOptText(b, x.Digest)
	b = appendLong(b, int64(x.First.At))
	b = appendText(b, string(x.First.EventID))
	b = appendCoordinates(b, x.First.Topic, x.First.Partition, x.First.Offset)
	b = appendOptLong(b, int64(x.Last.At))
	b = appendOptText(b, string(x.Last.EventID))
	if x.Last.Topic == "" {
		b = append(b, branchNull)
	} else {
		b = appendCoordinates(append(b, branchValue), x.Last.Topic, x.Last.Partition, x.Last.Offset)
	}
	b = appendOptLong(b, x.Revision)
	b = appendOptText(b, x.Operator)
	b = appendOptText(b, x.Reason)
	b = appendOrder(b, &x.Facts)
	b = appendCustomer(b, &x.Facts)
	return appendOptText(b, x.Facts.WalletAccounts)
}

func (r *reader) readEvidence(x *events.Evidence) {
	*x = events.Evidence{} // it may be memory that was used before
	x.Kind = evidenceKindOf(&r.faults, r.text())
	x.Word = r.text()
	x.Listed = r.optTrue()
	r.optText(&x.Digest)
	x.First.At = events.Millis(r.long())
	x.First.EventID = events.EventID(r.text())
	r.readCoordinates(&x.First, r.text())
	if !r.nulls(3) {
		x.Last.At = events.Millis(r.optLong())
		r.optText((*string)(&x.Last.EventID))
		var coordinates string
		r.optText(&coordinates)
		r.readCoordinates(&x.Last, coordinates)
	}
	if !r.nulls(3) {
		x.Revision = r.optLong()
		r.optText(&x.Operator)
		r.optText(&x.Reason)
	}
	r.readOrder(&x.Facts)
	r.readCustomer(&x.Facts)
	r.optText(&x.Facts.WalletAccounts)
}

// readCoordinates is what sighting does, without making the text again: only
// numbers spelled as appendCoordinates spells them are numbers.
func (r *reader) readCoordinates(x *events.Sighting, text string) {
	if text == "" {
		return
	}
	j := strings.LastIndexByte(text, '-')
	i := strings.LastIndexByte(text[:max(j, 0)], '-')
	if i <= 0 {
		r.add("coordinates", "not topic-partition-offset")
		return
	}
	partition, ok1 := decimal(text[i+1:j], math.MaxInt32)
	offset, ok2 := decimal(text[j+1:], math.MaxInt64)
	r.require(ok1 && ok2, "coordinates", "not topic-partition-offset")
	x.Topic, x.Partition, x.Offset = text[:i], int32(partition), offset
}

// decimal is the number, at most limit, that s is the only spelling of.
func decimal(s string, limit int64) (n int64, ok bool) {
	const maxDigits = 19 // of the largest int64; more would overflow below
	if len(s) == 0 || len(s) > maxDigits || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	var u uint64
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		u = u*10 + uint64(c)
	}
	return int64(u), u <= uint64(limit)
}
