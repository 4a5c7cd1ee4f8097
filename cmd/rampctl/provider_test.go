package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/providers/simulator"
	"rampstream/internal/run"
)

// The canaries of these tests: no output has them.
var ctlCanaries = []string{
	"ctl-kado-private-key-1", "ctl-kado-webhook-sec-1", "ctl-kado-webhook-sec-2", "ctl-kanga-secret-0001", "ctl-kanga-path-token",
	"ctl-koinal-secret-0001", "ctl-koinal-callback-01", "ctl-kuna-password-01", "ctl-zumo-app-secret-1", "ctl-zumo-webhook-sec1", "ctl-zumo-hint-secret1",
	"Canaryfirst", "canary@example.com", "7 Canary Row", "192.0.2.77", "canary-wallet",
}

const ctlConfig = `
kafka: {brokers: ["localhost:9092"]}
ingest: {public_url: "https://hooks.example.com"}
accounts:
  - provider: kado
    account: acme
    webhook: {public_key: ctl-public, secrets: [ctl-kado-webhook-sec-1, ctl-kado-webhook-sec-2]}
    api: {base_url: "%s", allow_insecure: true, public_key: ctl-public, private_key: ctl-kado-private-key-1, widget_id: ctl-widget, paths: {kyc_by_user_ref: "/v1/partner/kyc/{userRef}"}}
  - provider: kanga
    account: shop
    webhook: {trust: hint, path_token: ctl-kanga-path-token}
    api: {base_url: "%s", allow_insecure: true, public_key: CTLKEY, private_key: ctl-kanga-secret-0001}
  - provider: koinal
    account: shop
    webhook: {secrets: [ctl-koinal-callback-01]}
    api: {base_url: "%s", allow_insecure: true, private_key: ctl-koinal-secret-0001, merchant_code: "1000", customer_reference: shop-x}
  - provider: kuna
    account: shop
    webhook: {trust: hint}
    api: {base_url: "%s", allow_insecure: true, merchant_id: M, login: shop@example.com, password: ctl-kuna-password-01, paths: {widget: "https://widget.example.com/"}}
  - provider: zumo
    account: shop
    webhook: {algorithm: hmac-sha256, secrets: [ctl-zumo-webhook-sec1]}
    api: {base_url: "%s/v1", allow_insecure: true, app_id: ctl-app, app_secret: ctl-zumo-app-secret-1}
`

var ctlProviders = []events.Provider{"kado", "kanga", "koinal", "kuna", "zumo"}

// ctlAccounts says which account name each provider has.
func ctlAccount(p events.Provider) events.Account {
	if p == "kado" {
		return "acme"
	}
	return "shop"
}

// ctl runs command lines against a configuration.
type ctl struct {
	t      *testing.T
	config string
	world  *simulator.World
	ids    map[events.Provider]string // an order or customer that exists
}

