package kado

import (
	"context"
	"errors"
	"net/url"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// QuoteRequest asks for a price. The document has the path only; these
// parameters are those that public clients send.
type QuoteRequest struct {
	TransactionType string // buy or sell
	FiatMethod      string // ach, wire, sepa, pix, debit_card, ...
	Partner         string // "" leaves it out
	Amount          events.Amount
	Asset           string // as USDC
	Blockchain      string
	Currency        string // as USD
}

// Quote is what we read of the answer. Absent amounts are "".
type Quote struct {
	Asset            string
	Price            events.Amount // of one unit
	PriceUnit        string
	TotalFee         events.Amount
	TotalFeeUnit     string
	Receive          events.Amount
	ReceiveUnit      string
	ReceiveUnitCount events.Amount // in units of the asset
}

// Quote asks GET /v2/ramp/quote: with X-Widget-Id where one is configured,
// else signed where keys are.
func (c *Client) Quote(ctx context.Context, q QuoteRequest) (Quote, error) {
	const op = "kado quote"
	if (q.TransactionType != "buy" && q.TransactionType != "sell") || !q.Amount.Valid() {
		return Quote{}, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New("want buy or sell, and a decimal amount")}
	}
	query := url.Values{
		"transactionType": {q.TransactionType}, "fiatMethod": {q.FiatMethod}, "amount": {string(q.Amount)},
		"asset": {q.Asset}, "blockchain": {q.Blockchain}, "currency": {q.Currency},
	}
	if q.Partner != "" {
		query.Set("partner", q.Partner)
	}
	doc, err := c.get(ctx, request{
		op: op, route: "/v2/ramp/quote", query: query.Encode(), widget: true, signed: c.widgetID == "" && c.canSign(),
	})
	if err != nil {
		return Quote{}, err
	}
	data, err := dataOf(op, doc)
	if err != nil {
		return Quote{}, err
	}
	out, err := readQuote(data.Get("quote"))
	if err != nil {
		return Quote{}, malformedAnswer(op, 200, err)
	}
	return out, nil
}

func readQuote(v jsonx.Value) (Quote, error) {
	if v.Kind() != jsonx.Object {
		return Quote{}, errors.New("quote is no object")
	}
	price, err1 := readAmount(v.Get("price"))
	fee, err2 := readAmount(v.Get("totalFee"))
	receive, err3 := readAmount(v.Get("receive"))
	count, err4 := providers.ReadAmount(v.At("receive", "unitCount"))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return Quote{}, providers.ErrAmount
	}
	return Quote{
		Asset: providers.Token(v.Get("asset"), 128), Price: price.amount, PriceUnit: price.unit, TotalFee: fee.amount,
		TotalFeeUnit: fee.unit, Receive: receive.amount, ReceiveUnit: receive.unit, ReceiveUnitCount: count,
	}, nil
}
