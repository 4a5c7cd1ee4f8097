package codec

import "rampstream/internal/events"

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

func (w *webhookWire) value(f *faults) events.Webhook {
	x := events.Webhook{
		Key: w.key(f), EventID: w.EventID, ObservedAt: w.ObservedAt, Trust: trustOf(f, w.Trust),
		HintReason: val(w.HintReason), EventType: val(w.EventType),
		Status: statusOf(f, "status", w.Status), StatusRaw: val(w.StatusRaw), DeliveryID: val(w.DeliveryID),
		BodyDigest: w.BodyDigest, Scheme: val(w.Scheme), Facts: w.facts(),
	}
	x.Facts.WalletAccounts = wallets(w.WalletAccounts)
	return x
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

func (w *intentWire) value(f *faults) events.Intent {
	x := events.Intent{
		Key: w.key(f), Kind: intentKindOf(f, w.Kind), EventID: w.EventID, ObservedAt: w.ObservedAt, Revision: val(w.Revision),
		Facts: w.facts(), Operator: val(w.Operator), Reason: val(w.Reason), Source: val(w.Source),
	}
	if word := val(w.Decision); word != "" {
		x.Status = statusOf(f, "decision", word)
	}
	return x
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

func (w *statusCheckWire) value(f *faults) events.StatusCheck {
	x := events.StatusCheck{
		Key: w.key(f), EventID: w.EventID, ObservedAt: w.ObservedAt, AnsweredAt: val(w.AnsweredAt),
		Cause: causeOf(f, w.Cause), Outcome: w.Outcome, StatusRaw: val(w.StatusRaw), Status: statusOf(f, "status", w.Status),
		HTTPStatus: val(w.HTTPStatus), Attempt: w.Attempt, RetryAfter: val(w.RetryAfterAt), Facts: w.facts(),
	}
	x.Facts.WalletAccounts = wallets(w.WalletAccounts)
	return x
}
