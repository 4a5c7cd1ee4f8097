package kanga_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/providertest"
)

func contractAccount(w providers.Webhook) providers.Account {
	w.Trust = "hint"
	return providers.Account{
		Provider: kanga.Name, Account: "shop", Webhook: w,
		API: providers.API{BaseURL: "https://api.example.com", PublicKey: "KANGA-API-KEY-1", PrivateKey: "kanga-api-secret-0001"},
	}
}

// contractHinted is a route to which ids come in the query, or in a form.
func contractHinted(name, method, reading string, form bool, token string) providertest.Hinted {
	w := providers.Webhook{PathToken: providers.Secret(token), Strict: reading != "", Reading: reading}
	h := providertest.Hinted{
		Name: name, Account: contractAccount(w), Kind: events.Order, Reason: "unsigned", PathToken: token,
		Deliver: func(a providers.Account, id string, at events.Millis) providers.Delivery {
			d := providers.Delivery{Method: method, ReceivedAt: at, PathToken: a.Webhook.PathToken.Reveal(), Header: map[string][]string{}}
			query := "transactionKey=" + strings.NewReplacer("%", "%25", " ", "%20", "\x00", "%00", "\n", "%0A").Replace(id)
			if form {
				d.Body, d.Header["Content-Type"] = []byte(query), []string{"application/x-www-form-urlencoded"}
			} else {
				d.RawQuery = query
			}
			return d
		},
	}
	if token == "" {
		h.Without = map[string]string{"PathToken": "a path token is ours and optional; another route has one"}
	}
	return h
}

func contractHints() []providertest.Hinted {
	return []providertest.Hinted{
		contractHinted("GET", "GET", "", false, ""), contractHinted("HEAD", "HEAD", "", false, ""), contractHinted("POST with a query", "POST", "", false, ""),
		contractHinted("POST of a form", "POST", "", true, ""), contractHinted("path token", "GET", "", false, "contract-path-token"),
		contractHinted("strict get", "GET", "get", false, ""), contractHinted("strict post", "POST", "post", true, ""),
	}
}

// contractFailures are the document's codes, and one of the wider Kanga API.
var contractFailures = []providertest.Failure{
	{Name: "9000, with 200", Reply: providertest.Reply{Body: `{"result":"fail","code":9000}`}, Want: events.OutcomeUnauthorized},
	{Name: "9000, with 400", Reply: providertest.Reply{Status: 400, Body: `{"result":"fail","code":9000}`}, Want: events.OutcomeUnauthorized},
	{Name: "9000 as text", Reply: providertest.Reply{Body: `{"result":"fail","code":"9000"}`}, Want: events.OutcomeUnauthorized},
	{Name: "9001, with 200", Reply: providertest.Reply{Body: `{"result":"fail","code":9001}`}, Want: events.OutcomeNotFound},
	{Name: "9001, with 404", Reply: providertest.Reply{Status: 404, Body: `{"result":"fail","code":9001}`}, Want: events.OutcomeNotFound},
	{Name: "429 in a 200", Reply: providertest.Reply{Body: `{"result":"fail","code":429}`}, Want: events.OutcomeRateLimited},
	{Name: "an unknown code", Reply: providertest.Reply{Body: `{"result":"fail","code":9999,"message":"` + providertest.CanaryEmail + `"}`}, Want: events.OutcomeProvider},
	{Name: "fail without a code", Reply: providertest.Reply{Body: `{"result":"fail"}`}, Want: events.OutcomeProvider},
	{Name: "another result", Reply: providertest.Reply{Body: `{"result":"OK","state":"FINALIZED"}`}, Want: events.OutcomeMalformed},
}

func contractCall(name, request, good string, do func(context.Context, *kanga.Client, int64) (any, error)) providertest.Call {
	return providertest.Call{
		Name: name, Request: request, Good: good, Attempts: 1, Bodyless: events.OutcomeMalformed, Failures: contractFailures,
		Account: contractAccount(providers.Webhook{}),
		Open: func(a providers.Account, env providers.Env) (func(context.Context) (any, error), error) {
			var nonce atomic.Int64
			c, err := kanga.NewClient(a, env)
			return func(ctx context.Context) (any, error) { return do(ctx, c, nonce.Add(1)) }, err
		},
		// An unknown payment is code 9001, so a bare 404 is a wrong address.
		Statuses: map[int]events.Outcome{404: events.OutcomeRejected},
		Without: map[string]string{
			"Login":   "a signature in each call's header authenticates it",
			"Tokens":  "a signature in each call's header authenticates it",
			"Other":   "no answer names what was asked",
			"Unknown": "the answer states no status of a payment",
		},
	}
}

