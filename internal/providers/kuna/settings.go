package kuna

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// minSecret is the least length of a credential that we choose, in bytes.
const minSecret = 16

// widgetPath is the name under api.paths of the widget's address. The document
// shows one that looks like a test host, so there is no default.
const widgetPath = "widget"

// defaultRoutes are the calls whose route is a setting. The documents give the
// paths, and for the two of the widget no method; every other call is POST.
var defaultRoutes = map[string]string{
	"login": "/v2/auth/login", "operation_details": "/v2/operation/details", "operation_find": "/v2/operation/find",
	"customer_create": "/v2/customer/create", "customer_details": "/v2/customer/details",
	"ramp_token": "/v2/ramp/token", "ramp_invalidate": "/v2/ramp/invalidate",
}

// routeOf reads the route of a call, configured or the document's.
func routeOf(api providers.API, name string) (providers.Route, error) {
	r, err := providers.ParseRoute(orDefault(api.Paths[name], defaultRoutes[name]), "POST", "")
	if err == nil && r.Method == "GET" {
		return providers.Route{}, errors.New("must have a method that takes a body")
	}
	return r, err
}

// knownFields are the members and parameters that api.fields may rename.
var knownFields = []string{
	"id", "status", "type", "externalId", "walletId", "createdAt", "sourceAmount", "sourceAsset", "targetAmount", "targetAsset",
	"verificationStatus", "walletStatus", "accessToken", "token", "skip", "take", "dateFrom", "dateTo",
}

// fields maps a documented name to the configured one.
type fields map[string]string

func (f fields) name(documented string) string { return orDefault(f[documented], documented) }

func (f fields) get(v jsonx.Value, documented string) jsonx.Value { return v.Get(f.name(documented)) }

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// The bounds of api.page_size. The largest page that KunaCore accepts is not
// documented.
const (
	defaultPage = 50
	maxPage     = 500
)

// validate reports every fault of a's settings.
func validate(a providers.Account, policy providers.Policy) []string {
	faults := providers.UnusedSettings(a,
		"webhook.trust", "webhook.path_token", "webhook.fields",
		"api.base_url", "api.allow_insecure", "api.merchant_id", "api.login", "api.password", "api.password_file",
		"api.api_key", "api.api_key_file", "api.auth_header", "api.paths", "api.fields", "api.statuses", "api.page_size")
	faults = append(faults, webhookFaults(a.Webhook)...)
	insecure := a.API.AllowInsecure || policy.Demo
	faults = append(faults, addressFaults(a.API, insecure)...)
	faults = append(faults, credentialFaults(a.API)...)
	faults = append(faults, fieldFaults(a.API.Fields)...)
	if n := a.API.PageSize; n != 0 && (n < 1 || n > maxPage) {
		faults = append(faults, fmt.Sprintf("api.page_size: must be 1 to %d (got %d)", maxPage, n))
	}
	return append(faults, statusFaults(a.API.Statuses)...)
}

func webhookFaults(w providers.Webhook) []string {
	var faults []string
	if w.Trust != "hint" {
		faults = append(faults, fmt.Sprintf("webhook.trust: must be \"hint\", no signature of KunaCore's callback is documented (got %q)", w.Trust))
	}
	if w.PathToken != "" {
		f := providers.SecretFault("webhook.path_token", w.PathToken, minSecret)
		if f == "" && !events.ValidPart(w.PathToken.Reveal()) {
			f = "webhook.path_token: must be 16-128 of [A-Za-z0-9._:-]"
		}
		faults = appendFault(faults, f)
	}
	for _, name := range slices.Sorted(maps.Keys(w.Fields)) {
		switch {
		case name != "id":
			faults = append(faults, fmt.Sprintf("webhook.fields.%s: unknown field, known is id", name))
		case slices.Contains(strings.Split(w.Fields[name], "."), ""):
			faults = append(faults, fmt.Sprintf("webhook.fields.id: must be names joined by points (got %q)", w.Fields[name]))
		}
	}
	return faults
}

