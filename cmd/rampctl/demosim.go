package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/simulator"
)

// demoAccount is the account name of every provider in the demo.
const demoAccount = "demo"

// simulated is the other side of the demo: the providers, the payers and the
// merchant.
type simulated struct {
	world  *simulator.World
	ingest string
	token  string
	creds  demoCreds
	client *http.Client
}

type demoCreds struct {
	kado   simulator.KadoCreds
	kanga  simulator.KangaCreds
	koinal simulator.KoinalCreds
	kuna   simulator.KunaCreds
	zumo   simulator.ZumoCreds
}

// secret is a fresh credential: a demo has no password that somebody could
// copy into production.
func secret() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

func newSimulated(ctx context.Context, o demoOptions, ingest string) (*simulated, error) {
	faults := simulator.DefaultFaults()
	if o.noFaults {
		faults = simulator.NoFaults()
	}
	s := &simulated{
		ingest: ingest, token: secret(), client: &http.Client{Timeout: 15 * time.Second},
		world: simulator.New(simulator.Options{Seed: o.seed, Faults: faults, Speed: simulator.Speed{Stage: o.stage}}),
		creds: demoCreds{
			kado:   simulator.KadoCreds{PublicKey: secret(), APISecret: secret(), WebhookSecret: secret(), WidgetID: secret()},
			kanga:  simulator.KangaCreds{APIKey: secret(), Secret: secret()},
			koinal: simulator.KoinalCreds{MerchantCode: 4711, CustomerReference: "shop-x", Secret: secret(), CallbackSecret: secret()},
			kuna:   simulator.KunaCreds{MerchantID: secret(), Login: "demo", Password: secret()},
			zumo:   simulator.ZumoCreds{AppID: secret(), AppSecret: secret()},
		},
	}
	hook := func(p string) string { return ingest + "/v1/webhooks/" + p + "/" + demoAccount }
	w := s.world
	for _, err := range []error{
		w.AddKado(demoAccount, s.creds.kado, hook("kado")), w.AddKanga(demoAccount, s.creds.kanga, hook("kanga")),
		w.AddKoinal(demoAccount, s.creds.koinal, hook("koinal")), w.AddKuna(demoAccount, s.creds.kuna, hook("kuna")),
		w.AddZumo(demoAccount, s.creds.zumo, hook("zumo")), w.Start(ctx),
	} {
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// config is the configuration of the three programs. The rules are those of
// production with shorter times, so that a dispute ends within seconds.
func (s *simulated) config(brokers []string, registry, ingest string) config.Config {
	cfg := config.Default()
	cfg.Kafka.Brokers, cfg.Registry.URL = brokers, registry
	cfg.Topics.Partitions, cfg.Topics.Replicas = 4, 1
	cfg.Ingest.PublicURL = ingest
	cfg.Ingest.AdminListen, cfg.Poller.AdminListen, cfg.Reconciler.AdminListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Ingest.Hint = config.Hint{PerOrder: 200 * time.Millisecond, Rate: 200, Burst: 200}
	cfg.Poller.InstanceID, cfg.Reconciler.InstanceID = "demo-poller", "demo-reconciler"
	cfg.Reconciler.TransactionalID = "demo-reconciler"
	cfg.Rules = config.Rules{
		Margin: 500 * time.Millisecond, Confirm: 2 * time.Second, MinInterval: time.Second, MaxInterval: 3 * time.Second,
		Horizon: time.Hour, MissingWebhook: 3 * time.Second, Stuck: time.Minute,
		ConfirmationsCompleted: []time.Duration{4 * time.Second}, ConfirmationsOther: []time.Duration{4 * time.Second},
	}
	poll := providers.Poll{Rate: 100, Burst: 50, HintRate: 40, SweepEvery: time.Second}
	api := func(p events.Provider) providers.API {
		return providers.API{BaseURL: s.world.URL(p, demoAccount), AllowInsecure: true}
	}
	kado, kanga, koinal, kuna, zumo := api("kado"), api("kanga"), api("koinal"), api("kuna"), api("zumo")
	kado.PublicKey, kado.PrivateKey, kado.WidgetID = s.creds.kado.PublicKey, providers.Secret(s.creds.kado.APISecret), s.creds.kado.WidgetID
	kanga.PublicKey, kanga.PrivateKey = s.creds.kanga.APIKey, providers.Secret(s.creds.kanga.Secret)
	koinal.MerchantCode, koinal.CustomerRef, koinal.PrivateKey = "4711", s.creds.koinal.CustomerReference, providers.Secret(s.creds.koinal.Secret)
	kuna.MerchantID, kuna.Login, kuna.Password = s.creds.kuna.MerchantID, s.creds.kuna.Login, providers.Secret(s.creds.kuna.Password)
	zumo.AppID, zumo.AppSecret = s.creds.zumo.AppID, providers.Secret(s.creds.zumo.AppSecret)
	signed := func(publicKey, secret string) providers.Webhook {
		return providers.Webhook{PublicKey: publicKey, Secrets: []providers.Secret{providers.Secret(secret)}}
	}
	hint := providers.Webhook{Trust: "hint"}
	cfg.Accounts = []providers.Account{
		{Provider: "kado", Account: demoAccount, Webhook: signed(s.creds.kado.PublicKey, s.creds.kado.WebhookSecret), API: kado, Poll: poll},
		{Provider: "kanga", Account: demoAccount, Webhook: hint, API: kanga, Poll: poll},
		{Provider: "koinal", Account: demoAccount, Webhook: signed("", s.creds.koinal.CallbackSecret), API: koinal, Poll: poll},
		{Provider: "kuna", Account: demoAccount, Webhook: hint, API: kuna, Poll: poll},
		{Provider: "zumo", Account: demoAccount, Webhook: hint, API: zumo, Poll: poll},
	}
	var lanes []events.Lane
	for _, a := range cfg.Accounts {
		lanes = append(lanes, events.LaneOf(a.Provider, a.Account))
	}
	cfg.Ingest.Tokens = []config.Token{{Name: "shop", Token: providers.Secret(s.token), Accounts: lanes}}
	return cfg
}

// orderProviders take turns in the demo's orders.
var orderProviders = []events.Provider{"kado", "kanga", "koinal", "kuna"}

// place begins the life of the n-th subject (an order, or every eleventh time
// a Zumo customer) and lets the merchant announce it. Every fifth Kuna order is
// announced by nobody: only a sweep can find it.
func (s *simulated) place(ctx context.Context, n int, customer bool) error {
	p := orderProviders[n%len(orderProviders)]
	spec := simulator.OrderSpec{Unannounced: p == "kuna" && n%5 == 0}
	if customer {
		p, spec = "zumo", simulator.OrderSpec{Unannounced: true}
	}
	t, err := s.world.PlaceOrder(p, demoAccount, spec)
	if err != nil || !t.KnownToMerchant {
		return err
	}
	return s.intend(ctx, t)
}

// intend posts the merchant's intent to ingest, again after a 503.
func (s *simulated) intend(ctx context.Context, t simulator.Truth) error {
	type fiat struct {
		Amount   string `json:"amount"`
		Currency string `json:"currency"`
	}
	type crypto struct {
		Amount string `json:"amount"`
		Asset  string `json:"asset"`
	}
	body := struct {
		Provider string  `json:"provider"`
		Account  string  `json:"account"`
		OrderID  string  `json:"order_id"`
		Ref      string  `json:"merchant_ref"`
		Fiat     *fiat   `json:"fiat,omitempty"`
		Crypto   *crypto `json:"crypto,omitempty"`
	}{string(t.Key.Provider), string(t.Key.Account), t.Key.ID, "shop-" + t.Key.ID, nil, nil}
	switch t.Key.Provider {
	case "kanga": // one amount, in the settlement token
		body.Crypto = &crypto{t.IntendedCrypto.Amount, t.IntendedCrypto.Currency}
	case "kado", "koinal":
		body.Fiat = &fiat{t.IntendedFiat.Amount, t.IntendedFiat.Currency}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	for {
		code, err := s.post(ctx, text)
		if err == nil && code == http.StatusOK {
			return nil
		}
		if err == nil && code != http.StatusServiceUnavailable {
			return fmt.Errorf("intent of %s: HTTP %d", t.Key, code)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *simulated) post(ctx context.Context, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.ingest+"/v1/orders", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	return resp.StatusCode, err
}

// expected is the status that a state must end with: what the provider finally
// says, but DISPUTED where the payer changed the amount that the merchant asked
// for.
func expected(t simulator.Truth) events.Status {
	if t.Tampered && t.KnownToMerchant && t.Final == events.StatusCompleted {
		return events.StatusDisputed
	}
	return t.Final
}

func join(s []string) string { return strings.Join(s, ",") }
