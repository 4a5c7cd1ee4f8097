package koinal_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/providers/koinal"
)

const apiSecret = providers.Secret("api-secret-of-the-merchant")

func apiAccount(base string) providers.Account {
	a := account()
	a.API = providers.API{BaseURL: base, AllowInsecure: true, PrivateKey: apiSecret, MerchantCode: "1000", CustomerRef: "shop-user-x"}
	return a
}

func serve(t *testing.T, change func(*providers.Account), h http.HandlerFunc) *koinal.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	a := apiAccount(srv.URL)
	if change != nil {
		change(&a)
	}
	if faults := koinal.Provider.Validate(a, providers.Policy{}); len(faults) > 0 {
		t.Fatal(faults)
	}
	c, err := koinal.NewClient(a, providers.Env{
		HTTP: httpx.New(httpx.Options{AllowInsecure: true, Timeout: time.Minute}),
		Now:  func() time.Time { return receivedAt.Time() },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authorized(t *testing.T, r *http.Request, header, reference, timestamp string) {
	t.Helper()
	want, err := koinal.AuthToken("1000", reference, timestamp, apiSecret)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Header.Get(header); got != want.Reveal() {
		plain, _ := base64.StdEncoding.DecodeString(got)
		t.Errorf("%s header: %s", header, plain)
	}
}

var question = providers.Question{Key: events.Key{Provider: "koinal", Account: "shop", ID: "123"}}

func TestCheck(t *testing.T) {
	c := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.Path != "/order/123/status" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		authorized(t, r, "Authorization", "shop-user-x", "1700000000000")
		fmt.Fprint(w, `{"data":{"id":123,"status":"PENDING","currency_amount":1000.10,"currency":"USD"},"code":"00","message":"APPROVED","status":"APPROVED"}`)
	})
	got, err := c.Check(t.Context(), question)
	want := providers.Answer{Key: question.Key, StatusRaw: "PENDING", Facts: events.Facts{FiatAmount: "1000.10", FiatCurrency: "USD", Side: "buy"}}
	if err != nil || got != want {
		t.Errorf("Check = %+v, %v; want %+v", got, err, want)
	}
}

func TestCheck_configuredNames(t *testing.T) {
	c := serve(t, func(a *providers.Account) {
		a.API.AuthHeader = "X-Hash"
		a.API.Paths = map[string]string{"status": "/v9/{id}/status"}
		a.API.Fields = map[string]string{"id": "orderId", "status": "orderStatus", "timestamp_unit": "s"}
	}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v9/123/status" {
			t.Errorf("path %s", r.URL.Path)
		}
		authorized(t, r, "X-Hash", "shop-user-x", "1700000000")
		fmt.Fprint(w, `{"orderId":"123","orderStatus":"EXPIRED","status":"APPROVED"}`)
	})
	if got, err := c.Check(t.Context(), question); err != nil || got.StatusRaw != "EXPIRED" {
		t.Errorf("Check = %+v, %v; want EXPIRED", got, err)
	}
}

