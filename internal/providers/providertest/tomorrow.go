package providertest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rampstream/internal/providers"
)

// canaryTomorrow is what a field holds that no document has. With its blanks and
// its sign it can be no id, word, network or label.
const canaryTomorrow = "Canary Fitzgerald <canary.person@example.com> 7 Canary Row"

// tomorrow: a provider may add a field to any object of a delivery, of any type.
// It changes nothing of what is taken, and nothing of it is.
func (r signedRoute) tomorrow(t *testing.T) {
	honest := meaning(r.accepted(t, r.sign(r.body())))
	want := honest
	want.EventID = ""
	for at := range objects(r.body()) {
		for _, value := range []string{
			`"` + canaryTomorrow + `"`, `{"email":"` + CanaryEmail + `","deeper":[{"name":"` + CanaryName + `"}]}`, `["` + CanaryAddress + `"]`, "1.50", "true", "null",
		} {
			w := r.accepted(t, r.sign(added(r.body(), at, "field_of_tomorrow", value)))
			got := meaning(w)
			if got.EventID == honest.EventID {
				t.Errorf("object %d with %.20s is the same event: what is signed is another", at, value)
			}
			r.noticed(t, at, value)
			if got.EventID = ""; got != want {
				t.Errorf("object %d with %.20s: %+v; want %+v", at, value, got, want)
			}
		}
	}
}

// noticed: a parser that knows its document tells of the field that it has not.
func (r signedRoute) noticed(t *testing.T, at int, value string) {
	t.Helper()
	watcher, ok := r.parser.(providers.FieldWatcher)
	if !ok {
		return
	}
	before, after := watcher.UnlistedFields(r.body()), watcher.UnlistedFields(added(r.body(), at, "field_of_tomorrow", value))
	if len(after) <= len(before) {
		t.Errorf("object %d with %.20s: %d unlisted fields, %d without the new one", at, value, len(after), len(before))
	}
	personal.keptOut(t, "the names of unlisted fields", after)
}

// objects counts the objects of a JSON text.
func objects(body []byte) int { return len(openings(body)) }

// openings are the places right after a brace that opens an object.
func openings(body []byte) (out []int) {
	quoted := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '{' && !quoted:
			out = append(out, i+1)
		}
	}
	return out
}

// added is body with one member more in its at-th object, before all others.
func added(body []byte, at int, name, value string) []byte {
	places := openings(body)
	i := places[at%len(places)]
	key, _ := json.Marshal(name) // a string always marshals
	member := fmt.Sprintf("%s:%s", key, value)
	if rest := strings.TrimLeft(string(body[i:]), " \t\r\n"); !strings.HasPrefix(rest, "}") {
		member += ","
	}
	return []byte(string(body[:i]) + member + string(body[i:]))
}

// FuzzExtra looks for a name under which a delivery may say something personal
// that is then kept: of fields that nobody has listed nothing is taken.
func FuzzExtra(f *testing.F, p providers.Provider, s Signed) {
	r := signedRoute{openRoute(f, p, s.Account, s.WebhookURL), s}
	for _, name := range []string{"", "email", "name", "id", "_id", "orderId", "status", "walletAddress", "blockchain", "network", "wallet", "\u0130d", "ID", "__proto__"} {
		f.Add(name, 0, false)
		f.Add(name, 1, true)
	}
	f.Fuzz(func(t *testing.T, name string, at int, object bool) {
		value := `"` + canaryTomorrow + `"`
		if object {
			value = `{"id":` + value + `,"name":` + value + `,"address":` + value + `}`
		}
		d := r.sign(added(r.body(), max(at, 0), name, value))
		if w, err := r.parse(t, d); err == nil { // which looks for the canaries
			r.oneMeaning(t, "with a field more", d)
			personal.with(canaryTomorrow).keptOut(t, "a webhook", w)
		}
	})
}
