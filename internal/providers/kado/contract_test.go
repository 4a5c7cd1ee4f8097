package kado_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/providertest"
)

const contractURL = "https://hooks.example.com/v1/webhooks/kado/acme"

// contractPersonal is what an order and an answer hold of a person.
const contractPersonal = `"firstName":"` + providertest.CanaryName + `","email":"` + providertest.CanaryEmail + `","walletAddress":"` +
	providertest.CanaryAddress + `","manualDepositMemo":"` + providertest.CanaryName + `"`

func contractAccount(change func(*providers.Webhook)) providers.Account {
	a := apiAccount("https://api.example.com")
	a.API.AllowInsecure = false
	change(&a.Webhook)
	return a
}

func contractOther(change func(*providers.Webhook)) providers.Account {
	a := contractAccount(change)
	a.Account, a.Webhook.URL, a.Webhook.PublicKey = "other", "https://hooks.example.com/v1/webhooks/kado/other", "kado-other-public-key"
	a.Webhook.Secrets = []providers.Secret{"other-webhook-secret-0001"}
	return a
}

// contractSign signs the canonical form where there is one, else the bytes.
func contractSign(canonical bool) func(providers.Account, []byte, events.Millis) providers.Delivery {
	return func(a providers.Account, body []byte, at events.Millis) providers.Delivery {
		payload := body
		if c, err := kado.Canonical(body); err == nil && canonical {
			payload = c
		}
		ts := strconv.FormatInt(int64(at), 10)
		path := strings.TrimPrefix(a.Webhook.URL, "https://hooks.example.com")
		return providers.Delivery{Method: "POST", Body: body, ReceivedAt: at, Header: map[string][]string{
			"Content-Type": {"application/json"}, "X-Timestamp": {ts}, "X-Public-Key": {a.Webhook.PublicKey},
			"X-Signature": {kado.Sign(a.Webhook.Secrets[0], "POST", ts, path, kado.PayloadHex(payload))},
		}}
	}
}

func contractOrder(id, amount string) string {
	return `{"id":` + providertest.Quote(id) + `,"paymentStatus":"success","transferStatus":"settled","orderType":"buy","payAmount":{"amount":` + amount +
		`,"unit":"USD"},"recvAmount":{"amount":98.1234567,"unit":"USDC"},"cryptoCurrency":{"symbol":"USDC"},` + contractPersonal + `}`
}

func contractBody(id, word, amount string) []byte {
	return fmt.Appendf(nil, `{"id":"w1","resource":"order","type":"%s","data":%s,"message":"Order of %s"}`, word, contractOrder(id, amount), providertest.CanaryName)
}

func contractSigned(name string, canonical bool, stale providertest.Stale, change func(*providers.Webhook)) providertest.Signed {
	s := providertest.Signed{
		Name: name, Account: contractAccount(change), Other: contractOther(change), WebhookURL: contractURL,
		Sign: contractSign(canonical), SignatureHeader: "X-Signature", Covered: []string{"X-Timestamp", "X-Public-Key"},
		Methods: []string{"POST"}, Kind: events.Order,
		Body: func(id, word string) []byte { return contractBody(id, word, "100.50") },
		Words: []providertest.Word{
			{Word: "order_completed", Status: events.StatusCompleted}, {Word: "order_pending", Status: events.StatusPending},
			{Word: "order_processing", Status: events.StatusProcessing}, {Word: "order_failed", Status: events.StatusFailed},
		},
		Amount:   func(literal string) []byte { return contractBody(providertest.CanaryID, "order_completed", literal) },
		AmountOf: func(f events.Facts) events.Amount { return f.FiatAmount },
		Window:   5 * time.Minute, Stale: stale,
		Canonical: func(body []byte) ([]byte, bool) {
			c, err := kado.Canonical(body)
			return c, err == nil
		},
	}
	if !canonical {
		s.Canonical, s.Without = nil, map[string]string{"Canonical": "this reading of payloadHex hashes the bytes as they are"}
	}
	return s
}

func contractRoutes() []providertest.Signed {
	return []providertest.Signed{
		contractSigned("default", true, providertest.StaleIsHint, func(*providers.Webhook) {}),
		contractSigned("default, raw body signed", false, providertest.StaleIsHint, func(*providers.Webhook) {}),
		contractSigned("canonical only", true, providertest.StaleIsHint, func(w *providers.Webhook) { w.Reading = "canonical" }),
		contractSigned("raw only", false, providertest.StaleIsHint, func(w *providers.Webhook) { w.Reading = "raw" }),
		contractSigned("strict", true, providertest.StaleIsRefused, func(w *providers.Webhook) { w.Strict = true }),
	}
}