func newCtl(t *testing.T) ctl {
	t.Helper()
	w := simulator.New(simulator.Options{Seed: 7, Speed: simulator.Speed{Stage: time.Millisecond}})
	for _, err := range []error{
		w.AddKado("acme", simulator.KadoCreds{PublicKey: "ctl-public", APISecret: "ctl-kado-private-key-1", WebhookSecret: "ctl-kado-webhook-sec-1", WidgetID: "ctl-widget"}, ""),
		w.AddKanga("shop", simulator.KangaCreds{APIKey: "CTLKEY", Secret: "ctl-kanga-secret-0001"}, ""),
		w.AddKoinal("shop", simulator.KoinalCreds{MerchantCode: 1000, Secret: "ctl-koinal-secret-0001", CallbackSecret: "ctl-koinal-callback-01"}, ""),
		w.AddKuna("shop", simulator.KunaCreds{MerchantID: "M", Login: "shop@example.com", Password: "ctl-kuna-password-01"}, ""),
		w.AddZumo("shop", simulator.ZumoCreds{AppID: "ctl-app", AppSecret: "ctl-zumo-app-secret-1"}, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := ctl{t: t, world: w, ids: map[events.Provider]string{}}
	var urls []any
	for _, p := range ctlProviders {
		srv := httptest.NewServer(w.Handler(p, ctlAccount(p)))
		t.Cleanup(srv.Close)
		urls = append(urls, srv.URL)
	}
	c.config = filepath.Join(t.TempDir(), "rampstream.yaml")
	if err := os.WriteFile(c.config, fmt.Appendf(nil, ctlConfig, urls...), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// run executes one command line; code is the exit code of the process.
func (c ctl) run(stdin string, line ...string) (out, errs string, code int) {
	c.t.Helper()
	var o, e bytes.Buffer
	cl := &cli{out: &o, errw: &e}
	root := cl.root()
	root.SetArgs(append([]string{"-c", c.config}, line...))
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&o)
	root.SetErr(&e)
	// Kanga's nonces are milliseconds: no person makes two calls within one.
	for began := time.Now().UnixMilli(); time.Now().UnixMilli() == began; {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(&e, err)
	}
	for _, canary := range append(c.world.Canaries(), ctlCanaries...) {
		if strings.Contains(o.String(), canary) || strings.Contains(e.String(), canary) {
			c.t.Errorf("%v prints the canary %q", line, canary)
		}
	}
	return o.String(), e.String(), codeOf(err)
}

// codeOf is what execute makes of an error.
func codeOf(err error) int { return run.Code(usage(err)) }

// want fails unless the line ends with the code, and its output, as JSON, has all members.
func (c ctl) want(code int, members map[string]any, stdin string, line ...string) map[string]any {
	c.t.Helper()
	out, errs, got := c.run(stdin, line...)
	if got != code {
		c.t.Fatalf("%v: exit code %d (%s); want %d", line, got, errs, code)
	}
	if code != 0 && members == nil {
		return nil
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		c.t.Fatalf("%v: output %q is no JSON object: %v", line, out, err)
	}
	for name, v := range members {
		if doc[name] != v {
			c.t.Errorf("%v: %s = %v; want %v", line, name, doc[name], v)
		}
	}
	return doc
}

func (c ctl) order(p events.Provider) string {
	c.t.Helper()
	truth, err := c.world.PlaceOrder(p, ctlAccount(p), simulator.OrderSpec{Fate: simulator.FateCompleted})
	if err != nil {
		c.t.Fatal(err)
	}
	return truth.Key.ID
}

func (c ctl) customer(p events.Provider) string {
	c.t.Helper()
	truth, err := c.world.PlaceCustomer(p, ctlAccount(p), simulator.CustomerSpec{})
	if err != nil {
		c.t.Fatal(err)
	}
	return truth.Key.ID
}

// documented are the calls that the command line must have, by provider: those
// of the table in docs/providers/CALLS.md.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/providers/CALLS.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 8 {
			continue
		}
		provider, name, found := strings.Cut(strings.Trim(cells[4], " `"), " ")
		if found && provider == strings.TrimSpace(cells[1]) && !slices.Contains(out[provider], name) {
			out[provider] = append(out[provider], name)
		}
	}
	if len(out) != len(ctlProviders) {
		t.Fatalf("the table of calls names %d providers", len(out))
	}
	return out
}

// Every documented call is a command with a help text that says what it does,
// and the document of the provider names the command.
func TestProvider_everyCallIsThere(t *testing.T) {
	root := (&cli{}).root()
	for name, calls := range documented(t) {
		doc, err := os.ReadFile("../../docs/providers/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range calls {
			cmd, rest, err := root.Find([]string{"provider", name, call})
			if err != nil || len(rest) != 0 || cmd.Name() != call {
				t.Errorf("rampctl provider %s %s: no such command", name, call)
				continue
			}
			if line := "rampctl provider " + name + " " + call; !strings.Contains(string(doc), line) {
				t.Errorf("docs/providers/%s.md does not name %q", name, line)
			}
		}
		cmd, _, err := root.Find([]string{"provider", name})
		if err != nil {
			t.Fatal(err)
		}
		for _, sub := range cmd.Commands() {
			if !slices.Contains(calls, sub.Name()) {
				t.Errorf("rampctl provider %s %s is not among the documented calls", name, sub.Name())
			}
		}
	}
}

func TestHelp_isComplete(t *testing.T) {
	root := (&cli{}).root()
	for _, name := range []string{"provider", "webhook"} {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		walkCommands(cmd, func(cmd *cobra.Command) {
			if cmd.Short == "" || cmd.Long == "" || !cmd.HasSubCommands() && cmd.Example == "" {
				t.Errorf("%s lacks a short text, a long one or an example", cmd.CommandPath())
			}
			if cmd.Example != "" && !strings.Contains(cmd.Example, cmd.CommandPath()) {
				t.Errorf("%s: the example is of another command", cmd.CommandPath())
			}
		})
	}
}

func walkCommands(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walkCommands(sub, visit)
	}
}
