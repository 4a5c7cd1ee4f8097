// Package kado speaks to Kado, an on- and off-ramp: it verifies and reads its
// webhooks and asks its order, KYC and quote routes.
//
// It promises that a delivery becomes SIGNED only if one of the configured
// keys signed every byte that is believed, and that no name, address, document
// number, wallet address or memo leaves this package. What the public documents
// leave open is in docs/providers/kado.md, each with its default and setting.
package kado

import (
	"errors"
	"fmt"
	"net/url"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Name is the provider's name in routes, keys and configuration.
const Name events.Provider = "kado"

// DefaultBaseURL is the documented production host.
const DefaultBaseURL = "https://api.kado.money"

// Provider is Kado as the programs know it.
var Provider = providers.Provider{Name: Name, Vocabulary: Vocabulary, Validate: Validate, Open: Open}

// Open implements providers.Provider. A webhook verifier without any key
// cannot be built, whatever Validate was asked before: an empty key would
// accept everyone's signature. Without a registered URL, in the settings or in
// env, there is nothing to verify a path with and Webhook is nil: programs that
// only call need none.
func Open(a providers.Account, env providers.Env) (providers.Capabilities, error) {
	p, err := newParser(a, env)
	if err != nil {
		return providers.Capabilities{}, fmt.Errorf("kado/%s: %w", a.Account, err)
	}
	c, err := NewClient(a, env)
	if err != nil {
		return providers.Capabilities{}, fmt.Errorf("kado/%s: %w", a.Account, err)
	}
	out := providers.Capabilities{Orders: orderChecker{c}}
	if p != nil {
		out.Webhook, out.Authenticated = p, len(p.keys) > 0
	}
	if c.canSign() {
		out.Customers = customerChecker{c}
	}
	return out, nil
}

// newParser returns nil, nil where no registered URL is known.
func newParser(a providers.Account, env providers.Env) (*parser, error) {
	w := a.Webhook
	p := &parser{
		account: a.Account, vocabulary: Vocabulary(a), publicKey: w.PublicKey, window: w.Window, strict: w.Strict,
		canonical: w.Reading != "raw", raw: !w.Strict && w.Reading != "canonical",
	}
	if p.window <= 0 {
		p.window = defaultWindow
	}
	if w.Trust == "hint" {
		return p, nil
	}
	if w.PublicKey == "" {
		return nil, errors.New("webhook.public_key: must be set")
	}
	var err error
	if p.keys, err = webhookKeys(a); err != nil {
		return nil, err
	}
	registered := w.URL
	if registered == "" {
		registered = env.WebhookURL
	}
	if registered == "" {
		return nil, nil
	}
	if p.paths, err = signedPaths(registered, w.Strict); err != nil {
		return nil, err
	}
	return p, nil
}

// webhookKeys: the private key signs webhooks only where no webhookSecret was
// ever registered.
func webhookKeys(a providers.Account) ([]named, error) {
	var keys []named
	for i, s := range a.Webhook.Secrets {
		name := "older"
		if i < 2 {
			name = [...]string{"current", "previous"}[i]
		}
		keys = append(keys, named{name, s.Reveal()})
	}
	if len(keys) == 0 && !a.Webhook.Strict {
		keys = []named{{"private_key", a.API.PrivateKey.Reveal()}}
	}
	for _, k := range keys {
		if k.value == "" {
			return nil, errors.New("webhook.secrets: must not be empty")
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("webhook.secrets: must be set")
	}
	return keys, nil
}

// signedPaths are the readings of "API route excluding base url" for the
// registered URL: its path, its path with the query, and both spellings of a
// bare host. Strict keeps the first. The request's own path is no candidate: a
// proxy may have changed it, and the sender of a forgery chose it.
func signedPaths(registered string, strict bool) ([]named, error) {
	u, err := url.Parse(registered)
	if err != nil || u.Host == "" {
		return nil, errors.New("webhook.url: must be the absolute URL registered with Kado")
	}
	path := u.EscapedPath()
	paths := []named{{"", path}}
	if strict {
		return paths, nil
	}
	if u.RawQuery != "" {
		paths = append(paths, named{"/query", path + "?" + u.RawQuery})
	}
	switch path {
	case "":
		paths = append(paths, named{"/slash", "/"})
	case "/":
		paths = append(paths, named{"/bare", ""})
	}
	return paths, nil
}
