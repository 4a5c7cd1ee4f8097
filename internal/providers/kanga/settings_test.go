package kanga_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kanga"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*providers.Account)
		want   []string // beginnings of the faults; nil for a valid account
	}{
		{"least", func(*providers.Account) {}, nil},
		{"all", func(a *providers.Account) {
			a.Webhook.PathToken, a.Webhook.Strict, a.Webhook.Reading = pathToken, true, "post"
			a.API.BaseURL = "https://api.example.com/"
			a.API.Paths = map[string]string{"payment_page": "https://pay.example.com/x/", "test": "/t"}
			a.API.Statuses = map[string]string{"REVERSED": "REFUNDED"}
		}, nil},
		{"key in a file", func(a *providers.Account) { a.API.PrivateKey, a.API.PrivateKeyFile = "", "/run/secrets/kanga" }, nil},
		{"no trust", func(a *providers.Account) { a.Webhook.Trust = "" }, []string{"webhook.trust:"}},
		{"trust signed", func(a *providers.Account) { a.Webhook.Trust = "signed" }, []string{"webhook.trust:"}},
		{"short token", func(a *providers.Account) { a.Webhook.PathToken = "short" }, []string{"webhook.path_token:"}},
		{"token with a slash", func(a *providers.Account) { a.Webhook.PathToken = "canary-secret/0123456789" }, []string{"webhook.path_token:"}},
		{"reading without strict", func(a *providers.Account) { a.Webhook.Reading = "get" }, []string{"webhook.reading:"}},
		{"unknown reading", func(a *providers.Account) { a.Webhook.Strict, a.Webhook.Reading = true, "put" }, []string{"webhook.reading:"}},
		{"unused", func(a *providers.Account) {
			a.Webhook.Secrets, a.Webhook.Window = []providers.Secret{"canary-secret-0123456789"}, time.Minute
			a.API.Password, a.API.AppSecret = "canary-secret-0123456789", "canary-secret-0123456789"
		}, []string{"api.app_secret:", "api.password:", "webhook.secrets:", "webhook.window:"}},
		{"no key", func(a *providers.Account) { a.API = providers.API{} }, []string{"api.public_key:"}},
		{"no secret", func(a *providers.Account) { a.API.PrivateKey = "" }, []string{"api.private_key:"}},
		{"short secret", func(a *providers.Account) { a.API.PrivateKey = "canary" }, []string{"api.private_key:"}},
		{"unresolved secret", func(a *providers.Account) { a.API.PrivateKey = "${KANGA_SECRET_VALUE}" }, []string{"api.private_key:"}},
		{"documented secret", func(a *providers.Account) { a.API.PrivateKey = docSecret }, []string{"api.private_key:"}},
		{"documented key", func(a *providers.Account) { a.API.PublicKey = "TEST" }, []string{"api.public_key:"}},
		{"key with a quote", func(a *providers.Account) { a.API.PublicKey = `a"b` }, []string{"api.public_key:"}},
		{"plain http", func(a *providers.Account) { a.API.BaseURL = "http://kanga.dev" }, []string{"api.base_url:"}},
		{"user in the URL", func(a *providers.Account) { a.API.BaseURL = "https://canary-secret-0123456789@x.example" }, []string{"api.base_url:"}},
		{"plain http page", func(a *providers.Account) {
			a.API.Paths = map[string]string{"payment_page": "http://kanga.dev/x", "refund": "/x"}
		}, []string{"api.paths.payment_page:", "api.paths.refund:"}},
		{"statuses", func(a *providers.Account) {
			a.API.Statuses = map[string]string{"A": "DONE", "B": "UNKNOWN", "FINALIZED": "FAILED"}
		}, []string{`api.statuses["A"]:`, `api.statuses["B"]:`, `api.statuses["FINALIZED"]:`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := account()
			tc.change(&a)
			got := kanga.Provider.Validate(a, providers.Policy{})
			if len(got) != len(tc.want) {
				t.Fatalf("Validate = %q, want %q", got, tc.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tc.want[i]) {
					t.Errorf("Validate[%d] = %q, want %q", i, got[i], tc.want[i])
				}
				if strings.Contains(got[i], "canary") || strings.Contains(got[i], docSecret) {
					t.Errorf("Validate[%d] = %q shows a secret", i, got[i])
				}
			}
		})
	}
}

func TestValidate_demo(t *testing.T) {
	a := account()
	a.API.PublicKey, a.API.PrivateKey, a.API.BaseURL = "TEST", docSecret, "http://127.0.0.1:9999"
	if got := kanga.Provider.Validate(a, providers.Policy{Demo: true}); len(got) != 0 {
		t.Errorf("Validate in the demo = %q", got)
	}
}

func TestVocabulary(t *testing.T) {
	a := account()
	a.API.Statuses = map[string]string{"REVERSED": "REFUNDED"}
	v := kanga.Provider.Vocabulary(a)
	got := map[string]string{}
	for raw, w := range v.Orders {
		got[raw] = w.Status.String()
	}
	want := map[string]string{
		"NEW": "CREATED", "ACTIVE": "PENDING", "PROCESSING": "PROCESSING", "FINALIZING": "PROCESSING",
		"FINALIZED": "COMPLETED", "FAILED": "FAILED", "REVERSED": "REFUNDED",
		"CANCELED": "CANCELLED", "CANCELLED": "CANCELLED", "CANCELLING": "PROCESSING", "CANCELING": "PROCESSING",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Orders (-want +got):\n%s", diff)
	}
	if !v.PollOrders || v.PollCustomers || !v.AmountUnsigned || v.Webhooks || v.Provider != kanga.Name {
		t.Errorf("Vocabulary = %+v", v)
	}
	if _, ok := kanga.Provider.Vocabulary(account()).Meaning(events.Order, "REVERSED"); ok {
		t.Error("a configured word stayed in the table of another account")
	}
}