// What the document lost is a setting down to the method and to members within
// members, in requests as in answers.
func TestClient_configuredShape(t *testing.T) {
	c := serve(t, func(a *providers.Account) {
		a.API.Paths = map[string]string{"quote": "PUT /v3/prices", "order": "/v3/orders", "status": "POST /v3/orders/{id}/state"}
		a.API.Fields = map[string]string{
			"id": "order.number", "status": "order.state", "auth_scheme": "Hash", "currency_amount": "fiat.value", "currency": "fiat.code",
			"status_currency_amount": "total",
			"token":                  "quote.token", "checkout_url": "redirect.to",
		}
	}, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Hash ") {
			t.Errorf("authorization %.10s", r.Header.Get("Authorization"))
		}
		body, _ := io.ReadAll(r.Body)
		got := r.Method + " " + r.URL.Path + " " + string(body)
		switch got {
		case `PUT /v3/prices {"cryptocurrency":"BTC","fiat":{"code":"USD","value":1000.10}}`:
			fmt.Fprint(w, `{"code":"00","data":{"fiat":{"value":1000.10,"code":"USD"},"cryptocurrency":"BTC","cryptocurrency_amount":0.5,"quote":{"token":"q1"}}}`)
		case `POST /v3/orders {"ip_address":"192.0.2.7","quote":{"token":"q1"},"wallet_address":"w"}`:
			fmt.Fprint(w, `{"code":"00","data":{"order":{"number":123},"redirect":{"to":"https://pay.example.com/123"}}}`)
		case `POST /v3/orders/123/state `:
			fmt.Fprint(w, `{"code":"00","data":{"order":{"number":"123","state":"PENDING"},"total":7.50,"fiat":{"code":"USD"}}}`)
		default:
			t.Errorf("request %s", got)
		}
	})
	quote, err := c.Quote(t.Context(), koinal.QuoteRequest{FiatAmount: "1000.10", FiatCurrency: "USD", CryptoAsset: "BTC"})
	if err != nil || quote.FiatAmount != "1000.10" || quote.Token != "q1" {
		t.Fatalf("Quote = %+v, %v", quote, err)
	}
	order, err := c.CreateOrder(t.Context(), koinal.OrderRequest{QuoteToken: "q1", CryptoAsset: "BTC", WalletAddress: "w", CustomerIP: netip.MustParseAddr("192.0.2.7")})
	if err != nil || order.OrderID != "123" {
		t.Fatalf("CreateOrder = %+v, %v", order, err)
	}
	if got, err := c.Check(t.Context(), question); err != nil || got.StatusRaw != "PENDING" || got.Facts.FiatAmount != "7.50" || got.Facts.FiatCurrency != "USD" {
		t.Errorf("Check = %+v, %v; want PENDING, 7.50 USD", got, err)
	}
}

func TestCheck_failures(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://location-canary.example.com/")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    events.Outcome
		status  int
	}{
		{"302", answer(302, ""), events.OutcomeRedirect, 302},
		{"400", answer(400, "jane@example.com"), events.OutcomeRejected, 400},
		{"401", answer(401, ""), events.OutcomeUnauthorized, 401},
		{"404", answer(404, ""), events.OutcomeNotFound, 404},
		{"429", answer(429, ""), events.OutcomeRateLimited, 429},
		{"500", answer(500, ""), events.OutcomeProvider, 500},
		{"code", answer(200, `{"code":"12","message":"jane@example.com"}`), events.OutcomeProvider, 200},
		{"code as a number", answer(200, `{"code":0,"data":{"id":123,"status":"x"}}`), events.OutcomeProvider, 200},
		{"no data", answer(200, `{"code":"00","status":"APPROVED","id":123}`), events.OutcomeMalformed, 200},
		{"html", answer(200, "<html>"), events.OutcomeMalformed, 200},
		{"empty", answer(200, ""), events.OutcomeMalformed, 200},
		{"array", answer(200, "[]"), events.OutcomeMalformed, 200},
		{"no id", answer(200, `{"code":"00","data":{"status":"PENDING"}}`), events.OutcomeMalformed, 200},
		{"no status", answer(200, `{"code":"00","data":{"id":123}}`), events.OutcomeMalformed, 200},
		{"another order", answer(200, `{"code":"00","data":{"id":124,"status":"PENDING"}}`), events.OutcomeMismatch, 200},
		{"oversized", answer(200, strings.Repeat(" ", httpx.MaxBody+1)), events.OutcomeOversized, 200},
		{"timeout", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, events.OutcomeTimeout, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if tc.want == events.OutcomeTimeout && tc.status == 0 { // nobody waits for a whole timeout of the client's
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
			}
			got, err := serve(t, nil, tc.handler).Check(ctx, question)
			checkFailure(t, err, tc.want, tc.status)
			if got != (providers.Answer{}) {
				t.Errorf("Check = %+v beside %v", got, err)
			}
		})
	}
}

