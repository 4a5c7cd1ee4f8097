package kuna_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kuna"
)

// The documents name these members and write amounts as strings; the values
// are ours.
const onRamp = `{"id":"` + operationID + `","walletId":"w-1","type":"DepositWithExchange","status":"Processing",` +
	`"sourceAsset":"EUR","sourceAmount":"20.00","targetAsset":"USDT","targetAmount":"15.07768",` +
	`"externalId":"ext-1","createdAt":"2026-02-28T08:01:19.952Z","email":"canary@example.com"}`

func TestOperation_facts(t *testing.T) {
	created := events.Millis(1772265679952)
	for _, tc := range []struct {
		name, body string
		want       events.Facts
	}{
		{"on-ramp", onRamp, events.Facts{FiatAmount: "20.00", FiatCurrency: "EUR", CryptoAmount: "15.07768", CryptoAsset: "USDT",
			Side: "buy", ExternalID: "ext-1", WalletID: "w-1", ProviderCreatedAt: created}},
		{"buy to send", strings.Replace(onRamp, "DepositWithExchange", "BuyToSendCrypto", 1), events.Facts{FiatAmount: "20.00", FiatCurrency: "EUR",
			CryptoAmount: "15.07768", CryptoAsset: "USDT", Side: "buy", ExternalID: "ext-1", WalletID: "w-1", ProviderCreatedAt: created}},
		{"off-ramp", strings.Replace(onRamp, "DepositWith", "WithdrawWith", 1), events.Facts{FiatAmount: "15.07768", FiatCurrency: "USDT",
			CryptoAmount: "20.00", CryptoAsset: "EUR", Side: "sell", ExternalID: "ext-1", WalletID: "w-1", ProviderCreatedAt: created}},
		{"exchange", strings.Replace(onRamp, "DepositWithExchange", "CryptoExchange", 1), events.Facts{
			CryptoAmount: "15.07768", CryptoAsset: "USDT", ExternalID: "ext-1", WalletID: "w-1", ProviderCreatedAt: created}},
		{"transfer", strings.Replace(onRamp, "DepositWithExchange", "Transfer", 1), events.Facts{ExternalID: "ext-1", WalletID: "w-1", ProviderCreatedAt: created}},
		{"least", `{"id":"` + operationID + `","status":"Created"}`, events.Facts{}},
		{"null amounts", `{"id":"` + operationID + `","status":"Created","type":"DepositWithExchange","targetAmount":null,"sourceAmount":null}`, events.Facts{Side: "buy"}},
		{"number", `{"id":"` + operationID + `","status":"Created","type":"DepositWithExchange","targetAmount":1.10}`, events.Facts{Side: "buy", CryptoAmount: "1.10"}},
		{"odd texts", `{"id":"` + operationID + `","status":"Created","externalId":"a b","walletId":7,"createdAt":"yesterday"}`, events.Facts{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := answering(200, `{"data":[`+tc.body+`]}`)
			got, err := open(t, withKey(), env(f)).Orders.Check(t.Context(), question(events.Order, operationID))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Facts); diff != "" {
				t.Errorf("Facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOperation_request(t *testing.T) {
	f := answering(200, `{"data":[`+onRamp+`]}`)
	got, err := open(t, withKey(), env(f)).Orders.Check(t.Context(), question(events.Order, operationID))
	if err != nil || got.StatusRaw != "Processing" {
		t.Fatalf("Check = %+v, %v", got, err)
	}
	want := []call{{"POST", "/v2/operation/details", "", "canary-api-key-0123456789", "", `{"id":"` + operationID + `"}`}}
	if diff := cmp.Diff(want, f.calls, cmp.AllowUnexported(call{})); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestOperation_outcomes(t *testing.T) {
	other := strings.Replace(onRamp, operationID, "0b1c2d3e-1111-4222-8333-444455550000", 1)
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   events.Outcome
	}{
		{"ok", 200, `{"data":[` + onRamp + `]}`, events.OutcomeOK},
		{"ok among others", 201, `{"data":[` + other + `,` + onRamp + `]}`, events.OutcomeOK},
		{"unknown status word", 200, `{"data":[` + strings.Replace(onRamp, "Processing", "Settling", 1) + `]}`, events.OutcomeOK},
		{"none", 200, `{"data":[]}`, events.OutcomeNotFound},
		{"another", 200, `{"data":[` + other + `]}`, events.OutcomeMismatch},
		{"twice", 200, `{"data":[` + onRamp + `,` + onRamp + `]}`, events.OutcomeMalformed},
		{"object for array", 200, `{"data":` + onRamp + `}`, events.OutcomeMalformed},
		{"array for object", 200, `[` + onRamp + `]`, events.OutcomeMalformed},
		{"data null", 200, `{"data":null}`, events.OutcomeMalformed},
		{"errors inside 200", 200, `{"errors":[{"code":"IP_NOT_IN_WHITE_LIST"}]}`, events.OutcomeMalformed},
		{"element without an id", 200, `{"data":[{"status":"Completed"}]}`, events.OutcomeMalformed},
		{"no status", 200, `{"data":[{"id":"` + operationID + `"}]}`, events.OutcomeMalformed},
		{"status is a number", 200, `{"data":[{"id":"` + operationID + `","status":3}]}`, events.OutcomeMalformed},
		{"amount is a word", 200, `{"data":[` + strings.Replace(onRamp, "15.07768", "much", 1) + `]}`, events.OutcomeMalformed},
		{"amount is an object", 200, `{"data":[` + strings.Replace(onRamp, `"15.07768"`, "{}", 1) + `]}`, events.OutcomeMalformed},
		{"html", 200, "<html>", events.OutcomeMalformed},
		{"empty", 200, "", events.OutcomeMalformed},
		{"no content", 204, "", events.OutcomeMalformed},
		{"oversized", 200, strings.Repeat(" ", 1<<20) + `{"data":[]}`, events.OutcomeOversized},
		{"redirect", 301, "", events.OutcomeRedirect},
		{"400", 400, "", events.OutcomeRejected},
		{"401", 401, "", events.OutcomeUnauthorized},
		{"403", 403, "", events.OutcomeUnauthorized},
		{"404", 404, "", events.OutcomeNotFound},
		{"429", 429, "", events.OutcomeRateLimited},
		{"500", 500, `{"data":[` + onRamp + `]}`, events.OutcomeProvider},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := answering(tc.status, tc.body)
			got, err := open(t, withKey(), env(f)).Orders.Check(t.Context(), question(events.Order, operationID))
			if outcomeOf(err) != tc.want || (err == nil) == (got == providers.Answer{}) {
				t.Errorf("Check = %+v, %v; want %s", got, err, tc.want)
			}
			if len(f.calls) != 1 {
				t.Errorf("%d requests, want 1", len(f.calls))
			}
		})
	}
}

// What only reads is tried again when the provider was not there.
func TestOperation_retried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := &fake{}
		f.answer = func(call) (int, string) {
			if n++; n < 3 {
				return 503, ""
			}
			return 200, `{"data":[` + onRamp + `]}`
		}
		if _, err := open(t, withKey(), env(f)).Orders.Check(t.Context(), question(events.Order, operationID)); err != nil || n != 3 {
			t.Errorf("Check = %v after %d requests, want success after 3", err, n)
		}
	})
}

