package zumo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// minSecret is the least length of a credential, in bytes.
const minSecret = 16

// defaultBase is the only host that the document names, a sandbox.
const defaultBase = "https://kit.sandbox.zumo.money/v1"

// defaultFields are what the document leaves open. The request parameters of
// the second and later pages of a list are our guess from the names in the
// answer; the member that names the application in a log-in differs between the
// document's samples; the unit of expiresIn, s or ms, is our guess.
var defaultFields = map[string]string{"limit": "limit", "offset": "offset", "app_id": "appId", "expires_unit": "s"}

// maxPage bounds api.page_size; the largest that Zumo accepts is not documented.
const maxPage = 1000

var (
	hintSettings   = []string{"webhook.trust", "webhook.path_token"}
	signedSettings = []string{"webhook.algorithm", "webhook.encoding", "webhook.header", "webhook.prefix",
		"webhook.secrets", "webhook.secret_files", "webhook.allow_short_secrets"}
	apiSettings = []string{"api.base_url", "api.allow_insecure", "api.app_id", "api.app_secret", "api.app_secret_file",
		"api.fields", "api.page_size"}
)

// validate reports every fault of a's settings. A route is either verified, by
// an algorithm and secrets, or says that its deliveries are hints.
func validate(a providers.Account, policy providers.Policy) []string {
	w := a.Webhook
	used := slices.Clone(apiSettings)
	var faults []string
	switch {
	case w.Algorithm != "" && w.Trust != "":
		faults = append(faults, fmt.Sprintf("webhook.trust: must not be set beside webhook.algorithm (got %q)", w.Trust))
		used = slices.Concat(used, hintSettings, signedSettings)
	case w.Algorithm != "":
		used = append(used, signedSettings...)
		faults = append(faults, schemeFaults(w)...)
	case w.Trust == "hint":
		used = append(used, hintSettings...)
		faults = append(faults, hintFaults(a)...)
	default:
		used = slices.Concat(used, hintSettings, signedSettings)
		faults = append(faults, fmt.Sprintf("webhook.trust: must be \"hint\", or webhook.algorithm and webhook.secrets set: how Zumo signs is not documented (got %q)", w.Trust))
	}
	faults = append(faults, providers.UnusedSettings(a, used...)...)
	return append(faults, apiFaults(a.API, policy)...)
}

func hintFaults(a providers.Account) []string {
	var faults []string
	if a.Webhook.PathToken != "" {
		f := secretFault("webhook.path_token", a.Webhook.PathToken, minSecret)
		if f == "" && !events.ValidPart(a.Webhook.PathToken.Reveal()) {
			f = "webhook.path_token: must be 16-128 of [A-Za-z0-9._:-]"
		}
		faults = appendFault(faults, f)
	}
	if a.API.AppID == "" {
		faults = append(faults, "api.app_id: must be set, webhooks are hints and only the API says what happened")
	}
	return faults
}

func schemeFaults(w providers.Webhook) []string {
	var faults []string
	if algorithms[w.Algorithm] == nil {
		faults = append(faults, fmt.Sprintf("webhook.algorithm: must be one of %v (got %q)", slices.Sorted(maps.Keys(algorithms)), w.Algorithm))
	}
	if w.Encoding != "" && encodings[w.Encoding] == nil {
		faults = append(faults, fmt.Sprintf("webhook.encoding: must be one of %v (got %q)", slices.Sorted(maps.Keys(encodings)), w.Encoding))
	}
	if w.Header != "" && !headerName(w.Header) {
		faults = append(faults, fmt.Sprintf("webhook.header: must be the name of a header (got %q)", w.Header))
	}
	if strings.ContainsFunc(w.Prefix, func(r rune) bool { return r < ' ' || r > '~' }) {
		faults = append(faults, fmt.Sprintf("webhook.prefix: must be printable ASCII (got %q)", w.Prefix))
	}
	if len(w.Secrets) == 0 && len(w.SecretFiles) == 0 {
		faults = append(faults, "webhook.secrets: must be set beside webhook.algorithm")
	}
	least := minSecret
	if w.AllowShortSecrets {
		least = 1
	}
	for i, s := range w.Secrets {
		faults = appendFault(faults, secretFault(fmt.Sprintf("webhook.secrets[%d]", i), s, least))
		if slices.Index(w.Secrets, s) < i {
			faults = append(faults, fmt.Sprintf("webhook.secrets[%d]: is listed twice", i))
		}
	}
	return faults
}

func headerName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func apiFaults(api providers.API, policy providers.Policy) []string {
	var faults []string
	if api.BaseURL != "" {
		faults = appendFault(faults, providers.URLFault("api.base_url", api.BaseURL, api.AllowInsecure || policy.Demo))
	}
	hasSecret := api.AppSecret != "" || api.AppSecretFile != ""
	switch {
	case api.AppID == "" && hasSecret:
		faults = append(faults, "api.app_id: must be set beside api.app_secret")
	case api.AppID != "" && !hasSecret:
		faults = append(faults, "api.app_secret: must be set beside api.app_id")
	}
	if api.AppSecret != "" {
		faults = appendFault(faults, secretFault("api.app_secret", api.AppSecret, minSecret))
	}
	if strings.ContainsFunc(api.AppID, func(r rune) bool { return r <= ' ' || r > '~' }) || strings.Contains(api.AppID, "{{") {
		faults = append(faults, fmt.Sprintf("api.app_id: must be printable, without blanks or {{...}} (got %q)", api.AppID))
	}
	for _, name := range slices.Sorted(maps.Keys(api.Fields)) {
		switch {
		case defaultFields[name] == "":
			faults = append(faults, fmt.Sprintf("api.fields.%s: unknown field, known are %v", name, slices.Sorted(maps.Keys(defaultFields))))
		case name == "expires_unit" && api.Fields[name] != "s" && api.Fields[name] != "ms":
			faults = append(faults, fmt.Sprintf("api.fields.expires_unit: must be s or ms (got %q)", api.Fields[name]))
		case !headerName(api.Fields[name]) || api.Fields[name] == "":
			faults = append(faults, fmt.Sprintf("api.fields.%s: must be the name of a parameter or member (got %q)", name, api.Fields[name]))
		}
	}
	if n := api.PageSize; n < 0 || n > maxPage {
		faults = append(faults, fmt.Sprintf("api.page_size: must be 0 (not sent) to %d (got %d)", maxPage, n))
	}
	return faults
}

// secretFault also refuses the placeholders of Zumo's own samples.
func secretFault(field string, s providers.Secret, least int) string {
	if strings.Contains(s.Reveal(), "{{") {
		return field + ": is a placeholder of Zumo's documentation"
	}
	return providers.SecretFault(field, s, least)
}

func appendFault(faults []string, fault string) []string {
	if fault == "" {
		return faults
	}
	return append(faults, fault)
}
