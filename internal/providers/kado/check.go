package kado

import (
	"context"
	"errors"
	"strconv"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// orderChecker asks GET /v2/public/orders/:id. The route is public: whoever
// knows the id may read the order, so ids are not for logs of others.
type orderChecker struct{ c *Client }

// Check implements providers.Checker.
func (k orderChecker) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	const op = "kado order status"
	if q.Key.Kind != events.Order || !usableID(q.Key.ID) {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errBadID}
	}
	doc, err := k.c.get(ctx, request{op: op, route: "/v2/public/orders/" + q.Key.ID, widget: true})
	if err != nil {
		return providers.Answer{}, err
	}
	data, err := dataOf(op, doc)
	if err != nil {
		return providers.Answer{}, err
	}
	o, err := readOrder(data)
	switch {
	case err != nil:
		return providers.Answer{}, malformedAnswer(op, 200, err)
	case o.id != q.Key.ID:
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeMismatch, HTTPStatus: 200, Op: op, Err: errOtherID}
	case o.word == "":
		return providers.Answer{}, malformedAnswer(op, 200, errors.New("answer has no status"))
	}
	return providers.Answer{Key: k.c.key(events.Order, o.id), StatusRaw: o.word, Facts: o.facts}, nil
}

var errOtherID = errors.New("answer is about another id")

func (c *Client) key(kind events.SubjectKind, id string) events.Key {
	return events.Key{Provider: Name, Account: c.account, Kind: kind, ID: id}
}

// customerChecker asks GET /v1/partner/kyc/:userId.
type customerChecker struct{ c *Client }

// Check implements providers.Checker. Of a customer it keeps the level and
// whether documents are there, nothing that says who it is.
func (k customerChecker) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	const op = "kado kyc status"
	if q.Key.Kind != events.Customer || !usableID(q.Key.ID) {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errBadID}
	}
	doc, err := k.c.get(ctx, request{op: op, route: "/v1/partner/kyc/" + q.Key.ID, signed: true})
	if err != nil {
		return providers.Answer{}, err
	}
	data := kycData(doc)
	level := token(data.Get("status"), maxWord)
	if level == "" {
		return providers.Answer{}, malformedAnswer(op, 200, errors.New("answer has no status"))
	}
	// An echoed id is not documented; where there is one it must be the customer's.
	if v := data.Get("userId"); v.Kind() != jsonx.Absent && !v.IsNull() {
		if id, _ := v.Text(); id != q.Key.ID {
			return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeMismatch, HTTPStatus: 200, Op: op, Err: errOtherID}
		}
	}
	facts := events.Facts{KYCLevel: level}
	if uploaded, ok := data.Get("docsUploaded").Truth(); ok {
		facts.DocsUploaded = strconv.FormatBool(uploaded)
	}
	return providers.Answer{Key: k.c.key(events.Customer, q.Key.ID), StatusRaw: level, Facts: facts}, nil
}

// kycData is where an answer of the KYC routes has its fields. The document
// names the fields but not the envelope around them: both are read.
func kycData(doc jsonx.Value) jsonx.Value {
	if data := doc.Get("data"); data.Kind() == jsonx.Object {
		return data
	}
	return doc
}
