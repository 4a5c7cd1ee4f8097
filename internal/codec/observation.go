package codec

import (
	"context"

	"rampstream/internal/events"
)

func (f *faults) webhook(x *events.Webhook) {
	f.key(x.Key)
	f.eventID(x.EventID)
	f.clock("observed_at", x.ObservedAt)
	f.require(x.Trust <= events.TrustSigned, "trust", "not HINT or SIGNED")
	f.status("status", x.Status)
	f.text("hint_reason", x.HintReason)
	f.text("event_type", x.EventType)
	f.text("status_raw", x.StatusRaw)
	f.text("delivery_id", x.DeliveryID)
	f.text("body_digest", x.BodyDigest)
	f.text("scheme", x.Scheme)
	f.said(&x.Facts)
}

// EncodeWebhook is the record value of x. Errors: ErrInvalid (also for facts
// that only an intent states), ErrNoID.
func (c *Codec) EncodeWebhook(x events.Webhook) ([]byte, error) {
	var f faults
	if f.webhook(&x); f.err != nil {
		return nil, f.of("Webhook", ErrInvalid)
	}
	v, err := c.begin("Webhook")
	if err != nil {
		return nil, err
	}
	return v.end(appendWebhook(v.b, &x), nil)
}

// DecodeWebhook reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeWebhook(ctx context.Context, value []byte) (x events.Webhook, err error) {
	if err := c.ReadWebhook(ctx, nil, value, &x); err != nil {
		return events.Webhook{}, err
	}
	return x, nil
}

// ReadWebhook is DecodeWebhook into x, which must be zero, with its texts in t.
// After an error x says nothing.
func (c *Codec) ReadWebhook(ctx context.Context, t *Texts, value []byte, x *events.Webhook) error {
	w, err := c.writerFor(ctx, "Webhook", value)
	if err != nil {
		return err
	}
	var r reader
	if w.ours {
		r.open(t, value)
		r.readWebhook(x)
		r.close()
	} else {
		var v webhookWire
		if err := w.resolve("Webhook", value, &v); err != nil {
			return err
		}
		*x = v.value(&r.faults)
	}
	if r.webhook(x); r.err != nil {
		return r.of("Webhook", ErrCorrupt)
	}
	return nil
}

func (f *faults) intent(x *events.Intent) {
	f.key(x.Key)
	f.eventID(x.EventID)
	f.clock("observed_at", x.ObservedAt)
	f.require(x.Kind <= events.Decide, "kind", "not EXPECT, FORGET or DECIDE")
	f.require(x.Revision >= 0, "revision", "negative")
	if x.Kind == events.Decide {
		f.require(x.Status.Terminal(), "decision", "not a terminal status")
	} else {
		f.require(x.Status == events.StatusUnknown, "decision", "stated by an intent that is no DECIDE")
	}
	f.text("operator", x.Operator)
	f.text("reason", x.Reason)
	f.text("source", x.Source)
	f.stated(&x.Facts)
}

// EncodeIntent is the record value of x. Errors: ErrInvalid (also for facts
// that an intent cannot state), ErrNoID.
func (c *Codec) EncodeIntent(x events.Intent) ([]byte, error) {
	var f faults
	if f.intent(&x); f.err != nil {
		return nil, f.of("Intent", ErrInvalid)
	}
	v, err := c.begin("Intent")
	if err != nil {
		return nil, err
	}
	return v.end(appendIntent(v.b, &x), nil)
}

// DecodeIntent reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeIntent(ctx context.Context, value []byte) (x events.Intent, err error) {
	if err := c.ReadIntent(ctx, nil, value, &x); err != nil {
		return events.Intent{}, err
	}
	return x, nil
}

// ReadIntent is DecodeIntent into x, which must be zero, with its texts in t.
// After an error x says nothing.
func (c *Codec) ReadIntent(ctx context.Context, t *Texts, value []byte, x *events.Intent) error {
	w, err := c.writerFor(ctx, "Intent", value)
	if err != nil {
		return err
	}
	var r reader
	if w.ours {
		r.open(t, value)
		r.readIntent(x)
		r.close()
	} else {
		var v intentWire
		if err := w.resolve("Intent", value, &v); err != nil {
			return err
		}
		*x = v.value(&r.faults)
	}
	if r.intent(x); r.err != nil {
		return r.of("Intent", ErrCorrupt)
	}
	return nil
}

func (f *faults) statusCheck(x *events.StatusCheck) {
	f.key(x.Key)
	f.eventID(x.EventID)
	f.clock("observed_at", x.ObservedAt)
	f.at("answered_at", x.AnsweredAt)
	f.require(x.Cause <= events.CauseConfirm, "cause", "not schedule, hint, sweep or confirm")
	f.require(validOutcome(x.Outcome), "outcome", "not in the closed set")
	f.require(x.StatusRaw == "" || x.Outcome == events.OutcomeOK, "status_raw", "stated by a failed check")
	f.status("status", x.Status)
	f.require(x.HTTPStatus >= 0, "http_status", "negative")
	f.require(x.Attempt >= 0, "attempt", "negative")
	f.at("retry_after_at", x.RetryAfter)
	f.text("status_raw", x.StatusRaw)
	f.said(&x.Facts)
}

// EncodeStatusCheck is the record value of x. Errors: ErrInvalid (also for
// facts that only an intent states), ErrNoID.
func (c *Codec) EncodeStatusCheck(x events.StatusCheck) ([]byte, error) {
	var f faults
	if f.statusCheck(&x); f.err != nil {
		return nil, f.of("StatusCheck", ErrInvalid)
	}
	v, err := c.begin("StatusCheck")
	if err != nil {
		return nil, err
	}
	return v.end(appendStatusCheck(v.b, &x), nil)
}

// DecodeStatusCheck reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeStatusCheck(ctx context.Context, value []byte) (x events.StatusCheck, err error) {
	if err := c.ReadStatusCheck(ctx, nil, value, &x); err != nil {
		return events.StatusCheck{}, err
	}
	return x, nil
}

// ReadStatusCheck is DecodeStatusCheck into x, which must be zero, with its texts in t.
// After an error x says nothing.
func (c *Codec) ReadStatusCheck(ctx context.Context, t *Texts, value []byte, x *events.StatusCheck) error {
	w, err := c.writerFor(ctx, "StatusCheck", value)
	if err != nil {
		return err
	}
	var r reader
	if w.ours {
		r.open(t, value)
		r.readStatusCheck(x)
		r.close()
	} else {
		var v statusCheckWire
		if err := w.resolve("StatusCheck", value, &v); err != nil {
			return err
		}
		*x = v.value(&r.faults)
	}
	if r.statusCheck(x); r.err != nil {
		return r.of("StatusCheck", ErrCorrupt)
	}
	return nil
}
