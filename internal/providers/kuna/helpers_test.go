package kuna_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kuna"
)

const (
	operationID = "0b1c2d3e-1111-4222-8333-444455556666"
	customerID  = "d2f1a123-4567-8901-bcde-f23456789abc"
	pathToken   = "canary-path-token-01"
)

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// withKey is an account that uses an API key.
func withKey() providers.Account {
	return providers.Account{
		Provider: kuna.Name, Account: "shop",
		Webhook: providers.Webhook{Trust: "hint"},
		API:     providers.API{BaseURL: "https://core.example.com", APIKey: "canary-api-key-0123456789"},
	}
}

// withLogin is an account that logs in.
func withLogin() providers.Account {
	a := withKey()
	a.API.APIKey = ""
	a.API.MerchantID, a.API.Login, a.API.Password = "merchant-1", "canary@example.com", "canary-password"
	return a
}

// call is one request as the provider sees it.
type call struct {
	method, uri, auth, apiKey, merchant, body string
}

// fake is the provider: one function answers, every request is kept.
type fake struct {
	answer func(call) (status int, body string)

	mu    sync.Mutex
	calls []call
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	c := call{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("Api-Key"), r.Header.Get("merchant_id"), string(body)}
	f.mu.Lock()
	f.calls = append(f.calls, c)
	f.mu.Unlock()
	status, answer := f.answer(c)
	if status == 0 {
		return nil, errors.New("canary: no answer from " + r.URL.String())
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

// to counts the requests to a path.
func (f *fake) to(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if strings.HasPrefix(c.uri, path) {
			n++
		}
	}
	return n
}

func answering(status int, body string) *fake {
	return &fake{answer: func(call) (int, string) { return status, body }}
}

func env(f *fake) providers.Env {
	return providers.Env{HTTP: &http.Client{Transport: f}, Now: start}
}

func open(t testing.TB, a providers.Account, e providers.Env) providers.Capabilities {
	t.Helper()
	caps, err := kuna.Provider.Open(a, e)
	if err != nil {
		t.Fatal(err)
	}
	return caps
}

func client(t testing.TB, a providers.Account, f *fake) *kuna.Client {
	t.Helper()
	c, err := kuna.NewClient(a, env(f))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func question(kind events.SubjectKind, id string) providers.Question {
	return providers.Question{Key: events.Key{Provider: kuna.Name, Account: "shop", Kind: kind, ID: id}}
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

// jwt makes a token with an end; its signature is nobody's.
func jwt(name string, exp time.Time) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"HS256"}`)) + "." + enc(fmt.Appendf(nil, `{"id":%q,"exp":%d}`, name, exp.Unix())) + ".c2ln"
}
