package ingest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/ingest"
	"rampstream/internal/stream"
)

func TestNew_refusesConfig(t *testing.T) {
	good := func() ingest.Config {
		return ingest.Config{
			Topics: stream.DefaultTopics("ramp."), Limits: ingest.DefaultLimits(),
			Routes: []ingest.Route{{Provider: "kado", Account: "acme", Parser: scheme{}}},
			Tokens: []ingest.Token{{Name: "shop", Secret: secret, Accounts: []events.Lane{"kado/acme"}}},
		}
	}
	r := newRig(t)
	deps := ingest.Deps{Publisher: r.log, Encoder: r.codec}
	if _, err := ingest.New(good(), deps); err != nil {
		t.Fatalf("New(good) = %v", err)
	}
	for name, change := range map[string]func(*ingest.Config){
		"no verifier":      func(c *ingest.Config) { c.Routes[0].Parser = nil },
		"route twice":      func(c *ingest.Config) { c.Routes = append(c.Routes, c.Routes[0]) },
		"slash in account": func(c *ingest.Config) { c.Routes[0].Account = "a/b" },
		"body above 1 MiB": func(c *ingest.Config) { c.Limits.Body = 2 << 20 },
		"no in-flight":     func(c *ingest.Config) { c.Limits.InFlight = 0 },
		"write too short":  func(c *ingest.Config) { c.Limits.Write = 8 * time.Second },
		"short token":      func(c *ingest.Config) { c.Tokens[0].Secret = "short" },
		"empty token":      func(c *ingest.Config) { c.Tokens[0].Secret = "" },
		"token twice": func(c *ingest.Config) {
			c.Tokens = append(c.Tokens, ingest.Token{Name: "b", Secret: secret, Accounts: []events.Lane{"a/b"}})
		},
		"token of nothing":  func(c *ingest.Config) { c.Tokens[0].Accounts = nil },
		"token with a name": func(c *ingest.Config) { c.Tokens[0].Name = "a b" },
	} {
		c := good()
		change(&c)
		s, err := ingest.New(c, deps)
		if err == nil || s != nil {
			t.Errorf("%s: New = %v, nil error", name, s)
			continue
		}
		if text := fmt.Sprintf("%v", err); len(text) == 0 || containsSecret(text) {
			t.Errorf("%s: error %q", name, text)
		}
	}
}

func containsSecret(s string) bool { return strings.Contains(s, secret) }