func TestOperation_foreignKey(t *testing.T) {
	f := answering(200, `{"data":[]}`)
	caps := open(t, withKey(), env(f))
	for _, q := range []providers.Question{question(events.Customer, operationID), question(events.Order, "a/b"), {}} {
		if _, err := caps.Orders.Check(t.Context(), q); outcomeOf(err) != events.OutcomeRejected {
			t.Errorf("Check(%v) = %v, want rejected", q.Key, err)
		}
	}
	if len(f.calls) != 0 {
		t.Errorf("%d requests were sent", len(f.calls))
	}
}

func element(n int) string { return fmt.Sprintf(`{"id":"op-%d","status":"Completed"}`, n) }

func TestSweep_pages(t *testing.T) {
	a := withKey()
	a.API.PageSize = 2
	f := &fake{}
	f.answer = func(c call) (int, string) {
		switch c.uri {
		case "/v2/operation/find?skip=0&take=2":
			return 200, `{"data":[` + element(1) + `,{"id":"not/an/id","status":"Created"}]}`
		case "/v2/operation/find?skip=2&take=2":
			return 200, `{"data":[` + element(2) + `]}`
		}
		return 404, ""
	}
	sweep := open(t, a, env(f)).Sweep
	first, err := sweep.Sweep(t.Context(), "")
	if err != nil || len(first.Answers) != 1 || first.Unreadable != 1 || first.Next == "" {
		t.Fatalf("first page = %+v, %v", first, err)
	}
	second, err := sweep.Sweep(t.Context(), first.Next)
	if err != nil || len(second.Answers) != 1 || second.Answers[0].Key.ID != "op-2" || second.Next != "" {
		t.Fatalf("second page = %+v, %v", second, err)
	}
	for _, c := range f.calls { // both pages are of one window
		if c.body != `{"dateFrom":"2026-02-27T12:00:00.000Z"}` {
			t.Errorf("filter = %s", c.body)
		}
	}
	if err := sweep.Ack(t.Context(), first.Answers[0]); err != nil || len(f.calls) != 2 {
		t.Errorf("Ack = %v with %d requests", err, len(f.calls))
	}
}

