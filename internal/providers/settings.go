package providers

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// UnusedSettings reports every setting of a's webhook and api sections that is
// set and not among used (names as in the configuration, e.g. "api.base_url"),
// each as "field: rule". Values are not quoted: an unused field may hold a
// secret that was meant for another one.
func UnusedSettings(a Account, used ...string) []string {
	var faults []string
	for section, v := range map[string]reflect.Value{"api": reflect.ValueOf(a.API), "webhook": reflect.ValueOf(a.Webhook)} {
		for i := range v.NumField() {
			name := section + "." + v.Type().Field(i).Tag.Get("koanf")
			if !v.Field(i).IsZero() && !slices.Contains(used, name) && name != "webhook.allow_from" { // which is ingest's
				faults = append(faults, name+": not used by "+string(a.Provider)+", leave it out")
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// SecretFault says what is wrong with a credential, as "field: rule", or "".
// minLen is in bytes; 0 for a credential whose length the provider decides.
// The value is never quoted.
func SecretFault(field string, s Secret, minLen int) string {
	v := strings.TrimSpace(s.Reveal())
	switch {
	case v == "":
		return field + ": must not be empty or blank"
	case v != s.Reveal():
		return field + ": must not begin or end with a blank"
	case strings.Contains(v, "${"):
		return field + ": holds an unresolved ${...}"
	case slices.Contains([]string{"changeme", "change-me", "secret", "password", "todo", "xxx"}, strings.ToLower(v)):
		return field + ": is a placeholder"
	case len(v) < minLen:
		return fmt.Sprintf("%s: must have at least %d bytes (got %d)", field, minLen, len(v))
	}
	return ""
}

// URLFault says what is wrong with the URL of a setting, as "field: rule (got
// v)", or "". Plain http is a fault unless insecure. A user, query or fragment
// is a fault too, and then the value is not quoted.
func URLFault(field, raw string, insecure bool) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return field + ": must be a URL"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return field + ": must have no user, query or fragment"
	case u.Scheme == "http" && u.Host != "":
		if !insecure {
			return fmt.Sprintf("%s: must be https unless api.allow_insecure (got %q)", field, raw)
		}
	case u.Scheme != "https" || u.Host == "":
		return fmt.Sprintf("%s: must be an absolute https URL (got %q)", field, raw)
	}
	return ""
}
