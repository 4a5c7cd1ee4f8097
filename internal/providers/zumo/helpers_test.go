package zumo_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/zumo"
)

const (
	userID    = "00000000-0000-0000-0000-000000000001"
	secret    = "canary-webhook-secret-1"
	previous  = "canary-webhook-secret-0"
	appSecret = "canary-app-secret-012345"
	received  = events.Millis(1_700_000_040_000)
)

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// hinting is an account without a scheme.
func hinting() providers.Account {
	return providers.Account{
		Provider: zumo.Name, Account: "shop",
		Webhook: providers.Webhook{Trust: "hint"},
		API:     providers.API{AppID: "app-1", AppSecret: appSecret},
	}
}

// verifying is an account with one.
func verifying() providers.Account {
	a := hinting()
	a.Webhook = providers.Webhook{Algorithm: "hmac-sha256", Secrets: []providers.Secret{secret, previous}}
	return a
}

// call is one request as the provider sees it.
type call struct {
	method, uri, auth, body string
}

// fake is the provider: one function answers, every request is kept.
type fake struct {
	answer func(call) (status int, body string)

	mu    sync.Mutex
	calls []call
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	c := call{r.Method, strings.TrimPrefix(r.URL.RequestURI(), "/v1"), r.Header.Get("Authorization"), string(body)}
	f.mu.Lock()
	f.calls = append(f.calls, c)
	f.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, answer := f.answer(c)
	if status == 0 {
		return nil, errors.New("canary: no answer from " + r.URL.String())
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

// count is the number of requests with a method and a path.
func (f *fake) count(method, uri string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c.method == method && c.uri == uri {
			n++
		}
	}
	return n
}

const loggedIn = `{"accessToken":"access-1","expiresIn":3600,"refreshToken":"refresh-1"}`

// answering logs everybody in and gives all other requests one answer.
func answering(status int, body string) *fake {
	return &fake{answer: func(c call) (int, string) {
		if c.uri == "/token/" {
			return 200, loggedIn
		}
		return status, body
	}}
}

func env(f http.RoundTripper) providers.Env {
	return providers.Env{HTTP: &http.Client{Transport: f}, Now: start}
}

func open(t testing.TB, a providers.Account, e providers.Env) providers.Capabilities {
	t.Helper()
	caps, err := zumo.Provider.Open(a, e)
	if err != nil {
		t.Fatal(err)
	}
	return caps
}

func client(t testing.TB, f *fake) *zumo.Client {
	t.Helper()
	c, err := zumo.NewClient(hinting(), env(f))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func customer(id string) events.Key {
	return events.Key{Provider: zumo.Name, Account: "shop", Kind: events.Customer, ID: id}
}

func outcomeOf(err error) events.Outcome {
	var call *providers.CallError
	switch {
	case err == nil:
		return events.OutcomeOK
	case errors.As(err, &call):
		return call.Outcome
	}
	return ""
}
