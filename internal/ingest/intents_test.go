package ingest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/ingest"
	"rampstream/internal/stream"
)

const fullOrder = `{"provider":"kado","account":"acme","order_id":"o-1","merchant_ref":"ORD/2026 #1","revision":2,` +
	`"fiat":{"amount":"100.00","currency":"USD"},"crypto":{"amount":0.010,"asset":"BTC","network":"bitcoin","receive_min":"1e-2"},` +
	`"side":"buy","customer_id":"c-1"}`

func (r *rig) intent(target, body string, header ...string) ingest.Response {
	return r.post(target, body, append([]string{"Authorization", "Bearer " + secret}, header...)...)
}

func TestIntent_order(t *testing.T) {
	r := newRig(t)
	got := receiptOf(t, r.intent("/v1/orders", fullOrder))
	rec := r.log.snapshot()[0]
	in, err := r.codec.DecodeIntent(context.Background(), rec.Value)
	if err != nil {
		t.Fatal(err)
	}
	want := events.Intent{
		Key: events.Key{Provider: "kado", Account: "acme", ID: "o-1"}, Kind: events.Expect, Revision: 2, Source: "shop",
		ObservedAt: events.At(r.now()), EventID: events.EventID(got.EventID),
		Facts: events.Facts{FiatAmount: "100.00", FiatCurrency: "USD", CryptoAmount: "0.010", CryptoAsset: "BTC", CryptoNetwork: "bitcoin",
			CryptoReceiveMin: "0.01", Side: "buy", CustomerID: "c-1", MerchantRef: "ORD/2026 #1"},
	}
	if in != want || string(rec.Key) != "kado/acme/o-1" || rec.Topic != "ramp.intent.v1" {
		t.Errorf("record %s %s = %+v; want %+v", rec.Topic, rec.Key, in, want)
	}
	if v, _ := rec.Header("ce_type"); string(v) != "rampstream.v1.Intent" {
		t.Errorf("ce_type %q", v)
	}
	// Two intents that disagree are both kept; the same one has one event id.
	again := receiptOf(t, r.intent("/v1/orders", fullOrder))
	other := receiptOf(t, r.intent("/v1/orders", strings.Replace(fullOrder, "100.00", "101.00", 1)))
	if again.EventID != got.EventID || other.EventID == got.EventID || len(r.log.snapshot()) != 3 {
		t.Errorf("event ids %s, %s, %s; want equal, equal, another", got.EventID, again.EventID, other.EventID)
	}
}

func TestIntent_customer(t *testing.T) {
	r := newRig(t)
	receiptOf(t, r.intent("/v1/customers", `{"provider":"koinal","account":"acme","customer_id":"c-1","customer_ref":"crm 17"}`))
	rec := r.log.snapshot()[0]
	in, err := r.codec.DecodeIntent(context.Background(), rec.Value)
	if err != nil || string(rec.Key) != "koinal/acme/customer/c-1" || in.Facts != (events.Facts{CustomerRef: "crm 17"}) || in.Revision != 0 {
		t.Errorf("record %s = %+v, %v", rec.Key, in, err)
	}
}

func TestIntent_refuses(t *testing.T) {
	order := func(extra string) string { return `{"provider":"kado","account":"acme","order_id":"o-1"` + extra + `}` }
	for _, tc := range []struct {
		name, body string
		status     int
		field      string
	}{
		{"empty", ``, 400, ""},
		{"not JSON", `{"provider":`, 400, ""},
		{"array", `[]`, 400, ""},
		{"two objects", order("") + `{}`, 400, ""},
		{"trailing comma", `{"provider":"kado",}`, 400, ""},
		{"BOM", "\ufeff" + order(""), 400, ""},
		{"not UTF-8", order(`,"merchant_ref":"` + "\xff" + `"`), 400, ""},
		{"unknown field", order(`,"kind":"FORGET"`), 400, "kind"},
		{"other case", order(`,"Revision":1`), 400, "Revision"},
		{"dotted name", order(`,"fiat.amount":"1"`), 400, "fiat.amount"},
		{"unknown nested", order(`,"fiat":{"iban":"x"}`), 400, "fiat.iban"},
		{"repeated", order(`,"order_id":"o-2"`), 400, "order_id"},
		{"null", order(`,"side":null`), 400, "side"},
		{"array value", order(`,"side":[]`), 400, "side"},
		{"deep", order(`,"fiat":{"amount":{"x":1}}`), 400, "fiat.amount"},
		{"object for a string", order(`,"side":{}`), 400, "side"},
		{"string for an object", order(`,"fiat":"100 USD"`), 400, "fiat"},
		{"number for a string", order(`,"side":1`), 400, "side"},
		{"bool for an amount", order(`,"fiat":{"amount":true,"currency":"USD"}`), 400, "fiat.amount"},
		{"string revision", order(`,"revision":"1"`), 400, "revision"},
		{"no order id", `{"provider":"kado","account":"acme"}`, 400, "order_id"},
		{"odd order id", `{"provider":"kado","account":"acme","order_id":"a/b"}`, 422, "order_id"},
		{"empty order id", `{"provider":"kado","account":"acme","order_id":""}`, 422, "order_id"},
		{"unknown account", `{"provider":"kado","account":"nobody","order_id":"o-1"}`, 422, "account"},
		{"foreign account", `{"provider":"kado","account":"other","order_id":"o-1"}`, 403, ""},
		{"negative amount", order(`,"fiat":{"amount":"-1","currency":"USD"}`), 422, "fiat.amount"},
		{"no amount", order(`,"fiat":{"amount":"1,00","currency":"USD"}`), 422, "fiat.amount"},
		{"endless amount", order(`,"fiat":{"amount":1e999999,"currency":"USD"}`), 422, "fiat.amount"},
		{"amount without currency", order(`,"fiat":{"amount":"1"}`), 422, "fiat.currency"},
		{"amount without asset", order(`,"crypto":{"receive_min":"1"}`), 422, "crypto.asset"},
		{"odd side", order(`,"side":"BUY"`), 422, "side"},
		{"fraction revision", order(`,"revision":1.5`), 422, "revision"},
		{"negative revision", order(`,"revision":-1`), 422, "revision"},
		{"an e-mail as reference", order(`,"merchant_ref":"jo@example.com"`), 422, "merchant_ref"},
		{"customer's field", order(`,"customer_ref":"x"`), 400, "customer_ref"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			got := r.intent("/v1/orders", tc.body)
			var said struct{ Error, Field string }
			if err := json.Unmarshal(got.Body, &said); err != nil || said.Error == "" {
				t.Fatalf("body %s: %v", got.Body, err)
			}
			if got.Status != tc.status || said.Field != tc.field {
				t.Errorf("= %d %s; want %d naming %q", got.Status, got.Body, tc.status, tc.field)
			}
			if n := len(r.log.snapshot()); n != 0 {
				t.Errorf("%d records", n)
			}
		})
	}
}

