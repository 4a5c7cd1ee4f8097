package kuna_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/providertest"
)

const contractPersonal = `"email":"` + providertest.CanaryEmail + `","firstName":"` + providertest.CanaryName + `","residenceAddress":"` + providertest.CanaryAddress + `"`

// contractAccount logs in, or has an API key.
func contractAccount(login bool, token string) providers.Account {
	a := providers.Account{
		Provider: kuna.Name, Account: "shop", Webhook: providers.Webhook{Trust: "hint", PathToken: providers.Secret(token)},
		API: providers.API{BaseURL: "https://core.example.com", APIKey: "kuna-api-key-00000001"},
	}
	if login {
		a.API.APIKey = ""
		a.API.MerchantID, a.API.Login, a.API.Password = "merchant-1", "shop@example.com", "kuna-password-of-shop"
	}
	return a
}

// contractHinted is a route whose callback has the id at one of three places.
func contractHinted(name, body, token string) providertest.Hinted {
	h := providertest.Hinted{
		Name: name, Account: contractAccount(false, token), Kind: events.Order, Reason: "unsigned", PathToken: token,
		Deliver: func(a providers.Account, id string, at events.Millis) providers.Delivery {
			return providers.Delivery{
				Method: "POST", Body: fmt.Appendf(nil, body, providertest.Quote(id)), ReceivedAt: at, PathToken: a.Webhook.PathToken.Reveal(),
				Header: map[string][]string{"Content-Type": {"application/json"}},
			}
		},
	}
	if token == "" {
		h.Without = map[string]string{"PathToken": "a path token is ours and optional; another route has one"}
	}
	return h
}

func contractHints() []providertest.Hinted {
	return []providertest.Hinted{
		contractHinted("id", `{"id":%s,"status":"Completed",`+contractPersonal+`}`, ""),
		contractHinted("data.id", `{"data":{"id":%s,`+contractPersonal+`}}`, ""),
		contractHinted("operationId", `{"operationId":%s,`+contractPersonal+`}`, "contract-path-token"),
	}
}

// contractLogin answers the account's login.
func contractLogin(r *http.Request) (providertest.Reply, bool) {
	return providertest.Reply{Body: `{"data":{"accessToken":"canary-access-1"}}`}, strings.HasSuffix(r.URL.Path, "/v2/auth/login")
}

func contractCall(name, request, good string, attempts int, login bool, do func(context.Context, *kuna.Client, providers.Capabilities) (any, error)) providertest.Call {
	c := providertest.Call{
		Name: name, Request: request, Good: good, Attempts: attempts, Bodyless: events.OutcomeMalformed, Account: contractAccount(login, ""),
		Open: func(a providers.Account, env providers.Env) (func(context.Context) (any, error), error) {
			caps, err := kuna.Provider.Open(a, env)
			if err != nil {
				return nil, err
			}
			c, err := kuna.NewClient(a, env)
			return func(ctx context.Context) (any, error) { return do(ctx, c, caps) }, err
		},
		Failures: []providertest.Failure{
			{Name: "errors in a 200", Reply: providertest.Reply{Body: `{"errors":[{"code":"` + providertest.CanaryEmail + `"}]}`}, Want: events.OutcomeMalformed},
			{Name: "null data", Reply: providertest.Reply{Body: `{"data":null}`}, Want: events.OutcomeMalformed},
			{Name: "text for data", Reply: providertest.Reply{Body: `{"data":"` + providertest.CanaryName + `"}`}, Want: events.OutcomeMalformed},
		},
		Without: map[string]string{
			"Statuses": "the shape of errors is not documented, so HTTP statuses have their usual meaning",
			"Other":    "the answer is not said to name what was asked",
			"Unknown":  "the answer states no status",
		},
	}
	if login {
		c.Login, c.Tokens = contractLogin, []string{"canary-access-1"}
		return c
	}
	c.Without["Login"] = "an API key in a header authenticates each call"
	c.Without["Tokens"] = "an API key in a header authenticates each call"
	return c
}

func contractChecks() []providertest.Call {
	question := func(kind events.SubjectKind) providers.Question {
		return providers.Question{Key: events.Key{Provider: kuna.Name, Account: "shop", Kind: kind, ID: providertest.CanaryID}}
	}
	const operation = `{"data":[{"id":"` + providertest.CanaryID + `","type":"DepositWithExchange","status":"Completed","targetAsset":"USDT","targetAmount":"15.07768",` +
		contractPersonal + `}]}`
	const customer = `{"data":{"id":"` + providertest.CanaryID + `","walletId":"w-1","verificationStatus":"ACCEPTED","walletStatus":"Active",` + contractPersonal + `}}`
	var calls []providertest.Call
	for name, login := range map[string]bool{"": true, " with an API key": false} {
		op := contractCall("operation"+name, "POST /v2/operation/details", operation, 3, login, func(ctx context.Context, _ *kuna.Client, caps providers.Capabilities) (any, error) {
			return providertest.Result(caps.Orders.Check(ctx, question(events.Order)))
		})
		op.Unknown = strings.Replace(operation, "Completed", providertest.UnknownWord, 1)
		op.Failures = append(op.Failures, providertest.Failure{Name: "no operation", Reply: providertest.Reply{Body: `{"data":[]}`}, Want: events.OutcomeNotFound})
		cu := contractCall("customer"+name, "POST /v2/customer/details", customer, 3, login, func(ctx context.Context, _ *kuna.Client, caps providers.Capabilities) (any, error) {
			return providertest.Result(caps.Customers.Check(ctx, question(events.Customer)))
		})
		cu.Unknown = strings.Replace(customer, "ACCEPTED", providertest.UnknownWord, 1)
		for _, c := range []*providertest.Call{&op, &cu} {
			c.Other = strings.Replace(c.Good, providertest.CanaryID, "another-id", 1)
			delete(c.Without, "Other")
			delete(c.Without, "Unknown")
		}
		calls = append(calls, op, cu)
	}
	return calls
}

