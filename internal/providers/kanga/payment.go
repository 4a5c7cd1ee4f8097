package kanga

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
)

// ErrPayment is wrapped by the errors of StartURL.
var ErrPayment = errors.New("kanga: payment cannot be started")

// StartPayment is what the payer's browser is sent to Kanga with. The page is
// unsigned: the payer can change every field before opening it.
type StartPayment struct {
	Currency       string        // settlement currency
	Amount         events.Amount // in Currency, above zero
	TransactionKey string        // ours, unique: the order id
	Name           string        // optional; seen by the payer
	Email          string        // optional
	PaymentToken   providers.Secret
	ForceCurrency  string // optional: the one currency to pay in
}

// StartURL builds the address of the payment page. It holds the e-mail and the
// token where they are given, so it belongs in a redirect and in no log.
func (c *Client) StartURL(p StartPayment) (string, error) {
	amount, err := events.ParseAmount(string(p.Amount))
	switch {
	case err != nil || amount[0] == '-' || strings.Trim(string(amount), "0.") == "":
		return "", fmt.Errorf("amount must be a decimal above zero: %w", ErrPayment)
	case !providers.IsWord(p.Currency, maxWord):
		return "", fmt.Errorf("currency is missing: %w", ErrPayment)
	case !events.ValidPart(p.TransactionKey):
		return "", fmt.Errorf("transactionKey must be 1-128 of [A-Za-z0-9._:-]: %w", ErrPayment)
	}
	q := url.Values{"currency": {p.Currency}, "amount": {string(amount)}, keyParam: {p.TransactionKey}}
	for name, v := range map[string]string{
		"name": p.Name, "email": p.Email, "paymentToken": p.PaymentToken.Reveal(), "forceCurrency": p.ForceCurrency,
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	return strings.TrimSuffix(c.urls["payment_page"], "/") + "/" + url.PathEscape(c.appID) + "?" + q.Encode(), nil
}

// PriceEstimate asks what a payment of quantity in the settlement currency
// token costs in each currency. It is the one unsigned call; its failures are
// not documented, so anything but an object of decimal strings is malformed.
func (c *Client) PriceEstimate(ctx context.Context, token string, quantity events.Amount) ([]Estimate, error) {
	const op = "kanga price estimate"
	if !events.ValidPart(token) || !quantity.Valid() {
		return nil, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New("token or quantity")}
	}
	body := fmt.Sprintf(`{"token":"%s","quantity":"%s","shopToken":"%s"}`, token, quantity, c.appID)
	status, header, answer, err := c.post(ctx, op, "price_estimate", body, "")
	if err != nil {
		return nil, err
	}
	if r, err := readReply(answer); err == nil && !r.ok { // the envelope of the signed calls
		return nil, c.failure(op, status, header, r, nil)
	}
	if err := httpx.StatusError(op, status, header, c.now()); err != nil {
		return nil, err
	}
	estimates, err := readEstimates(answer)
	if err != nil {
		return nil, malformed(op, status, err)
	}
	return estimates, nil
}
