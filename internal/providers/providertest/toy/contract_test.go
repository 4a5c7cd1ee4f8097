package toy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/providertest"
	"rampstream/internal/providers/providertest/toy"
)

const personal = `"customer":{"name":"` + providertest.CanaryName + `","email":"` + providertest.CanaryEmail + `","address":"` + providertest.CanaryAddress + `"}`

func account(name events.Account, secrets ...providers.Secret) providers.Account {
	return providers.Account{
		Provider: toy.Name, Account: name, Webhook: providers.Webhook{Secrets: secrets},
		API: providers.API{BaseURL: "https://api.example.com", APIKey: "toy-api-key-Hc5pYz0123"},
	}
}

func hinting() providers.Account {
	a := account("shop")
	a.Webhook.Trust = "hint"
	return a
}

func body(id, word, amount string) []byte {
	return fmt.Appendf(nil, `{"event":"order.%s","order":{"id":%s,"amount":"%s","currency":"EUR"},%s}`, word, providertest.Quote(id), amount, personal)
}

func delivery(body []byte, at events.Millis) providers.Delivery {
	return providers.Delivery{Method: "POST", Header: map[string][]string{"Content-Type": {"application/json"}}, Body: body, ReceivedAt: at}
}

func signed() providertest.Signed {
	return providertest.Signed{
		Name: "v1", Account: account("shop", "toy-secret-current-0", "toy-secret-previous"), Other: account("other", "toy-secret-of-other"),
		WebhookURL: "https://hooks.example.com/v1/webhooks/toy/shop",
		Sign: func(a providers.Account, body []byte, at events.Millis) providers.Delivery {
			d := delivery(body, at)
			d.Header["Toy-Signature"] = []string{toy.Sign(a.Webhook.Secrets[0], at, body)}
			return d
		},
		SignatureHeader: "Toy-Signature", Methods: []string{"POST"}, Kind: events.Order,
		Body: func(id, word string) []byte { return body(id, word, "10.50") },
		Words: []providertest.Word{
			{Word: "paid", Status: events.StatusCompleted}, {Word: "opened", Status: events.StatusCreated}, {Word: "cancelled", Status: events.StatusCancelled},
		},
		Amount:   func(literal string) []byte { return body(providertest.CanaryID, "paid", literal) },
		AmountOf: func(f events.Facts) events.Amount { return f.FiatAmount },
		Window:   5 * time.Minute, Stale: providertest.StaleIsHint,
		Without: map[string]string{
			"Covered":   "the one header holds time and signature, nothing else is signed",
			"Canonical": "the bytes of the body are signed as they are",
		},
	}
}

// callOf is the one call, of a provider that is the toy or made of it.
func callOf(p providers.Provider) providertest.Call {
	good := `{"id":"` + providertest.CanaryID + `","state":"paid","amount":"10.50","currency":"EUR",` + personal + `}`
	return providertest.Call{
		Name: "order", Account: account("shop", "toy-secret-current-0"),
		Open: func(a providers.Account, env providers.Env) (func(context.Context) (any, error), error) {
			caps, err := p.Open(a, env)
			if err != nil || caps.Orders == nil {
				return nil, fmt.Errorf("no checker: %w", err)
			}
			return func(ctx context.Context) (any, error) {
				return providertest.Result(caps.Orders.Check(ctx, providers.Question{Key: events.Key{Provider: toy.Name, Account: a.Account, ID: providertest.CanaryID}}))
			}, nil
		},
		Request: "GET /orders/" + providertest.CanaryID, Good: good, Bodyless: events.OutcomeMalformed, Attempts: 3,
		Failures: []providertest.Failure{{Name: "unknown order", Reply: providertest.Reply{Status: 404}, Want: events.OutcomeNotFound}},
		Other:    `{"id":"o-2","state":"paid"}`,
		Unknown:  `{"id":"` + providertest.CanaryID + `","state":"` + providertest.UnknownWord + `"}`,
		Without: map[string]string{
			"Login":    "a key in a header authenticates each call",
			"Tokens":   "a key in a header authenticates each call",
			"Statuses": "HTTP statuses have their usual meaning",
		},
	}
}

func subject() providertest.Subject {
	return providertest.Subject{
		Provider: toy.Provider,
		Signed:   []providertest.Signed{signed()},
		Hinted: []providertest.Hinted{{
			Name: "unconfigured", Account: hinting(), Kind: events.Order, Reason: "unconfigured",
			Deliver: func(_ providers.Account, id string, at events.Millis) providers.Delivery {
				return delivery(body(id, "paid", "10.50"), at)
			},
			Without: map[string]string{"PathToken": "the toy's settings have no path token"},
		}},
		Calls: []providertest.Call{callOf(toy.Provider)},
		Secrets: []providertest.Setting{
			{
				Name: "webhook.secrets[0]", Account: account("shop", "toy-secret-current-0"), Least: 16, Required: "a route that anybody can sign for",
				Set: func(a *providers.Account, s providers.Secret) { a.Webhook.Secrets[0] = s },
			},
			{
				Name: "api.api_key", Account: account("shop", "toy-secret-current-0"), Least: 16, Required: "calls that are all refused",
				Set: func(a *providers.Account, s providers.Secret) { a.API.APIKey = s },
			},
		},
		Without: map[string]string{"Printed": "the toy's document prints no secret"},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, subject()) }

func FuzzSigned(f *testing.F) { providertest.FuzzSigned(f, toy.Provider, signed()) }

func FuzzHinted(f *testing.F) { providertest.FuzzHinted(f, toy.Provider, subject().Hinted[0]) }

func FuzzExtra(f *testing.F) { providertest.FuzzExtra(f, toy.Provider, signed()) }
