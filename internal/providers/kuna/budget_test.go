package kuna_test

import (
	"errors"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/providertest"
)

// docs/poller.md: a log-in, or the same again after a 401, waits for a token of
// its own; where there is none it is not made and the failure stands. Kuna has
// answered 401 to the question itself: that is no call that could not ask.
func TestChecker_unauthorizedStandsWithoutABudget(t *testing.T) {
	g := newGuarded(func(int32) string { return "opaque" })
	checker := g.open(t, start)
	if _, err := checker.Check(t.Context(), question(events.Order, operationID)); err != nil {
		t.Fatal(err)
	}
	g.token.Store("another") // the provider ends the token
	ctx := providertest.Requests(t.Context(), 1)
	_, err := checker.Check(ctx, question(events.Order, operationID))
	var call *providers.CallError
	if !errors.As(err, &call) || call.Outcome != events.OutcomeUnauthorized || errors.Is(err, providers.ErrBudget) {
		t.Errorf("Check = %v; want the 401 that Kuna answered", err)
	}
}

// A lane below one request in 7.5 s never gets a second one within a call. When
// Kuna takes the log-in and refuses every question, no check may end as "nothing
// was asked" for ever: nobody would be told, and no breaker would open.
func TestChecker_unauthorizedForEverAtALowRate(t *testing.T) {
	g := newGuarded(func(int32) string { return "opaque" })
	answer := g.answer
	g.answer = func(c call) (int, string) {
		if c.uri == "/v2/auth/login" {
			return answer(c)
		}
		return 401, ""
	}
	checker := g.open(t, start)
	told := 0
	for range 100 {
		ctx := providertest.Requests(t.Context(), 1)
		if _, err := checker.Check(ctx, question(events.Order, operationID)); !errors.Is(err, providers.ErrBudget) {
			told++
		}
	}
	if told == 0 {
		t.Errorf("%d requests, all questions answered 401, and every one of 100 checks says that nothing was asked", len(g.calls))
	}
}
