package providertest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// saying answers every request with one body.
type saying []byte

// RoundTrip implements http.RoundTripper.
func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(s))), Request: r}, nil
}

// FuzzAnswers looks for bytes that a Checker takes for an answer about another
// subject, with an amount that is none, or without a status; and for a failure
// that is no CallError or has an answer beside it.
func FuzzAnswers(f *testing.F, p providers.Provider, a providers.Account, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Add([]byte(`{"data":[{}],"id":{}}`))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		caps, err := p.Open(a, providers.Env{HTTP: &http.Client{Transport: saying(body)}, Now: func() time.Time { return now.Time() }})
		if err != nil {
			t.Fatal(err)
		}
		for kind, c := range map[events.SubjectKind]providers.Checker{events.Order: caps.Orders, events.Customer: caps.Customers} {
			if c == nil {
				continue
			}
			key := events.Key{Provider: p.Name, Account: a.Account, Kind: kind, ID: CanaryID}
			got, err := c.Check(t.Context(), providers.Question{Key: key, Nonce: 1})
			checkAnswer(t, key, got, err)
		}
	})
}

func checkAnswer(t *testing.T, key events.Key, got providers.Answer, err error) {
	t.Helper()
	var failed *providers.CallError
	switch {
	case err != nil && (!errors.As(err, &failed) || failed.Outcome == events.OutcomeOK || got != providers.Answer{}):
		t.Errorf("Check = %+v, %v; want a CallError alone", got, err)
	case err == nil && (got.Key != key || got.StatusRaw == ""):
		t.Errorf("Check of %s = %+v", key, got)
	}
	for _, amount := range []events.Amount{got.Facts.FiatAmount, got.Facts.CryptoAmount} {
		if amount != "" && !amount.Valid() {
			t.Errorf("Check of %s: amount %q", key, amount)
		}
	}
}
