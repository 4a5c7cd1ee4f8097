package kuna_test

import (
	"errors"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

func FuzzParseWebhook(f *testing.F) {
	for _, body := range []string{`{"id":"a"}`, `{"data":{"id":"a"}}`, `{"operationId":"a"}`, `{"id":"a","id":"b"}`, `[]`, `{"id":"\ud800"}`, "\xef\xbb\xbf{}", ""} {
		f.Add([]byte(body))
	}
	p := open(f, withKey(), providers.Env{}).Webhook
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := p.ParseWebhook(providers.Delivery{Method: "POST", Body: body, ReceivedAt: received})
		var de *providers.DeliveryError
		switch {
		case err == nil && (!w.Key.Valid() || w.Trust != events.TrustHint || w.StatusRaw != "" || w.Facts != events.Facts{}):
			t.Errorf("accepted %+v", w)
		case err != nil && (!errors.As(err, &de) || w != events.Webhook{}):
			t.Errorf("refused with %v and %+v", err, w)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"data":[` + onRamp + `]}`))
	f.Add([]byte(customer))
	f.Add([]byte(`{"data":{"accessToken":"t","token":"t"}}`))
	f.Add([]byte(`{"data":[]}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		fake := answering(200, string(body))
		caps := open(t, withKey(), env(fake))
		for _, tc := range []struct {
			check providers.Checker
			q     providers.Question
		}{{caps.Orders, question(events.Order, operationID)}, {caps.Customers, question(events.Customer, customerID)}} {
			got, err := tc.check.Check(t.Context(), tc.q)
			if err != nil && (outcomeOf(err) == "" || got != providers.Answer{}) {
				t.Errorf("Check = %+v, %v", got, err)
			}
			if err == nil {
				valid(t, got, tc.q.Key)
			}
		}
		page, err := caps.Sweep.Sweep(t.Context(), "")
		if err != nil && (outcomeOf(err) == "" || len(page.Answers) != 0) {
			t.Errorf("Sweep = %+v, %v", page, err)
		}
		for _, a := range page.Answers {
			valid(t, a, a.Key)
		}
	})
}

func valid(t *testing.T, a providers.Answer, key events.Key) {
	t.Helper()
	for _, amount := range []events.Amount{a.Facts.FiatAmount, a.Facts.CryptoAmount} {
		if amount != "" && !amount.Valid() {
			t.Errorf("amount %q", amount)
		}
	}
	if a.Key != key || !a.Key.Valid() || a.StatusRaw == "" {
		t.Errorf("answer %+v to %v", a, key)
	}
}
