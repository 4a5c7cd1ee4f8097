package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rampstream/internal/events"
)

const ctlPerson = `{"firstName":"Canaryfirst","lastName":"Roe","phone":"+15183334444","email":"canary@example.com","dateOfBirth":"1990-01-31",` +
	`"address":{"street1":"7 Canary Row","postalCode":"12345","city":"Troy","country":"DE"}}`

const ctlCustomer = `{"email":"canary@example.com","firstName":"Canaryfirst","lastName":"Roe","country":"UA","verificationDocumentId":"1","residenceAddress":"7 Canary Row"}`

// A line is a command line of a provider's call with its standard input.
type ctlLine struct {
	provider, call string
	args           []string
	stdin          string
	want           map[string]any // members of the output
	reveal         string         // the member that holds a credential
}

// lines has every documented call, about subjects that the simulator knows.
func (c ctl) lines() []ctlLine {
	image := filepath.Join(c.t.TempDir(), "front.jpg")
	if err := os.WriteFile(image, []byte(strings.Repeat("x", 5000)), 0o600); err != nil {
		c.t.Fatal(err)
	}
	kadoOrder, kangaOrder, koinalOrder, kunaOrder := c.order("kado"), c.order("kanga"), c.order("koinal"), c.order("kuna")
	kadoUser, kunaUser, zumoUser := c.customer("kado"), c.customer("kuna"), c.customer("zumo")
	key := func(p events.Provider, kind events.SubjectKind, id string) string {
		return events.Key{Provider: p, Account: ctlAccount(p), Kind: kind, ID: id}.String()
	}
	ok := map[string]any{"ok": true}
	return []ctlLine{
		{provider: "kado", call: "order", args: []string{kadoOrder}, want: map[string]any{"key": key("kado", events.Order, kadoOrder)}},
		{provider: "kado", call: "quote", args: []string{"--method", "ach", "--amount", "100", "--asset", "USDC", "--blockchain", "solana"}, want: map[string]any{"asset": "USDC"}},
		{provider: "kado", call: "kyc-status", args: []string{kadoUser}, want: map[string]any{"key": key("kado", events.Customer, kadoUser)}},
		{provider: "kado", call: "kyc-status-by-ref", args: []string{kadoUser}},
		{provider: "kado", call: "kyc-submit", args: []string{"--body", "-"}, stdin: ctlPerson},
		{provider: "kado", call: "kyc-init-partial", args: []string{"--body", "-"}, stdin: ctlPerson},
		{provider: "kado", call: "kyc-upload-docs", args: []string{kadoUser, "--type", "passport", "--front", image}, want: ok},
		{provider: "kado", call: "configure-webhook", args: []string{"--secret", "2"}, want: ok},

		{provider: "kanga", call: "estimate", args: []string{"oPLN", "100"}},
		{provider: "kanga", call: "start-url", args: []string{"o-1", "--currency", "oPLN", "--amount", "10.5", "--body", "-"}, stdin: `{"email":"canary@example.com"}`},
		{provider: "kanga", call: "create-payment", reveal: "payment_token"},
		{provider: "kanga", call: "check", args: []string{kangaOrder}, want: map[string]any{"key": key("kanga", events.Order, kangaOrder)}},
		{provider: "kanga", call: "test", want: ok},

		{provider: "koinal", call: "quote", args: []string{"--fiat-amount", "1000", "--fiat", "USD", "--crypto", "BTC"}, want: map[string]any{"fiat_currency": "USD"}, reveal: "token"},
		{provider: "koinal", call: "status", args: []string{koinalOrder}, want: map[string]any{"key": key("koinal", events.Order, koinalOrder)}},
		{provider: "koinal", call: "token", reveal: "token"},

		{provider: "kuna", call: "login", reveal: "access_token"},
		{provider: "kuna", call: "operation", args: []string{kunaOrder}, want: map[string]any{"key": key("kuna", events.Order, kunaOrder)}},
		{provider: "kuna", call: "operations", args: []string{"--take", "10"}},
		{provider: "kuna", call: "customer", args: []string{kunaUser}, want: map[string]any{"key": key("kuna", events.Customer, kunaUser)}},
		{provider: "kuna", call: "create-customer", args: []string{"--body", "-"}, stdin: ctlCustomer},
		{provider: "kuna", call: "ramp-token", args: []string{kunaUser, "--user-agent", "Mozilla/5.0"}, reveal: "token"},
		{provider: "kuna", call: "invalidate", args: []string{kunaUser}, want: ok},
		{provider: "kuna", call: "widget-url", args: []string{"inst-1", "--token", "-"}, stdin: "canary-widget-token\n"},

		{provider: "zumo", call: "token", reveal: "access_token"},
		{provider: "zumo", call: "user-token", args: []string{zumoUser}, reveal: "access_token"},
		{provider: "zumo", call: "get-user", args: []string{zumoUser}, want: map[string]any{"app_user_id": zumoUser}},
		{provider: "zumo", call: "users"},
		{provider: "zumo", call: "mark-synced", args: []string{zumoUser}, want: ok},
		{provider: "zumo", call: "create-user", args: []string{"a-new-user"}, want: map[string]any{"app_user_id": "a-new-user"}},
		{provider: "zumo", call: "delete-user", args: []string{"a-new-user"}, want: ok},
	}
}

