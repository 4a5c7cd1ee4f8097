package providers

import (
	"crypto/sha256"
	"encoding/hex"

	"rampstream/internal/providers/jsonx"
)

// A FieldWatcher is a WebhookParser that knows every member that its provider's
// document has, whether it is taken or not. What a provider adds one day is
// dropped; a FieldWatcher lets somebody notice.
type FieldWatcher interface {
	// UnlistedFields are the names of members, at any depth, that no document
	// has, each once and hashed: a name may be somebody's. Body was verified.
	UnlistedFields(body []byte) []string
}

// maxUnlisted bounds the names of one body.
const maxUnlisted = 16

// UnlistedFields finds the names in body that are not listed, as the first 12
// digits of their SHA-256. Keys that are whole numbers are indices and not names.
func UnlistedFields(body []byte, listed map[string]bool) []string {
	doc, _, err := jsonx.Scan(body)
	if err != nil {
		return nil
	}
	var out []string
	seen := map[string]bool{}
	var walk func(jsonx.Value)
	walk = func(v jsonx.Value) {
		for _, item := range v.Items() {
			walk(item)
		}
		for _, m := range v.Members() {
			if !listed[m.Key] && !seen[m.Key] && !wholeNumber(m.Key) && len(out) < maxUnlisted {
				seen[m.Key] = true
				sum := sha256.Sum256([]byte(m.Key))
				out = append(out, hex.EncodeToString(sum[:])[:12])
			}
			walk(m.Value)
		}
	}
	walk(doc)
	return out
}

func wholeNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Listed makes the set of names.
func Listed(names ...string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}
