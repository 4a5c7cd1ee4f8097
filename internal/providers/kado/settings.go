package kado

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rampstream/internal/providers"
)

// zeroAccount is for tables that do not depend on the account.
var zeroAccount providers.Account

// The bounds of webhook.window. Below a second clocks alone would make
// deliveries stale; above an hour freshness says nothing.
const (
	minWindow = time.Second
	maxWindow = time.Hour
)

// minSecret is the least length of a secret, in bytes, unless
// webhook.allow_short_secrets.
const minSecret = 16

// documentation lists secrets that stand in documents and test vectors.
var documentation = []string{"kado-test-private-key"}

// Validate reports every fault of an account's settings.
func Validate(a providers.Account, p providers.Policy) []string {
	faults := providers.UnusedSettings(a,
		"webhook.trust", "webhook.public_key", "webhook.secrets", "webhook.secret_files", "webhook.allow_short_secrets",
		"webhook.window", "webhook.url", "webhook.strict", "webhook.reading",
		"api.base_url", "api.allow_insecure", "api.public_key", "api.private_key", "api.private_key_file", "api.widget_id", "api.paths")
	faults = append(faults, webhookFaults(a, p)...)
	faults = append(faults, apiFaults(a, p)...)
	return slices.DeleteFunc(faults, func(s string) bool { return s == "" })
}

func webhookFaults(a providers.Account, p providers.Policy) []string {
	w := a.Webhook
	var faults []string
	switch w.Trust {
	case "":
		faults = append(faults, verifierFaults(a)...)
	case "hint":
		if w.PublicKey != "" || len(w.Secrets) > 0 || w.Strict || w.Reading != "" || w.Window != 0 {
			faults = append(faults, "webhook.trust: hint verifies nothing, leave out the other webhook settings or the hint")
		}
	default:
		faults = append(faults, fmt.Sprintf("webhook.trust: must be empty or hint (got %q)", w.Trust))
	}
	for i, s := range w.Secrets {
		faults = append(faults, secretFaults(fmt.Sprintf("webhook.secrets[%d]", i), s, a, p)...)
		if slices.Contains(w.Secrets[:i], s) {
			faults = append(faults, fmt.Sprintf("webhook.secrets[%d]: must differ from the others", i))
		}
	}
	if w.Window != 0 && (w.Window < minWindow || w.Window > maxWindow) {
		faults = append(faults, fmt.Sprintf("webhook.window: must be %v to %v (got %v)", minWindow, maxWindow, w.Window))
	}
	switch {
	case w.Reading != "" && w.Reading != "canonical" && w.Reading != "raw":
		faults = append(faults, fmt.Sprintf("webhook.reading: must be canonical or raw (got %q)", w.Reading))
	case w.Strict && w.Reading == "raw":
		faults = append(faults, "webhook.reading: strict allows canonical only (got \"raw\")")
	}
	if w.URL != "" {
		// The query is part of the registered URL, so it is allowed here.
		base, _, _ := strings.Cut(w.URL, "?")
		faults = append(faults, providers.URLFault("webhook.url", base, insecure(a, p)))
	}
	return faults
}

// verifierFaults: a route that verifies needs a public key and a secret.
func verifierFaults(a providers.Account) []string {
	var faults []string
	if !headerToken(a.Webhook.PublicKey) {
		faults = append(faults, "webhook.public_key: must be our organisation's public key (or write webhook.trust: hint)")
	}
	switch {
	case len(a.Webhook.Secrets) > 0:
	case a.Webhook.Strict:
		faults = append(faults, "webhook.secrets: strict wants the webhookSecret, not the private key")
	case a.API.PrivateKey == "":
		faults = append(faults, "webhook.secrets: must have the webhookSecret, or api.private_key where none is registered (or write webhook.trust: hint)")
	}
	return faults
}

func apiFaults(a providers.Account, p providers.Policy) []string {
	var faults []string
	if a.API.BaseURL != "" {
		faults = append(faults, providers.URLFault("api.base_url", a.API.BaseURL, insecure(a, p)))
	}
	if (a.API.PublicKey == "") != (a.API.PrivateKey == "") && (a.API.PublicKey != "" || len(a.Webhook.Secrets) > 0) {
		faults = append(faults, "api.public_key: must be set together with api.private_key")
	}
	if a.API.PublicKey != "" && !headerToken(a.API.PublicKey) {
		faults = append(faults, "api.public_key: must be printable ASCII without blanks")
	}
	if a.API.WidgetID != "" && !headerToken(a.API.WidgetID) {
		faults = append(faults, "api.widget_id: must be printable ASCII without blanks")
	}
	if a.API.PrivateKey != "" {
		faults = append(faults, secretFaults("api.private_key", a.API.PrivateKey, a, p)...)
	}
	return append(faults, pathFaults(a.API)...)
}

// byUserRef is the one name under api.paths: the document names a KYC status by
// our own reference of a customer, and gives no path for it.
const byUserRef = "kyc_by_user_ref"

func userRefRoute(api providers.API) (providers.Route, error) {
	r, err := providers.ParseRoute(api.Paths[byUserRef], "GET", "{userRef}")
	if err == nil && r.Method != "GET" {
		return providers.Route{}, errors.New("must be a GET")
	}
	return r, err
}

func pathFaults(api providers.API) []string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(api.Paths)) {
		if name != byUserRef {
			faults = append(faults, fmt.Sprintf("api.paths.%s: unknown call, known is %s", name, byUserRef))
		} else if _, err := userRefRoute(api); err != nil {
			faults = append(faults, fmt.Sprintf("api.paths.%s: %v", name, err))
		}
	}
	return faults
}

func secretFaults(field string, s providers.Secret, a providers.Account, p providers.Policy) []string {
	least := minSecret
	if a.Webhook.AllowShortSecrets {
		least = 1
	}
	faults := []string{providers.SecretFault(field, s, least)}
	if !p.Demo && slices.Contains(documentation, s.Reveal()) {
		faults = append(faults, field+": is a documentation secret")
	}
	return faults
}

func insecure(a providers.Account, p providers.Policy) bool { return a.API.AllowInsecure || p.Demo }

// headerToken reports whether s may stand in a header as it is.
func headerToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
