// Package demo is the other side of rampstream in a demonstration or a test:
// simulated providers, the payers and a merchant, and the configuration with
// which the three programs talk to them. Only rampctl and tests import it.
package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/simulator"
)

// Account is the account name of every provider.
const Account = "demo"

// Options say what the simulated world does.
type Options struct {
	Seed   uint64
	Faults simulator.Faults
	// Stage is the mean time an order stays in one state; 0 means 400 ms.
	Stage time.Duration
	// TokenLife is how long the providers' access tokens live; 0 means a minute.
	TokenLife time.Duration
	// Retries is how often a webhook is repeated that is not acknowledged, each time
	// after twice as long; 0 means 5 times. Kanga's documented repeats stay.
	Retries int
	// Ingest is the base URL under which the programs' ingest is reached.
	Ingest string
}

// Sim is the other side: the providers, the payers and the merchant. Its
// methods may be called concurrently.
type Sim struct {
	World  *simulator.World
	Token  string // of the merchant, for ingest's intents routes
	ingest string
	creds  creds
	client *http.Client

	mu         sync.Mutex
	acked      []Receipt
	unanswered int
}

// Receipt is what ingest answered to an intent with 200.
type Receipt struct {
	Key       events.Key     `json:"-"`
	EventID   events.EventID `json:"event_id"`
	Topic     string         `json:"topic"`
	Partition int32          `json:"partition"`
	Offset    int64          `json:"offset"`
}

type creds struct {
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

// New starts the providers' servers on loopback ports. Close World when done.
func New(ctx context.Context, o Options) (*Sim, error) {
	if o.Stage == 0 {
		o.Stage = 400 * time.Millisecond
	}
	s := &Sim{
		ingest: o.Ingest, Token: secret(), client: &http.Client{Timeout: 15 * time.Second},
		World: simulator.New(simulator.Options{Seed: o.Seed, Faults: o.Faults, Speed: simulator.Speed{Stage: o.Stage, TokenLife: o.TokenLife, Retries: o.Retries}}),
		creds: creds{
			kado:   simulator.KadoCreds{PublicKey: secret(), APISecret: secret(), WebhookSecret: secret(), WidgetID: secret()},
			kanga:  simulator.KangaCreds{APIKey: secret(), Secret: secret()},
			koinal: simulator.KoinalCreds{MerchantCode: 4711, CustomerReference: "shop-x", Secret: secret(), CallbackSecret: secret()},
			kuna:   simulator.KunaCreds{MerchantID: secret(), Login: "demo", Password: secret()},
			zumo:   simulator.ZumoCreds{AppID: secret(), AppSecret: secret()},
		},
	}
	hook := func(p string) string { return o.Ingest + "/v1/webhooks/" + p + "/" + Account }
	w := s.World
	for _, err := range []error{
		w.AddKado(Account, s.creds.kado, hook("kado")), w.AddKanga(Account, s.creds.kanga, hook("kanga")),
		w.AddKoinal(Account, s.creds.koinal, hook("koinal")), w.AddKuna(Account, s.creds.kuna, hook("kuna")),
		w.AddZumo(Account, s.creds.zumo, hook("zumo")), w.Start(ctx),
	} {
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Config is the configuration of the three programs. The rules are those of
// production with shorter times, so that a dispute ends within seconds.
func (s *Sim) Config(brokers []string, registry string) config.Config {
	cfg := config.Default()
	cfg.Kafka.Brokers, cfg.Registry.URL = brokers, registry
	cfg.Topics.Partitions, cfg.Topics.Replicas = 4, 1
	// What providers are told is https; a proxy would end TLS. Only the path of
	// it is ever signed.
	cfg.Ingest.PublicURL = "https://" + strings.TrimPrefix(s.ingest, "http://")
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
		return providers.API{BaseURL: s.World.URL(p, Account), AllowInsecure: true}
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
		{Provider: "kado", Account: Account, Webhook: signed(s.creds.kado.PublicKey, s.creds.kado.WebhookSecret), API: kado, Poll: poll},
		{Provider: "kanga", Account: Account, Webhook: hint, API: kanga, Poll: poll},
		{Provider: "koinal", Account: Account, Webhook: signed("", s.creds.koinal.CallbackSecret), API: koinal, Poll: poll},
		{Provider: "kuna", Account: Account, Webhook: hint, API: kuna, Poll: poll},
		{Provider: "zumo", Account: Account, Webhook: hint, API: zumo, Poll: poll},
	}
	var lanes []events.Lane
	for _, a := range cfg.Accounts {
		lanes = append(lanes, events.LaneOf(a.Provider, a.Account))
	}
	cfg.Ingest.Tokens = []config.Token{{Name: "shop", Token: providers.Secret(s.Token), Accounts: lanes}}
	return cfg
}

// orderProviders take turns in the demo's orders.
var orderProviders = []events.Provider{"kado", "kanga", "koinal", "kuna"}

// Place begins the life of the n-th subject (an order, or every eleventh time
// a Zumo customer) and lets the merchant announce it. Every fifth Kuna order is
// announced by nobody: only a sweep can find it.
func (s *Sim) Place(ctx context.Context, n int, customer bool) error {
	p := orderProviders[n%len(orderProviders)]
	spec := simulator.OrderSpec{Unannounced: p == "kuna" && n%5 == 0}
	if customer {
		p, spec = "zumo", simulator.OrderSpec{Unannounced: true}
	}
	t, err := s.World.PlaceOrder(p, Account, spec)
	if err != nil || !t.KnownToMerchant {
		return err
	}
	return s.Announce(ctx, t)
}

// Announce posts the merchant's intent to ingest, again after a 503.
func (s *Sim) Announce(ctx context.Context, t simulator.Truth) error {
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
		r, code, err := s.post(ctx, text)
		if err == nil && code == http.StatusOK {
			r.Key = t.Key
			s.mu.Lock()
			s.acked = append(s.acked, r)
			s.mu.Unlock()
			return nil
		}
		if err == nil && code != http.StatusServiceUnavailable {
			return fmt.Errorf("intent of %s: HTTP %d", t.Key, code)
		}
		if err != nil {
			s.mu.Lock()
			s.unanswered++
			s.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Acknowledged lists the receipts of every intent that ingest answered with 200.
func (s *Sim) Acknowledged() []Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.acked)
}

// Unanswered counts the intents to which no answer came; they were announced again.
func (s *Sim) Unanswered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unanswered
}

func (s *Sim) post(ctx context.Context, body []byte) (r Receipt, code int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.ingest+"/v1/orders", bytes.NewReader(body))
	if err != nil {
		return Receipt{}, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return Receipt{}, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil || resp.StatusCode != http.StatusOK {
		return Receipt{}, resp.StatusCode, err
	}
	return r, resp.StatusCode, json.Unmarshal(text, &r)
}

// Expected is the status that a state must end with: what the provider finally
// says, but DISPUTED where the payer changed the amount that the merchant asked
// for.
func Expected(t simulator.Truth) events.Status {
	if t.Tampered && t.KnownToMerchant && t.Final == events.StatusCompleted {
		return events.StatusDisputed
	}
	return t.Final
}
