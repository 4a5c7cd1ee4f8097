package zumo_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/providertest"
)

// tokenServer is a strict Zumo: a refresh needs the newest access and refresh
// token together and ends both, and only the newest access token is accepted.
type tokenServer struct {
	fake
	state     sync.Mutex
	n         int
	refreshes int
	expires   string
	failing   int // status of the next refreshes, 0 for none
	gate      chan struct{}
}

func newTokenServer(expires string) *tokenServer {
	s := &tokenServer{expires: expires}
	s.answer = s.serve
	return s
}

func (s *tokenServer) serve(c call) (int, string) {
	if s.gate != nil && c.uri == "/token/" {
		<-s.gate
	}
	s.state.Lock()
	defer s.state.Unlock()
	access, refresh := fmt.Sprint("access-", s.n), fmt.Sprint("refresh-", s.n)
	switch {
	case c.uri == "/token/" && strings.Contains(c.body, "appSecret"):
	case c.uri == "/token/":
		s.refreshes++
		if s.failing != 0 {
			return s.failing, ""
		}
		if c.auth != "Bearer "+access || c.body != `{"refreshToken":"`+refresh+`"}` {
			return 401, ""
		}
	case c.auth != "Bearer "+access:
		return 401, `{"statusCode":401,"type":"invalid_request_error","message":"Entity not found."}`
	default:
		return 200, oneAccount
	}
	s.n++
	return 200, fmt.Sprintf(`{"accessToken":"access-%d","expiresIn":%s,"refreshToken":"refresh-%d"}`, s.n, s.expires, s.n)
}

func (s *tokenServer) revoke() {
	s.state.Lock()
	defer s.state.Unlock()
	s.n += 100
}

func (s *tokenServer) open(t *testing.T, now func() time.Time) providers.Checker {
	t.Helper()
	return open(t, hinting(), providers.Env{HTTP: &http.Client{Transport: s}, Now: now}).Customers
}

func check(t *testing.T, c providers.Checker) {
	t.Helper()
	if _, err := c.Check(t.Context(), providers.Question{Key: customer(userID)}); err != nil {
		t.Error(err)
	}
}

func TestToken_requests(t *testing.T) {
	now := start()
	s := newTokenServer("3600")
	c := s.open(t, func() time.Time { return now })
	check(t, c)
	now = now.Add(59*time.Minute + 45*time.Second)
	check(t, c)
	user := "/app-users/" + userID + "/"
	want := []call{
		{"POST", "/token/", "", `{"appId":"app-1","appSecret":"` + appSecret + `"}`},
		{"GET", user, "Bearer access-1", ""},
		{"POST", "/token/", "Bearer access-1", `{"refreshToken":"refresh-1"}`},
		{"GET", user, "Bearer access-2", ""},
	}
	if diff := cmp.Diff(want, s.calls, cmp.AllowUnexported(call{})); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// The member of the application's id, and the unit of a token's life, differ
// between readings of the document: both are settings.
func TestToken_configured(t *testing.T) {
	now := start()
	s := newTokenServer("3600000")
	a := hinting()
	a.API.Fields = map[string]string{"app_id": "appUserId", "expires_unit": "ms"}
	c := open(t, a, providers.Env{HTTP: &http.Client{Transport: s}, Now: func() time.Time { return now }}).Customers
	check(t, c)
	now = now.Add(time.Hour)
	check(t, c)
	if want := `{"appSecret":"` + appSecret + `","appUserId":"app-1"}`; s.calls[0].body != want || s.refreshes != 1 {
		t.Errorf("%d refreshes after the first login %s; want 1, %s", s.refreshes, s.calls[0].body, want)
	}
}

func TestToken_life(t *testing.T) {
	for _, tc := range []struct {
		expires string
		after   time.Duration
		renewed bool
	}{
		{"3600", 59 * time.Minute, false},
		{"3600", time.Hour - 30*time.Second, true},
		{`"3600"`, time.Hour, true},
		{`3.6e3`, time.Hour, true},
		{"10", 4 * time.Second, false}, // of a short life, half is used
		{"10", 5 * time.Second, true},
		{`"soon"`, 1000 * time.Hour, false}, // not readable: until a 401
		{"null", 1000 * time.Hour, false},
		{"0", 1000 * time.Hour, false},
		{"-5", 1000 * time.Hour, false},
		{"1772366400000", 1000 * time.Hour, false}, // an instant, not a life
		{"1e400", 1000 * time.Hour, false},
	} {
		now := start()
		s := newTokenServer(tc.expires)
		c := s.open(t, func() time.Time { return now })
		check(t, c)
		now = now.Add(tc.after)
		check(t, c)
		if got := s.refreshes == 1; got != tc.renewed || s.count("POST", "/token/") != 1+s.refreshes {
			t.Errorf("expiresIn %s after %v: %d refreshes, %d token calls", tc.expires, tc.after, s.refreshes, s.count("POST", "/token/"))
		}
	}
}

func TestToken_401IsOneLogin(t *testing.T) {
	s := newTokenServer("3600")
	c := s.open(t, start)
	check(t, c)
	s.revoke()
	check(t, c)
	if s.refreshes != 0 || s.count("POST", "/token/") != 2 {
		t.Errorf("%d refreshes, %d token calls, want 0 and 2", s.refreshes, s.count("POST", "/token/"))
	}
}

// A 401 to the question stands where the budget has no request for a log-in and
// the same again: that is no call that could not ask.
func TestToken_401StandsWithoutABudget(t *testing.T) {
	s := newTokenServer("3600")
	c := s.open(t, start)
	check(t, c)
	s.revoke()
	ctx := providertest.Requests(t.Context(), 1)
	_, err := c.Check(ctx, providers.Question{Key: customer(userID)})
	if outcomeOf(err) != events.OutcomeUnauthorized || errors.Is(err, providers.ErrBudget) {
		t.Errorf("Check = %v; want the 401 that was answered", err)
	}
}

func TestToken_doesNotLoop(t *testing.T) {
	f := answering(401, "")
	_, err := open(t, hinting(), env(f)).Customers.Check(t.Context(), providers.Question{Key: customer(userID)})
	if outcomeOf(err) != events.OutcomeUnauthorized || f.count("POST", "/token/") != 2 || len(f.calls) != 4 {
		t.Errorf("Check = %v with %d requests, want unauthorized with 2 logins and 2 calls", err, len(f.calls))
	}
}

// A dead refresh token is a login; a provider that is down is an error, after
// which the old set is not trusted any more, because it may have been used up.
func TestToken_failedRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			status int
			want   events.Outcome
			logins int
		}{
			{400, events.OutcomeOK, 2}, {401, events.OutcomeOK, 2}, {404, events.OutcomeOK, 2},
			{429, events.OutcomeRateLimited, 1}, {500, events.OutcomeProvider, 1},
		} {
			now := start()
			s := newTokenServer("3600")
			c := s.open(t, func() time.Time { return now })
			check(t, c)
			now, s.failing = now.Add(time.Hour), tc.status
			_, err := c.Check(t.Context(), providers.Question{Key: customer(userID)})
			logins := s.count("POST", "/token/") - s.refreshes
			if outcomeOf(err) != tc.want || logins != tc.logins || s.refreshes != 1 {
				t.Errorf("refresh answered %d: Check = %v, %d logins, %d refreshes", tc.status, err, logins, s.refreshes)
			}
			check(t, c)
			if s.refreshes != 1 {
				t.Errorf("refresh answered %d: the old refresh token was used again", tc.status)
			}
		}
	})
}

