package kanga_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/providers/kanga"
)

// The vector of the document's Testing section: the body of the sample, byte
// for byte, under the published secret.
const (
	docSecret    = "8B2EFBECA2BEBB2C413BCFD7915E9209D80F3F4222042B31DD9D605E39F2035F"
	docBody      = `{"appId":"TEST","nonce":1234}`
	docSignature = "19626ab50989ecae16031cf6f90c90203d38b1d17797960d38551b80c37449c1" +
		"18e60050f941077c491ff50bdf48d21841a9379026b10903100708745f6c9a12"
)

func TestSign_documentVector(t *testing.T) {
	if got := kanga.Sign(docSecret, []byte(docBody)); got != docSignature {
		t.Errorf("Sign(documented secret, %s) = %s, want %s", docBody, got, docSignature)
	}
}

func TestClient_Test_sendsTheDocumentedBytes(t *testing.T) {
	tr := answering(200, `{"result":"ok"}`)
	if err := client(t, account(), tr).Test(t.Context(), 1234); err != nil {
		t.Fatal(err)
	}
	r := tr.requests[0]
	if tr.bodies[0] != docBody || r.Header.Get("API-Sig") != docSignature || r.Method != http.MethodPost ||
		r.URL.String() != "https://api.kanga.exchange/api/v2/test" {
		t.Errorf("Test sent %s %s %s, signature %s", r.Method, r.URL, tr.bodies[0], r.Header.Get("API-Sig"))
	}
}