func TestSweep_refusesCursors(t *testing.T) {
	f := answering(200, `{"data":[]}`)
	sweep := open(t, withKey(), env(f)).Sweep
	for _, cursor := range []string{"x", "1", "1:", ":1", "1:-1", "0:5", "1:2:3", "1:99999999"} {
		if _, err := sweep.Sweep(t.Context(), cursor); outcomeOf(err) != events.OutcomeRejected {
			t.Errorf("Sweep(%q) = %v, want rejected", cursor, err)
		}
	}
}

// The routes, and the names of members and parameters, are settings.
func TestClient_configuredNames(t *testing.T) {
	a := withLogin()
	a.API.Paths = map[string]string{
		"login": "/v3/login", "operation_details": "PUT /v3/operation", "operation_find": "/v3/operations", "customer_create": "/v3/customers",
		"customer_details": "/v3/customer", "ramp_token": "PUT /v3/token", "ramp_invalidate": "DELETE /v3/token",
	}
	a.API.Fields = map[string]string{
		"id": "uuid", "status": "state", "accessToken": "jwt", "token": "widgetToken", "skip": "offset", "take": "limit", "walletStatus": "wallet",
		"verificationStatus": "kyc",
	}
	f := &fake{}
	f.answer = func(c call) (int, string) {
		answer, ok := map[string]string{
			`POST /v3/login {"password":"canary-password","token":"canary@example.com"}`: `{"data":{"jwt":"t1"}}`,
			`PUT /v3/operation {"uuid":"` + operationID + `"}`:                           `{"data":[{"uuid":"` + operationID + `","state":"OnHold"}]}`,
			`POST /v3/operations?limit=5&offset=0 {"state":"OnHold"}`:                    `{"data":[{"uuid":"` + operationID + `","state":"OnHold"}]}`,
			`POST /v3/customer {"uuid":"` + customerID + `"}`:                            `{"data":{"uuid":"` + customerID + `","kyc":"ACCEPTED","wallet":"Active"}}`,
			`PUT /v3/token {"customerId":"` + customerID + `","userAgent":"UA"}`:         `{"data":{"widgetToken":"w1"}}`,
			`DELETE /v3/token {"customerId":"` + customerID + `"}`:                       `{}`,
		}[c.method+" "+c.uri+" "+c.body]
		if !ok {
			t.Errorf("request %s %s %s", c.method, c.uri, c.body)
		}
		return 200, answer
	}
	caps, c := open(t, a, env(f)), client(t, a, f)
	if got, err := caps.Orders.Check(t.Context(), question(events.Order, operationID)); err != nil || got.StatusRaw != "OnHold" {
		t.Errorf("Check of an order = %+v, %v", got, err)
	}
	if got, err := caps.Customers.Check(t.Context(), question(events.Customer, customerID)); err != nil || got.StatusRaw != "ACCEPTED+Active" {
		t.Errorf("Check of a customer = %+v, %v", got, err)
	}
	if page, n, err := c.Find(t.Context(), kuna.Filter{Status: "OnHold"}, 0, 5); err != nil || n != 1 || len(page.Answers) != 1 {
		t.Errorf("Find = %+v, %d, %v", page, n, err)
	}
	if token, err := c.RampToken(t.Context(), customerID, "UA"); err != nil || token != "w1" {
		t.Errorf("RampToken = %v", err)
	}
	if err := c.InvalidateRampToken(t.Context(), customerID); err != nil {
		t.Errorf("InvalidateRampToken = %v", err)
	}
}
