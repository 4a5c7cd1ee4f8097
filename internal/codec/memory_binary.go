package codec

import "rampstream/internal/events"

func appendCheckTask(b []byte, x *events.CheckTask) []byte {
	b = appendSubject(b, &x.Key)
	b = appendLong(b, int64(x.DueAt))
	b = appendText(b, x.Cause.String())
	b = appendOptLong(b, int64(x.HintAt))
	b = appendBool(b, x.Known)
	b = appendText(b, x.Status.String())
	b = appendOptLong(b, int64(x.Since))
	b = appendBool(b, x.GiveUp)
	b = appendOptText(b, string(x.ExpectedAmount))
	return appendOptText(b, x.ExpectedCurrency)
}

func (r *reader) readCheckTask(x *events.CheckTask) {
	x.Key = r.readSubject()
	x.DueAt = events.Millis(r.long())
	x.Cause = causeOf(&r.faults, r.text())
	x.HintAt = events.Millis(r.optLong())
	x.Known = r.bool()
	x.Status = statusOf(&r.faults, "announced_status", r.text())
	x.Since = events.Millis(r.optLong())
	x.GiveUp = r.bool()
	r.optText((*string)(&x.ExpectedAmount))
	r.optText(&x.ExpectedCurrency)
}

func appendLaneState(b []byte, x *events.LaneState) []byte {
	provider, account := x.Lane.Split()
	b = appendText(b, string(x.Lane))
	b = appendText(b, string(provider))
	b = appendText(b, string(account))
	b = appendLong(b, x.NonceReserved)
	b = appendOptLong(b, int64(x.RetryAfter))
	b = appendOptText(b, string(x.Budget))
	return appendLong(b, int64(x.UpdatedAt))
}

func (r *reader) readLaneState(x *events.LaneState) {
	lane, provider, account := r.text(), r.text(), r.text()
	x.Lane = events.Lane(lane)
	r.lane(x.Lane, events.Provider(provider), events.Account(account))
	x.NonceReserved = r.long()
	x.RetryAfter = events.Millis(r.optLong())
	r.optText((*string)(&x.Budget))
	x.UpdatedAt = events.Millis(r.long())
}

func appendPosition(b []byte, x *events.Position) []byte {
	b = appendLong(b, int64(x.Partition))
	if len(x.Next) > 0 {
		b = appendCount(b, len(x.Next))
		for i := range x.Next {
			b = appendText(b, x.Next[i].Topic)
			b = appendLong(b, x.Next[i].Offset)
		}
	}
	b = appendCount(b, 0)
	b = appendLong(b, x.States)
	b = appendText(b, x.Digest)
	b = appendText(b, x.RulesVersion)
	b = appendOptLong(b, x.RulesGeneration)
	b = appendOptLong(b, x.RulesCode)
	return appendTexts(b, x.Superseded)
}

func (r *reader) readPosition(x *events.Position) {
	const least = 2 // an empty topic and a small offset
	x.Partition = r.int()
	var seen blocks
	for n := r.block(&seen, least); n > 0; n = r.block(&seen, least) {
		for ; n > 0; n-- {
			topic, offset := r.text(), r.long()
			x.Next = append(x.Next, events.InputOffset{Topic: topic, Offset: offset})
		}
	}
	x.States = r.long()
	x.Digest = r.text()
	x.RulesVersion = r.text()
	x.RulesGeneration = r.optLong()
	x.RulesCode = r.optLong()
	x.Superseded = r.texts()
}
