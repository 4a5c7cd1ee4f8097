package kado_test

import (
	"strings"
	"testing"
	"time"

	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*providers.Account)
		policy providers.Policy
		want   string // "" for no fault, else the beginning of one
	}{
		{"complete", func(*providers.Account) {}, providers.Policy{}, ""},
		{"with api", func(a *providers.Account) {
			a.API = providers.API{BaseURL: "https://test-api.kado.money", PublicKey: publicKey, PrivateKey: privateKey, WidgetID: "w"}
		}, providers.Policy{}, ""},
		{"private key for webhooks", func(a *providers.Account) { a.Webhook.Secrets, a.API.PrivateKey = nil, privateKey }, providers.Policy{}, ""},
		{"hint", func(a *providers.Account) { a.Webhook = providers.Webhook{Trust: "hint"} }, providers.Policy{}, ""},
		{"url with query", func(a *providers.Account) { a.Webhook.URL += "?a=b" }, providers.Policy{}, ""},
		{"demo", func(a *providers.Account) {
			a.Webhook.Secrets, a.API.BaseURL = []providers.Secret{"kado-test-private-key"}, "http://127.0.0.1:1"
		}, providers.Policy{Demo: true}, ""},

		{"hint with secrets", func(a *providers.Account) { a.Webhook.Trust = "hint" }, providers.Policy{}, "webhook.trust: "},
		{"trust", func(a *providers.Account) { a.Webhook.Trust = "full" }, providers.Policy{}, "webhook.trust: "},
		{"no public key", func(a *providers.Account) { a.Webhook.PublicKey = "" }, providers.Policy{}, "webhook.public_key: "},
		{"no secret", func(a *providers.Account) { a.Webhook.Secrets = nil }, providers.Policy{}, "webhook.secrets: "},
		{"strict by private key", func(a *providers.Account) {
			a.Webhook.Secrets, a.API.PrivateKey, a.Webhook.Strict = nil, privateKey, true
		}, providers.Policy{}, "webhook.secrets: "},
		{"empty secret", func(a *providers.Account) { a.Webhook.Secrets[1] = "" }, providers.Policy{}, "webhook.secrets[1]: "},
		{"short secret", func(a *providers.Account) { a.Webhook.Secrets[0] = "secret-canary" }, providers.Policy{}, "webhook.secrets[0]: "},
		{"same secret twice", func(a *providers.Account) { a.Webhook.Secrets[1] = current }, providers.Policy{}, "webhook.secrets[1]: "},
		{"documentation secret", func(a *providers.Account) { a.Webhook.Secrets[0] = "kado-test-private-key" }, providers.Policy{}, "webhook.secrets[0]: "},
		{"window", func(a *providers.Account) { a.Webhook.Window = -time.Second }, providers.Policy{}, "webhook.window: "},
		{"window of a day", func(a *providers.Account) { a.Webhook.Window = 24 * time.Hour }, providers.Policy{}, "webhook.window: "},
		{"reading", func(a *providers.Account) { a.Webhook.Reading = "b" }, providers.Policy{}, "webhook.reading: "},
		{"strict raw", func(a *providers.Account) { a.Webhook.Reading, a.Webhook.Strict = "raw", true }, providers.Policy{}, "webhook.reading: "},
		{"plain url", func(a *providers.Account) { a.Webhook.URL = "http://h/x" }, providers.Policy{}, "webhook.url: "},
		{"plain base url", func(a *providers.Account) { a.API.BaseURL = "http://h" }, providers.Policy{}, "api.base_url: "},
		{"half a key pair", func(a *providers.Account) { a.API.PublicKey = publicKey }, providers.Policy{}, "api.public_key: "},
		{"key with a line break", func(a *providers.Account) { a.API.PublicKey, a.API.PrivateKey = "a\nb", privateKey }, providers.Policy{}, "api.public_key: "},
		{"path by userRef", func(a *providers.Account) {
			a.API = providers.API{PublicKey: publicKey, PrivateKey: privateKey, Paths: map[string]string{"kyc_by_user_ref": "/v1/partner/kyc/ref/{userRef}"}}
		}, providers.Policy{}, ""},
		{"path without the userRef", func(a *providers.Account) { a.API.Paths = map[string]string{"kyc_by_user_ref": "/v1/kyc"} }, providers.Policy{}, "api.paths.kyc_by_user_ref: "},
		{"path by POST", func(a *providers.Account) {
			a.API.Paths = map[string]string{"kyc_by_user_ref": "POST /v1/kyc/{userRef}"}
		}, providers.Policy{}, "api.paths.kyc_by_user_ref: "},
		{"path of an unknown call", func(a *providers.Account) { a.API.Paths = map[string]string{"order": "/x"} }, providers.Policy{}, "api.paths.order: "},
		{"widget id", func(a *providers.Account) { a.API.WidgetID = "a b" }, providers.Policy{}, "api.widget_id: "},
		{"another provider's setting", func(a *providers.Account) { a.API.Login = "secret-canary" }, providers.Policy{}, "api.login: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := account()
			tc.change(&a)
			got := kado.Provider.Validate(a, tc.policy)
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

// Whatever Validate was asked before, no verifier can be built from nothing.
func TestOpen_refusesEmptyKeys(t *testing.T) {
	for name, change := range map[string]func(*providers.Account){
		"no secrets":    func(a *providers.Account) { a.Webhook.Secrets = nil },
		"empty secret":  func(a *providers.Account) { a.Webhook.Secrets = []providers.Secret{current, ""} },
		"no public key": func(a *providers.Account) { a.Webhook.PublicKey = "" },
		"relative url":  func(a *providers.Account) { a.Webhook.URL = "/v1" },
		"base url":      func(a *providers.Account) { a.API.BaseURL = "api" },
	} {
		a := account()
		change(&a)
		if c, err := kado.Provider.Open(a, providers.Env{}); err == nil || c != (providers.Capabilities{}) {
			t.Errorf("%s: Open = %+v, %v; want an error", name, c, err)
		}
	}
	a := account()
	a.Webhook.URL = ""
	if c, err := kado.Provider.Open(a, providers.Env{}); err != nil || c.Webhook != nil || c.Orders == nil {
		t.Errorf("without a registered URL: Open = %+v, %v; want no verifier, but calls", c, err)
	}
	if c, err := kado.Provider.Open(a, providers.Env{WebhookURL: hookURL}); err != nil || c.Webhook == nil || !c.Authenticated {
		t.Errorf("with the route's URL: Open = %+v, %v; want a verifier", c, err)
	}
}
