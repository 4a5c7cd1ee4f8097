package peers_test

import (
	"os"
	"strings"
	"testing"

	"rampstream/internal/events"
)

// call is one that a document has, under the peers' name for it.
type call struct {
	provider events.Provider
	call     string
}

// documented reads the table of docs/providers/CALLS.md.
func documented(t *testing.T) []call {
	t.Helper()
	text, err := os.ReadFile("../../docs/providers/CALLS.md")
	must(t, err)
	var out []call
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 6 {
			continue
		}
		provider, name := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[4])
		if _, ok := known[events.Provider(provider)]; ok && name != "-" {
			out = append(out, call{events.Provider(provider), name})
		}
	}
	if len(out) < 30 {
		t.Fatalf("the table of calls has %d rows; want all", len(out))
	}
	return out
}
