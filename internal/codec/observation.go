package codec

import (
	"context"

	"rampstream/internal/events"
)

type webhookWire struct {
	subjectWire
	EventID    events.EventID `avro:"event_id"`
	ObservedAt events.Millis  `avro:"observed_at"`
	Trust      string         `avro:"trust"`
	HintReason *string        `avro:"hint_reason"`
	EventType  *string        `avro:"event_type"`
	Status     string         `avro:"status"`
	StatusRaw  *string        `avro:"status_raw"`
	DeliveryID *string        `avro:"delivery_id"`
	BodyDigest string         `avro:"body_digest"`
	Scheme     *string        `avro:"scheme"`
	factsWire
	WalletAccounts []walletWire `avro:"wallet_accounts"`
}

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
	return encode(c, "Webhook", &webhookWire{
		subjectWire: subjectOf(x.Key), EventID: x.EventID, ObservedAt: x.ObservedAt,
		Trust: x.Trust.String(), HintReason: opt(&x.HintReason), EventType: opt(&x.EventType),
		Status: x.Status.String(), StatusRaw: opt(&x.StatusRaw), DeliveryID: opt(&x.DeliveryID),
		BodyDigest: x.BodyDigest, Scheme: opt(&x.Scheme),
		factsWire: factsOf(&x.Facts), WalletAccounts: walletsOf(&x.Facts),
	})
}

// DecodeWebhook reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeWebhook(ctx context.Context, value []byte) (events.Webhook, error) {
	var w webhookWire
	if err := decode(ctx, c, "Webhook", value, &w); err != nil {
		return events.Webhook{}, err
	}
	var f faults
	x := events.Webhook{
		Key: w.key(&f), EventID: w.EventID, ObservedAt: w.ObservedAt,
		HintReason: val(w.HintReason), EventType: val(w.EventType),
		Status: statusOf(&f, "status", w.Status), StatusRaw: val(w.StatusRaw), DeliveryID: val(w.DeliveryID),
		BodyDigest: w.BodyDigest, Scheme: val(w.Scheme), Facts: w.facts(),
	}
	x.Facts.WalletAccounts = wallets(w.WalletAccounts)
	switch w.Trust {
	case events.TrustHint.String():
	case events.TrustSigned.String():
		x.Trust = events.TrustSigned
	default:
		f.add("trust", "not HINT or SIGNED")
	}
	if f.webhook(&x); f.err != nil {
		return events.Webhook{}, f.of("Webhook", ErrCorrupt)
	}
	return x, nil
}

type intentWire struct {
	subjectWire
	EventID    events.EventID `avro:"event_id"`
	ObservedAt events.Millis  `avro:"observed_at"`
	Kind       string         `avro:"kind"`
	Revision   *int64         `avro:"revision"`
	Decision   *string        `avro:"decision"`
	Operator   *string        `avro:"operator"`
	Reason     *string        `avro:"reason"`
	Source     *string        `avro:"source"`
	factsWire
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
	f.facts(&x.Facts)
	f.require(x.Facts == stated(x.Facts), "facts", "one that an intent cannot state")
}

// EncodeIntent is the record value of x. Errors: ErrInvalid (also for facts
// that an intent cannot state), ErrNoID.
func (c *Codec) EncodeIntent(x events.Intent) ([]byte, error) {
	var f faults
	if f.intent(&x); f.err != nil {
		return nil, f.of("Intent", ErrInvalid)
	}
	w := intentWire{
		subjectWire: subjectOf(x.Key), EventID: x.EventID, ObservedAt: x.ObservedAt, Kind: x.Kind.String(),
		Revision: opt(&x.Revision), Operator: opt(&x.Operator), Reason: opt(&x.Reason), Source: opt(&x.Source),
		factsWire: factsOf(&x.Facts),
	}
	if x.Kind == events.Decide {
		word := x.Status.String()
		w.Decision = &word
	}
	return encode(c, "Intent", &w)
}

