package providers_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

func TestUnusedSettings(t *testing.T) {
	a := providers.Account{Provider: "acme", API: providers.API{BaseURL: "https://x.example", AppSecret: "canary"},
		Webhook: providers.Webhook{Trust: "hint", Secrets: []providers.Secret{"canary"}}}
	got := providers.UnusedSettings(a, "api.base_url", "webhook.trust")
	want := []string{"api.app_secret: not used by acme, leave it out", "webhook.secrets: not used by acme, leave it out"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("UnusedSettings (-want +got):\n%s", diff)
	}
}

func TestSecretFault(t *testing.T) {
	for secret, want := range map[providers.Secret]string{
		"0123456789abcdef":  "",
		"":                  "f: must not be empty or blank",
		" \t":               "f: must not be empty or blank",
		"0123456789abcdef ": "f: must not begin or end with a blank",
		"${SOME_VARIABLE_X": "f: holds an unresolved ${...}",
		"ChangeMe":          "f: is a placeholder",
		"0123456789":        "f: must have at least 16 bytes (got 10)",
	} {
		if got := providers.SecretFault("f", secret, 16); got != want {
			t.Errorf("SecretFault(%q) = %q, want %q", secret.Reveal(), got, want)
		}
	}
}

func TestURLFault(t *testing.T) {
	for _, tc := range []struct {
		url      string
		insecure bool
		ok       bool
	}{
		{"https://x.example", false, true}, {"https://x.example/v1/", false, true}, {"HTTPS://x.example", false, true},
		{"http://x.example", true, true}, {"http://x.example", false, false}, {"x.example", false, false}, {"", false, false},
		{"ftp://x.example", true, false}, {"https://", false, false}, {"https://user@x.example", false, false},
		{"https://x.example?q=1", false, false}, {"https://x.example/#f", false, false}, {"http://", true, false}, {"https://x example", false, false},
	} {
		if got := providers.URLFault("f", tc.url, tc.insecure); (got == "") != tc.ok {
			t.Errorf("URLFault(%q, insecure %t) = %q", tc.url, tc.insecure, got)
		}
	}
}

func TestPathToken(t *testing.T) {
	for _, tc := range []struct {
		configured providers.Secret
		given      string
		ok         bool
	}{{"", "", true}, {"", "x", false}, {"tok", "tok", true}, {"tok", "", false}, {"tok", "TOK", false}, {"tok", "tok ", false}} {
		err := providers.NewPathToken(tc.configured).Check(providers.Delivery{PathToken: tc.given})
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, providers.ErrUnauthentic) {
			t.Errorf("token %q, given %q: %v", tc.configured.Reveal(), tc.given, err)
		}
	}
}

func TestHint(t *testing.T) {
	key := events.Key{Provider: "acme", Account: "shop", ID: "1"}
	d := providers.Delivery{Body: []byte("x"), ReceivedAt: 1_700_000_040_000}
	got := providers.Hint(key, d, "unsigned")
	want := events.Webhook{Key: key, EventID: got.EventID, ObservedAt: d.ReceivedAt, Trust: events.TrustHint, HintReason: "unsigned",
		BodyDigest: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}
	if diff := cmp.Diff(want, got); diff != "" || got.EventID == "" {
		t.Errorf("Hint (-want +got):\n%s", diff)
	}
	d.Body, d.ReceivedAt = []byte("y"), d.ReceivedAt+59_999
	if again := providers.Hint(key, d, "unsigned"); again.EventID != got.EventID {
		t.Error("a hint within the minute has another event id")
	}
}

func TestJSONReason(t *testing.T) {
	for body, want := range map[string]providers.Reason{
		`{`: "json_syntax", `{"a":1,"a":2}`: "json_ambiguous", "\xff": "encoding",
	} {
		_, err := jsonx.Parse([]byte(body))
		if got := providers.JSONReason(err); got != want {
			t.Errorf("JSONReason(%v) = %s, want %s", err, got, want)
		}
	}
}

func TestParseRoute(t *testing.T) {
	for _, tc := range []struct {
		text, placeholder string
		want              providers.Route
	}{
		{"/order", "", providers.Route{Method: "POST", Path: "/order"}},
		{"GET /v2/orders/{id}", "{id}", providers.Route{Method: "GET", Path: "/v2/orders/{id}"}},
		{"order", "", providers.Route{}},
		{"", "", providers.Route{}},
		{"get /order", "", providers.Route{}},
		{"TRACE /order", "", providers.Route{}},
		{"GET  /order", "", providers.Route{}},
		{"/order?a=b", "", providers.Route{}},
		{"/or%64er", "", providers.Route{}},
		{"/order/{id}", "", providers.Route{}},
		{"/order", "{id}", providers.Route{}},
		{"/{id}/{id}", "{id}", providers.Route{}},
		{"/{id}/{other}", "{id}", providers.Route{}},
		{"https://other.example.com/order", "", providers.Route{}},
	} {
		if got, err := providers.ParseRoute(tc.text, "POST", tc.placeholder); got != tc.want || (err == nil) != (tc.want.Path != "") {
			t.Errorf("ParseRoute(%q, %q) = %+v, %v; want %+v", tc.text, tc.placeholder, got, err, tc.want)
		}
	}
}