func TestIntent_head(t *testing.T) {
	for _, tc := range []struct {
		name   string
		req    ingest.Request
		status int
	}{
		{"no token", post("/v1/orders", fullOrder), 401},
		{"wrong token", post("/v1/orders", fullOrder, "Authorization", "Bearer "+secret+"x"), 401},
		{"empty token", post("/v1/orders", fullOrder, "Authorization", "Bearer "), 401},
		{"basic", post("/v1/orders", fullOrder, "Authorization", "Basic "+secret), 401},
		{"two tokens", with(post("/v1/orders", fullOrder, "Authorization", "Bearer "+secret), func(r *ingest.Request) {
			r.Header.Add("Authorization", "Bearer "+secret)
		}), 401},
		{"the other token", post("/v1/orders", fullOrder, "Authorization", "Bearer another-token-of-the-shop"), 403},
		{"lower-case scheme", post("/v1/orders", fullOrder, "Authorization", "bearer "+secret), 200},
		{"GET", with(post("/v1/orders", ""), func(r *ingest.Request) { r.Method = "GET" }), 405},
		{"query", post("/v1/orders?token="+secret, fullOrder), 400},
		{"form", post("/v1/orders", fullOrder, "Authorization", "Bearer "+secret, "Content-Type", "text/plain"), 415},
		{"above 16 KiB", post("/v1/orders", strings.Repeat(" ", 16<<10)+fullOrder, "Authorization", "Bearer "+secret), 413},
		{"unread without a token", with(post("/v1/orders", ""), func(r *ingest.Request) { r.ContentLength, r.Body = -1, &endless{t: t} }), 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			got := r.Handle(context.Background(), tc.req)
			if got.Status != tc.status || got.Provider != "intents" {
				t.Errorf("= %d %s; want %d", got.Status, got.Provider, tc.status)
			}
			if got.Status == http.StatusUnauthorized && got.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}

func TestIntent_notAcknowledged(t *testing.T) {
	r := newRig(t)
	r.log.script = []error{stream.ErrTransient, stream.ErrTooLarge}
	if got := r.intent("/v1/orders", fullOrder); got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("= %d; want 503 with Retry-After", got.Status)
	}
	if got := r.intent("/v1/orders", fullOrder); got.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("= %d; want 413", got.Status)
	}
}

// What is accepted is JSON by an independent parser, has a valid key and
// amounts, and is accepted by the encoder.
func FuzzParseIntent(f *testing.F) {
	for _, s := range []string{fullOrder, `{"provider":"kado","account":"acme","order_id":"o-1"}`, `{"fiat":{"amount":1e2}}`,
		`{"provider":"a","account":"b","customer_id":"c","customer_ref":"r"}`, `{"a":{"b":{"c":1}}}`, `{"provider":"kado","provider":"kanga"}`, "\xff", `[`} {
		f.Add(s, false)
		f.Add(s, true)
	}
	r := newRig(&testing.T{})
	f.Fuzz(func(t *testing.T, body string, customer bool) {
		kind := events.Order
		if customer {
			kind = events.Customer
		}
		in, err := ingest.ParseIntent(kind, []byte(body))
		if err != nil {
			if in != (events.Intent{}) {
				t.Fatalf("ParseIntent(%q) = %+v beside %v", body, in, err)
			}
			return
		}
		if !json.Valid([]byte(body)) || !in.Key.Valid() || in.Key.Kind != kind || in.Kind != events.Expect || in.EventID == "" {
			t.Fatalf("ParseIntent(%q) = %+v", body, in)
		}
		for _, a := range []events.Amount{in.Facts.FiatAmount, in.Facts.CryptoAmount, in.Facts.CryptoReceiveMin} {
			if a != "" && !a.Valid() {
				t.Fatalf("ParseIntent(%q) has amount %q", body, a)
			}
		}
		in.Source, in.ObservedAt = "shop", 1
		if _, err := r.codec.EncodeIntent(in); err != nil {
			t.Fatalf("EncodeIntent(ParseIntent(%q)) = %v", body, err)
		}
	})
}