func checkFailure(t *testing.T, err error, want events.Outcome, status int) {
	t.Helper()
	var call *providers.CallError
	if !errors.As(err, &call) || call.Outcome != want || call.HTTPStatus != status {
		t.Errorf("error %v; want %s (HTTP %d)", err, want, status)
		return
	}
	for _, secret := range []string{"canary", "jane", "://", "127.0.0.1", apiSecret.Reveal(), "shop-user-x", "html", "quote-token"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q has %q in it", err, secret)
		}
	}
}

func TestQuote(t *testing.T) {
	c := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"cryptocurrency":"BTC","currency":"USD","currency_amount":1000.00000000000000001}` || r.Method != "POST" || r.URL.Path != "/quote" {
			t.Errorf("%s %s %s", r.Method, r.URL.Path, body)
		}
		fmt.Fprint(w, `{"data":{"cryptocurrency_amount":0.10034116,"cryptocurrency":"BTC","currency_amount":1000,"currency":"USD",`+
			`"token":"83771cad9663db92693bc57579182678"},"code":"00","message":"APPROVED","status":"APPROVED"}`)
	})
	got, err := c.Quote(t.Context(), koinal.QuoteRequest{FiatAmount: "1000.00000000000000001", FiatCurrency: "USD", CryptoAsset: "BTC"})
	want := koinal.Quote{FiatAmount: "1000", FiatCurrency: "USD", CryptoAmount: "0.10034116", CryptoAsset: "BTC", Token: "83771cad9663db92693bc57579182678"}
	if err != nil || got != want {
		t.Errorf("Quote = %+v, %v; want %+v", got, err, want)
	}
	if s := fmt.Sprintf("%+v", got); strings.Contains(s, "83771cad") {
		t.Errorf("a Quote prints its token: %s", s)
	}
	_, err = c.Quote(t.Context(), koinal.QuoteRequest{FiatAmount: "1", CryptoAmount: "1"})
	checkFailure(t, err, events.OutcomeRejected, 0)
}

func TestCreateOrder(t *testing.T) {
	c := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if body["token"] != "quote-token" || body["wallet_address"] != "rWallet" || body["destination_tag"] != "0" || body["ip_address"] != "192.0.2.7" || r.Header.Get("Token") != "quote-token" {
			t.Errorf("body %v", body)
		}
		authorized(t, r, "Authorization", "customer-7-x", "1700000000000")
		fmt.Fprint(w, `{"code":"00","data":{"checkout_url":"https://checkout.example.com/x?y=z","id":123}}`)
	})
	order := koinal.OrderRequest{
		QuoteToken: "quote-token", CryptoAsset: "XRP", WalletAddress: "rWallet", DestinationTag: "0",
		CustomerIP: netip.MustParseAddr("192.0.2.7"), CustomerReference: "customer-7-x",
	}
	got, err := c.CreateOrder(t.Context(), order)
	if want := (koinal.Checkout{URL: "https://checkout.example.com/x?y=z", OrderID: "123"}); err != nil || got != want {
		t.Errorf("CreateOrder = %+v, %v; want %+v", got, err, want)
	}
	if s := fmt.Sprintf("%v %+v %#v", order, order, order); strings.Contains(s, "rWallet") || strings.Contains(s, "192.0.2") {
		t.Errorf("an OrderRequest prints as %s", s)
	}
	for name, change := range map[string]func(*koinal.OrderRequest){
		"tag of another chain":    func(o *koinal.OrderRequest) { o.CryptoAsset = "BTC" },
		"tag with leading zero":   func(o *koinal.OrderRequest) { o.DestinationTag = "01" },
		"tag beyond 32 bits":      func(o *koinal.OrderRequest) { o.DestinationTag = "4294967296" },
		"no address":              func(o *koinal.OrderRequest) { o.WalletAddress = "" },
		"no IP":                   func(o *koinal.OrderRequest) { o.CustomerIP = netip.Addr{} },
		"no token":                func(o *koinal.OrderRequest) { o.QuoteToken = "" },
		"reference ends in digit": func(o *koinal.OrderRequest) { o.CustomerReference = "User1" },
	} {
		o := order
		change(&o)
		_, err := c.CreateOrder(t.Context(), o)
		if checkFailure(t, err, events.OutcomeRejected, 0); t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*providers.Account)
		policy providers.Policy
		want   string // "" for no fault, else the beginning of one
	}{
		{"complete", func(*providers.Account) {}, providers.Policy{}, ""},
		{"webhook only", func(a *providers.Account) { a.API = providers.API{} }, providers.Policy{}, ""},
		{"hint only", func(a *providers.Account) { a.API, a.Webhook = providers.API{}, providers.Webhook{Trust: "hint"} }, providers.Policy{}, ""},
		{"demo", func(a *providers.Account) { a.Webhook.Secrets = []providers.Secret{"11qq22ww"} }, providers.Policy{Demo: true}, ""},
		{"short allowed", func(a *providers.Account) {
			a.Webhook.Secrets, a.Webhook.AllowShortSecrets = []providers.Secret{"shortish"}, true
		}, providers.Policy{}, ""},
		{"documentation secret", func(a *providers.Account) {
			a.Webhook.Secrets, a.Webhook.AllowShortSecrets = []providers.Secret{"11qq22ww"}, true
		}, providers.Policy{}, "webhook.secrets[0]: "},
		{"short", func(a *providers.Account) { a.Webhook.Secrets[1] = "canary" }, providers.Policy{}, "webhook.secrets[1]: "},
		{"twice", func(a *providers.Account) { a.Webhook.Secrets[1] = current }, providers.Policy{}, "webhook.secrets[1]: "},
		{"no secret", func(a *providers.Account) { a.Webhook.Secrets = nil }, providers.Policy{}, "webhook.secrets: "},
		{"trust", func(a *providers.Account) { a.Webhook.Trust = "yes" }, providers.Policy{}, "webhook.trust: "},
		{"hint with secrets", func(a *providers.Account) { a.Webhook.Trust = "hint" }, providers.Policy{}, "webhook.trust: "},
		{"strict without reading", func(a *providers.Account) { a.Webhook.Strict, a.Webhook.Header = true, "Signature" }, providers.Policy{}, "webhook.reading: "},
		{"strict without header", func(a *providers.Account) { a.Webhook.Strict, a.Webhook.Reading = true, "a" }, providers.Policy{}, "webhook.header: "},
		{"reading", func(a *providers.Account) { a.Webhook.Reading = "raw" }, providers.Policy{}, "webhook.reading: "},
		{"header", func(a *providers.Account) { a.Webhook.Header = "a b" }, providers.Policy{}, "webhook.header: "},
		{"field", func(a *providers.Account) { a.Webhook.Fields = map[string]string{"phone": "x"} }, providers.Policy{}, "webhook.fields: "},
		{"base url", func(a *providers.Account) { a.API.BaseURL = "" }, providers.Policy{}, "api.base_url: "},
		{"plain base url", func(a *providers.Account) { a.API.BaseURL, a.API.AllowInsecure = "http://h", false }, providers.Policy{}, "api.base_url: "},
		{"no api secret", func(a *providers.Account) { a.API.PrivateKey = "" }, providers.Policy{}, "api.private_key: "},
		{"merchant code", func(a *providers.Account) { a.API.MerchantCode = "M1" }, providers.Policy{}, "api.merchant_code: "},
		{"customer reference", func(a *providers.Account) { a.API.CustomerRef = "User1" }, providers.Policy{}, "api.customer_reference: "},
		{"path name", func(a *providers.Account) { a.API.Paths = map[string]string{"refund": "/x"} }, providers.Policy{}, "api.paths.refund: "},
		{"path without id", func(a *providers.Account) { a.API.Paths = map[string]string{"status": "/x"} }, providers.Policy{}, "api.paths.status: "},
		{"path with query", func(a *providers.Account) { a.API.Paths = map[string]string{"quote": "/x?y"} }, providers.Policy{}, "api.paths.quote: "},
		{"quote by GET", func(a *providers.Account) { a.API.Paths = map[string]string{"quote": "GET /x"} }, providers.Policy{}, "api.paths.quote: "},
		{"empty path", func(a *providers.Account) { a.API.Paths = map[string]string{"quote": ""} }, providers.Policy{}, "api.paths.quote: "},
		{"other methods", func(a *providers.Account) {
			a.API.Paths = map[string]string{"quote": "PUT /x", "status": "POST /x/{id}"}
			a.API.Fields = map[string]string{"id": "order.id", "auth_scheme": "Hash"}
		}, providers.Policy{}, ""},
		{"a point too many", func(a *providers.Account) { a.API.Fields = map[string]string{"id": "order..id"} }, providers.Policy{}, "api.fields.id: "},
		{"a value that is an object too", func(a *providers.Account) {
			a.API.Fields = map[string]string{"token": "quote", "wallet_address": "quote.wallet"}
		}, providers.Policy{}, "api.fields.wallet_address: "},
		{"two names alike", func(a *providers.Account) { a.API.Fields = map[string]string{"ip_address": "wallet_address"} }, providers.Policy{}, "api.fields.ip_address: "},
		{"names that begin alike", func(a *providers.Account) {
			a.API.Fields = map[string]string{"token": "wallet", "wallet_address": "wallets"}
		}, providers.Policy{}, ""},
		{"auth header", func(a *providers.Account) { a.API.AuthHeader = "X:" }, providers.Policy{}, "api.auth_header: "},
		{"api field", func(a *providers.Account) { a.API.Fields = map[string]string{"x": "y"} }, providers.Policy{}, "api.fields: "},
		{"timestamp unit", func(a *providers.Account) { a.API.Fields = map[string]string{"timestamp_unit": "us"} }, providers.Policy{}, "api.fields.timestamp_unit: "},
		{"status", func(a *providers.Account) { a.API.Statuses = map[string]string{"X": "DISPUTED"} }, providers.Policy{}, "api.statuses.X: "},
		{"another provider's setting", func(a *providers.Account) { a.Webhook.PublicKey = "canary" }, providers.Policy{}, "webhook.public_key: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := apiAccount("https://api.example.com")
			a.API.AllowInsecure = false
			tc.change(&a)
			got := koinal.Provider.Validate(a, tc.policy)
			all := strings.Join(got, "\n")
			if strings.Contains(all, "canary") || strings.Contains(all, current.Reveal()) {
				t.Errorf("Validate quotes a secret: %s", all)
			}
			if (tc.want == "") != (len(got) == 0) || (tc.want != "" && !strings.HasPrefix(got[0], tc.want) && !strings.Contains(all, "\n"+tc.want)) {
				t.Errorf("Validate = %q; want %q", got, tc.want)
			}
		})
	}
}

func TestOpen_refusesEmptyKeys(t *testing.T) {
	for name, change := range map[string]func(*providers.Account){
		"no secrets":   func(a *providers.Account) { a.Webhook.Secrets = nil },
		"empty secret": func(a *providers.Account) { a.Webhook.Secrets = []providers.Secret{current, ""} },
		"no api key":   func(a *providers.Account) { a.API.PrivateKey = "" },
		"base url":     func(a *providers.Account) { a.API.BaseURL = "api" },
	} {
		a := apiAccount("https://api.example.com")
		change(&a)
		if c, err := koinal.Provider.Open(a, providers.Env{}); err == nil || c != (providers.Capabilities{}) {
			t.Errorf("%s: Open = %+v, %v; want an error", name, c, err)
		}
	}
}
