package koinal

import (
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// minSecret is the least length of a secret, in bytes, unless
// webhook.allow_short_secrets.
const minSecret = 16

// documentation lists secrets that stand in documents and test vectors.
var documentation = []string{"11qq22ww"}

// defaultRoutes are placeholders: the document has lost its methods and paths.
var defaultRoutes = map[string]string{"quote": "POST /quote", "order": "POST /order", "status": "GET /order/{id}/status"}

// routeOf reads the route of a call, configured or ours. A quote and an order
// have a body in the document, so they cannot be GET.
func routeOf(name, configured string) (providers.Route, error) {
	method, placeholder := "POST", ""
	if name == "status" {
		method, placeholder = "GET", "{id}"
	}
	if configured == "" {
		configured = defaultRoutes[name]
	}
	r, err := providers.ParseRoute(configured, method, placeholder)
	if err == nil && r.Method == "GET" && name != "status" {
		return providers.Route{}, errors.New("must have a method that takes a body")
	}
	return r, err
}

// Validate reports every fault of an account's settings.
func Validate(a providers.Account, p providers.Policy) []string {
	faults := providers.UnusedSettings(a,
		"webhook.trust", "webhook.secrets", "webhook.secret_files", "webhook.allow_short_secrets", "webhook.strict",
		"webhook.reading", "webhook.header", "webhook.fields",
		"api.base_url", "api.allow_insecure", "api.private_key", "api.private_key_file", "api.merchant_code",
		"api.customer_reference", "api.paths", "api.fields", "api.statuses", "api.auth_header")
	faults = append(faults, webhookFaults(a, p)...)
	if apiUsed(a.API) {
		faults = append(faults, apiFaults(a, p)...)
	}
	faults = append(faults, statusFaults(a.API.Statuses)...)
	return slices.DeleteFunc(faults, func(s string) bool { return s == "" })
}

func webhookFaults(a providers.Account, p providers.Policy) []string {
	w := a.Webhook
	var faults []string
	switch {
	case w.Trust == "hint":
		if len(w.Secrets) > 0 || w.Strict || w.Reading != "" || w.Header != "" {
			faults = append(faults, "webhook.trust: hint verifies nothing, leave out the other webhook settings or the hint")
		}
	case w.Trust != "":
		faults = append(faults, fmt.Sprintf("webhook.trust: must be empty or hint (got %q)", w.Trust))
	case len(w.Secrets) == 0:
		faults = append(faults, "webhook.secrets: must have the callback secret (or write webhook.trust: hint)")
	}
	for i, s := range w.Secrets {
		faults = append(faults, secretFaults(fmt.Sprintf("webhook.secrets[%d]", i), s, a, p)...)
		if slices.Contains(w.Secrets[:i], s) {
			faults = append(faults, fmt.Sprintf("webhook.secrets[%d]: must differ from the others", i))
		}
	}
	switch w.Reading {
	case "", "a", "b", "c":
	default:
		faults = append(faults, fmt.Sprintf("webhook.reading: must be a, b or c (got %q)", w.Reading))
	}
	if w.Strict && w.Reading == "" {
		faults = append(faults, "webhook.reading: strict wants one of a, b or c")
	}
	if w.Strict && w.Header == "" {
		faults = append(faults, "webhook.header: strict wants the name of the signature header")
	}
	if w.Header != "" && canonicalHeader(w.Header) == "" {
		faults = append(faults, "webhook.header: must be a header name")
	}
	return append(faults, fieldFaults("webhook.fields", w.Fields, orderFields)...)
}

func apiUsed(api providers.API) bool {
	return api.BaseURL != "" || api.PrivateKey != "" || api.MerchantCode != "" || api.CustomerRef != "" ||
		len(api.Paths) > 0 || len(api.Fields) > 0 || api.AuthHeader != ""
}

func apiFaults(a providers.Account, p providers.Policy) []string {
	api := a.API
	faults := []string{providers.URLFault("api.base_url", api.BaseURL, api.AllowInsecure || p.Demo)}
	if api.PrivateKey == "" {
		faults = append(faults, "api.private_key: must be the secret that Koinal issued")
	} else {
		faults = append(faults, secretFaults("api.private_key", api.PrivateKey, a, p)...)
	}
	if !wholeNumber(api.MerchantCode) {
		faults = append(faults, fmt.Sprintf("api.merchant_code: must be a whole number (got %q)", api.MerchantCode))
	}
	if !SafeReference(api.CustomerRef) {
		faults = append(faults, "api.customer_reference: must be 1-128 of [A-Za-z0-9._:-] with no digit at either end, or it runs into its neighbours in the signed string")
	}
	for _, name := range slices.Sorted(maps.Keys(api.Paths)) {
		faults = append(faults, pathFault(name, api.Paths[name]))
	}
	if api.AuthHeader != "" && canonicalHeader(api.AuthHeader) == "" {
		faults = append(faults, "api.auth_header: must be a header name")
	}
	if h := api.Fields["token_header"]; h != "" && canonicalHeader(h) == "" {
		faults = append(faults, "api.fields.token_header: must be a header name")
	}
	if u := api.Fields["timestamp_unit"]; u != "" && u != "s" && u != "ms" {
		faults = append(faults, fmt.Sprintf("api.fields.timestamp_unit: must be s or ms (got %q)", u))
	}
	faults = append(faults, fieldFaults("api.fields", api.Fields, slices.Concat(orderFields, callFields, statusFields()))...)
	return append(faults, nestingFaults(newFields(api.Fields))...)
}

// nestingFaults: in one request a name cannot hold a value and an object.
func nestingFaults(f fields) []string {
	var faults []string
	for _, request := range [][]string{
		{"currency_amount", "currency", "cryptocurrency_amount", "cryptocurrency"}, {"token", "wallet_address", "ip_address", "destination_tag"},
	} {
		for _, a := range request {
			for _, b := range request {
				if a != b && strings.HasPrefix(f.name(b)+".", f.name(a)+".") {
					faults = append(faults, fmt.Sprintf("api.fields.%s: must not be %s, or lead into it (got %q)", b, a, f.name(b)))
				}
			}
		}
	}
	return faults
}

func pathFault(name, path string) string {
	field := "api.paths." + name
	if defaultRoutes[name] == "" {
		return field + ": must be quote, order or status"
	}
	if path == "" {
		return field + ": must not be empty"
	}
	if _, err := routeOf(name, path); err != nil {
		return field + ": " + err.Error()
	}
	return ""
}

func fieldFaults(section string, configured map[string]string, known []string) []string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		switch {
		case !slices.Contains(known, name):
			faults = append(faults, fmt.Sprintf("%s: has no field %q", section, name))
		case configured[name] == "" || !printable(configured[name]) || slices.Contains(strings.Split(configured[name], "."), ""):
			faults = append(faults, section+"."+name+": must be a name, or names joined by points")
		}
	}
	return faults
}

// statusFaults: a configured word may not claim DISPUTED, which is ours alone.
func statusFaults(statuses map[string]string) []string {
	var faults []string
	for _, word := range slices.Sorted(maps.Keys(statuses)) {
		status, ok := events.ParseStatus(statuses[word])
		if !ok || status == events.StatusDisputed {
			faults = append(faults, fmt.Sprintf("api.statuses.%s: must be a status other than DISPUTED (got %q)", word, statuses[word]))
		}
		if !statusWord(word) {
			faults = append(faults, fmt.Sprintf("api.statuses: %q can be no status word", word))
		}
	}
	return faults
}

func secretFaults(field string, s providers.Secret, a providers.Account, p providers.Policy) []string {
	known := slices.Contains(documentation, s.Reveal())
	least := minSecret
	if a.Webhook.AllowShortSecrets || (p.Demo && known) {
		least = 1
	}
	faults := []string{providers.SecretFault(field, s, least)}
	if known && !p.Demo {
		faults = append(faults, field+": is a documentation secret")
	}
	return faults
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// canonicalHeader is the canonical MIME form of a header name, "" for what is none.
func canonicalHeader(name string) string {
	for i := range len(name) {
		c := name[i]
		if !digit(c) && c != '-' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return ""
		}
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}
