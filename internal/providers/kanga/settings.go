package kanga

import (
	"fmt"
	"maps"
	"slices"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// The readings of "the system calls the URL" that a strict account may pin.
const (
	readingGet  = "get"
	readingPost = "post"
)

// The document's test credentials. They sign the test call and nothing else.
const (
	testAppID  = "TEST"
	testSecret = "8B2EFBECA2BEBB2C413BCFD7915E9209D80F3F4222042B31DD9D605E39F2035F"
)

// minSecret is the least length of a credential, in bytes.
const minSecret = 16

// defaultBase is the host of the document's samples. Its text and its samples
// name different hosts for two calls; see docs/providers/kanga.md.
const defaultBase = "https://api.kanga.exchange"

// The calls whose address is a setting under api.paths, with the default. The
// payer's page is on another host than the API, so its address is a whole URL.
var defaultPaths = map[string]string{
	"payment_page":   "https://kanga.exchange/tpg/payment/",
	"price_estimate": "/api/tpg/price/estimate",
	"create_payment": "/api/v2/tpg/create/payment",
	"transaction":    "/api/v2/tpg/transaction",
	"test":           "/api/v2/test",
}

// validate reports every fault of a's settings.
func validate(a providers.Account, policy providers.Policy) []string {
	faults := providers.UnusedSettings(a,
		"webhook.trust", "webhook.path_token", "webhook.strict", "webhook.reading",
		"api.base_url", "api.allow_insecure", "api.public_key", "api.private_key", "api.private_key_file",
		"api.paths", "api.statuses")
	faults = append(faults, webhookFaults(a.Webhook, policy)...)
	return append(faults, apiFaults(a.API, policy)...)
}

func webhookFaults(w providers.Webhook, policy providers.Policy) []string {
	var faults []string
	if w.Trust != "hint" {
		faults = append(faults, fmt.Sprintf("webhook.trust: must be \"hint\", Kanga's callback carries no signature (got %q)", w.Trust))
	}
	if w.PathToken != "" {
		if f := pathTokenFault(w.PathToken); f != "" {
			faults = append(faults, f)
		}
		if w.PathToken == testSecret && !policy.Demo {
			faults = append(faults, "webhook.path_token: is the secret printed in Kanga's documentation")
		}
	}
	switch {
	case w.Reading != "" && !w.Strict:
		faults = append(faults, "webhook.reading: used only with webhook.strict")
	case w.Reading != "" && w.Reading != readingGet && w.Reading != readingPost:
		faults = append(faults, fmt.Sprintf("webhook.reading: must be get or post (got %q)", w.Reading))
	}
	return faults
}

// pathTokenFault: the token is one element of a URL path and keeps strangers out.
func pathTokenFault(s providers.Secret) string {
	if f := providers.SecretFault("webhook.path_token", s, minSecret); f != "" {
		return f
	}
	if !events.ValidPart(s.Reveal()) {
		return "webhook.path_token: must be 16-128 of [A-Za-z0-9._:-]"
	}
	return ""
}

func apiFaults(api providers.API, policy providers.Policy) []string {
	var faults []string
	insecure := api.AllowInsecure || policy.Demo
	if api.BaseURL != "" {
		faults = appendFault(faults, providers.URLFault("api.base_url", api.BaseURL, insecure))
	}
	hasKey := api.PrivateKey != "" || api.PrivateKeyFile != ""
	switch {
	case api.PublicKey == "":
		faults = append(faults, "api.public_key: must be set, callbacks are hints and only the API says what happened")
	case !hasKey:
		faults = append(faults, "api.private_key: must be set beside api.public_key")
	}
	if api.PrivateKey != "" {
		faults = appendFault(faults, providers.SecretFault("api.private_key", api.PrivateKey, minSecret))
		if api.PrivateKey == testSecret && !policy.Demo {
			faults = append(faults, "api.private_key: is the secret printed in Kanga's documentation")
		}
	}
	if api.PublicKey != "" && !events.ValidPart(api.PublicKey) {
		faults = append(faults, "api.public_key: must be 1-128 of [A-Za-z0-9._:-]")
	}
	if api.PublicKey == testAppID && !policy.Demo {
		faults = append(faults, "api.public_key: is the key of the documentation's test call")
	}
	faults = append(faults, pathFaults(api, insecure)...)
	return append(faults, statusFaults(api.Statuses)...)
}

func pathFaults(api providers.API, insecure bool) []string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(api.Paths)) {
		field, path := "api.paths."+name, api.Paths[name]
		switch _, known := defaultPaths[name]; {
		case !known:
			faults = append(faults, fmt.Sprintf("%s: unknown call, known are %v", field, slices.Sorted(maps.Keys(defaultPaths))))
		case path == "" || path[0] != '/': // a whole URL: another host than base_url
			faults = appendFault(faults, providers.URLFault(field, path, insecure))
		}
	}
	return faults
}

func statusFaults(statuses map[string]string) []string {
	var faults []string
	for _, raw := range slices.Sorted(maps.Keys(statuses)) {
		field := fmt.Sprintf("api.statuses[%q]", raw)
		if _, documented := words[raw]; documented {
			faults = append(faults, field+": is in the documented table and cannot be redefined")
		}
		if s, ok := events.ParseStatus(statuses[raw]); !ok || s == events.StatusUnknown || s == events.StatusDisputed {
			faults = append(faults, fmt.Sprintf("%s: must be one of our statuses that a provider can state (got %q)", field, statuses[raw]))
		}
	}
	return faults
}

func appendFault(faults []string, fault string) []string {
	if fault == "" {
		return faults
	}
	return append(faults, fault)
}
