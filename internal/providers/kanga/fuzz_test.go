package kanga_test

import (
	"errors"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kanga"
)

func FuzzParseWebhook(f *testing.F) {
	f.Add("GET", "transactionKey=A1", "", "", []byte(nil))
	f.Add("POST", "", "application/x-www-form-urlencoded", "", []byte("transactionKey=A1"))
	f.Add("POST", "transactionKey=A1&transactionKey=A2", "application/json", "tok", []byte(`{}`))
	f.Add("POST", "a=%zz;transactionKey=%2F", "multipart/form-data; boundary=x", "", []byte("--x"))
	a := account()
	a.Webhook.PathToken = pathToken
	open, closed := parser(f, account()), parser(f, a)
	f.Fuzz(func(t *testing.T, method, query, contentType, token string, body []byte) {
		d := providers.Delivery{Method: method, RawQuery: query, PathToken: token, Body: body, ReceivedAt: received,
			Header: map[string][]string{"Content-Type": {contentType}}}
		for _, p := range []providers.WebhookParser{open, closed} {
			w, err := p.ParseWebhook(d)
			var de *providers.DeliveryError
			switch {
			case err == nil && (!w.Key.Valid() || w.Trust != events.TrustHint || w.StatusRaw != "" || w.Facts != events.Facts{}):
				t.Errorf("accepted %+v", w)
			case err != nil && (!errors.As(err, &de) || w != events.Webhook{}):
				t.Errorf("refused with %v and %+v", err, w)
			}
		}
		if _, err := closed.ParseWebhook(d); err == nil && token != pathToken {
			t.Error("accepted without the path token")
		}
	})
}

func FuzzCheck(f *testing.F) {
	f.Add(200, []byte(`{"result":"ok","currency":"BTC","amount":"0.01","state":"ACTIVE"}`))
	f.Add(200, []byte(`{"result":"fail","code":9000}`))
	f.Add(200, []byte(`{"result":"fail","code":"9001"}`))
	f.Add(502, []byte(`<html>`))
	f.Add(200, []byte(`[{"result":"ok"}]`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 100 || status > 999 { // net/http refuses them
			return
		}
		c := client(t, account(), answering(status, string(body)))
		got, err := c.Check(t.Context(), providers.Question{Key: order("A1"), Nonce: 1})
		var call *providers.CallError
		switch {
		case err == nil && (got.Key != order("A1") || got.StatusRaw == "" || !got.Facts.CryptoAmount.Valid() || got.Facts.CryptoAsset == ""):
			t.Errorf("Check = %+v", got)
		case err == nil && (status < 200 || status > 299):
			t.Errorf("Check accepted HTTP %d", status)
		case err != nil && (!errors.As(err, &call) || got != providers.Answer{}):
			t.Errorf("Check = %+v, %v", got, err)
		}
	})
}

func FuzzPriceEstimate(f *testing.F) {
	f.Add([]byte(`{"EMT":"3090","BTC":"0.0015"}`))
	f.Add([]byte(`{"EMT":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := client(t, account(), answering(200, string(body))).PriceEstimate(t.Context(), "EMT", "1")
		if err != nil && got != nil {
			t.Errorf("PriceEstimate = %v beside %v", got, err)
		}
		for _, e := range got {
			if e == (kanga.Estimate{}) || !e.Amount.Valid() {
				t.Errorf("PriceEstimate has %+v", e)
			}
		}
	})
}
