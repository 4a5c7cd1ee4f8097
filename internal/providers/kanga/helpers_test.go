package kanga_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kanga"
)

const (
	apiKey    = "V7JM4R4361E80SfSEEffxlhJb2C1d"
	apiSecret = "canary-secret-0123456789"
	pathToken = "canary-path-token-01"
)

func now() time.Time { return time.UnixMilli(1_700_000_000_000) }

func account() providers.Account {
	return providers.Account{
		Provider: kanga.Name, Account: "shop",
		Webhook: providers.Webhook{Trust: "hint"},
		API:     providers.API{PublicKey: apiKey, PrivateKey: apiSecret},
	}
}

// transport answers every request with one function and remembers them.
type transport struct {
	answer   func(*http.Request) (*http.Response, error)
	requests []*http.Request
	bodies   []string
}

func (tr *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	tr.requests, tr.bodies = append(tr.requests, r), append(tr.bodies, body)
	return tr.answer(r)
}

func answering(status int, body string, header ...string) *transport {
	return &transport{answer: func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}}
}

func client(t testing.TB, a providers.Account, tr http.RoundTripper) *kanga.Client {
	t.Helper()
	c, err := kanga.NewClient(a, providers.Env{HTTP: &http.Client{Transport: tr}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func order(id string) events.Key {
	return events.Key{Provider: kanga.Name, Account: "shop", Kind: events.Order, ID: id}
}
