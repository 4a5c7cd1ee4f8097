package codec

import "rampstream/internal/events"

func appendTransition(b []byte, x *events.Transition) []byte {
	b = appendSubject(b, &x.Key)
	b = appendText(b, string(x.ID))
	b = appendText(b, x.From.String())
	b = appendOptText(b, x.FromRaw)
	b = appendText(b, x.To.String())
	b = appendOptText(b, x.ToRaw)
	b = appendText(b, x.Rule)
	b = appendText(b, x.Reason)
	b = appendBool(b, x.Terminal)
	b = appendOptText(b, x.DigestBefore)
	b = appendText(b, x.DigestAfter)
	b = appendOptText(b, x.Cause)
	b = appendOptText(b, string(x.CauseEventID))
	b = appendLong(b, int64(x.TrueAt))
	b = appendLong(b, int64(x.LearnedAt))
	return appendBool(b, x.Retroactive)
}

func (r *reader) readTransition(x *events.Transition) {
	x.Key = r.readSubject()
	x.ID = events.EventID(r.text())
	x.From = statusOf(&r.faults, "from_status", r.text())
	r.optText(&x.FromRaw)
	x.To = statusOf(&r.faults, "to_status", r.text())
	r.optText(&x.ToRaw)
	x.Rule = r.text()
	x.Reason = r.text()
	x.Terminal = r.bool()
	r.optText(&x.DigestBefore)
	x.DigestAfter = r.text()
	r.optText(&x.Cause)
	r.optText((*string)(&x.CauseEventID))
	x.TrueAt = events.Millis(r.long())
	x.LearnedAt = events.Millis(r.long())
	x.Retroactive = r.bool()
}

func appendDiscrepancy(b []byte, x *events.Discrepancy) []byte {
	b = appendSubject(b, &x.Key)
	b = appendText(b, string(x.Type))
	b = appendText(b, x.Severity)
	b = appendLong(b, int64(x.OpenedAt))
	b = appendOptLong(b, int64(x.ResolvedAt))
	b = appendOptText(b, x.Expected)
	b = appendOptText(b, x.Seen)
	b = appendOptText(b, string(x.AtStake))
	b = appendOptText(b, x.AtStakeCurrency)
	return appendTexts(b, x.Evidence)
}

func (r *reader) readDiscrepancy(x *events.Discrepancy) {
	x.Key = r.readSubject()
	x.Type = events.DiscrepancyType(r.text())
	x.Severity = r.text()
	x.OpenedAt = events.Millis(r.long())
	x.ResolvedAt = events.Millis(r.optLong())
	r.optText(&x.Expected)
	r.optText(&x.Seen)
	r.optText((*string)(&x.AtStake))
	r.optText(&x.AtStakeCurrency)
	x.Evidence = r.texts()
}
