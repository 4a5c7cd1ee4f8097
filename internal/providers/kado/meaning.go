package kado

import (
	"errors"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// readDelivery says what a document means. It fills everything but identity
// (EventID, BodyDigest), time and trust. Errors are of class ErrMalformed.
func (p *parser) readDelivery(doc jsonx.Value) (events.Webhook, error) {
	if doc.Kind() != jsonx.Object {
		return events.Webhook{}, malformed("unknown_shape", "body is no object")
	}
	eventType := providers.Token(doc.Get("type"), maxWord)
	if eventType == "" {
		return events.Webhook{}, malformed("unknown_shape", "type is no word")
	}
	resource := "order"
	if v := doc.Get("resource"); v.Kind() != jsonx.Absent && !v.IsNull() {
		if resource = providers.Token(v, maxWord); resource == "" {
			return events.Webhook{}, malformed("unknown_shape", "resource is no word")
		}
	}
	o, raw, err := readSubject(doc.Get("data"), resource, eventType)
	if err != nil {
		return events.Webhook{}, readError(err)
	}
	w := events.Webhook{
		Key:       events.Key{Provider: Name, Account: p.account, Kind: events.Order, ID: o.id},
		EventType: eventType, StatusRaw: raw, DeliveryID: providers.Token(doc.Get("id"), 128), Facts: o.facts,
	}
	w.Facts.StatusInData = o.word
	if m, ok := p.vocabulary.Meaning(events.Order, raw); ok {
		w.Status = m.Status
	}
	return w, nil
}

// readSubject reads data. Of a resource other than an order, data.id is not an
// order's id, and the type must not be taken for an order's word: only an
// explicit orderId binds it, under a word that is in no table.
func readSubject(data jsonx.Value, resource, eventType string) (o order, raw string, err error) {
	if resource == "order" {
		o, err = readOrder(data)
		return o, eventType, err
	}
	id, err := orderID(data, "orderId")
	return order{id: id}, resource + ":" + eventType, err
}

func readError(err error) error {
	switch {
	case errors.Is(err, errNoID):
		return malformed("no_order_id", err.Error())
	case errors.Is(err, errBadID):
		return malformed("bad_id", err.Error())
	}
	return malformed("number_lossy", err.Error())
}

func malformed(reason providers.Reason, detail string) error {
	return providers.Refuse(providers.ErrMalformed, reason, detail)
}