func TestCheck_request(t *testing.T) {
	tr := answering(200, `{"result" : "ok", "currency" : "BTC", "amount" : "0.010", "state" : "ACTIVE"}`)
	const nonce = 9007199254740991
	got, err := client(t, account(), tr).Check(t.Context(), providers.Question{Key: order("ORDER34H773A1"), Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	want := providers.Answer{Key: order("ORDER34H773A1"), StatusRaw: "ACTIVE",
		Facts: events.Facts{CryptoAmount: "0.010", CryptoAsset: "BTC"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
	body := `{"id":"ORDER34H773A1","appId":"` + apiKey + `","nonce":9007199254740991}`
	r := tr.requests[0]
	if len(tr.requests) != 1 || tr.bodies[0] != body || r.Header.Get("API-Sig") != kanga.Sign(apiSecret, []byte(body)) ||
		r.URL.String() != "https://api.kanga.exchange/api/v2/tpg/transaction" {
		t.Errorf("Check sent %d requests, %s %s", len(tr.requests), r.URL, tr.bodies[0])
	}
}

func TestCheck_refusesWithoutACall(t *testing.T) {
	tr := answering(200, `{"result":"ok"}`)
	c := client(t, account(), tr)
	other := order("A1")
	other.Account = "other"
	customer := order("A1")
	customer.Kind = events.Customer
	for name, q := range map[string]providers.Question{
		"no nonce":        {Key: order("A1")},
		"negative nonce":  {Key: order("A1"), Nonce: -1},
		"nonce above 53":  {Key: order("A1"), Nonce: 1 << 53},
		"another account": {Key: other, Nonce: 1},
		"a customer":      {Key: customer, Nonce: 1},
		"an injection":    {Key: order(`A","nonce":9,"x":"`), Nonce: 1},
	} {
		_, err := c.Check(t.Context(), q)
		var call *providers.CallError
		if !errors.As(err, &call) || call.Outcome != events.OutcomeRejected {
			t.Errorf("%s: Check = %v, want rejected", name, err)
		}
	}
	if len(tr.requests) != 0 {
		t.Errorf("%d requests were sent", len(tr.requests))
	}
}

func TestCheck_outcomes(t *testing.T) {
	const ok = `{"result":"ok","currency":"BTC","amount":"0.01","state":"NEW"}`
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   events.Outcome
		nonce  bool
	}{
		{"ok", 200, ok, events.OutcomeOK, false},
		{"ok, unknown state", 200, strings.Replace(ok, "NEW", "SETTLED_SOMEHOW", 1), events.OutcomeOK, false},
		{"ok with the id", 200, strings.Replace(ok, `{`, `{"id":"A1",`, 1), events.OutcomeOK, false},
		{"ok about another", 200, strings.Replace(ok, `{`, `{"id":"A2",`, 1), events.OutcomeMismatch, false},
		{"fail 9000 on 200", 200, `{"result":"fail","code":9000}`, events.OutcomeUnauthorized, true},
		{"fail 9000 text on 403", 403, `{"result":"fail","code":"9000"}`, events.OutcomeUnauthorized, true},
		{"fail 9001 on 200", 200, `{"result":"fail","code":9001}`, events.OutcomeNotFound, false},
		{"fail 9001 on 400", 400, `{"result":"fail","code":"9001"}`, events.OutcomeNotFound, false},
		{"fail 9001 on 500", 500, `{"result":"fail","code":9001}`, events.OutcomeNotFound, false},
		{"fail 429 on 200", 200, `{"result":"fail","code":429}`, events.OutcomeRateLimited, false},
		{"fail of another code", 200, `{"result":"fail","code":9999}`, events.OutcomeProvider, false},
		{"fail without a code", 200, `{"result":"fail"}`, events.OutcomeProvider, false},
		{"fail, code is an object", 200, `{"result":"fail","code":{}}`, events.OutcomeProvider, false},
		{"ok beside 500", 500, ok, events.OutcomeProvider, false},
		{"ok beside 401", 401, ok, events.OutcomeUnauthorized, false},
		{"bare 400", 400, "", events.OutcomeRejected, false},
		{"bare 401", 401, "", events.OutcomeUnauthorized, false},
		{"bare 404 is a wrong address", 404, "<html>", events.OutcomeRejected, false},
		{"429", 429, `{"result":"fail","code":9000}`, events.OutcomeRateLimited, false},
		{"500 page", 500, "<html>", events.OutcomeProvider, false},
		{"redirect", 302, ok, events.OutcomeRedirect, false},
		{"html", 200, "<html><body>ok</body></html>", events.OutcomeMalformed, false},
		{"empty", 200, "", events.OutcomeMalformed, false},
		{"array", 200, "[" + ok + "]", events.OutcomeMalformed, false},
		{"no result", 200, `{"currency":"BTC","amount":"1","state":"NEW"}`, events.OutcomeMalformed, false},
		{"result in capitals", 200, strings.Replace(ok, `"ok"`, `"OK"`, 1), events.OutcomeMalformed, false},
		{"two results", 200, strings.Replace(ok, `{`, `{"result":"fail",`, 1), events.OutcomeMalformed, false},
		{"two states", 200, strings.Replace(ok, `{`, `{"state":"FINALIZED",`, 1), events.OutcomeMalformed, false},
		{"no state", 200, `{"result":"ok","currency":"BTC","amount":"1"}`, events.OutcomeMalformed, false},
		{"state with a line end", 200, strings.Replace(ok, "NEW", `NEW\n`, 1), events.OutcomeMalformed, false},
		{"state is null", 200, strings.Replace(ok, `"NEW"`, `null`, 1), events.OutcomeMalformed, false},
		{"amount is a number", 200, strings.Replace(ok, `"0.01"`, `0.01`, 1), events.OutcomeMalformed, false},
		{"amount is a word", 200, strings.Replace(ok, "0.01", "much", 1), events.OutcomeMalformed, false},
		{"no amount", 200, `{"result":"ok","currency":"BTC","state":"FINALIZED"}`, events.OutcomeMalformed, false},
		{"no currency", 200, `{"result":"ok","amount":"1","state":"FINALIZED"}`, events.OutcomeMalformed, false},
		{"oversized", 200, strings.Repeat(" ", 64<<10) + ok, events.OutcomeOversized, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := answering(tc.status, tc.body)
			got, err := client(t, account(), tr).Check(t.Context(), providers.Question{Key: order("A1"), Nonce: 7})
			outcome, nonce := outcomeOf(err)
			if outcome != tc.want || nonce != tc.nonce {
				t.Errorf("Check = %v, want %s (nonce %t)", err, tc.want, tc.nonce)
			}
			if (err == nil) == (got == providers.Answer{}) {
				t.Errorf("Check = %+v beside error %v", got, err)
			}
			if len(tr.requests) != 1 {
				t.Errorf("%d requests, want 1: a nonce is spent by every call", len(tr.requests))
			}
		})
	}
}

func outcomeOf(err error) (events.Outcome, bool) {
	var call *providers.CallError
	switch {
	case err == nil:
		return events.OutcomeOK, false
	case errors.As(err, &call):
		return call.Outcome, call.Nonce
	}
	return "", false
}

func TestCheck_everyStatusHasAnOutcome(t *testing.T) {
	for status := 200; status < 600; status++ {
		_, err := client(t, account(), answering(status, "")).Check(t.Context(), providers.Question{Key: order("A1"), Nonce: 1})
		got, _ := outcomeOf(err)
		if got == events.OutcomeOK || got == events.OutcomeNotFound || got == "" {
			t.Errorf("HTTP %d without a body = %q", status, got)
		}
	}
}

func TestCheck_retryAfter(t *testing.T) {
	for _, body := range []string{"", `{"result":"fail","code":429}`} {
		_, err := client(t, account(), answering(429, body, "Retry-After", "120")).
			Check(t.Context(), providers.Question{Key: order("A1"), Nonce: 1})
		var call *providers.CallError
		if !errors.As(err, &call) || call.RetryAfter.Seconds() != 120 {
			t.Errorf("Check with body %q = %v, want a Retry-After of 120 s", body, err)
		}
	}
}

func TestCheck_followsNoRedirect(t *testing.T) {
	var elsewhere atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer target.Close()
	srv := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	defer srv.Close()

	a := account()
	a.API.BaseURL, a.API.AllowInsecure = srv.URL, true
	c, err := kanga.NewClient(a, providers.Env{HTTP: httpx.New(httpx.Options{AllowInsecure: true}), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Check(t.Context(), providers.Question{Key: order("A1"), Nonce: 1})
	if got, _ := outcomeOf(err); got != events.OutcomeRedirect || elsewhere.Load() != 0 {
		t.Errorf("Check = %v with %d requests elsewhere, want redirect and none", err, elsewhere.Load())
	}
}

// Nothing of the account, of the request or of the answer may be in an error.
func TestClient_errorsAreClean(t *testing.T) {
	canaries := []string{apiKey, apiSecret, "canary", "kanga.exchange", "A1canary", "payer@example.com", "4711"}
	answers := []*transport{
		answering(200, `{"result":"ok","state":"canary payer@example.com","amount":"4711 x"}`),
		answering(500, "canary payer@example.com"),
		answering(200, "canary payer@example.com"),
		answering(200, `{"result":"fail","code":"canary"}`),
		{answer: func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s: canary payer@example.com", r.URL)
		}},
	}
	a := account()
	a.API.Paths = map[string]string{"price_estimate": "/canary/%zz"} // not parseable
	for _, tr := range answers {
		c := client(t, a, tr)
		_, checkErr := c.Check(t.Context(), providers.Question{Key: order("A1canary"), Nonce: 4711})
		_, tokenErr := c.CreatePaymentToken(t.Context(), 4711)
		_, priceErr := c.PriceEstimate(t.Context(), "EMT", "4711")
		for _, err := range []error{checkErr, tokenErr, priceErr} {
			if err == nil {
				t.Error("a failure was expected")
				continue
			}
			for _, canary := range canaries {
				if strings.Contains(err.Error(), canary) {
					t.Errorf("error %q has %q in it", err, canary)
				}
			}
		}
	}
}

func TestClient_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tr := &transport{answer: func(r *http.Request) (*http.Response, error) { return nil, r.Context().Err() }}
	_, err := client(t, account(), tr).Check(ctx, providers.Question{Key: order("A1"), Nonce: 1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Check after cancel = %v, want context.Canceled", err)
	}
}
