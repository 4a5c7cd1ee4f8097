package order

import "rampstream/internal/events"

// Bounds on the evidence of one subject. Beyond them the smallest by bytes are
// kept, so that what is kept does not depend on the order of arrival.
const (
	maxWords     = 64 // distinct listed, and unlisted, status words a source; a longer list ends in an overflow row
	maxWordBytes = 64 // a longer word is replaced by its hash
	maxMeanings  = 4  // distinct facts a webhook word, and contents of one intent revision
	maxDecisions = 64
)

// Names of the sources in overflow and future rows.
const (
	sourceWebhook  = "webhook"
	sourcePoll     = "poll"
	sourceIntent   = "intent"
	sourceDecision = "decision"
)

// Where says where a record stands in the log, and what the log's clock says
// of it.
type Where struct {
	Topic     string
	Partition int32
	Offset    int64
	// AppendedAt is the broker's clock; absent on a topic whose timestamps are
	// the producer's, which cannot referee.
	AppendedAt events.Millis
}

// sight makes the sighting of something observed at t. A time more than margin
// ahead of the log's clock is cut to that: a maximum cannot forget, so a clock
// that is ahead must not win for ever. future reports that it was cut.
func (w *Where) sight(t events.Millis, id events.EventID, margin events.Millis) (s events.Sighting, future bool) {
	if limit := w.AppendedAt + margin; w.AppendedAt != 0 && t > limit {
		t, future = limit, true
	}
	return events.Sighting{At: t, EventID: id, Topic: w.Topic, Partition: w.Partition, Offset: w.Offset}, future
}

// FromWebhook is the evidence of one webhook. A hint is none.
func (r Rules) FromWebhook(w events.Webhook, at Where) []events.Evidence {
	return r.AppendWebhook(nil, &w, &at)
}

// FromCheck is the evidence of one status check. A failed answer to a hint is
// none: forged hints must not create states.
func (r Rules) FromCheck(c events.StatusCheck, at Where) []events.Evidence {
	return r.AppendCheck(nil, &c, &at)
}

// FromIntent is the evidence of one intent.
func (r Rules) FromIntent(i events.Intent, at Where) []events.Evidence {
	return r.AppendIntent(nil, &i, &at)
}

// AppendWebhook appends FromWebhook to dst.
func (r *Rules) AppendWebhook(dst []events.Evidence, w *events.Webhook, at *Where) []events.Evidence {
	if mutateTrust(w.Trust) != events.TrustSigned {
		return dst
	}
	s, future := at.sight(w.ObservedAt, w.EventID, r.margin())
	return appendRow(dst, &events.Evidence{
		Kind: events.EvidenceWebhook, Word: shorten(w.StatusRaw), Listed: w.Status != events.StatusUnknown, Digest: w.Facts.Digest(), First: s, Facts: w.Facts,
	}, sourceWebhook, future)
}

// AppendCheck appends FromCheck to dst.
func (r *Rules) AppendCheck(dst []events.Evidence, c *events.StatusCheck, at *Where) []events.Evidence {
	if c.Cause == events.CauseHint && c.Outcome != events.OutcomeOK {
		return dst
	}
	s, future := at.sight(c.ObservedAt, c.EventID, r.margin())
	row := events.Evidence{Kind: events.EvidencePoll, Word: shorten(c.Word()), First: s, Last: s}
	// The classes of failures are ours, so garbage must not push them out either.
	row.Listed = c.Outcome != events.OutcomeOK || c.Status != events.StatusUnknown
	// A failure has no facts: an answer about another subject may carry some.
	if c.Outcome == events.OutcomeOK {
		row.Facts = c.Facts
		if failure(row.Word) { // a provider's word must not pass for a class of ours
			row.Word = hashed(row.Word)
		}
	}
	return appendRow(dst, &row, sourcePoll, future)
}

// AppendIntent appends FromIntent to dst.
func (r *Rules) AppendIntent(dst []events.Evidence, i *events.Intent, at *Where) []events.Evidence {
	s, future := at.sight(i.ObservedAt, i.EventID, r.margin())
	switch i.Kind {
	case events.Forget:
		return append(dst, events.Evidence{Kind: events.EvidenceForget, Digest: i.ContentHash(), First: s, Operator: i.Operator, Reason: i.Reason})
	case events.Decide:
		row := events.Evidence{Kind: events.EvidenceDecision, Word: i.Status.String(), Digest: i.ContentHash(), First: s, Last: s, Operator: i.Operator, Reason: i.Reason}
		return appendRow(dst, &row, sourceDecision, future)
	}
	row := events.Evidence{Kind: events.EvidenceIntent, Digest: i.ContentHash(), First: s, Revision: i.Revision, Facts: i.Facts}
	return appendRow(dst, &row, sourceIntent, future)
}

// appendRow appends row, and the row that says that its source was dated ahead.
func appendRow(dst []events.Evidence, row *events.Evidence, source string, future bool) []events.Evidence {
	dst = append(dst, *row)
	if future {
		dst = append(dst, events.Evidence{Kind: events.EvidenceFuture, Word: source, First: row.First, Last: row.First})
	}
	return dst
}

func shorten(word string) string {
	if len(word) > maxWordBytes {
		return hashed(word)
	}
	return word
}

func hashed(word string) string { return "sha256:" + events.Digest(word) }