func contractCalls() []providertest.Call {
	const personal = `"name":"` + providertest.CanaryName + `","email":"` + providertest.CanaryEmail + `"`
	key := events.Key{Provider: kanga.Name, Account: "shop", ID: providertest.CanaryID}
	check := contractCall("check", "POST /api/v2/tpg/transaction", `{"result":"ok","currency":"oPLN","amount":"0.01","state":"FINALIZED",`+personal+`}`,
		func(ctx context.Context, c *kanga.Client, nonce int64) (any, error) {
			return providertest.Result(c.Check(ctx, providers.Question{Key: key, Nonce: nonce}))
		})
	check.Unknown = strings.Replace(check.Good, "FINALIZED", providertest.UnknownWord, 1)
	check.Other = strings.Replace(check.Good, `"state"`, `"id":"another-id","state"`, 1)
	delete(check.Without, "Unknown")
	delete(check.Without, "Other")
	estimate := contractCall("estimate", "POST /api/tpg/price/estimate", `{"BTC":"0.0015","ETH":"0.02"}`,
		func(ctx context.Context, c *kanga.Client, _ int64) (any, error) {
			e, err := c.PriceEstimate(ctx, "oPLN", "100")
			if err != nil {
				return nil, err
			}
			return e, nil
		})
	// The one call without an envelope: any object of decimal strings is an answer.
	estimate.Failures = []providertest.Failure{
		{Name: "9000", Reply: providertest.Reply{Body: `{"result":"fail","code":9000}`}, Want: events.OutcomeUnauthorized},
		{Name: "numbers for strings", Reply: providertest.Reply{Body: `{"BTC":0.0015}`}, Want: events.OutcomeMalformed},
		{Name: "a word for a price", Reply: providertest.Reply{Body: `{"BTC":"` + providertest.CanaryName + `"}`}, Want: events.OutcomeMalformed},
	}
	estimate.Statuses, estimate.Without["Statuses"] = nil, "the one call without an envelope: its failures are not documented"
	return []providertest.Call{
		check, estimate,
		contractCall("create-payment", "POST /api/v2/tpg/create/payment", `{"result":"ok","paymentToken":"canary-payment-token",`+personal+`}`,
			func(ctx context.Context, c *kanga.Client, nonce int64) (any, error) {
				return providertest.Result(c.CreatePaymentToken(ctx, nonce))
			}),
		contractCall("test", "POST /api/v2/test", `{"result":"ok",`+personal+`}`, func(ctx context.Context, c *kanga.Client, nonce int64) (any, error) {
			return providertest.Done(c.Test(ctx, nonce))
		}),
	}
}

func contractSubject() providertest.Subject {
	return providertest.Subject{
		Provider: kanga.Provider, Hinted: contractHints(), Calls: contractCalls(),
		Secrets: []providertest.Setting{
			{
				Name: "api.private_key", Account: contractAccount(providers.Webhook{}), Least: 16, Required: "an API key that cannot sign",
				Set: func(a *providers.Account, s providers.Secret) { a.API.PrivateKey = s },
			},
			{
				Name: "webhook.path_token", Account: contractAccount(providers.Webhook{PathToken: "contract-path-token"}), Least: 16,
				Set:     func(a *providers.Account, s providers.Secret) { a.Webhook.PathToken = s },
				Without: map[string]string{"Required": "a path token is ours and optional"},
			},
		},
		Printed: []providers.Secret{"8B2EFBECA2BEBB2C413BCFD7915E9209D80F3F4222042B31DD9D605E39F2035F"},
		Without: map[string]string{"Signed": "the callback carries no signature in the document"},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, contractSubject()) }

func FuzzHinted(f *testing.F) { providertest.FuzzHinted(f, kanga.Provider, contractHints()[0]) }

func FuzzHinted_form(f *testing.F) { providertest.FuzzHinted(f, kanga.Provider, contractHints()[3]) }