func addressFaults(api providers.API, insecure bool) []string {
	var faults []string
	if api.BaseURL == "" {
		faults = append(faults, "api.base_url: must be set, KunaCore's documents show a placeholder only")
	} else {
		faults = appendFault(faults, providers.URLFault("api.base_url", api.BaseURL, insecure))
	}
	for _, name := range slices.Sorted(maps.Keys(api.Paths)) {
		switch {
		case name == widgetPath:
			faults = appendFault(faults, providers.URLFault("api.paths."+name, api.Paths[name], insecure))
		case defaultRoutes[name] == "":
			faults = append(faults, fmt.Sprintf("api.paths.%s: unknown call, known are %s and %v", name, widgetPath, slices.Sorted(maps.Keys(defaultRoutes))))
		case api.Paths[name] == "":
			faults = append(faults, fmt.Sprintf("api.paths.%s: must not be empty", name))
		default:
			if _, err := routeOf(api, name); err != nil {
				faults = append(faults, fmt.Sprintf("api.paths.%s: %v", name, err))
			}
		}
	}
	return faults
}

// credentialFaults: either an API key, or a login with its merchant and password.
func credentialFaults(api providers.API) []string {
	hasKey := api.APIKey != "" || api.APIKeyFile != ""
	hasPassword := api.Password != "" || api.PasswordFile != ""
	hasLogin := api.MerchantID != "" || api.Login != "" || hasPassword
	var faults []string
	switch {
	case hasKey && hasLogin:
		faults = append(faults, "api.api_key: must not be set beside merchant_id, login or password")
	case hasLogin:
		for _, f := range []struct {
			name string
			set  bool
		}{{"merchant_id", api.MerchantID != ""}, {"login", api.Login != ""}, {"password", hasPassword}} {
			if !f.set {
				faults = append(faults, "api."+f.name+": must be set: merchant_id, login and password belong together")
			}
		}
	case !hasKey:
		faults = append(faults, "api.api_key: must be set, or merchant_id, login and password")
	}
	if api.APIKey != "" {
		faults = appendFault(faults, providers.SecretFault("api.api_key", api.APIKey, minSecret))
	}
	if api.Password != "" {
		faults = appendFault(faults, providers.SecretFault("api.password", api.Password, 0))
	}
	switch {
	case api.AuthHeader == "":
	case !headerName(api.AuthHeader):
		faults = append(faults, fmt.Sprintf("api.auth_header: must be the name of a header (got %q)", api.AuthHeader))
	case hasLogin:
		faults = append(faults, "api.auth_header: used only with api.api_key, a login's token is a bearer token")
	}
	if api.MerchantID != "" && !events.ValidPart(api.MerchantID) {
		faults = append(faults, "api.merchant_id: must be 1-128 of [A-Za-z0-9._:-]")
	}
	return faults
}

func headerName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func fieldFaults(configured map[string]string) []string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		switch {
		case !slices.Contains(knownFields, name):
			faults = append(faults, fmt.Sprintf("api.fields.%s: unknown field, known are %v", name, knownFields))
		case !providers.IsWord(configured[name], maxWord):
			faults = append(faults, fmt.Sprintf("api.fields.%s: must be a name", name))
		}
	}
	return faults
}

// maxConfigured bounds a configured word: of a longer one evidence has a hash,
// which is in no table.
const maxConfigured = 64

func statusFaults(statuses map[string]string) []string {
	var faults []string
	for _, raw := range slices.Sorted(maps.Keys(statuses)) {
		field := fmt.Sprintf("api.statuses[%q]", raw)
		_, operation := operationWords[raw]
		_, customer := customerWords[raw]
		if operation || customer {
			faults = append(faults, field+": is in the documented table and cannot be redefined")
		}
		if raw == "" || len(raw) > maxConfigured {
			faults = append(faults, fmt.Sprintf("%s: must have 1 to %d bytes", field, maxConfigured))
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