func (l ctlLine) words(more ...string) []string {
	return append(append([]string{"provider", l.provider, l.call}, l.args...), more...)
}

// Every call against the simulator, which checks signatures and shapes by its
// own reading of the documents.
func TestProvider_calls(t *testing.T) {
	c := newCtl(t)
	made := map[string]bool{}
	for _, l := range c.lines() {
		made[l.provider+" "+l.call] = true
		doc := c.want(0, l.want, l.stdin, l.words("-o", "json")...)
		if len(doc) == 0 {
			t.Errorf("%s %s prints nothing", l.provider, l.call)
		}
		if l.reveal == "" {
			continue
		}
		if doc[l.reveal] != masked {
			t.Errorf("%s %s: %s = %v; want it masked", l.provider, l.call, l.reveal, doc[l.reveal])
		}
		if shown := c.want(0, nil, l.stdin, l.words("--reveal")...)[l.reveal]; shown == masked || shown == "" || shown == nil {
			t.Errorf("%s %s --reveal: %s = %v; want the credential", l.provider, l.call, l.reveal, shown)
		}
	}
	c.createOrder()
	made["koinal create-order"] = true
	for p, calls := range documented(t) {
		for _, call := range calls {
			if !made[p+" "+call] {
				t.Errorf("rampctl provider %s %s is not tried here", p, call)
			}
		}
	}
}

// createOrder redeems a quote: two calls that belong together.
func (c ctl) createOrder() {
	c.t.Helper()
	quote := c.want(0, nil, "", "provider", "koinal", "quote", "--fiat-amount", "1000", "--fiat", "USD", "--crypto", "BTC", "--reveal")
	token, _ := quote["token"].(string)
	body, err := json.Marshal(koinalOrder{QuoteToken: token, CryptoAsset: "BTC", WalletAddress: "canary-wallet", CustomerIP: "192.0.2.77"})
	if err != nil {
		c.t.Fatal(err)
	}
	doc := c.want(0, nil, string(body), "provider", "koinal", "create-order", "--body", "-")
	if target, _ := doc["checkout_url"].(string); !strings.HasPrefix(target, "https://") {
		c.t.Errorf("checkout_url = %q", target)
	}
}

// A dry run sends nothing, and shows no credential and nothing personal. The
// canaries are looked for by run, in everything that is printed.
func TestProvider_dryRun(t *testing.T) {
	c := newCtl(t)
	lines := append(c.lines(), ctlLine{
		provider: "koinal", call: "create-order", args: []string{"--body", "-"},
		stdin: `{"quote_token":"canary-quote-token","crypto_asset":"BTC","wallet_address":"canary-wallet","customer_ip":"192.0.2.77"}`,
	})
	before := c.calls()
	for _, l := range lines {
		doc := c.want(0, nil, l.stdin, l.words("--dry-run")...)
		requests, _ := doc["requests"].([]any)
		local := l.call == "start-url" || l.call == "widget-url" || l.provider == "koinal" && l.call == "token"
		if local == (len(requests) > 0) {
			t.Errorf("%s %s --dry-run shows %d requests", l.provider, l.call, len(requests))
		}
		text, err := json.Marshal(doc)
		if err != nil || strings.Contains(string(text), "canary") || strings.Contains(string(text), "Bearer") {
			t.Errorf("%s %s --dry-run shows %s, %v", l.provider, l.call, text, err)
		}
	}
	if after := c.calls(); after != before {
		t.Errorf("dry runs made %d calls", after-before)
	}
	signed := c.want(0, nil, ctlPerson, "provider", "kado", "kyc-submit", "--body", "-", "--dry-run")
	request := signed["requests"].([]any)[0].(map[string]any)
	headers, _ := request["headers"].(map[string]any)
	if request["path"] != "/v1/partner/kyc/submit" || request["method"] != "POST" || headers["X-Signature"] != masked || headers["X-Timestamp"] == masked {
		t.Errorf("a dry run of kyc-submit shows %v", request)
	}
}

