package kanga_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers/kanga"
)

func TestPriceEstimate(t *testing.T) {
	tr := answering(200, `{"EMT":"3090","BTC":"0.0015","ETH":"0.0685","oPLN":"40.33"}`)
	got, err := client(t, account(), tr).PriceEstimate(t.Context(), "EMT", "3000")
	if err != nil {
		t.Fatal(err)
	}
	want := []kanga.Estimate{{"EMT", "3090"}, {"BTC", "0.0015"}, {"ETH", "0.0685"}, {"oPLN", "40.33"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("PriceEstimate (-want +got):\n%s", diff)
	}
	r := tr.requests[0]
	if tr.bodies[0] != `{"token":"EMT","quantity":"3000","shopToken":"`+apiKey+`"}` || r.Header.Get("API-Sig") != "" ||
		r.URL.String() != "https://api.kanga.exchange/api/tpg/price/estimate" {
		t.Errorf("PriceEstimate sent %s %s, signature %q", r.URL, tr.bodies[0], r.Header.Get("API-Sig"))
	}
}

func TestPriceEstimate_failures(t *testing.T) {
	for body, want := range map[string]events.Outcome{
		`{"result":"fail","code":9000}`: events.OutcomeUnauthorized,
		`{"EMT":3090}`:                  events.OutcomeMalformed,
		`{"EMT":"much"}`:                events.OutcomeMalformed,
		`["EMT"]`:                       events.OutcomeMalformed,
		``:                              events.OutcomeMalformed,
	} {
		_, err := client(t, account(), answering(200, body)).PriceEstimate(t.Context(), "EMT", "1")
		if got, _ := outcomeOf(err); got != want {
			t.Errorf("PriceEstimate answered %s = %v, want %s", body, err, want)
		}
	}
}

func TestCreatePaymentToken(t *testing.T) {
	tr := answering(200, `{"result":"ok","paymentToken":"xoLcXoC5spJA1PVZh0O7U0IRByYkuWhl"}`)
	got, err := client(t, account(), tr).CreatePaymentToken(t.Context(), 1571776939)
	if err != nil || got.Reveal() != "xoLcXoC5spJA1PVZh0O7U0IRByYkuWhl" {
		t.Errorf("CreatePaymentToken = %q, %v", got.Reveal(), err)
	}
	if want := `{"appId":"` + apiKey + `","nonce":1571776939}`; tr.bodies[0] != want {
		t.Errorf("CreatePaymentToken sent %s, want %s", tr.bodies[0], want)
	}
}

func TestStartURL(t *testing.T) {
	c := client(t, account(), nil)
	got, err := c.StartURL(kanga.StartPayment{
		Currency: "oPLN", Amount: "40.330", TransactionKey: "A1", Name: "two & three", Email: "a@b.example",
		PaymentToken: "tok", ForceCurrency: "ETH",
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"currency": {"oPLN"}, "amount": {"40.330"}, "transactionKey": {"A1"}, "name": {"two & three"},
		"email": {"a@b.example"}, "paymentToken": {"tok"}, "forceCurrency": {"ETH"}}
	if diff := cmp.Diff(want, u.Query()); diff != "" || u.Host != "kanga.exchange" || u.Path != "/tpg/payment/"+apiKey {
		t.Errorf("StartURL = %s%s (-want +got):\n%s", u.Host, u.Path, diff)
	}
}

func TestStartURL_refuses(t *testing.T) {
	c := client(t, account(), nil)
	ok := kanga.StartPayment{Currency: "BTC", Amount: "1", TransactionKey: "A1"}
	for name, change := range map[string]func(*kanga.StartPayment){
		"no amount":       func(p *kanga.StartPayment) { p.Amount = "" },
		"zero":            func(p *kanga.StartPayment) { p.Amount = "0.00" },
		"negative":        func(p *kanga.StartPayment) { p.Amount = "-1" },
		"no currency":     func(p *kanga.StartPayment) { p.Currency = "" },
		"no key":          func(p *kanga.StartPayment) { p.TransactionKey = "" },
		"key with a path": func(p *kanga.StartPayment) { p.TransactionKey = "a/b" },
	} {
		p := ok
		change(&p)
		if got, err := c.StartURL(p); !errors.Is(err, kanga.ErrPayment) || got != "" {
			t.Errorf("%s: StartURL = %q, %v, want ErrPayment", name, got, err)
		}
	}
}