func contractHinted() providertest.Hinted {
	a := contractAccount(func(w *providers.Webhook) { *w = providers.Webhook{Trust: "hint"} })
	return providertest.Hinted{
		Name: "unconfigured", Account: a, Kind: events.Order, Reason: "unconfigured",
		Deliver: func(_ providers.Account, id string, at events.Millis) providers.Delivery {
			return providers.Delivery{
				Method: "POST", Body: contractBody(id, "order_completed", "100.50"), ReceivedAt: at, Header: map[string][]string{"Content-Type": {"application/json"}},
			}
		},
		Without: map[string]string{"PathToken": "Kado signs its webhooks: a path token is no setting of it"},
	}
}

// contractDone is the answer of a call that returns nothing.
const contractDone = `{"success":true,"message":"` + providertest.CanaryName + ` is done"}`

// contractFailures are those of every route: Kado states a failure inside a 200.
var contractFailures = []providertest.Failure{
	{
		Name:  "success false",
		Reply: providertest.Reply{Body: `{"success":false,"message":"` + providertest.CanaryEmail + ` is not known"}`}, Want: events.OutcomeProvider,
	},
	{
		Name:  "success false with 404",
		Reply: providertest.Reply{Status: 404, Body: `{"success":false,"message":"` + providertest.CanaryID + `"}`}, Want: events.OutcomeNotFound,
	},
}

// contractCall has what all calls of Kado share.
func contractCall(name, request, good string, attempts int, do func(context.Context, *kado.Client, providers.Capabilities) (any, error)) providertest.Call {
	return providertest.Call{
		Name: name, Request: request, Good: good, Attempts: attempts, Bodyless: events.OutcomeMalformed, Failures: contractFailures,
		Account: contractAccount(func(*providers.Webhook) {}),
		Open: func(a providers.Account, env providers.Env) (func(context.Context) (any, error), error) {
			caps, err := kado.Provider.Open(a, env)
			if err != nil {
				return nil, err
			}
			c, err := kado.NewClient(a, env)
			return func(ctx context.Context) (any, error) { return do(ctx, c, caps) }, err
		},
		Without: map[string]string{
			"Login":    "each call is signed, or public: there is no session",
			"Tokens":   "each call is signed, or public: there is no session",
			"Statuses": "no HTTP status of a failure is documented, so they have their usual meaning",
			"Other":    "the answer names no subject in the document",
			"Unknown":  "the answer states no status of an order or customer",
		},
	}
}

func contractKey(kind events.SubjectKind) providers.Question {
	return providers.Question{Key: events.Key{Provider: kado.Name, Account: "acme", Kind: kind, ID: providertest.CanaryID}}
}

func contractChecks() []providertest.Call {
	order := contractCall("order", "GET /v2/public/orders/"+providertest.CanaryID,
		`{"success":true,"data":`+contractOrder(providertest.CanaryID, "100.50")+`}`, 3,
		func(ctx context.Context, _ *kado.Client, caps providers.Capabilities) (any, error) {
			return providertest.Result(caps.Orders.Check(ctx, contractKey(events.Order)))
		})
	order.Other = strings.Replace(order.Good, providertest.CanaryID, "another-id", 1)
	order.Unknown = strings.Replace(order.Good, `"settled"`, `"`+providertest.UnknownWord+`"`, 1)
	delete(order.Without, "Other")
	delete(order.Without, "Unknown")
	kyc := contractCall("kyc-status", "GET /v1/partner/kyc/"+providertest.CanaryID,
		`{"success":true,"data":{"status":"L1","docsUploaded":true,`+contractPersonal+`}}`, 3,
		func(ctx context.Context, _ *kado.Client, caps providers.Capabilities) (any, error) {
			return providertest.Result(caps.Customers.Check(ctx, contractKey(events.Customer)))
		})
	kyc.Unknown = strings.Replace(kyc.Good, "L1", providertest.UnknownWord, 1)
	kyc.Other = `{"success":true,"data":{"userId":"another-id","status":"L1"}}`
	delete(kyc.Without, "Other")
	delete(kyc.Without, "Unknown")
	return []providertest.Call{order, kyc}
}

