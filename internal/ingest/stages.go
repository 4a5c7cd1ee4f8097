package ingest

import (
	"errors"
	"net/http"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// The stages of a delivery. A raw one can only be verified, and only an event
// can be published: a side effect before verification does not compile.
type (
	// raw is a delivery read in full, from anybody.
	raw struct {
		route    *Route
		delivery providers.Delivery
	}
	// verified is a delivery that its parser accepted as the provider's, or as
	// a hint where the route has no verifier.
	verified struct {
		raw
		webhook events.Webhook
		// unusable is why an authentic delivery cannot be an event; "" when it can.
		unusable Reason
	}
	// event is a record that is to become durable, and whose it is.
	event struct {
		record stream.Record
		id     events.EventID
		lane   events.Lane
		trust  events.Trust
		kind   string // label: webhook, intent, dead_letter
	}
)

// verify asks the route's parser. It has no side effect but the count of what
// is accepted.
func (s *Server) verify(r raw) (v verified, refusal Response, ok bool) {
	w, err := r.route.Parser.ParseWebhook(r.delivery)
	if err == nil {
		v = verified{raw: r, webhook: w}
		if !w.Key.Valid() || w.Key.Provider != r.route.Provider || w.Key.Account != r.route.Account || w.EventID == "" {
			// A fault of ours, not of the provider: its retry would not help.
			v.unusable = reasonParserKey
		}
		return v, Response{}, true
	}
	reason := reasonOther
	if de := (*providers.DeliveryError)(nil); errors.As(err, &de) {
		reason = parserReason(de.Reason)
	}
	switch {
	case errors.Is(err, providers.ErrMalformed):
		return verified{raw: r, unusable: reason}, Response{}, true
	case errors.Is(err, providers.ErrBadRequest):
		return verified{}, refuse(http.StatusBadRequest, reason), false
	case errors.Is(err, providers.ErrUnsupportedMedia):
		return verified{}, refuse(http.StatusUnsupportedMediaType, reason), false
	default: // ErrUnauthentic, and whatever a parser should not have said
		return verified{}, refuse(http.StatusUnauthorized, reason), false
	}
}

// event encodes what was verified. An error means that the delivery is to be
// a dead letter.
func (v verified) event(topic string, enc Encoder) (event, error) {
	value, err := enc.EncodeWebhook(v.webhook)
	if err != nil {
		return event{}, err
	}
	w := v.webhook
	return event{
		record: stream.Record{
			Topic: topic, Partition: stream.Auto, Key: []byte(w.Key.String()), Value: value,
			Headers: cloudEvent("rampstream.v1.Webhook", w.Key.Lane(), w.EventID, traceparent(v.delivery.Header)),
		},
		id: w.EventID, lane: w.Key.Lane(), trust: w.Trust, kind: kindWebhook,
	}, nil
}

// cloudEvent is the binary mode of CloudEvents 1.0 for Kafka.
func cloudEvent(kind string, lane events.Lane, id events.EventID, traceparent string) []stream.Header {
	h := []stream.Header{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(id)},
		{Key: "ce_source", Value: []byte("/rampstream/ingest/" + string(lane))},
		{Key: "ce_type", Value: []byte(kind)},
		{Key: "content-type", Value: []byte(contentTypeAvro)},
	}
	if traceparent != "" {
		h = append(h, stream.Header{Key: "traceparent", Value: []byte(traceparent)})
	}
	return h
}

// traceparent is the W3C trace context of a request, if it is well-formed and
// stated once; "" otherwise.
func traceparent(h map[string][]string) string {
	v := h["Traceparent"]
	const layout = "00-00000000000000000000000000000000-0000000000000000-00"
	if len(v) != 1 || len(v[0]) != len(layout) || v[0][:3] != layout[:3] {
		return ""
	}
	for i := range len(layout) {
		c := v[0][i]
		if layout[i] == '-' {
			if c != '-' {
				return ""
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return v[0]
}
