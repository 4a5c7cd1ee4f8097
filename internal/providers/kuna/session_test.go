package kuna_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kuna"
)

// guarded is a provider that accepts only the token of its latest login.
type guarded struct {
	fake
	logins atomic.Int32
	token  atomic.Value // string
	issue  func(n int32) string
}

func newGuarded(issue func(n int32) string) *guarded {
	g := &guarded{issue: issue}
	g.token.Store("")
	g.answer = func(c call) (int, string) {
		if c.uri == "/v2/auth/login" {
			g.token.Store(g.issue(g.logins.Add(1)))
			return 201, `{"data":{"accessToken":"` + g.token.Load().(string) + `"}}`
		}
		if c.auth != "Bearer "+g.token.Load().(string) {
			return 401, ""
		}
		return 200, `{"data":[` + onRamp + `]}`
	}
	return g
}

func (g *guarded) open(t *testing.T, now func() time.Time) providers.Checker {
	t.Helper()
	caps, err := kuna.Provider.Open(withLogin(), providers.Env{HTTP: &http.Client{Transport: g}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return caps.Orders
}

func TestLogin_request(t *testing.T) {
	g := newGuarded(func(int32) string { return "opaque" })
	if _, err := g.open(t, start).Check(t.Context(), question(events.Order, operationID)); err != nil {
		t.Fatal(err)
	}
	want := call{"POST", "/v2/auth/login", "", "", "merchant-1", `{"password":"canary-password","token":"canary@example.com"}`}
	if g.calls[0] != want || g.calls[1].auth != "Bearer opaque" || g.calls[1].merchant != "" {
		t.Errorf("requests = %+v", g.calls)
	}
}

func TestLogin_keptUntilItEnds(t *testing.T) {
	now := start()
	g := newGuarded(func(n int32) string { return jwt(fmt.Sprint(n), start().Add(time.Duration(n)*time.Hour)) })
	checker := g.open(t, func() time.Time { return now })
	for _, step := range []struct {
		at     time.Duration
		logins int32
	}{{0, 1}, {59 * time.Minute, 1}, {time.Hour - 30*time.Second, 2}, {90 * time.Minute, 2}, {2 * time.Hour, 3}} {
		now = start().Add(step.at)
		if _, err := checker.Check(t.Context(), question(events.Order, operationID)); err != nil || g.logins.Load() != step.logins {
			t.Errorf("after %v: %v, %d logins, want %d", step.at, err, g.logins.Load(), step.logins)
		}
	}
}

// A token without an end that can be believed is used until it is refused.
func TestLogin_withoutAnEnd(t *testing.T) {
	for name, token := range map[string]string{
		"opaque": "opaque", "no claims": "a.b.c", "over": jwt("x", start().Add(-time.Hour)), "far": jwt("x", start().Add(1<<62)),
	} {
		g := newGuarded(func(int32) string { return token })
		checker := g.open(t, start)
		for range 3 {
			if _, err := checker.Check(t.Context(), question(events.Order, operationID)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if g.logins.Load() != 1 {
			t.Errorf("%s: %d logins for 3 calls, want 1", name, g.logins.Load())
		}
	}
}

func TestLogin_onceMoreAfter401(t *testing.T) {
	g := newGuarded(func(n int32) string { return fmt.Sprint("token-", n) })
	checker := g.open(t, start)
	if _, err := checker.Check(t.Context(), question(events.Order, operationID)); err != nil {
		t.Fatal(err)
	}
	g.token.Store("revoked") // from now on the first token is refused
	if _, err := checker.Check(t.Context(), question(events.Order, operationID)); err != nil || g.logins.Load() != 2 {
		t.Errorf("Check = %v with %d logins, want success with 2", err, g.logins.Load())
	}
}

func TestLogin_doesNotLoop(t *testing.T) {
	f := &fake{}
	f.answer = func(c call) (int, string) {
		if c.uri == "/v2/auth/login" {
			return 200, `{"data":{"accessToken":"t"}}`
		}
		return 401, ""
	}
	caps := open(t, withLogin(), env(f))
	if _, err := caps.Orders.Check(t.Context(), question(events.Order, operationID)); outcomeOf(err) != events.OutcomeUnauthorized {
		t.Errorf("Check = %v, want unauthorized", err)
	}
	if f.to("/v2/auth/login") != 2 || f.to("/v2/operation/details") != 2 {
		t.Errorf("%d logins and %d calls, want 2 and 2", f.to("/v2/auth/login"), f.to("/v2/operation/details"))
	}
}

// A login that fails says nothing about the operation.
func TestLogin_outcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			status int
			body   string
			want   events.Outcome
		}{
			{400, "", events.OutcomeUnauthorized}, {401, "", events.OutcomeUnauthorized}, {404, "", events.OutcomeUnauthorized},
			{429, "", events.OutcomeRateLimited}, {500, "", events.OutcomeProvider}, {302, "", events.OutcomeRedirect},
			{200, `{"data":{}}`, events.OutcomeMalformed}, {200, `{"data":{"accessToken":"a\nb"}}`, events.OutcomeMalformed},
			{200, "<html>", events.OutcomeMalformed}, {0, "", events.OutcomeUnreachable},
		} {
			f := answering(tc.status, tc.body)
			_, err := open(t, withLogin(), env(f)).Orders.Check(t.Context(), question(events.Order, operationID))
			if outcomeOf(err) != tc.want || f.to("/v2/operation") != 0 {
				t.Errorf("login answered %d %s: Check = %v, want %s", tc.status, tc.body, err, tc.want)
			}
			for _, canary := range []string{"canary", "example.com", "merchant-1", operationID} {
				if strings.Contains(err.Error(), canary) {
					t.Errorf("error %q has %q in it", err, canary)
				}
			}
		}
	})
}

// Sixteen callers, one refused token: one login.
func TestLogin_oneAtATime(t *testing.T) {
	g := newGuarded(func(n int32) string { return fmt.Sprint("token-", n) })
	checker := g.open(t, start)
	burst := func() {
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if _, err := checker.Check(t.Context(), question(events.Order, operationID)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	burst()
	if g.logins.Load() != 1 {
		t.Errorf("%d logins for a first burst, want 1", g.logins.Load())
	}
	g.token.Store("revoked")
	burst()
	if g.logins.Load() != 2 {
		t.Errorf("%d logins after a refusal, want 2", g.logins.Load())
	}
}

// A caller that gives up while another logs in does not wait for it.
func TestLogin_waitIsCancellable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fake{}
		f.answer = func(c call) (int, string) {
			if c.uri == "/v2/auth/login" {
				<-release
				return 200, `{"data":{"accessToken":"t"}}`
			}
			return 200, `{"data":[` + onRamp + `]}`
		}
		checker := open(t, withLogin(), env(f)).Orders
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := checker.Check(t.Context(), question(events.Order, operationID)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := checker.Check(ctx, question(events.Order, operationID)); outcomeOf(err) != events.OutcomeTimeout {
			t.Errorf("Check = %v, want timeout", err)
		}
		close(release)
		wg.Wait()
	})
}