// Many callers at the end of a token's life: one refresh, and nobody is refused.
func TestToken_oneRefreshAtATime(t *testing.T) {
	var mu sync.Mutex
	now := start()
	s := newTokenServer("3600")
	c := s.open(t, func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	})
	for round := range 5 {
		mu.Lock()
		now = now.Add(time.Hour)
		mu.Unlock()
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() { check(t, c) })
		}
		wg.Wait()
		if got := s.count("POST", "/token/"); got != round+1 {
			t.Errorf("after round %d: %d token calls, want %d", round, got, round+1)
		}
	}
}

// Callers that were refused together cause one login.
func TestToken_oneLoginAfterRefusals(t *testing.T) {
	s := newTokenServer("3600")
	c := s.open(t, start)
	check(t, c)
	s.revoke()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { check(t, c) })
	}
	wg.Wait()
	if got := s.count("POST", "/token/"); got != 2 {
		t.Errorf("%d token calls, want 2", got)
	}
}

func TestToken_waitIsCancellable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTokenServer("3600")
		s.gate = make(chan struct{})
		c := s.open(t, start)
		var wg sync.WaitGroup
		wg.Go(func() { check(t, c) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Check(ctx, providers.Question{Key: customer(userID)}); outcomeOf(err) != events.OutcomeTimeout {
			t.Errorf("Check = %v, want timeout", err)
		}
		close(s.gate)
		wg.Wait()
	})
}

// A login that fails says nothing about the user.
func TestToken_loginOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			status int
			body   string
			want   events.Outcome
		}{
			{400, "", events.OutcomeUnauthorized}, {401, "", events.OutcomeUnauthorized}, {404, "", events.OutcomeUnauthorized},
			{429, "", events.OutcomeRateLimited}, {500, "", events.OutcomeProvider}, {307, "", events.OutcomeRedirect},
			{200, `{}`, events.OutcomeMalformed}, {200, `{"accessToken":"a\nb"}`, events.OutcomeMalformed},
			{200, `{"accessToken":"a","refreshToken":"a b"}`, events.OutcomeMalformed},
			{200, "<html>", events.OutcomeMalformed}, {0, "", events.OutcomeUnreachable},
		} {
			f := &fake{answer: func(call) (int, string) { return tc.status, tc.body }}
			_, err := open(t, hinting(), env(f)).Customers.Check(t.Context(), providers.Question{Key: customer(userID)})
			if outcomeOf(err) != tc.want || f.count("GET", "/app-users/"+userID+"/") != 0 {
				t.Errorf("login answered %d %s: Check = %v, want %s", tc.status, tc.body, err, tc.want)
			}
		}
	})
}
