package simulator_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/simulator"
	"rampstream/internal/providers/zumo"
)

// pair is a provider package that talks to the simulator: two readings of the
// same documents, written apart.
type pair struct {
	provider providers.Provider
	account  providers.Account
	caps     providers.Capabilities
	vocab    events.Vocabulary

	mu     sync.Mutex
	hooks  []events.Webhook
	errs   map[string]int // refusals by class, as ingest would answer them
	leaked []string
}

// ServeHTTP answers as ingest does.
func (p *pair) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	hook, err := p.caps.Webhook.ParseWebhook(providers.Delivery{
		Method: r.Method, RawQuery: r.URL.RawQuery, Header: r.Header, Body: body, ReceivedAt: events.At(time.Now()),
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.hooks = append(p.hooks, hook)
	case errors.Is(err, providers.ErrUnauthentic):
		p.errs["unauthentic"]++
		w.WriteHeader(http.StatusUnauthorized)
	case errors.Is(err, providers.ErrMalformed):
		p.errs["malformed "+err.Error()]++
	default:
		p.errs["other "+err.Error()]++
		w.WriteHeader(http.StatusBadRequest)
	}
}

// newPairs opens one account of each provider package against w.
func newPairs(t *testing.T, w *simulator.World) map[events.Provider]*pair {
	t.Helper()
	out := map[events.Provider]*pair{}
	for _, p := range []*pair{
		{provider: kado.Provider, account: providers.Account{
			Webhook: providers.Webhook{PublicKey: kadoCreds.PublicKey, Secrets: []providers.Secret{providers.Secret(kadoCreds.WebhookSecret)}},
			API:     providers.API{PublicKey: kadoCreds.PublicKey, PrivateKey: providers.Secret(kadoCreds.APISecret), WidgetID: kadoCreds.WidgetID},
		}},
		{provider: kanga.Provider, account: providers.Account{
			Webhook: providers.Webhook{Trust: "hint"},
			API:     providers.API{PublicKey: kangaCreds.APIKey, PrivateKey: providers.Secret(kangaCreds.Secret)},
		}},
		{provider: koinal.Provider, account: providers.Account{
			Webhook: providers.Webhook{Secrets: []providers.Secret{providers.Secret(koinalCreds.CallbackSecret)}},
			API:     providers.API{MerchantCode: "1000", CustomerRef: "shop.", PrivateKey: providers.Secret(koinalCreds.Secret)},
		}},
		{provider: kuna.Provider, account: providers.Account{
			Webhook: providers.Webhook{Trust: "hint"},
			API:     providers.API{MerchantID: kunaCreds.MerchantID, Login: kunaCreds.Login, Password: providers.Secret(kunaCreds.Password)},
		}},
		{provider: zumo.Provider, account: providers.Account{
			Webhook: providers.Webhook{Secrets: []providers.Secret{providers.Secret(zumoCreds.Signing.Secret)}, Algorithm: "hmac-sha256", Encoding: "hex", Header: "X-SIGNATURE"},
			API:     providers.API{AppID: zumoCreds.AppID, AppSecret: providers.Secret(zumoCreds.AppSecret)},
		}},
	} {
		p.open(t, w)
		out[p.provider.Name] = p
	}
	return out
}

func (p *pair) open(t *testing.T, w *simulator.World) {
	t.Helper()
	name := p.provider.Name
	p.errs = map[string]int{}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	a := &p.account
	a.Provider, a.Account = name, "a"
	a.API.BaseURL, a.API.AllowInsecure = w.URL(name, "a"), true
	a.Webhook.URL = "" // Env has it
	client := httpx.New(httpx.Options{AllowInsecure: true, Timeout: 2 * time.Second})
	t.Cleanup(client.CloseIdleConnections)
	url := srv.URL + "/v1/webhooks/" + string(name) + "/a"
	caps, err := p.provider.Open(*a, providers.Env{HTTP: client, Now: time.Now, WebhookURL: url})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p.caps, p.vocab = caps, p.provider.Vocabulary(*a)
	if err := w.SetWebhookURL(name, "a", url); err != nil {
		t.Fatal(err)
	}
}

// check asks through the provider package until an answer is of no fault.
func (p *pair) check(t *testing.T, k events.Key, nonce *int64) (providers.Answer, []events.Outcome) {
	t.Helper()
	checker := p.caps.Orders
	if k.Kind == events.Customer {
		checker = p.caps.Customers
	}
	var failed []events.Outcome
	for range 30 {
		*nonce++
		a, err := checker.Check(context.Background(), providers.Question{Key: k, Nonce: *nonce})
		var call *providers.CallError
		if err == nil {
			return a, failed
		}
		if !errors.As(err, &call) {
			t.Fatalf("%s: %v is no CallError", k, err)
		}
		failed = append(failed, call.Outcome)
		for _, c := range canariesIn {
			if strings.Contains(err.Error(), c) {
				t.Errorf("%s: a canary is in %q", k, err)
			}
		}
		if call.Outcome == events.OutcomeNotFound {
			return providers.Answer{}, failed
		}
	}
	return providers.Answer{}, failed
}

