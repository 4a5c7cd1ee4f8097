package providertest

import (
	"strings"
	"testing"

	"rampstream/internal/providers"
)

// goodSecret is long, printable and in nobody's document.
const goodSecret = providers.Secret("Gk7vQ2mX9sLw4tRb8nHc5pYz")

// runSetting: a credential that is none is refused before anything starts, and
// no message repeats it.
func runSetting(t *testing.T, p providers.Provider, f Setting, printed []providers.Secret) {
	complete(t, "Setting", f)
	valid(t, p, f.Account)
	with := func(s providers.Secret, pol providers.Policy) []string {
		a := f.Account
		a.Webhook.Secrets = append([]providers.Secret(nil), a.Webhook.Secrets...)
		f.Set(&a, s)
		faults := p.Validate(a, pol)
		for _, text := range faults {
			if len(s) > 8 && strings.Contains(text, s.Reveal()) {
				t.Errorf("a fault repeats the secret: %s", strings.ReplaceAll(text, s.Reveal(), "***"))
			}
		}
		return faults
	}
	if faults := with(goodSecret, providers.Policy{}); len(faults) > 0 {
		t.Errorf("a good secret: %q; want no fault", faults)
	}
	bad := map[string]providers.Secret{
		"blank": " ", "blanks": " \t\n ", "padded": " " + goodSecret, "with a line end": goodSecret + "\n", "unresolved": "${WEBHOOK_SECRET}",
		"partly unresolved": goodSecret + "${X}", "changeme": "changeme", "CHANGEME": "CHANGEME", "secret": "secret", "password": "password",
	}
	if f.Required != "" {
		bad["empty"] = ""
	}
	if f.Least > 1 {
		bad["short"] = goodSecret[:f.Least-1]
	}
	for name, s := range bad {
		faults := with(s, providers.Policy{})
		if len(faults) == 0 {
			t.Errorf("%s: no fault", name)
		} else if s != "" && !mentions(faults, f.Name) {
			t.Errorf("%s: faults %q do not name %s", name, faults, f.Name)
		}
	}
	for i, s := range printed {
		if len(with(s, providers.Policy{})) == 0 {
			t.Errorf("printed secret %d: no fault", i)
		}
	}
}

func mentions(faults []string, field string) bool {
	for _, f := range faults {
		if strings.HasPrefix(f, field) {
			return true
		}
	}
	return false
}
