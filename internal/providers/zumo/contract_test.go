package zumo_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/providertest"
	"rampstream/internal/providers/zumo"
)

const contractPersonal = `"name":"` + providertest.CanaryName + `","email":"` + providertest.CanaryEmail + `","street":"` + providertest.CanaryAddress + `"`

const accountsUpdated = "appUser.wallet.accounts.updated"

func contractAccount(name events.Account, w providers.Webhook) providers.Account {
	return providers.Account{
		Provider: zumo.Name, Account: name, Webhook: w,
		API: providers.API{BaseURL: "https://kit.example.com/v1", AppID: "app-1", AppSecret: "zumo-app-secret-0001"},
	}
}

func contractBody(id, word string) []byte {
	return fmt.Appendf(nil, `{"eventType":"%s","subjectType":"appUser","subject":{"appUserId":%s,"createdAt":"2020-01-15 09:03:13","updatedAt":"2020-01-15 09:03:13",`+
		`"wallet":{"accounts":[{"id":"acc-1","createdAt":"2020-01-15 10:22:24","updatedAt":"2020-01-15 10:22:24"}]},%s}}`, word, providertest.Quote(id), contractPersonal)
}

// contractRoute is a route with one configured scheme.
func contractRoute(name string, w providers.Webhook, h func() hash.Hash, encode func([]byte) string) providertest.Signed {
	w.Secrets = []providers.Secret{"zumo-secret-current-1", "zumo-secret-previous1"}
	other := w
	other.Secrets = []providers.Secret{"zumo-secret-of-other1"}
	header := "X-Signature"
	if w.Header != "" {
		header = http.CanonicalHeaderKey(w.Header)
	}
	return providertest.Signed{
		Name: name, Account: contractAccount("shop", w), Other: contractAccount("other", other), WebhookURL: "https://hooks.example.com/v1/webhooks/zumo/shop",
		Sign: func(a providers.Account, body []byte, at events.Millis) providers.Delivery {
			m := hmac.New(h, []byte(a.Webhook.Secrets[0].Reveal()))
			m.Write(body)
			return providers.Delivery{Method: "POST", Body: body, ReceivedAt: at, Header: map[string][]string{
				"Content-Type": {"application/json"}, header: {a.Webhook.Prefix + encode(m.Sum(nil))},
			}}
		},
		SignatureHeader: header, Kind: events.Customer, Body: contractBody,
		Words: []providertest.Word{
			{Word: accountsUpdated, Raw: "provisioned", Status: events.StatusCompleted}, {Word: "appUser.deleted", Status: events.StatusUnknown},
		},
		Without: map[string]string{
			"Covered":   "X-SIGNATURE is the only header that the document names",
			"Methods":   "the HTTP method is not documented",
			"Amount":    "a webhook about a wallet has no amount",
			"AmountOf":  "a webhook about a wallet has no amount",
			"Canonical": "the configured scheme covers the bytes of the body",
			"Window":    "the document shows no time of the delivery",
			"Stale":     "the document shows no time of the delivery",
		},
	}
}

func contractRoutes() []providertest.Signed {
	return []providertest.Signed{
		contractRoute("hmac-sha256 hex", providers.Webhook{Algorithm: "hmac-sha256"}, sha256.New, hex.EncodeToString),
		contractRoute("hmac-sha512 base64", providers.Webhook{Algorithm: "hmac-sha512", Encoding: "base64"}, sha512.New, base64.StdEncoding.EncodeToString),
		contractRoute("header and prefix", providers.Webhook{Algorithm: "hmac-sha256", Header: "zumo-sig", Prefix: "sha256="}, sha256.New, hex.EncodeToString),
	}
}

func contractHinted(name, token string) providertest.Hinted {
	h := providertest.Hinted{
		Name: name, Account: contractAccount("shop", providers.Webhook{Trust: "hint", PathToken: providers.Secret(token)}),
		Kind: events.Customer, Reason: "unconfigured", PathToken: token,
		Deliver: func(a providers.Account, id string, at events.Millis) providers.Delivery {
			return providers.Delivery{
				Method: "POST", Body: contractBody(id, accountsUpdated), ReceivedAt: at, PathToken: a.Webhook.PathToken.Reveal(),
				Header: map[string][]string{"Content-Type": {"application/json"}},
			}
		},
	}
	if token == "" {
		h.Without = map[string]string{"PathToken": "a path token is ours and optional; the other route has one"}
	}
	return h
}

