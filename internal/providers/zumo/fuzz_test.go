package zumo_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

func FuzzParseWebhook(f *testing.F) {
	for _, body := range []string{updated, `{"eventType":"x.y","subject":{"appUserId":"a"}}`, `{"subject":{"appUserId":".."}}`, `[]`, ""} {
		f.Add([]byte(body), hex.EncodeToString(mac(sha256.New, secret, body)))
		f.Add([]byte(body), "")
	}
	hint, verified := open(f, hinting(), providers.Env{}).Webhook, open(f, verifying(), providers.Env{}).Webhook
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		right := hex.EncodeToString(mac(sha256.New, secret, string(body)))
		for _, tc := range []struct {
			parser providers.WebhookParser
			given  string
			trust  events.Trust
		}{{hint, signature, events.TrustHint}, {verified, signature, events.TrustSigned}, {verified, right, events.TrustSigned}} {
			w, err := tc.parser.ParseWebhook(delivery(string(body), tc.given))
			var de *providers.DeliveryError
			switch {
			case err == nil && (!w.Key.Valid() || w.Key.Kind != events.Customer || w.Trust != tc.trust || w.EventID == ""):
				t.Errorf("accepted %+v", w)
			case err != nil && (!errors.As(err, &de) || w != events.Webhook{}):
				t.Errorf("refused with %v and %+v", err, w)
			case errors.Is(err, providers.ErrUnauthentic) && tc.given == right:
				t.Errorf("refused the right signature: %v", err)
			}
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(noAccount))
	f.Add([]byte(oneAccount))
	f.Add([]byte(list(`{"limit":1,"offset":0,"all":2}`, oneAccount)))
	f.Add([]byte(loggedIn))
	f.Add([]byte("OK"))
	f.Fuzz(func(t *testing.T, body []byte) {
		caps := open(t, hinting(), env(answering(200, string(body))))
		got, err := caps.Customers.Check(t.Context(), providers.Question{Key: customer(userID)})
		if err != nil && (outcomeOf(err) == "" || got != providers.Answer{}) {
			t.Errorf("Check = %+v, %v", got, err)
		}
		if err == nil {
			valid(t, got)
		}
		page, err := caps.Sweep.Sweep(t.Context(), "")
		if err != nil && (outcomeOf(err) == "" || len(page.Answers) != 0) {
			t.Errorf("Sweep = %+v, %v", page, err)
		}
		for _, a := range page.Answers {
			valid(t, a)
		}
		// The same bytes as a login.
		caps = open(t, hinting(), env(&fake{answer: func(call) (int, string) { return 200, string(body) }}))
		if _, err := caps.Customers.Check(t.Context(), providers.Question{Key: customer(userID)}); err != nil && outcomeOf(err) == "" {
			t.Errorf("Check = %v", err)
		}
	})
}

func valid(t *testing.T, a providers.Answer) {
	t.Helper()
	accounts := len(events.SplitWalletAccounts(a.Facts.WalletAccounts))
	if !a.Key.Valid() || a.Key.ID == ".." || (a.StatusRaw == "provisioned") != (accounts > 0) {
		t.Errorf("answer %+v", a)
	}
}