func contractCalls() []providertest.Call {
	p := kado.Person{
		FirstName: providertest.CanaryName, LastName: providertest.CanaryName, Phone: "+15183334444", Email: providertest.CanaryEmail,
		DateOfBirth: "1992-01-31", Address: kado.Address{Street1: providertest.CanaryAddress, PostalCode: "12345", City: "Troy", Country: "DE"},
	}
	const submitted = `{"success":true,"data":{"userId":"u1",` + contractPersonal + `}}`
	configure := contractCall("configure-webhook", "POST /v1/partner/configure-webhook", contractDone, 1,
		func(ctx context.Context, c *kado.Client, _ providers.Capabilities) (any, error) {
			return providertest.Done(c.ConfigureWebhook(ctx, contractURL, current))
		})
	upload := contractCall("kyc-upload-docs", "POST /v2/partner/kyc/"+providertest.CanaryID+"/upload-docs", contractDone, 1,
		func(ctx context.Context, c *kado.Client, _ providers.Capabilities) (any, error) {
			return providertest.Done(c.UploadDocuments(ctx, providertest.CanaryID, kado.Documents{Type: "passport", Front: strings.NewReader(providertest.CanaryName)}))
		})
	return append(contractChecks(), configure, upload,
		contractCall("kyc-submit", "POST /v1/partner/kyc/submit", submitted, 1, func(ctx context.Context, c *kado.Client, _ providers.Capabilities) (any, error) {
			return providertest.Result(c.SubmitKYC(ctx, p))
		}),
		contractCall("kyc-init-partial", "POST /v1/partner/kyc/init-partial", submitted, 1, func(ctx context.Context, c *kado.Client, _ providers.Capabilities) (any, error) {
			return providertest.Result(c.InitPartialKYC(ctx, p))
		}),
		contractCall("quote", "GET /v2/ramp/quote", `{"success":true,"data":{"quote":{"asset":"USDC","price":{"amount":1.001,"unit":"USD"},"note":"`+providertest.CanaryName+`"}}}`, 3,
			func(ctx context.Context, c *kado.Client, _ providers.Capabilities) (any, error) {
				return providertest.Result(c.Quote(ctx, kado.QuoteRequest{TransactionType: "buy", FiatMethod: "ach", Amount: "100.5", Asset: "USDC", Blockchain: "solana", Currency: "USD"}))
			}),
	)
}

func contractSubject() providertest.Subject {
	return providertest.Subject{
		Provider: kado.Provider, Signed: contractRoutes(), Hinted: []providertest.Hinted{contractHinted()}, Calls: contractCalls(),
		Secrets: []providertest.Setting{
			{
				Name: "webhook.secrets[0]", Account: contractAccount(func(*providers.Webhook) {}), Least: 16, Required: "a route that anybody can sign for",
				Set: func(a *providers.Account, s providers.Secret) { a.Webhook.Secrets[0] = s },
			},
			{
				Name: "webhook.secrets[1]", Account: contractAccount(func(*providers.Webhook) {}), Least: 16, Required: "a route that anybody can sign for",
				Set: func(a *providers.Account, s providers.Secret) { a.Webhook.Secrets[1] = s },
			},
			{
				Name: "api.private_key", Account: contractAccount(func(*providers.Webhook) {}), Least: 16, Required: "a public key without its private one",
				Set: func(a *providers.Account, s providers.Secret) { a.API.PrivateKey = s },
			},
		},
		Printed: []providers.Secret{"kado-test-private-key"},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, contractSubject()) }

func FuzzSigned(f *testing.F) { providertest.FuzzSigned(f, kado.Provider, contractRoutes()[0]) }

func FuzzSigned_raw(f *testing.F) { providertest.FuzzSigned(f, kado.Provider, contractRoutes()[1]) }

func FuzzHinted(f *testing.F) { providertest.FuzzHinted(f, kado.Provider, contractHinted()) }

func FuzzExtra(f *testing.F) { providertest.FuzzExtra(f, kado.Provider, contractRoutes()[0]) }

func FuzzAnswers(f *testing.F) {
	providertest.FuzzAnswers(f, kado.Provider, apiAccount("https://api.example.com"), orderAnswer, strings.ReplaceAll(orderAnswer, orderID, providertest.CanaryID),
		`{"success":true,"data":{"userId":"canary-id-0001","status":"L1","docsUploaded":true}}`, `{"success":false,"message":"no"}`)
}