var canariesIn []string

func TestPairs_agreeAboutEveryOrder(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 31, Speed: fast}, nil)
	start(t, w)
	pairs := newPairs(t, w)
	placeAll(t, w, 12)
	quiet(t, w)
	agree(t, w, pairs)
	for name, p := range pairs {
		if len(p.errs) > 0 {
			t.Errorf("%s: refused %v", name, p.errs)
		}
	}
}

func placeAll(t *testing.T, w *simulator.World, n int) {
	t.Helper()
	for range n {
		for _, p := range []events.Provider{"kado", "kanga", "koinal", "kuna", "zumo"} {
			place(t, w, p, simulator.OrderSpec{})
		}
	}
	for _, p := range []events.Provider{"kado", "kuna"} {
		if _, err := w.PlaceCustomer(p, "a", simulator.CustomerSpec{}); err != nil {
			t.Fatal(err)
		}
	}
}

func agree(t *testing.T, w *simulator.World, pairs map[events.Provider]*pair) {
	t.Helper()
	nonce := int64(1)
	for _, tr := range w.Truth() {
		p := pairs[tr.Key.Provider]
		a, failed := p.check(t, tr.Key, &nonce)
		if tr.Raw == "" {
			if !slices.Contains(failed, events.OutcomeNotFound) {
				t.Errorf("%s: answer %+v after %v, want not_found", tr.Key, a, failed)
			}
			continue
		}
		word, _ := p.vocab.Meaning(tr.Key.Kind, a.StatusRaw)
		if a.StatusRaw != tr.Raw || word.Status != tr.Final || a.Key != tr.Key {
			t.Errorf("%s: read %q (%s), truth %q (%s); failures %v", tr.Key, a.StatusRaw, word.Status, tr.Raw, tr.Final, failed)
		}
		f := a.Facts
		if f.CryptoAmount != events.Amount(tr.Crypto.Amount) || f.CryptoAsset != tr.Crypto.Currency ||
			f.FiatAmount != events.Amount(tr.Fiat.Amount) || f.FiatCurrency != tr.Fiat.Currency || f.TxHash != tr.TxHash {
			t.Errorf("%s: facts %+v, truth %+v", tr.Key, f, tr)
		}
	}
}

func TestPairs_agreeThroughABadNight(t *testing.T) {
	faults := simulator.DefaultFaults()
	faults.Slow, faults.Huge = 0.02, 0.01
	w := newWorld(t, simulator.Options{Seed: 32, Speed: fast, Faults: faults}, nil)
	start(t, w)
	canariesIn = w.Canaries()
	pairs := newPairs(t, w)
	placeAll(t, w, 40)
	quiet(t, w)
	agree(t, w, pairs)
	s := w.Stats()
	refused, stale := 0, 0
	for name, p := range pairs {
		refused += p.errs["unauthentic"]
		if len(p.errs) > 1 || len(p.errs) == 1 && p.errs["unauthentic"] == 0 {
			t.Errorf("%s: refused %v", name, p.errs)
		}
		for _, h := range p.hooks {
			if h.HintReason == "stale" {
				stale++
			}
		}
	}
	if forged := s.Injected[simulator.FaultBadSignature]; refused != forged || forged == 0 || s.ForgeriesAccepted > 0 {
		t.Errorf("%d deliveries refused, %d had a bad signature", refused, forged)
	}
	if stale < s.Injected[simulator.FaultStale] || stale == 0 {
		t.Errorf("%d stale hints, %d stale deliveries", stale, s.Injected[simulator.FaultStale])
	}
	if s.RedirectsFollowed > 0 || s.NonceViolations > 0 || s.GivenUp > 0 || s.Calls[simulator.ClassUnauthorized] > 0 {
		t.Errorf("stats %+v", s)
	}
}

// The calls beside status checks, as the provider packages make them.
func TestPairs_sweepAndAck(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 33, Speed: fast, PageSize: 3}, nil)
	start(t, w)
	pairs := newPairs(t, w)
	placeAll(t, w, 7)
	quiet(t, w)
	for _, name := range []events.Provider{"zumo", "kuna"} {
		seen := map[events.Key]bool{}
		cursor := ""
		for range 20 {
			page, err := pairs[name].caps.Sweep.Sweep(t.Context(), cursor)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, a := range page.Answers {
				seen[a.Key] = true
				if err := pairs[name].caps.Sweep.Ack(t.Context(), a); err != nil {
					t.Errorf("%s: ack: %v", name, err)
				}
			}
			if cursor = page.Next; cursor == "" && (name == "kuna" || len(seen) == 7) {
				break
			}
		}
		if len(seen) != 7 {
			t.Errorf("%s: a sweep found %d of 7", name, len(seen))
		}
	}
	for _, tr := range w.Truth() {
		if tr.Key.Provider == "zumo" && tr.Synced != (tr.Final == events.StatusCompleted) {
			t.Errorf("%s: synced %t, final %s", tr.Key, tr.Synced, tr.Final)
		}
	}
}
