// Package kuna speaks the KunaCore API: operations, customers, widget tokens,
// and the callback, whose body and signature are not documented.
//
// A callback is therefore a hint that names an operation; states come from
// operation/details alone. KunaCore is not Kuna Pro and not KunaPay: their
// request signatures and callback headers belong to other products.
package kuna

import (
	"maps"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Name is the provider's name in keys, routes and configuration.
const Name events.Provider = "kuna"

// Provider is what the programs' mains list.
var Provider = providers.Provider{Name: Name, Vocabulary: vocabulary, Validate: validate, Open: open}

// operationWords is the documented list of operation states.
var operationWords = map[string]events.Word{
	"Created":    {Status: events.StatusCreated},
	"Processing": {Status: events.StatusProcessing},
	"OnHold":     {Status: events.StatusOnHold, Note: "blocked, for example for an AML check; may last for days"},
	"Declined":   {Status: events.StatusFailed},
	"Completed":  {Status: events.StatusCompleted},
}

// customerWords maps the word that customerWord makes. ACCEPTED is the only
// verification status that a document shows.
var customerWords = map[string]events.Word{
	"ACCEPTED+Active": {Status: events.StatusCompleted, Note: "verified, wallet usable"},
	"Blocked":         {Status: events.StatusOnHold, Note: "wallet, whatever the verification"},
	"Suspicious":      {Status: events.StatusOnHold, Note: "wallet, whatever the verification"},
}

// customerWord is the status word of a customer: the wallet's status where it
// stops everything, else "verification+wallet". A part that is not stated is
// empty.
func customerWord(verification, wallet string) string {
	if wallet == "Blocked" || wallet == "Suspicious" {
		return wallet
	}
	return verification + "+" + wallet
}

// isCustomerWord tells the words of customers from those of operations among
// the configured ones.
func isCustomerWord(raw string) bool { return strings.Contains(raw, "+") }

// regressions are the moves that look like a step back and are documented: an
// operation goes on hold and is released as often as a check asks for it, and
// a verified customer's wallet may be blocked.
var regressions = [][2]string{
	{"OnHold", "Processing"}, {"Processing", "OnHold"},
	{"ACCEPTED+Active", "Blocked"}, {"ACCEPTED+Active", "Suspicious"},
}

// vocabulary is the documented table and the account's own words. What can be
// polled follows settings that are not secret, so that programs without the
// credentials agree about the rules.
func vocabulary(a providers.Account) events.Vocabulary {
	v := events.Vocabulary{
		Provider:      Name,
		Orders:        maps.Clone(operationWords),
		Customers:     maps.Clone(customerWords),
		PollOrders:    a.API.BaseURL != "",
		PollCustomers: a.API.BaseURL != "",
		Regressions:   regressions,
	}
	for raw, name := range a.API.Statuses {
		words := v.Orders
		if isCustomerWord(raw) {
			words = v.Customers
		}
		if s, ok := events.ParseStatus(name); ok {
			words[raw] = events.Word{Status: s, Note: "configured"}
		}
	}
	return v
}

// open builds the parser, and the client where the program can call. Without
// env.HTTP (ingest) no credential is looked at.
func open(a providers.Account, env providers.Env) (providers.Capabilities, error) {
	caps := providers.Capabilities{Webhook: newParser(a)}
	if env.HTTP == nil || a.API.BaseURL == "" {
		return caps, nil
	}
	c, err := NewClient(a, env)
	if err != nil {
		return providers.Capabilities{}, err
	}
	caps.Orders, caps.Customers, caps.Sweep = operations{c}, customers{c}, operations{c}
	return caps, nil
}
