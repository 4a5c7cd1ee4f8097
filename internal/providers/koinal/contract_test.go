package koinal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/providertest"
)

const contractPersonal = `"name":"` + providertest.CanaryName + `","email":"` + providertest.CanaryEmail + `","wallet":"` + providertest.CanaryAddress + `"`

func contractAccount(change func(*providers.Webhook)) providers.Account {
	a := providers.Account{
		Provider: koinal.Name, Account: "shop", Webhook: providers.Webhook{Secrets: []providers.Secret{"callback-secret-current", "callback-secret-before1"}},
		API: providers.API{BaseURL: "https://api.example.com", PrivateKey: "koinal-api-secret-001", MerchantCode: "1000", CustomerRef: "shop-user-x"},
	}
	change(&a.Webhook)
	return a
}

// contractRoute is a route that one reading of the document verifies.
func contractRoute(name, reading, header string, change func(*providers.Webhook)) providertest.Signed {
	other := contractAccount(change)
	other.Account, other.Webhook.Secrets = "other", []providers.Secret{"callback-secret-of-other"}
	return providertest.Signed{
		Name: name, Account: contractAccount(change), Other: other, WebhookURL: "https://hooks.example.com/v1/webhooks/koinal/shop",
		Sign: func(a providers.Account, body []byte, at events.Millis) providers.Delivery {
			return providers.Delivery{Method: "POST", Body: body, ReceivedAt: at, Header: map[string][]string{
				"Content-Type": {"application/json"}, header: {koinal.Sign(reading, body, a.Webhook.Secrets[0])},
			}}
		},
		SignatureHeader: header, Methods: []string{"POST"}, Kind: events.Order,
		Body: func(id, word string) []byte { return contractBody(id, word, "1000") },
		Words: []providertest.Word{
			{Word: "COMPLETED", Status: events.StatusCompleted}, {Word: "completed", Status: events.StatusCompleted},
			{Word: "CALLBACK", Status: events.StatusUnknown},
		},
		Amount:   func(literal string) []byte { return contractBody(providertest.CanaryID, "COMPLETED", literal) },
		AmountOf: func(f events.Facts) events.Amount { return f.FiatAmount },
		Without: map[string]string{
			"Covered":   "the signature is calculated from the secret and the body, from no other header",
			"Canonical": "the bytes of the body are signed as they are",
			"Window":    "a callback has no timestamp",
			"Stale":     "a callback has no timestamp",
		},
	}
}

func contractBody(id, word, amount string) []byte {
	return fmt.Appendf(nil, `{"id":%s,"status":"%s","currency_amount":%s,"currency":"USD","cryptocurrency":"BTC",%s}`, providertest.Quote(id), word, amount, contractPersonal)
}

func contractRoutes() []providertest.Signed {
	newline := contractRoute("newline at the end", "a", "Callback-Signature", func(*providers.Webhook) {})
	sign := newline.Sign
	newline.Sign = func(a providers.Account, body []byte, at events.Millis) providers.Delivery {
		trimmed, _ := bytes.CutSuffix(body, []byte("\n"))
		d := sign(a, trimmed, at)
		d.Body = body
		return d
	}
	body := newline.Body
	newline.Body = func(id, word string) []byte { return append(body(id, word), '\n') }
	newline.Canonical = func(b []byte) ([]byte, bool) { return bytes.CutSuffix(b, []byte("\n")) }
	delete(newline.Without, "Canonical")
	return []providertest.Signed{
		contractRoute("reading a", "a", "Signature", func(*providers.Webhook) {}),
		contractRoute("reading b", "b", "X-Signature", func(*providers.Webhook) {}),
		contractRoute("pinned c", "c", "Koinal-Sig", func(w *providers.Webhook) { w.Reading, w.Header = "c", "koinal-sig" }),
		contractRoute("strict a", "a", "Signature", func(w *providers.Webhook) { w.Strict, w.Reading, w.Header = true, "a", "Signature" }),
		newline,
	}
}

func contractHinted() providertest.Hinted {
	return providertest.Hinted{
		Name: "unconfigured", Kind: events.Order, Reason: "unconfigured",
		Account: contractAccount(func(w *providers.Webhook) { *w = providers.Webhook{Trust: "hint"} }),
		Deliver: func(_ providers.Account, id string, at events.Millis) providers.Delivery {
			return providers.Delivery{
				Method: "POST", Body: contractBody(id, "COMPLETED", "1000"), ReceivedAt: at, Header: map[string][]string{"Content-Type": {"application/json"}},
			}
		},
		Without: map[string]string{"PathToken": "Koinal signs its callbacks: a path token is no setting of it"},
	}
}