func contractCalls() []providertest.Call {
	const found = `{"data":[{"id":"op-1","type":"Deposit","status":"Created",` + contractPersonal + `}]}`
	const customer = `{"data":{"id":"c-1","walletId":"w-1","verificationStatus":"ACCEPTED","walletStatus":"Active",` + contractPersonal + `}}`
	n := kuna.NewCustomer{
		Email: providertest.CanaryEmail, FirstName: providertest.CanaryName, LastName: providertest.CanaryName, Country: "UA",
		VerificationDocumentID: "1", ResidenceAddress: providertest.CanaryAddress,
	}
	invalidate := contractCall("invalidate", "POST /v2/ramp/invalidate", "OK", 1, true, func(ctx context.Context, c *kuna.Client, _ providers.Capabilities) (any, error) {
		return providertest.Done(c.InvalidateRampToken(ctx, providertest.CanaryID))
	})
	invalidate.Bodyless, invalidate.Failures = events.OutcomeOK, nil
	invalidate.Without["Failures"] = "the document shows no answer, so nothing in one is a failure"
	return append(contractChecks(), invalidate, contractTokenCall(),
		contractCall("operations", "POST /v2/operation/find", found, 3, true, func(ctx context.Context, _ *kuna.Client, caps providers.Capabilities) (any, error) {
			p, err := caps.Sweep.Sweep(ctx, "")
			if err != nil {
				return nil, err
			}
			return p, nil
		}),
		contractCall("create-customer", "POST /v2/customer/create", customer, 1, true, func(ctx context.Context, c *kuna.Client, _ providers.Capabilities) (any, error) {
			return providertest.Result(c.CreateCustomer(ctx, n))
		}),
		contractCall("ramp-token", "POST /v2/ramp/token", `{"data":{"token":"canary-ramp-token",`+contractPersonal+`}}`, 1, true,
			func(ctx context.Context, c *kuna.Client, _ providers.Capabilities) (any, error) {
				return providertest.Result(c.RampToken(ctx, providertest.CanaryID, "Mozilla/5.0"))
			}),
	)
}

// contractTokenCall is the login itself: a refusal of any kind is one of the credentials.
func contractTokenCall() providertest.Call {
	c := contractCall("login", "POST /v2/auth/login", `{"data":{"accessToken":"canary-access-2",`+contractPersonal+`}}`, 1, true,
		func(ctx context.Context, c *kuna.Client, _ providers.Capabilities) (any, error) {
			token, _, err := c.Login(ctx)
			return providertest.Result(token, err)
		})
	c.Login, c.Tokens, c.Statuses = nil, nil, map[int]events.Outcome{}
	for status := 400; status <= 499; status++ {
		if status != 403 && status != 408 && status != 429 {
			c.Statuses[status] = events.OutcomeUnauthorized
		}
	}
	delete(c.Without, "Statuses")
	c.Without["Login"], c.Without["Tokens"] = "this is the login itself", "no token comes before the login"
	return c
}

func contractSubject() providertest.Subject {
	return providertest.Subject{
		Provider: kuna.Provider, Hinted: contractHints(), Calls: contractCalls(),
		Secrets: []providertest.Setting{
			{
				Name: "api.api_key", Account: contractAccount(false, ""), Least: 16, Required: "calls that prove nothing",
				Set: func(a *providers.Account, s providers.Secret) { a.API.APIKey = s },
			},
			{
				Name: "api.password", Account: contractAccount(true, ""), Least: 1, Required: "a login without a password",
				Set: func(a *providers.Account, s providers.Secret) { a.API.Password = s },
			},
			{
				Name: "webhook.path_token", Account: contractAccount(false, "contract-path-token"), Least: 16,
				Set:     func(a *providers.Account, s providers.Secret) { a.Webhook.PathToken = s },
				Without: map[string]string{"Required": "a path token is ours and optional"},
			},
		},
		Without: map[string]string{
			"Signed":  "no signature of the callback is documented",
			"Printed": "the document prints no credential of an account, only an expired token of a customer",
		},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, contractSubject()) }

func FuzzHinted(f *testing.F) { providertest.FuzzHinted(f, kuna.Provider, contractHints()[0]) }

func FuzzHinted_token(f *testing.F) { providertest.FuzzHinted(f, kuna.Provider, contractHints()[2]) }
