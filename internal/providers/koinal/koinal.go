// Package koinal speaks to Koinal Checkout, an on-ramp: it verifies and reads
// its callbacks and makes its quote, order and status calls.
//
// The public document has lost its paths, hosts and most field names, and has
// no list of order statuses. Everything of that kind here is a placeholder that
// the settings replace; docs/providers/koinal.md marks each one. What the
// document does show, the authorization hash, is reproduced byte for byte.
package koinal

import (
	"errors"
	"fmt"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Name is the provider's name in routes, keys and configuration.
const Name events.Provider = "koinal"

// Provider is Koinal as the programs know it.
var Provider = providers.Provider{Name: Name, Vocabulary: Vocabulary, Validate: Validate, Open: Open}

// Open implements providers.Provider. Without api.base_url there is no status
// call and Orders is nil.
func Open(a providers.Account, env providers.Env) (providers.Capabilities, error) {
	p, err := newParser(a)
	if err != nil {
		return providers.Capabilities{}, fmt.Errorf("koinal/%s: %w", a.Account, err)
	}
	out := providers.Capabilities{Webhook: p, Authenticated: len(p.keys) > 0, AnyMedia: true}
	if a.API.BaseURL == "" {
		return out, nil
	}
	c, err := NewClient(a, env)
	if err != nil {
		return providers.Capabilities{}, fmt.Errorf("koinal/%s: %w", a.Account, err)
	}
	out.Orders = c
	return out, nil
}

// defaultHeaders are the names that the document's words for the signature
// header can mean. Exactly one may be present in a callback.
var defaultHeaders = []string{"Signature", "Callback-Signature", "X-Signature", "X-Callback-Signature"}

func newParser(a providers.Account) (*parser, error) {
	w := a.Webhook
	p := &parser{
		account: a.Account, vocabulary: Vocabulary(a), fields: newFields(w.Fields), strict: w.Strict,
		headers: defaultHeaders, readings: []string{"a", "b"},
	}
	if w.Trust == "hint" {
		return p, nil
	}
	if w.Header != "" {
		p.headers = []string{canonicalHeader(w.Header)}
	}
	if w.Reading != "" {
		p.readings = []string{w.Reading}
	}
	for i, s := range w.Secrets {
		if s == "" { // hashing body + "" would accept everyone's hash
			return nil, errors.New("webhook.secrets: must not be empty")
		}
		name := "older"
		if i < 2 {
			name = [...]string{"current", "previous"}[i]
		}
		p.keys = append(p.keys, key{name, s})
	}
	if len(p.keys) == 0 {
		return nil, errors.New("webhook.secrets: must be set")
	}
	return p, nil
}