func (c ctl) calls() int {
	n := 0
	for _, p := range ctlProviders {
		n += len(c.world.Calls(p, ctlAccount(p)))
	}
	return n
}

// What a person does wrong is 2, what a provider refuses is 1.
func TestProvider_exitCodes(t *testing.T) {
	c := newCtl(t)
	for _, tc := range []struct {
		name  string
		code  int
		stdin string
		line  []string
	}{
		{"unknown account", 2, "", []string{"provider", "kado", "order", "x", "--account", "nobody"}},
		{"another provider's account", 2, "", []string{"provider", "kado", "order", "x", "--account", "zumo/shop"}},
		{"bad id", 2, "", []string{"provider", "kado", "order", "a/b"}},
		{"no id", 2, "", []string{"provider", "kado", "order"}},
		{"unknown flag", 2, "", []string{"provider", "kado", "order", "x", "--verbose"}},
		{"no body", 2, "", []string{"provider", "kado", "kyc-submit"}},
		{"a body that is no object", 2, "[]", []string{"provider", "kado", "kyc-submit", "--body", "-"}},
		{"a body with an unknown member", 2, `{"canary@example.com":1}`, []string{"provider", "kado", "kyc-submit", "--body", "-"}},
		{"a body with a member twice", 2, `{"email":"canary@example.com","email":"x"}`, []string{"provider", "kado", "kyc-submit", "--body", "-"}},
		{"a body with a number for a name", 2, `{"firstName":7}`, []string{"provider", "kado", "kyc-submit", "--body", "-"}},
		{"a body that lacks something", 2, `{"email":"canary@example.com"}`, []string{"provider", "kado", "kyc-submit", "--body", "-"}},
		{"bad amount", 2, "", []string{"provider", "kado", "quote", "--amount", "ten"}},
		{"bad nonce", 2, "", []string{"provider", "kanga", "check", "x", "--nonce", "-1"}},
		{"no such secret", 2, "", []string{"provider", "kado", "configure-webhook", "--secret", "3"}},
		{"bad IP", 2, `{"customer_ip":"192.0.2.777"}`, []string{"provider", "koinal", "create-order", "--body", "-"}},
		{"unknown order", 1, "", []string{"provider", "kado", "order", "nobody-knows-it"}},
		{"unknown operation", 1, "", []string{"provider", "kuna", "operation", "nobody-knows-it"}},
		{"unknown call", 2, "", []string{"provider", "kado", "refund"}},
		{"unknown provider", 2, "", []string{"provider", "acme"}},
		{"unknown webhook command", 2, "", []string{"webhook", "forge"}},
		{"bad -o", 2, "", []string{"provider", "kado", "order", "x", "-o", "xml"}},
	} {
		if out, errs, code := c.run(tc.stdin, tc.line...); code != tc.code || out != "" || errs == "" {
			t.Errorf("%s: exit code %d, output %q, error %q; want %d and an error only", tc.name, code, out, errs, tc.code)
		}
	}
}

func TestProvider_test(t *testing.T) {
	c := newCtl(t)
	out, errs, code := c.run("", "provider", "test", "-o", "json")
	if code != 0 {
		t.Fatalf("provider test: %d, %s\n%s", code, errs, out)
	}
	got := map[string]probed{}
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		var p probed
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		got[p.Account] = p
	}
	for _, account := range []string{"kado/acme", "kanga/shop", "kuna/shop", "zumo/shop"} {
		if got[account].Credentials != "accepted" {
			t.Errorf("%s: %+v; want accepted", account, got[account])
		}
	}
	if p := got["koinal/shop"]; p.Credentials != "accepted" && p.Credentials != "unclear" {
		t.Errorf("koinal/shop: %+v", p)
	}
	// Another secret: the simulator refuses it, and so must the command.
	b, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"ctl-kado-private-key-1", "ctl-kanga-secret-0001", "ctl-koinal-secret-0001", "ctl-kuna-password-01", "ctl-zumo-app-secret-1"} {
		b = []byte(strings.ReplaceAll(string(b), secret, secret+"x"))
	}
	if err := os.WriteFile(c.config, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for account := range got {
		out, _, code := c.run("", "provider", "test", "--account", account, "-o", "json")
		var p probed
		if err := json.Unmarshal([]byte(out), &p); err != nil || p.Credentials != "refused" || code != 1 {
			t.Errorf("%s with another secret: %s exit code %d; want refused, 1", account, out, code)
		}
	}
}
