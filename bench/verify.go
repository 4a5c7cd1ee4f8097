package main

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/zumo"
)

// verifier is one scheme of a provider with an honest delivery.
type verifier struct {
	Name     string
	parser   providers.WebhookParser
	delivery providers.Delivery
	header   string // that holds the signature; "" where the path token is all there is
}

// The credentials of the benchmarks. Two secrets, as while they are rotated: all
// are tried for each delivery.
const (
	benchSecret   providers.Secret = "the-secret-of-a-benchmark-1"
	benchPrevious providers.Secret = "the-secret-of-a-benchmark-0"
	benchToken    providers.Secret = "the-path-token-of-a-benchmark"
)

const (
	kadoBody = `{"id":"w1","resource":"order","type":"order_completed","data":{"id":"6408fd3e24c501549aaac9fd","orderType":"buy","createdAt":"2023-11-14T22:13:20Z",` +
		`"walletAddress":"0xdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef","asset":"USDC","blockchain":"solana","txHash":"0xabc","machineStatusField":"SETTLED","paymentStatus":"success",` +
		`"transferStatus":"settled","quote":{"amount":99.5,"price":1.0001,"symbol":"USDC","unit":"USD"},"payAmount":{"amount":100.5,"unit":"USD"},"recvAmount":{"amount":99.25,"unit":"USDC"},` +
		`"totalFee":{"amount":1.25,"unit":"USD"},"cryptoCurrency":{"symbol":"USDC","decimals":6}},"message":"Order is complete"}`
	koinalBody = `{"id":123,"status":"COMPLETED","currency_amount":1000.10,"currency":"USD","cryptocurrency_amount":0.10034116,"cryptocurrency":"BTC","transaction_id":"0xabc"}`
	zumoBody   = `{"eventType":"appUser.wallet.accounts.updated","subjectType":"appUser","subject":{"appUserId":"00000000-0000-0000-0000-000000000000","createdAt":"2020-01-15 09:03:13",` +
		`"updatedAt":"2020-01-15 09:03:13","wallet":{"accounts":[{"id":"00000000-5555-0000-0000-000000000000","createdAt":"2020-01-15 10:22:24","updatedAt":"2020-01-15 10:22:24"}]}}}`
	kunaBody = `{"id":"0b1c2d3e-1111-4222-8333-444455556666","status":"Completed","type":"DepositWithExchange"}`
)

// verifiers are those of every provider.
func verifiers() ([]verifier, error) {
	secrets := []providers.Secret{benchSecret, benchPrevious}
	hint := providers.Webhook{Trust: "hint", PathToken: benchToken}
	var out []verifier
	for _, s := range []struct {
		name    string
		p       providers.Provider
		webhook providers.Webhook
		body    string
		header  string
	}{
		{"kado, either reading", kado.Provider, providers.Webhook{PublicKey: "public", Secrets: secrets}, kadoBody, "X-Signature"},
		{"kado, strict", kado.Provider, providers.Webhook{PublicKey: "public", Secrets: secrets, Strict: true}, kadoBody, "X-Signature"},
		{"koinal, readings a and b", koinal.Provider, providers.Webhook{Secrets: secrets}, koinalBody, "Signature"},
		{"koinal, strict", koinal.Provider, providers.Webhook{Secrets: secrets, Strict: true, Reading: "a", Header: "Signature"}, koinalBody, "Signature"},
		{"zumo, hmac-sha256 hex", zumo.Provider, providers.Webhook{Algorithm: "hmac-sha256", Secrets: secrets}, zumoBody, "X-Signature"},
		{"zumo, hmac-sha512 base64", zumo.Provider, providers.Webhook{Algorithm: "hmac-sha512", Encoding: "base64", Secrets: secrets}, zumoBody, "X-Signature"},
		{"zumo, hint", zumo.Provider, hint, zumoBody, ""},
		{"kanga, hint", kanga.Provider, hint, "", ""},
		{"kuna, hint", kuna.Provider, hint, kunaBody, ""},
	} {
		v, err := newVerifier(s.p, s.webhook, s.body, s.header)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		v.Name = s.name
		out = append(out, v)
	}
	return out, nil
}

func newVerifier(p providers.Provider, w providers.Webhook, body, header string) (verifier, error) {
	now := events.Millis(1_700_000_000_000)
	caps, err := p.Open(providers.Account{Provider: p.Name, Account: "bench", Webhook: w}, providers.Env{
		Now: now.Time, WebhookURL: "https://hooks.example.com/v1/webhooks/kado/bench",
	})
	if err != nil {
		return verifier{}, err
	}
	d := providers.Delivery{Method: http.MethodPost, PathToken: w.PathToken.Reveal(), Header: map[string][]string{"Content-Type": {"application/json"}}, Body: []byte(body), ReceivedAt: now}
	if p.Name == kanga.Name {
		d.Method, d.RawQuery, d.Header = http.MethodGet, "transactionKey=ORDER34H773A1", nil
	}
	if dbg, ok := caps.Webhook.(providers.WebhookDebugger); ok && header != "" {
		if d.Header, err = dbg.SignWebhook(d.Body, now); err != nil {
			return verifier{}, err
		}
	}
	if _, err := caps.Webhook.ParseWebhook(d); err != nil {
		return verifier{}, err
	}
	return verifier{parser: caps.Webhook, delivery: d, header: header}, nil
}

// benchVerify says how many deliveries one core verifies and reads a second.
func benchVerify(ctx context.Context, o options) error {
	all, err := verifiers()
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	for _, v := range all {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		n, start := 0, time.Now()
		for time.Since(start) < o.duration && ctx.Err() == nil {
			for range 100 {
				if _, err := v.parser.ParseWebhook(v.delivery); err != nil {
					return fmt.Errorf("%s: %w", v.Name, err)
				}
			}
			n += 100
		}
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		provider, _, _ := strings.Cut(v.Name, ",")
		row(struct {
			Provider string  `json:"provider"`
			Scheme   string  `json:"scheme"`
			Body     int     `json:"body_bytes"`
			Rate     float64 `json:"deliveries_a_second_and_core"`
			Nanos    float64 `json:"ns_a_delivery"`
			Allocs   float64 `json:"allocs_a_delivery"`
		}{
			provider, v.Name, len(v.delivery.Body), round(float64(n) / took.Seconds()), round(float64(took.Nanoseconds()) / float64(n)),
			round(float64(after.Mallocs-before.Mallocs) / float64(n)),
		})
	}
	return ctx.Err()
}
