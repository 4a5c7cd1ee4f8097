// Package toy is a provider that does not exist. It is what docs/providers/ADDING.md
// builds, step by step, and it is imported by tests only: it shows that the recipe is
// complete, and that the contract suite holds for a provider it was not written with.
//
// Its document, all of it: deliveries are POSTed as JSON,
//
//	{"event":"order.paid","order":{"id":"o-1","amount":"10.50","currency":"EUR"}}
//
// with the header Toy-Signature: t=MILLISECONDS,v1=HEX, where HEX is
// HMAC-SHA512(secret, t + "." + body). Deliveries are at most five minutes old.
// GET /orders/{id} with the header Toy-Key answers
//
//	{"id":"o-1","state":"paid","amount":"10.50","currency":"EUR"}
//
// Events and states are opened, paid and cancelled. An unknown order is a 404.
package toy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Name is the provider's name in keys, routes and configuration.
const Name events.Provider = "toy"

// Provider is what a main would list.
var Provider = providers.Provider{Name: Name, Vocabulary: vocabulary, Validate: validate, Open: open}

// window is documented.
const window = 5 * time.Minute

// states is the documented list.
var states = map[string]events.Word{
	"opened":    {Status: events.StatusCreated},
	"paid":      {Status: events.StatusCompleted},
	"cancelled": {Status: events.StatusCancelled},
}

// vocabulary follows no secret, so that programs without credentials agree.
func vocabulary(a providers.Account) events.Vocabulary {
	return events.Vocabulary{
		Provider: Name, Orders: maps.Clone(states), PollOrders: a.API.BaseURL != "", Webhooks: a.Webhook.Trust != "hint",
	}
}

// validate reports every fault of a's settings.
func validate(a providers.Account, policy providers.Policy) []string {
	faults := providers.UnusedSettings(a, "webhook.trust", "webhook.secrets", "webhook.secret_files",
		"api.base_url", "api.allow_insecure", "api.api_key", "api.api_key_file")
	w := a.Webhook
	switch {
	case w.Trust == "hint" && len(w.Secrets) > 0:
		faults = append(faults, "webhook.trust: hint verifies nothing, leave out webhook.secrets or the hint")
	case w.Trust != "" && w.Trust != "hint":
		faults = append(faults, fmt.Sprintf("webhook.trust: must be empty or hint (got %q)", w.Trust))
	case w.Trust == "" && len(w.Secrets) == 0:
		faults = append(faults, "webhook.secrets: must be set (or write webhook.trust: hint)")
	}
	for i, s := range w.Secrets {
		faults = append(faults, providers.SecretFault(fmt.Sprintf("webhook.secrets[%d]", i), s, 16))
	}
	if a.API.BaseURL != "" {
		faults = append(faults, providers.URLFault("api.base_url", a.API.BaseURL, a.API.AllowInsecure || policy.Demo),
			providers.SecretFault("api.api_key", a.API.APIKey, 16))
	}
	return slices.DeleteFunc(faults, func(s string) bool { return s == "" })
}

// open builds the parser, and the client where the program can call. Without
// env.HTTP (ingest) no credential of the API is looked at.
func open(a providers.Account, env providers.Env) (providers.Capabilities, error) {
	p := parser{account: a.Account}
	if a.Webhook.Trust != "hint" {
		if p.secrets = a.Webhook.Secrets; len(p.secrets) == 0 || slices.Contains(p.secrets, "") {
			return providers.Capabilities{}, errors.New("toy: webhook.secrets must not be empty")
		}
	}
	caps := providers.Capabilities{Webhook: p, Authenticated: len(p.secrets) > 0}
	if env.HTTP != nil && a.API.BaseURL != "" {
		caps.Orders = checker{account: a.Account, api: a.API, http: env.HTTP, now: env.Now}
	}
	return caps, nil
}
