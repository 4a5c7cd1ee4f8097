package kuna

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// customers checks customers.
type customers struct{ c *Client }

// Check asks customer/details. The status word is described in
// docs/providers/kuna.md.
func (s customers) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	const op = "kuna customer details"
	if !q.Key.Valid() || q.Key.Provider != Name || q.Key.Account != s.c.account || q.Key.Kind != events.Customer {
		return providers.Answer{}, rejected(op, "key of another account or kind")
	}
	status, body, err := s.c.read(ctx, op, s.c.routes["customer_details"], map[string]string{s.c.fields.name("id"): q.Key.ID})
	if err != nil {
		return providers.Answer{}, err
	}
	got, err := readCustomer(s.c.fields, body)
	if err != nil {
		return providers.Answer{}, malformed(op, status, err)
	}
	if got.ID != q.Key.ID {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeMismatch, HTTPStatus: status, Op: op}
	}
	word := customerWord(got.VerificationStatus, got.WalletStatus)
	return providers.Answer{Key: q.Key, StatusRaw: word, Facts: got.facts()}, nil
}

// NewCustomer is the request of CreateCustomer. It is personal throughout: it
// prints as "[redacted]" and is sent to Kuna alone. Required by the document:
// Email (unique), FirstName, LastName, Country (ISO 3166 alpha-2),
// VerificationDocumentID and ResidenceAddress.
type NewCustomer struct {
	Email                  string `json:"email"`
	PhoneNumber            string `json:"phoneNumber,omitempty"`
	FirstName              string `json:"firstName"`
	LastName               string `json:"lastName"`
	Comment                string `json:"comment,omitempty"`
	ExternalID             string `json:"externalId,omitempty"`
	ReferralID             string `json:"referralId,omitempty"`
	Country                string `json:"country"`
	VerificationDocumentID string `json:"verificationDocumentId"`
	ResidenceAddress       string `json:"residenceAddress"`
	TaxNumber              string `json:"itn,omitempty"`
}

// String hides the customer.
func (NewCustomer) String() string { return "[redacted]" }

// GoString hides the customer from %#v.
func (NewCustomer) GoString() string { return "[redacted]" }

// CreateCustomer creates a customer. It is not idempotent, because the e-mail
// is unique: after a timeout look the customer up before trying again.
func (c *Client) CreateCustomer(ctx context.Context, n NewCustomer) (Customer, error) {
	const op = "kuna create customer"
	for _, required := range []string{n.Email, n.FirstName, n.LastName, n.Country, n.VerificationDocumentID, n.ResidenceAddress} {
		if required == "" {
			return Customer{}, rejected(op, "a required field is empty")
		}
	}
	status, body, err := c.call(ctx, op, "customer_create", n)
	if err != nil {
		return Customer{}, err
	}
	got, err := readCustomer(c.fields, body)
	if err != nil {
		return Customer{}, malformed(op, status, err)
	}
	return got, nil
}

// RampToken makes the token that authorises a customer in the widget.
// userAgent is that of the customer's browser.
func (c *Client) RampToken(ctx context.Context, customerID, userAgent string) (providers.Secret, error) {
	const op = "kuna ramp token"
	if !events.ValidPart(customerID) {
		return "", rejected(op, "customer id")
	}
	status, body, err := c.call(ctx, op, "ramp_token", map[string]string{"customerId": customerID, "userAgent": userAgent})
	if err != nil {
		return "", err
	}
	d, err := data(body, jsonx.Object)
	if err != nil {
		return "", malformed(op, status, err)
	}
	token, _ := c.fields.get(d, "token").Text()
	if !validToken(token) {
		return "", malformed(op, status, errToken)
	}
	return providers.Secret(token), nil
}

// InvalidateRampToken ends a customer's authorisation in the widget. The
// document shows no answer, so any 2xx is success.
func (c *Client) InvalidateRampToken(ctx context.Context, customerID string) error {
	const op = "kuna ramp invalidate"
	if !events.ValidPart(customerID) {
		return rejected(op, "customer id")
	}
	_, _, err := c.call(ctx, op, "ramp_invalidate", map[string]string{"customerId": customerID})
	return err
}

// ErrWidget is wrapped by the errors of WidgetURL.
var ErrWidget = errors.New("kuna: no widget address")

// WidgetURL builds the address that opens the widget for a customer. The token
// in it is a credential for days: it belongs in the customer's browser and in
// no log.
func (c *Client) WidgetURL(institutionID string, token providers.Secret) (string, error) {
	base := c.api.Paths[widgetPath]
	if base == "" {
		return "", fmt.Errorf("api.paths.%s is not set: %w", widgetPath, ErrWidget)
	}
	if !events.ValidPart(institutionID) || !validToken(token.Reveal()) {
		return "", fmt.Errorf("institution or token: %w", ErrWidget)
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("api.paths.%s: %w", widgetPath, ErrWidget)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.RawQuery = url.Values{"institutionId": {institutionID}, "refreshToken": {token.Reveal()}}.Encode()
	return u.String(), nil
}