// contractLogin answers the account's own login and refresh.
func contractLogin(r *http.Request) (providertest.Reply, bool) {
	return providertest.Reply{Body: `{"accessToken":"canary-access-1","expiresIn":3600,"refreshToken":"canary-refresh-1"}`},
		strings.HasSuffix(r.URL.Path, "/token/") && !strings.Contains(r.URL.Path, "/app-users/")
}

func contractCall(name, request, good string, attempts int, do func(context.Context, *zumo.Client) (any, error)) providertest.Call {
	c := providertest.Call{
		Name: name, Request: request, Good: good, Attempts: attempts, Bodyless: events.OutcomeMalformed,
		Account: contractAccount("shop", providers.Webhook{Trust: "hint"}),
		Open: func(a providers.Account, env providers.Env) (func(context.Context) (any, error), error) {
			c, err := zumo.NewClient(a, env)
			return func(ctx context.Context) (any, error) { return do(ctx, c) }, err
		},
		Login: contractLogin, Tokens: []string{"canary-access-1", "canary-refresh-1"},
		Failures: []providertest.Failure{
			entityNotFound("400", 400, events.OutcomeRejected), entityNotFound("401", 401, events.OutcomeUnauthorized),
			entityNotFound("404", 404, events.OutcomeNotFound),
		},
		Without: map[string]string{
			"Statuses": "only the HTTP status tells failures apart, and it has its usual meaning",
			"Unknown":  "Zumo states no status: the word is made from the wallet's accounts",
		},
	}
	if good == "OK" {
		c.Bodyless = events.OutcomeOK
		c.Without["Other"] = "the answer is the word OK and names nobody"
	}
	return c
}

func entityNotFound(name string, status int, want events.Outcome) providertest.Failure {
	body := fmt.Sprintf(`{"statusCode":%d,"type":"invalid_request_error","message":"Entity not found."}`, status)
	return providertest.Failure{Name: name, Reply: providertest.Reply{Status: status, Body: body}, Want: want}
}

const contractUser = `{"id":"u-1","createdAt":"2020-04-15T13:30:55.570Z","appUserId":"` + providertest.CanaryID + `","synced":false,"wallet":{"id":"w-1",` +
	`"accounts":[{"id":"acc-1","network":"MAINNET","address":"0xabc","path":"m/44","coin":"Ethereum","symbol":"ETH"}]},` + contractPersonal + `}`

func contractCalls() []providertest.Call {
	const users = "/app-users/" + providertest.CanaryID + "/"
	const tokens = `{"accessToken":"canary-user-access","expiresIn":3600,"refreshToken":"canary-user-refresh","name":"` + providertest.CanaryName + `"}`
	key := events.Key{Provider: zumo.Name, Account: "shop", Kind: events.Customer, ID: providertest.CanaryID}
	another := strings.Replace(contractUser, providertest.CanaryID, "another-id", 1)
	about := func(c providertest.Call) providertest.Call {
		c.Other = another
		return c
	}
	without := func(c providertest.Call, reason string) providertest.Call {
		c.Without["Other"] = reason
		return c
	}
	return []providertest.Call{
		about(contractCall("check", "GET "+users, contractUser, 3, func(ctx context.Context, c *zumo.Client) (any, error) {
			return providertest.Result(c.Check(ctx, providers.Question{Key: key}))
		})),
		about(contractCall("get-user", "GET "+users, contractUser, 3, func(ctx context.Context, c *zumo.Client) (any, error) {
			u, err := c.User(ctx, providertest.CanaryID)
			return providertest.Result(u.WalletID, err)
		})),
		about(contractCall("create-user", "POST "+users, contractUser, 1, func(ctx context.Context, c *zumo.Client) (any, error) {
			u, err := c.CreateUser(ctx, providertest.CanaryID)
			return providertest.Result(u.AppUserID, err)
		})),
		contractCall("mark-synced", "PUT "+users, "OK", 1, func(ctx context.Context, c *zumo.Client) (any, error) {
			return providertest.Done(c.MarkSynced(ctx, providertest.CanaryID))
		}),
		contractCall("delete-user", "DELETE "+users, "OK", 1, func(ctx context.Context, c *zumo.Client) (any, error) {
			return providertest.Done(c.DeleteUser(ctx, providertest.CanaryID))
		}),
		without(contractCall("user-token", "POST "+users+"token/", tokens, 1, func(ctx context.Context, c *zumo.Client) (any, error) {
			return providertest.Result(c.UserToken(ctx, providertest.CanaryID))
		}), "a set of tokens names nobody"),
		without(contractCall("user-token refresh", "POST "+users+"token/", tokens, 1, func(ctx context.Context, c *zumo.Client) (any, error) {
			return providertest.Result(c.RefreshUserToken(ctx, providertest.CanaryID, "canary-user-refresh"))
		}), "a set of tokens names nobody"),
		without(contractCall("sweep", "GET /app-users", `{"page":{"limit":50,"offset":0,"all":1},"users":[`+contractUser+`]}`, 3, func(ctx context.Context, c *zumo.Client) (any, error) {
			p, err := c.Sweep(ctx, "")
			if err != nil {
				return nil, err
			}
			return p, nil
		}), "a sweep asks about nobody in particular"),
		contractTokenCall(tokens),
	}
}

