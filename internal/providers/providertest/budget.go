package providertest

import (
	"context"

	"rampstream/internal/providers"
)

// Requests is a context whose calls have a budget of n requests.
func Requests(ctx context.Context, n int) context.Context {
	return providers.WithSpend(ctx, func(context.Context) error {
		if n == 0 {
			return providers.ErrBudget
		}
		n--
		return nil
	})
}