// DecodeIntent reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeIntent(ctx context.Context, value []byte) (events.Intent, error) {
	var w intentWire
	if err := decode(ctx, c, "Intent", value, &w); err != nil {
		return events.Intent{}, err
	}
	var f faults
	kind, ok := events.ParseIntentKind(w.Kind)
	f.require(ok, "kind", "not EXPECT, FORGET or DECIDE")
	x := events.Intent{
		Key: w.key(&f), Kind: kind, EventID: w.EventID, ObservedAt: w.ObservedAt, Revision: val(w.Revision),
		Facts: w.facts(), Operator: val(w.Operator), Reason: val(w.Reason), Source: val(w.Source),
	}
	if word := val(w.Decision); word != "" {
		x.Status = statusOf(&f, "decision", word)
	}
	if f.intent(&x); f.err != nil {
		return events.Intent{}, f.of("Intent", ErrCorrupt)
	}
	return x, nil
}

type statusCheckWire struct {
	subjectWire
	EventID      events.EventID `avro:"event_id"`
	ObservedAt   events.Millis  `avro:"observed_at"`
	AnsweredAt   *events.Millis `avro:"answered_at"`
	Cause        string         `avro:"cause"`
	Outcome      events.Outcome `avro:"outcome"`
	Status       string         `avro:"status"`
	StatusRaw    *string        `avro:"status_raw"`
	HTTPStatus   *int32         `avro:"http_status"`
	Attempt      int32          `avro:"attempt"`
	RetryAfterAt *events.Millis `avro:"retry_after_at"`
	factsWire
	WalletAccounts []walletWire `avro:"wallet_accounts"`
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
	return encode(c, "StatusCheck", &statusCheckWire{
		subjectWire: subjectOf(x.Key), EventID: x.EventID, ObservedAt: x.ObservedAt, AnsweredAt: opt(&x.AnsweredAt),
		Cause: x.Cause.String(), Outcome: x.Outcome, Status: x.Status.String(), StatusRaw: opt(&x.StatusRaw),
		HTTPStatus: opt(&x.HTTPStatus), Attempt: x.Attempt, RetryAfterAt: opt(&x.RetryAfter),
		factsWire: factsOf(&x.Facts), WalletAccounts: walletsOf(&x.Facts),
	})
}

// DecodeStatusCheck reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeStatusCheck(ctx context.Context, value []byte) (events.StatusCheck, error) {
	var w statusCheckWire
	if err := decode(ctx, c, "StatusCheck", value, &w); err != nil {
		return events.StatusCheck{}, err
	}
	var f faults
	cause, ok := events.ParseCause(w.Cause)
	f.require(ok, "cause", "not schedule, hint, sweep or confirm")
	x := events.StatusCheck{
		Key: w.key(&f), EventID: w.EventID, ObservedAt: w.ObservedAt, AnsweredAt: val(w.AnsweredAt),
		Cause: cause, Outcome: w.Outcome, StatusRaw: val(w.StatusRaw), Status: statusOf(&f, "status", w.Status),
		HTTPStatus: val(w.HTTPStatus), Attempt: w.Attempt, RetryAfter: val(w.RetryAfterAt), Facts: w.facts(),
	}
	x.Facts.WalletAccounts = wallets(w.WalletAccounts)
	if f.statusCheck(&x); f.err != nil {
		return events.StatusCheck{}, f.of("StatusCheck", ErrCorrupt)
	}
	return x, nil
}

// statusOf reads a status word; a word outside the closed set is a fault.
func statusOf(f *faults, field, word string) events.Status {
	s, ok := events.ParseStatus(word)
	f.require(ok, field, "not a status")
	return s
}

func validOutcome(o events.Outcome) bool {
	for _, known := range outcomes {
		if o == known {
			return true
		}
	}
	return false
}

var outcomes = events.Outcomes()
