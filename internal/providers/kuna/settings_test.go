package kuna_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/providers"
	"rampstream/internal/providers/kuna"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		from   providers.Account
		change func(*providers.Account)
		want   []string // beginnings of the faults; nil for a valid account
	}{
		{"key", withKey(), func(*providers.Account) {}, nil},
		{"login", withLogin(), func(*providers.Account) {}, nil},
		{"all", withKey(), func(a *providers.Account) {
			a.Webhook.PathToken, a.Webhook.Fields = pathToken, map[string]string{"id": "a.b"}
			a.API.Paths, a.API.PageSize = map[string]string{"widget": "https://widget.example.com/"}, 500
			a.API.Statuses = map[string]string{"Expired": "EXPIRED", "REJECTED+Active": "FAILED"}
		}, nil},
		{"files", withKey(), func(a *providers.Account) { a.API.APIKey, a.API.APIKeyFile = "", "/run/secrets/kuna" }, nil},
		{"password file", withLogin(), func(a *providers.Account) { a.API.Password, a.API.PasswordFile = "", "/run/secrets/kuna" }, nil},
		{"no trust", withKey(), func(a *providers.Account) { a.Webhook.Trust = "" }, []string{"webhook.trust:"}},
		{"short token", withKey(), func(a *providers.Account) { a.Webhook.PathToken = "canary" }, []string{"webhook.path_token:"}},
		{"fields", withKey(), func(a *providers.Account) { a.Webhook.Fields = map[string]string{"id": "a..b", "status": "s"} },
			[]string{"webhook.fields.id:", "webhook.fields.status:"}},
		{"no base", withKey(), func(a *providers.Account) { a.API.BaseURL = "" }, []string{"api.base_url:"}},
		{"plain http", withKey(), func(a *providers.Account) { a.API.BaseURL = "http://core.example.com" }, []string{"api.base_url:"}},
		{"base with a query", withKey(), func(a *providers.Account) { a.API.BaseURL = "https://core.example.com/?key=canary" }, []string{"api.base_url:"}},
		{"insecure allowed", withKey(), func(a *providers.Account) { a.API.BaseURL, a.API.AllowInsecure = "http://core.example.com", true }, nil},
		{"both credentials", withLogin(), func(a *providers.Account) { a.API.APIKey = "canary-api-key-0123456789" }, []string{"api.api_key:"}},
		{"no credentials", withKey(), func(a *providers.Account) { a.API.APIKey = "" }, []string{"api.api_key:"}},
		{"half a login", withLogin(), func(a *providers.Account) { a.API.MerchantID, a.API.Password = "", "" }, []string{"api.merchant_id:", "api.password:"}},
		{"placeholder", withLogin(), func(a *providers.Account) { a.API.Password = "changeme" }, []string{"api.password:"}},
		{"short key", withKey(), func(a *providers.Account) { a.API.APIKey = "canary" }, []string{"api.api_key:"}},
		{"page size", withKey(), func(a *providers.Account) { a.API.PageSize = 501 }, []string{"api.page_size:"}},
		{"paths", withKey(), func(a *providers.Account) {
			a.API.Paths = map[string]string{"details": "/x", "widget": "widget.example.com"}
		}, []string{"api.paths.details:", "api.paths.widget:"}},
		{"routes and names", withKey(), func(a *providers.Account) {
			a.API.Paths = map[string]string{"operation_details": "/v3/operations/one", "ramp_token": "PUT /v3/token"}
			a.API.AuthHeader, a.API.Fields = "X-Api-Key", map[string]string{"status": "state", "skip": "offset"}
		}, nil},
		{"bad routes and names", withKey(), func(a *providers.Account) {
			a.API.Paths = map[string]string{"login": "GET /x", "ramp_token": "x", "ramp_invalidate": ""}
			a.API.AuthHeader, a.API.Fields = "X Key", map[string]string{"phone": "x", "status": "a b"}
		}, []string{"api.paths.login:", "api.paths.ramp_invalidate:", "api.paths.ramp_token:", "api.auth_header:", "api.fields.phone:", "api.fields.status:"}},
		{"header of a login", withLogin(), func(a *providers.Account) { a.API.AuthHeader = "X-Token" }, []string{"api.auth_header:"}},
		{"statuses", withKey(), func(a *providers.Account) {
			a.API.Statuses = map[string]string{"Blocked": "FAILED", "Completed": "FAILED", "New": "NEW"}
		}, []string{`api.statuses["Blocked"]:`, `api.statuses["Completed"]:`, `api.statuses["New"]:`}},
		{"unused", withKey(), func(a *providers.Account) {
			a.API.PrivateKey, a.Webhook.Secrets = "canary-secret-0123456789", []providers.Secret{"canary-secret-0123456789"}
		}, []string{"api.private_key:", "webhook.secrets:"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.change(&tc.from)
			got := kuna.Provider.Validate(tc.from, providers.Policy{})
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
	a := withKey()
	a.API.Statuses = map[string]string{"Expired": "EXPIRED", "REJECTED+Active": "FAILED"}
	v := kuna.Provider.Vocabulary(a)
	orders, customers := map[string]string{}, map[string]string{}
	for raw, w := range v.Orders {
		orders[raw] = w.Status.String()
	}
	for raw, w := range v.Customers {
		customers[raw] = w.Status.String()
	}
	if diff := cmp.Diff(map[string]string{"Created": "CREATED", "Processing": "PROCESSING", "OnHold": "ON_HOLD",
		"Declined": "FAILED", "Completed": "COMPLETED", "Expired": "EXPIRED"}, orders); diff != "" {
		t.Errorf("Orders (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"ACCEPTED+Active": "COMPLETED", "Blocked": "ON_HOLD", "Suspicious": "ON_HOLD",
		"REJECTED+Active": "FAILED"}, customers); diff != "" {
		t.Errorf("Customers (-want +got):\n%s", diff)
	}
	if !v.PollOrders || !v.PollCustomers || v.AmountUnsigned || v.Webhooks {
		t.Errorf("Vocabulary = %+v", v)
	}
	for _, move := range [][2]string{{"OnHold", "Processing"}, {"Processing", "OnHold"}, {"ACCEPTED+Active", "Blocked"}} {
		if !v.Legal(move[0], move[1]) {
			t.Errorf("%s to %s is not legal", move[0], move[1])
		}
	}
	if v.Legal("Completed", "Processing") {
		t.Error("Completed to Processing is legal")
	}
}

func TestOpen_withoutHTTP(t *testing.T) {
	a := withLogin()
	a.API.Password = "" // ingest need not have it
	caps := open(t, a, providers.Env{})
	if caps.Webhook == nil || caps.Orders != nil || caps.Customers != nil || caps.Sweep != nil || caps.Authenticated {
		t.Errorf("Open without HTTP = %+v", caps)
	}
	if _, err := kuna.Provider.Open(a, env(answering(200, ""))); err == nil {
		t.Error("Open of a caller without its password succeeded")
	}
}
