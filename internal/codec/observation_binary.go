package codec

import "rampstream/internal/events"

func appendWebhook(b []byte, x *events.Webhook) []byte {
	b = appendSubject(b, &x.Key)
	b = appendText(b, string(x.EventID))
	b = appendLong(b, int64(x.ObservedAt))
	b = appendText(b, x.Trust.String())
	b = appendOptText(b, x.HintReason)
	b = appendOptText(b, x.EventType)
	b = appendText(b, x.Status.String())
	b = appendOptText(b, x.StatusRaw)
	b = appendOptText(b, x.DeliveryID)
	b = appendText(b, x.BodyDigest)
	b = appendOptText(b, x.Scheme)
	return appendSaid(b, &x.Facts)
}

func (r *reader) readWebhook(x *events.Webhook) {
	x.Key = r.readSubject()
	x.EventID = events.EventID(r.text())
	x.ObservedAt = events.Millis(r.long())
	x.Trust = trustOf(&r.faults, r.text())
	r.optText(&x.HintReason)
	r.optText(&x.EventType)
	x.Status = statusOf(&r.faults, "status", r.text())
	r.optText(&x.StatusRaw)
	r.optText(&x.DeliveryID)
	x.BodyDigest = r.text()
	r.optText(&x.Scheme)
	r.readSaid(&x.Facts)
}

func appendIntent(b []byte, x *events.Intent) []byte {
	b = appendSubject(b, &x.Key)
	b = appendText(b, string(x.EventID))
	b = appendLong(b, int64(x.ObservedAt))
	b = appendText(b, x.Kind.String())
	b = appendOptLong(b, x.Revision)
	if x.Kind == events.Decide {
		b = appendOptText(b, x.Status.String())
	} else {
		b = append(b, branchNull)
	}
	b = appendOptText(b, x.Operator)
	b = appendOptText(b, x.Reason)
	b = appendOptText(b, x.Source)
	return appendStated(b, &x.Facts)
}

func (r *reader) readIntent(x *events.Intent) {
	x.Key = r.readSubject()
	x.EventID = events.EventID(r.text())
	x.ObservedAt = events.Millis(r.long())
	x.Kind = intentKindOf(&r.faults, r.text())
	x.Revision = r.optLong()
	var word string
	if r.optText(&word); word != "" {
		x.Status = statusOf(&r.faults, "decision", word)
	}
	r.optText(&x.Operator)
	r.optText(&x.Reason)
	r.optText(&x.Source)
	r.readStated(&x.Facts)
}

func appendStatusCheck(b []byte, x *events.StatusCheck) []byte {
	b = appendSubject(b, &x.Key)
	b = appendText(b, string(x.EventID))
	b = appendLong(b, int64(x.ObservedAt))
	b = appendOptLong(b, int64(x.AnsweredAt))
	b = appendText(b, x.Cause.String())
	b = appendText(b, string(x.Outcome))
	b = appendText(b, x.Status.String())
	b = appendOptText(b, x.StatusRaw)
	b = appendOptLong(b, int64(x.HTTPStatus))
	b = appendLong(b, int64(x.Attempt))
	b = appendOptLong(b, int64(x.RetryAfter))
	return appendSaid(b, &x.Facts)
}

func (r *reader) readStatusCheck(x *events.StatusCheck) {
	x.Key = r.readSubject()
	x.EventID = events.EventID(r.text())
	x.ObservedAt = events.Millis(r.long())
	x.AnsweredAt = events.Millis(r.optLong())
	x.Cause = causeOf(&r.faults, r.text())
	x.Outcome = events.Outcome(r.text())
	x.Status = statusOf(&r.faults, "status", r.text())
	r.optText(&x.StatusRaw)
	x.HTTPStatus = r.optInt()
	x.Attempt = r.int()
	x.RetryAfter = events.Millis(r.optLong())
	r.readSaid(&x.Facts)
}
