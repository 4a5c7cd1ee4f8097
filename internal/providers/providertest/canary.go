package providertest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// The canaries: personal data as bodies carry it. None may come out again.
const (
	CanaryName    = "Canary Fitzgerald"
	CanaryEmail   = "canary.person@example.com"
	CanaryAddress = "7 Canary Row"
)

// CanaryID is the subject of deliveries and calls. It stands in keys, never in errors.
const CanaryID = "canary-id-0001"

// UnknownWord is a status word that no document has.
const UnknownWord = "NEVER_DOCUMENTED"

// canaries is a list of strings that must not come out of somewhere.
type canaries []string

var personal = canaries{CanaryName, CanaryEmail, CanaryAddress, "Fitzgerald", "canary.person", "Canary Row"}

// secretsOf collects the credentials of an account.
func secretsOf(a providers.Account) canaries {
	var out canaries
	for _, section := range []any{a.Webhook, a.API} {
		v := reflect.ValueOf(section)
		for i := range v.NumField() {
			switch f := v.Field(i).Interface().(type) {
			case providers.Secret:
				out = out.with(f.Reveal())
			case []providers.Secret:
				for _, s := range f {
					out = out.with(s.Reveal())
				}
			}
		}
	}
	return out
}

func (c canaries) with(more ...string) canaries {
	out := append(canaries(nil), c...)
	for _, s := range more {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// in names the first canary that text has in it, "" for none.
func (c canaries) in(text string) string {
	for _, s := range c {
		if strings.Contains(text, s) {
			return s
		}
	}
	return ""
}

// keptOut fails if anything that v prints as has a canary in it.
func (c canaries) keptOut(t testing.TB, what string, v any) {
	t.Helper()
	var texts []string
	if err, ok := v.(error); ok { // every verb prints an error as its text
		texts = append(texts, err.Error())
		var refused *providers.DeliveryError
		if errors.As(err, &refused) {
			texts = append(texts, refused.Detail, string(refused.Reason))
		}
	} else {
		texts = append(texts, fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v))
	}
	for _, text := range texts {
		if s := c.in(text); s != "" {
			t.Errorf("%s has the canary %q in it", what, s)
			return
		}
	}
}

// nothingPersonal checks what would be published.
func nothingPersonal(t testing.TB, c canaries, w events.Webhook) {
	t.Helper()
	c.keptOut(t, "the webhook", w)
	c.keptOut(t, "a fact", w.Facts)
}