func contractCall(name, request, good string, attempts int, do func(context.Context, *koinal.Client) (any, error)) providertest.Call {
	return providertest.Call{
		Name: name, Request: request, Good: good, Attempts: attempts, Bodyless: events.OutcomeMalformed,
		Account: contractAccount(func(*providers.Webhook) {}),
		Open: func(a providers.Account, env providers.Env) (func(context.Context) (any, error), error) {
			caps, err := koinal.Provider.Open(a, env)
			if err != nil {
				return nil, err
			}
			c, ok := caps.Orders.(*koinal.Client)
			if !ok {
				return nil, errors.New("Orders is no client")
			}
			return func(ctx context.Context) (any, error) { return do(ctx, c) }, nil
		},
		Failures: []providertest.Failure{
			{
				Name:  "another code",
				Reply: providertest.Reply{Body: `{"code":"05","status":"DECLINED","message":"` + providertest.CanaryEmail + `"}`}, Want: events.OutcomeProvider,
			},
			{Name: "a code that is a number", Reply: providertest.Reply{Body: `{"code":0,"data":{}}`}, Want: events.OutcomeProvider},
			{Name: "no data beside code 00", Reply: providertest.Reply{Body: `{"code":"00","id":"` + providertest.CanaryID + `","status":"COMPLETED"}`}, Want: events.OutcomeMalformed},
		},
		Without: map[string]string{
			"Login":    "each call has an authorization hash of its own",
			"Tokens":   "each call has an authorization hash of its own",
			"Statuses": "no HTTP status of a failure is documented, so they have their usual meaning",
			"Other":    "the answer is not said to name what was asked",
			"Unknown":  "the answer states no status of an order",
		},
	}
}

func contractCalls() []providertest.Call {
	status := contractCall("status", "GET /order/"+providertest.CanaryID+"/status",
		`{"data":`+string(contractBody(providertest.CanaryID, "COMPLETED", "1000"))+`,"code":"00","message":"APPROVED","status":"APPROVED"}`, 3,
		func(ctx context.Context, c *koinal.Client) (any, error) {
			key := events.Key{Provider: koinal.Name, Account: "shop", ID: providertest.CanaryID}
			return providertest.Result(c.Check(ctx, providers.Question{Key: key}))
		})
	status.Other = strings.Replace(status.Good, providertest.CanaryID, "another-id", 1)
	status.Unknown = strings.Replace(status.Good, "COMPLETED", providertest.UnknownWord, 1)
	delete(status.Without, "Other")
	delete(status.Without, "Unknown")
	const quoted = `{"data":{"cryptocurrency_amount":0.10034116,"cryptocurrency":"BTC","currency_amount":1000,"currency":"USD","token":"83771",` +
		contractPersonal + `},"code":"00","message":"APPROVED","status":"APPROVED"}`
	const created = `{"data":{"checkout_url":"https://pay.example.com/x","id":5,` + contractPersonal + `},"code":"00"}`
	return []providertest.Call{
		status,
		contractCall("quote", "POST /quote", quoted, 1, func(ctx context.Context, c *koinal.Client) (any, error) {
			return providertest.Result(c.Quote(ctx, koinal.QuoteRequest{FiatAmount: "1000", FiatCurrency: "USD", CryptoAsset: "BTC"}))
		}),
		contractCall("create-order", "POST /order", created, 1, func(ctx context.Context, c *koinal.Client) (any, error) {
			return providertest.Result(c.CreateOrder(ctx, koinal.OrderRequest{
				QuoteToken: "83771", CryptoAsset: "BTC", WalletAddress: providertest.CanaryAddress, CustomerIP: netip.MustParseAddr("192.0.2.7"),
			}))
		}),
	}
}

func contractSubject() providertest.Subject {
	secret := func(name, required string, set func(*providers.Account, providers.Secret)) providertest.Setting {
		return providertest.Setting{Name: name, Account: contractAccount(func(*providers.Webhook) {}), Least: 16, Required: required, Set: set}
	}
	return providertest.Subject{
		Provider: koinal.Provider, Signed: contractRoutes(), Hinted: []providertest.Hinted{contractHinted()}, Calls: contractCalls(),
		Secrets: []providertest.Setting{
			secret("webhook.secrets[0]", "a route that anybody can sign for", func(a *providers.Account, s providers.Secret) { a.Webhook.Secrets[0] = s }),
			secret("webhook.secrets[1]", "a route that anybody can sign for", func(a *providers.Account, s providers.Secret) { a.Webhook.Secrets[1] = s }),
			secret("api.private_key", "an authorization hash that anybody can make", func(a *providers.Account, s providers.Secret) { a.API.PrivateKey = s }),
		},
		Printed: []providers.Secret{"11qq22ww"},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, contractSubject()) }

func FuzzSigned(f *testing.F) { providertest.FuzzSigned(f, koinal.Provider, contractRoutes()[0]) }

func FuzzSigned_newline(f *testing.F) {
	providertest.FuzzSigned(f, koinal.Provider, contractRoutes()[4])
}

func FuzzHinted(f *testing.F) { providertest.FuzzHinted(f, koinal.Provider, contractHinted()) }

func FuzzExtra(f *testing.F) { providertest.FuzzExtra(f, koinal.Provider, contractRoutes()[0]) }

func FuzzAnswers(f *testing.F) {
	providertest.FuzzAnswers(f, koinal.Provider, apiAccount("https://api.example.com"),
		`{"data":{"id":"canary-id-0001","status":"PENDING","currency_amount":1000.10,"currency":"USD"},"code":"00","message":"APPROVED","status":"APPROVED"}`,
		`{"id":"canary-id-0001","status":"PENDING","cryptocurrency_amount":"0.5"}`, `{"code":"05"}`)
}
