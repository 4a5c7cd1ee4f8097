package zumo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/providers"
	"rampstream/internal/providers/zumo"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		from   providers.Account
		change func(*providers.Account)
		want   []string // beginnings of the faults; nil for a valid account
	}{
		{"hint", hinting(), func(*providers.Account) {}, nil},
		{"hint with a token", hinting(), func(a *providers.Account) { a.Webhook.PathToken = "canary-path-token-01" }, nil},
		{"verified", verifying(), func(*providers.Account) {}, nil},
		{"verified, no API", verifying(), func(a *providers.Account) { a.API = providers.API{} }, nil},
		{"verified, all", verifying(), func(a *providers.Account) {
			a.Webhook.Encoding, a.Webhook.Header, a.Webhook.Prefix, a.Webhook.AllowShortSecrets = "base64", "X-Zumo", "v1=", true
			a.Webhook.Secrets = []providers.Secret{"short"}
			a.API.BaseURL, a.API.PageSize, a.API.Fields = "https://kit.example.com/v1/", 100, map[string]string{"limit": "l", "offset": "o"}
		}, nil},
		{"files", verifying(), func(a *providers.Account) {
			a.Webhook.Secrets, a.Webhook.SecretFiles = nil, []string{"/run/secrets/zumo"}
			a.API.AppSecret, a.API.AppSecretFile = "", "/run/secrets/app"
		}, nil},
		{"neither", hinting(), func(a *providers.Account) { a.Webhook.Trust = "" }, []string{"webhook.trust:"}},
		{"secrets without an algorithm", verifying(), func(a *providers.Account) { a.Webhook.Algorithm = "" }, []string{"webhook.trust:"}},
		{"both", verifying(), func(a *providers.Account) { a.Webhook.Trust = "hint" }, []string{"webhook.trust:"}},
		{"hint with secrets", hinting(), func(a *providers.Account) {
			a.Webhook.Secrets, a.Webhook.Header = []providers.Secret{secret}, "X-Zumo"
		}, []string{"webhook.header:", "webhook.secrets:"}},
		{"hint without an API", hinting(), func(a *providers.Account) { a.API = providers.API{} }, []string{"api.app_id:"}},
		{"unknown algorithm", verifying(), func(a *providers.Account) { a.Webhook.Algorithm = "md5" }, []string{"webhook.algorithm:"}},
		{"unknown encoding", verifying(), func(a *providers.Account) { a.Webhook.Encoding = "base32" }, []string{"webhook.encoding:"}},
		{"header with a blank", verifying(), func(a *providers.Account) { a.Webhook.Header = "X Zumo" }, []string{"webhook.header:"}},
		{"prefix with a line end", verifying(), func(a *providers.Account) { a.Webhook.Prefix = "a\n" }, []string{"webhook.prefix:"}},
		{"no secret", verifying(), func(a *providers.Account) { a.Webhook.Secrets = nil }, []string{"webhook.secrets:"}},
		{"bad secrets", verifying(), func(a *providers.Account) {
			a.Webhook.Secrets = []providers.Secret{"", "canary", secret, secret, "{{canary-app-secret}}"}
		}, []string{"webhook.secrets[0]:", "webhook.secrets[1]:", "webhook.secrets[3]:", "webhook.secrets[4]:"}},
		{"path token beside a scheme", verifying(), func(a *providers.Account) { a.Webhook.PathToken = "canary-path-token-01" }, []string{"webhook.path_token:"}},
		{"half the credentials", hinting(), func(a *providers.Account) { a.API.AppSecret = "" }, []string{"api.app_secret:"}},
		{"the other half", verifying(), func(a *providers.Account) { a.API.AppID = "" }, []string{"api.app_id:"}},
		{"documented placeholders", hinting(), func(a *providers.Account) { a.API.AppID, a.API.AppSecret = "{{app-id}}", "{{app-secret-canary}}" },
			[]string{"api.app_secret:", "api.app_id:"}},
		{"plain http", hinting(), func(a *providers.Account) { a.API.BaseURL = "http://kit.example.com" }, []string{"api.base_url:"}},
		{"fields", hinting(), func(a *providers.Account) { a.API.Fields = map[string]string{"limit": "a&b", "sort": "x"} },
			[]string{"api.fields.limit:", "api.fields.sort:"}},
		{"what the document leaves open", hinting(), func(a *providers.Account) {
			a.API.Fields = map[string]string{"app_id": "appUserId", "expires_unit": "ms"}
		}, nil},
		{"unit", hinting(), func(a *providers.Account) { a.API.Fields = map[string]string{"expires_unit": "min"} }, []string{"api.fields.expires_unit:"}},
		{"page size", hinting(), func(a *providers.Account) { a.API.PageSize = -1 }, []string{"api.page_size:"}},
		{"unused", hinting(), func(a *providers.Account) {
			a.API.APIKey, a.API.Statuses = "canary-secret-0123456789", map[string]string{"x": "FAILED"}
		}, []string{"api.api_key:", "api.statuses:"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.change(&tc.from)
			got := zumo.Provider.Validate(tc.from, providers.Policy{})
			if len(got) != len(tc.want) {
				t.Fatalf("Validate = %q, want %q", got, tc.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tc.want[i]) || strings.Contains(got[i], "canary") {
					t.Errorf("Validate[%d] = %q, want %q and no secret", i, got[i], tc.want[i])
				}
			}
		})
	}
}

func TestVocabulary(t *testing.T) {
	v := zumo.Provider.Vocabulary(hinting())
	got := map[string]string{}
	for raw, w := range v.Customers {
		got[raw] = w.Status.String()
	}
	if diff := cmp.Diff(map[string]string{"created": "CREATED", "provisioned": "COMPLETED"}, got); diff != "" {
		t.Errorf("Customers (-want +got):\n%s", diff)
	}
	if len(v.Orders) != 0 || v.PollOrders || !v.PollCustomers || v.Webhooks {
		t.Errorf("Vocabulary = %+v", v)
	}
}

func TestOpen(t *testing.T) {
	a := hinting()
	a.API.AppSecret = "" // ingest need not have it
	if caps := open(t, a, providers.Env{}); caps.Webhook == nil || caps.Authenticated || caps.Customers != nil || caps.Sweep != nil || caps.Orders != nil {
		t.Errorf("Open without HTTP = %+v", caps)
	}
	if _, err := zumo.Provider.Open(a, env(answering(200, ""))); err == nil {
		t.Error("Open of a caller without its secret succeeded")
	}
	if caps := open(t, verifying(), env(answering(200, ""))); !caps.Authenticated || caps.Customers == nil || caps.Sweep == nil || caps.Orders != nil || caps.Serial {
		t.Errorf("Open = %+v", caps)
	}
	for name, change := range map[string]func(*providers.Webhook){
		"no secret":    func(w *providers.Webhook) { w.Secrets = nil },
		"empty secret": func(w *providers.Webhook) { w.Secrets = []providers.Secret{secret, ""} },
		"no algorithm": func(w *providers.Webhook) { w.Algorithm = "none" },
	} {
		a := verifying()
		change(&a.Webhook)
		if caps, err := zumo.Provider.Open(a, providers.Env{}); err == nil || caps.Webhook != nil {
			t.Errorf("%s: Open = %+v, %v; want an error", name, caps, err)
		}
	}
}

func TestTokens_areRedacted(t *testing.T) {
	tokens := zumo.Tokens{Access: "canary", Refresh: "canary"}
	if s := fmt.Sprintf("%v %+v %#v", tokens, tokens, tokens); strings.Contains(s, "canary") {
		t.Errorf("tokens print as %s", s)
	}
}
