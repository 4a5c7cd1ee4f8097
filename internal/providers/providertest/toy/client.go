package toy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/providers/jsonx"
)

var errOrder = errors.New("order has no usable id or amount")

// readOrder takes the whitelisted members and nothing else.
func readOrder(v jsonx.Value) (id string, f events.Facts, err error) {
	id, ok := v.Get("id").Text()
	if !ok || !events.ValidPart(id) {
		return "", events.Facts{}, errOrder
	}
	if literal, ok := v.Get("amount").Text(); ok {
		if f.FiatAmount, err = events.ParseAmount(literal); err != nil {
			return "", events.Facts{}, errOrder
		}
	}
	if currency, ok := v.Get("currency").Text(); ok && events.ValidPart(currency) {
		f.FiatCurrency = currency
	}
	return id, f, nil
}

type checker struct {
	account events.Account
	api     providers.API
	http    *http.Client
	now     func() time.Time
}

// Check implements providers.Checker.
func (c checker) Check(ctx context.Context, q providers.Question) (a providers.Answer, err error) {
	const op = "toy order"
	if !q.Key.Valid() || q.Key.ID == "." || q.Key.ID == ".." {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errOrder}
	}
	err = httpx.Retry(ctx, func(ctx context.Context) error {
		a, err = c.once(ctx, op, q.Key)
		return err
	})
	return a, err
}

func (c checker) once(ctx context.Context, op string, key events.Key) (providers.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.api.BaseURL+"/orders/"+key.ID, nil)
	if err != nil { // its text quotes the URL
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errOrder}
	}
	req.Header.Set("Toy-Key", c.api.APIKey.Reveal())
	status, header, body, err := httpx.Do(ctx, c.http, op, req, 0)
	if err != nil {
		return providers.Answer{}, err
	}
	if err := httpx.StatusError(op, status, header, c.now()); err != nil {
		return providers.Answer{}, err
	}
	malformed := &providers.CallError{Outcome: events.OutcomeMalformed, HTTPStatus: status, Op: op}
	doc, err := jsonx.Parse(body)
	if err != nil {
		return providers.Answer{}, malformed
	}
	id, facts, err := readOrder(doc)
	state, _ := doc.Get("state").Text()
	switch {
	case err != nil || !events.ValidPart(state):
		return providers.Answer{}, malformed
	case id != key.ID:
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeMismatch, HTTPStatus: status, Op: op}
	}
	return providers.Answer{Key: key, StatusRaw: state, Facts: facts}, nil
}
