package providers

import (
	"context"
	"errors"
)

// ErrBudget is the cause of a CallError when Spend refused a request: it was
// not sent, and the failure says nothing about the provider.
var ErrBudget = errors.New("no request left in the budget")

type spendKey struct{}

// WithSpend makes Spend below ctx ask before every request on the wire. A
// check can take several: a retry, a log-in, the same again after a 401; the
// owner of the budget wants to know of each. before may wait, as long as its
// context lasts; its error refuses the request.
func WithSpend(ctx context.Context, before func(context.Context) error) context.Context {
	return context.WithValue(ctx, spendKey{}, before)
}

// Spend is what makes a request calls right before it is sent. Without
// WithSpend every request is allowed. Its error wraps ErrBudget.
func Spend(ctx context.Context) error {
	before, ok := ctx.Value(spendKey{}).(func(context.Context) error)
	if !ok {
		return nil
	}
	if err := before(ctx); err != nil {
		return errors.Join(ErrBudget, err)
	}
	return nil
}