// contractTokenCall is the login itself: nothing comes before it, and a refusal
// of any kind is one of the credentials.
func contractTokenCall(tokens string) providertest.Call {
	c := contractCall("token", "POST /token/", tokens, 1, func(ctx context.Context, c *zumo.Client) (any, error) {
		return providertest.Result(c.Login(ctx))
	})
	c.Login, c.Tokens, c.Statuses = nil, nil, map[int]events.Outcome{}
	for status := 400; status <= 499; status++ {
		if status != 403 && status != 408 && status != 429 {
			c.Statuses[status] = events.OutcomeUnauthorized
		}
	}
	c.Failures = []providertest.Failure{
		entityNotFound("400", 400, events.OutcomeUnauthorized), entityNotFound("401", 401, events.OutcomeUnauthorized),
		entityNotFound("404", 404, events.OutcomeUnauthorized),
	}
	c.Without = map[string]string{
		"Login": "this is the login itself", "Tokens": "this is the login, no token comes before it", "Other": "a set of tokens names nobody",
		"Unknown": "a set of tokens has no status",
	}
	return c
}

func contractSubject() providertest.Subject {
	setting := func(name string, a providers.Account, required string, set func(*providers.Account, providers.Secret)) providertest.Setting {
		return providertest.Setting{Name: name, Account: a, Least: 16, Required: required, Set: set}
	}
	token := setting("webhook.path_token", contractHinted("", "contract-path-token").Account, "", func(a *providers.Account, s providers.Secret) { a.Webhook.PathToken = s })
	token.Without = map[string]string{"Required": "a path token is ours and optional"}
	return providertest.Subject{
		Provider: zumo.Provider, Signed: contractRoutes(), Calls: contractCalls(),
		Hinted: []providertest.Hinted{contractHinted("unconfigured", ""), contractHinted("path token", "contract-path-token")},
		Secrets: []providertest.Setting{
			setting("webhook.secrets[0]", contractRoutes()[0].Account, "a route that anybody can sign for", func(a *providers.Account, s providers.Secret) { a.Webhook.Secrets[0] = s }),
			setting("webhook.secrets[1]", contractRoutes()[0].Account, "a route that anybody can sign for", func(a *providers.Account, s providers.Secret) { a.Webhook.Secrets[1] = s }),
			setting("api.app_secret", contractHinted("", "").Account, "a login that is refused", func(a *providers.Account, s providers.Secret) { a.API.AppSecret = s }),
			token,
		},
		Printed: []providers.Secret{"{{app-secret}}", "{{app-secret}}-0123456789"},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, contractSubject()) }

func FuzzSigned(f *testing.F) { providertest.FuzzSigned(f, zumo.Provider, contractRoutes()[0]) }

func FuzzSigned_base64(f *testing.F) { providertest.FuzzSigned(f, zumo.Provider, contractRoutes()[1]) }

func FuzzHinted(f *testing.F) {
	providertest.FuzzHinted(f, zumo.Provider, contractHinted("path token", "contract-path-token"))
}

func FuzzExtra(f *testing.F) { providertest.FuzzExtra(f, zumo.Provider, contractRoutes()[0]) }
