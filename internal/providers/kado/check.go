package kado

import (
	"context"
	"errors"
	"strconv"
	"strings"

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
	got, err := k.c.kyc(ctx, op, "/v1/partner/kyc/"+q.Key.ID)
	if err != nil {
		return providers.Answer{}, err
	}
	// An echoed id is not documented; where there is one it must be the customer's.
	if got.UserID != "" && got.UserID != q.Key.ID {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeMismatch, HTTPStatus: 200, Op: op, Err: errOtherID}
	}
	facts := events.Facts{KYCLevel: got.Level, DocsUploaded: got.DocsUploaded}
	return providers.Answer{Key: k.c.key(events.Customer, q.Key.ID), StatusRaw: got.Level, Facts: facts}, nil
}

// KYC is what we keep of a customer's KYC status: nothing that says who it is.
type KYC struct {
	Level        string // L0, L1 or L2
	DocsUploaded string // "true", "false", or "" where it is not stated
	UserID       string // Kado's id of the customer, where the answer has one
}

// KYCByUserRef asks for the KYC status by our own reference of the customer,
// the userRef of the widget. The document names the call and gives no path:
// without api.paths.kyc_by_user_ref it is OutcomeRejected.
func (c *Client) KYCByUserRef(ctx context.Context, userRef string) (KYC, error) {
	const op = "kado kyc status by userRef"
	switch {
	case c.byRef == "":
		return KYC{}, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New("api.paths." + byUserRef + " is not set")}
	case !usableID(userRef):
		return KYC{}, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New("userRef is not usable")}
	}
	return c.kyc(ctx, op, strings.Replace(c.byRef, "{userRef}", userRef, 1))
}

func (c *Client) kyc(ctx context.Context, op, route string) (KYC, error) {
	doc, err := c.get(ctx, request{op: op, route: route, signed: true})
	if err != nil {
		return KYC{}, err
	}
	data := kycData(doc)
	out := KYC{Level: providers.Token(data.Get("status"), maxWord)}
	if out.Level == "" {
		return KYC{}, malformedAnswer(op, 200, errors.New("answer has no status"))
	}
	if v := data.Get("userId"); v.Kind() != jsonx.Absent && !v.IsNull() {
		if out.UserID = providers.Token(v, 128); out.UserID == "" {
			return KYC{}, &providers.CallError{Outcome: events.OutcomeMismatch, HTTPStatus: 200, Op: op, Err: errOtherID}
		}
	}
	if uploaded, ok := data.Get("docsUploaded").Truth(); ok {
		out.DocsUploaded = strconv.FormatBool(uploaded)
	}
	return out, nil
}

// kycData is where an answer of the KYC routes has its fields. The document
// names the fields but not the envelope around them: both are read.
func kycData(doc jsonx.Value) jsonx.Value {
	if data := doc.Get("data"); data.Kind() == jsonx.Object {
		return data
	}
	return doc
}
