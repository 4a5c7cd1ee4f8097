package httpx

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

const (
	// maxRetries is two: more belongs to the schedule, which knows the lane's budget.
	maxRetries = 2
	// maxElapsed is set because the library's own default goes on for 15 minutes.
	maxElapsed = 10 * time.Second
)

// Retry makes an idempotent GET up to three times, with jittered pauses of
// about 200 ms and 400 ms, and returns the last attempt's error. Only what a
// second try can mend is retried: no connection, and 502, 503, 504 without a
// Retry-After, which is the schedule's to respect. Each attempt asks
// providers.Spend before its request; where that refuses, the failure before it
// stands. Never use it for a call that changes something or burns a nonce. Each
// attempt must build, and sign, its own request.
func Retry(ctx context.Context, call func(context.Context) error) error {
	pause := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(200*time.Millisecond),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(maxElapsed),
	)
	var last error
	err := backoff.Retry(func() error {
		err := call(ctx)
		if last != nil && errors.Is(err, providers.ErrBudget) {
			return backoff.Permanent(last) // there is no budget to try again: the failure stands
		}
		last = err
		if last != nil && !retryable(last) {
			return backoff.Permanent(last)
		}
		return last
	}, backoff.WithContext(backoff.WithMaxRetries(pause, maxRetries), ctx))
	if err == nil {
		return nil
	}
	return last // the library reports a context's end instead of the failure
}

func retryable(err error) bool {
	var call *providers.CallError
	if !errors.As(err, &call) || call.RetryAfter > 0 {
		return false
	}
	switch call.HTTPStatus {
	case 0:
		return call.Outcome == events.OutcomeUnreachable && !errors.Is(err, ErrAddress)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
