// Package kanga speaks the Kanga Token Payment Gateway API: the unsigned
// callback, CHECK PAYMENT, and the other documented calls.
//
// A callback names a payment and nothing else, so it is always a hint; what a
// payment is worth comes from CHECK PAYMENT alone. The page that the payer
// opens is unsigned as well: the amount and currency that CHECK PAYMENT
// reports may be the payer's own, and only a comparison with the merchant's
// intent tells. This package reports them and compares nothing.
package kanga

import (
	"maps"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Name is the provider's name in keys, routes and configuration.
const Name events.Provider = "kanga"

// Provider is what the programs' mains list.
var Provider = providers.Provider{Name: Name, Vocabulary: vocabulary, Validate: validate, Open: open}

// words is the documented list of states. The document gives no meanings; two
// spellings of the same word are mixed in it, so both are read.
var words = map[string]events.Word{
	"NEW":        {Status: events.StatusCreated},
	"ACTIVE":     {Status: events.StatusPending},
	"PROCESSING": {Status: events.StatusProcessing},
	"FINALIZING": {Status: events.StatusProcessing, Note: "not settled yet"},
	"FINALIZED":  {Status: events.StatusCompleted, Note: "amount and currency are the payer's until they match an intent"},
	"CANCELLING": {Status: events.StatusProcessing, Note: "cancelling; may still finalize"},
	"CANCELING":  {Status: events.StatusProcessing, Note: "spelling of CANCELLING", Guess: true},
	"CANCELED":   {Status: events.StatusCancelled, Note: "by the payer, or because the full amount did not come"},
	"CANCELLED":  {Status: events.StatusCancelled, Note: "spelling of CANCELED", Guess: true},
	"FAILED":     {Status: events.StatusFailed},
}

// vocabulary is the documented table and the account's own words. PollOrders
// follows a setting that is not secret, so that programs without the
// credential agree about the rules.
func vocabulary(a providers.Account) events.Vocabulary {
	orders := maps.Clone(words)
	for raw, name := range a.API.Statuses {
		if s, ok := events.ParseStatus(name); ok {
			orders[raw] = events.Word{Status: s, Note: "configured"}
		}
	}
	return events.Vocabulary{
		Provider:       Name,
		Orders:         orders,
		PollOrders:     a.API.PublicKey != "",
		AmountUnsigned: true, // no move to a lower status is documented, so Regressions is empty
	}
}

// open builds the parser, and the client where the program can call. Without
// env.HTTP (ingest) no credential is looked at.
func open(a providers.Account, env providers.Env) (providers.Capabilities, error) {
	caps := providers.Capabilities{Webhook: newParser(a), CallbackByGET: true, Serial: true}
	if env.HTTP == nil || a.API.PublicKey == "" {
		return caps, nil
	}
	c, err := NewClient(a, env)
	if err != nil {
		return providers.Capabilities{}, err
	}
	caps.Orders = c
	return caps, nil
}
