// Package zumo speaks the ZumoKit client API: app users, their wallets, and
// the webhook about them. The document has no order API, so everything here is
// about customers.
//
// How X-SIGNATURE is made is not documented. An account either configures a
// scheme, and then only deliveries that fit it are read, or it says trust:
// hint, and then a delivery is no more than a reason to fetch the user.
package zumo

import (
	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Name is the provider's name in keys, routes and configuration.
const Name events.Provider = "zumo"

// Provider is what the programs' mains list.
var Provider = providers.Provider{Name: Name, Vocabulary: vocabulary, Validate: validate, Open: open}

// The words of a customer. They are ours: Zumo states no status, only whether
// the wallet has accounts.
const (
	wordCreated     = "created"     // the user exists, its wallet has no account
	wordProvisioned = "provisioned" // the wallet has accounts
)

// vocabulary is the same for all accounts but for what can be polled, which
// follows a setting that is not secret, so that programs without the
// credentials agree about the rules.
func vocabulary(a providers.Account) events.Vocabulary {
	return events.Vocabulary{
		Provider: Name,
		Customers: map[string]events.Word{
			wordCreated:     {Status: events.StatusCreated, Note: "our word: no account in the wallet"},
			wordProvisioned: {Status: events.StatusCompleted, Note: "our word: the wallet has accounts"},
		},
		PollCustomers: a.API.AppID != "",
	}
}

// open builds the parser, and the client where the program can call. Without
// env.HTTP (ingest) the API's credentials are not looked at.
func open(a providers.Account, env providers.Env) (providers.Capabilities, error) {
	p, err := newParser(a)
	if err != nil {
		return providers.Capabilities{}, err
	}
	caps := providers.Capabilities{Webhook: p, Authenticated: p.verify != nil}
	if env.HTTP == nil || a.API.AppID == "" {
		return caps, nil
	}
	c, err := NewClient(a, env)
	if err != nil {
		return providers.Capabilities{}, err
	}
	caps.Customers, caps.Sweep, caps.SweepAcks = c, c, true
	return caps, nil
}
