package config

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// checkAccounts: who the accounts are, and what their providers say to them.
func (c Config) checkAccounts(fs *faults, ps []providers.Provider, pol providers.Policy) {
	// Not below "accounts": rampctl works without any.
	fs.check(len(c.Accounts) > 0, "accounts", "at least one is required", "none")
	names := make([]string, 0, len(ps))
	for _, p := range ps {
		names = append(names, string(p.Name))
	}
	seen := map[events.Lane]bool{}
	for i, a := range c.Accounts {
		path, lane := at("accounts", i), events.LaneOf(a.Provider, a.Account)
		fs.check(events.ValidPart(string(a.Account)), path+".account", "must be 1-128 of [A-Za-z0-9._:-]", string(a.Account))
		fs.check(!seen[lane], path, "provider and account stand twice", string(lane))
		seen[lane] = true
		checkNetworks(fs, path+".webhook.allow_from", a.Webhook.AllowFrom)
		checkPoll(fs, path+".poll", a.Poll)
		j := slices.Index(names, string(a.Provider))
		if j < 0 {
			fs.check(false, path+".provider", "must be one of "+strings.Join(names, ", "), string(a.Provider))
			continue
		}
		askProvider(fs, ps[j], a, pol, path, c.WebhookURL(a))
	}
}

// checkPoll: 0 and "" are the defaults.
func checkPoll(fs *faults, path string, p providers.Poll) {
	const least, most = 0.001, 10_000
	calls := func(r float64) bool { return r == 0 || r >= least && r <= most } // false for what is no number
	fs.check(calls(p.Rate), path+".rate", "must be 0.001 to 10000 calls a second", p.Rate)
	fs.check(calls(p.HintRate), path+".hint_rate", "must be 0.001 to 10000 calls a second", p.HintRate)
	fs.check(p.Burst >= 0 && p.Burst <= 100_000, path+".burst", "must be 1 to 100000", p.Burst)
	if p.SweepEvery != 0 {
		between(fs, path+".sweep_every", p.SweepEvery, time.Second, 24*time.Hour)
	}
	fs.check(slices.Contains([]string{"", "check", "ignore"}, p.UnknownHints), path+".unknown_hints", "must be check or ignore", p.UnknownHints)
}

// askProvider adds the provider's faults and refuses a route that nothing
// verifies where nobody wrote that it is meant so.
func askProvider(fs *faults, p providers.Provider, a providers.Account, pol providers.Policy, path, webhookURL string) {
	before := len(*fs)
	if p.Validate != nil {
		for _, text := range p.Validate(a, pol) {
			field, rule, ok := strings.Cut(text, ": ")
			if !ok || strings.ContainsAny(field, " \t") {
				fs.add(path, "%s", text)
				continue
			}
			fs.add(path+"."+field, "%s", rule)
		}
	}
	const hint = "hint"
	fs.check(a.Webhook.Trust == "" || a.Webhook.Trust == hint, path+".webhook.trust", `must be absent or "hint"`, a.Webhook.Trust)
	clean := len(*fs) == before
	if p.Open == nil {
		return
	}
	caps, err := p.Open(a, providers.Env{Now: func() time.Time { return time.Time{} }, WebhookURL: webhookURL})
	switch {
	case err != nil && clean: // else it repeats the faults above
		fs.add(path, "%v", err)
	case err == nil && caps.Webhook != nil && !caps.Authenticated && a.Webhook.Trust != hint:
		fs.add(path+".webhook", `nothing verifies this route: configure a verifier, or write trust: hint to accept its deliveries as hints`)
	}
}

// A credential is a secret of the configuration and where it stands.
type credential struct {
	path   string
	owner  string // the account, or the token
	secret providers.Secret
	// verifies: whoever knows or guesses it can write to our topics.
	verifies bool
	short    bool // an explicit flag admits fewer than minSecret bytes
}

func (c Config) credentials() []credential {
	var out []credential
	for i, a := range c.Accounts {
		path, owner := at("accounts", i), string(events.LaneOf(a.Provider, a.Account))
		for j, s := range a.Webhook.Secrets {
			out = append(out, credential{at(path+".webhook.secrets", j), owner, s, true, a.Webhook.AllowShortSecrets})
		}
		for _, f := range []struct {
			name     string
			secret   providers.Secret
			verifies bool
		}{
			{".webhook.path_token", a.Webhook.PathToken, true},
			{".api.private_key", a.API.PrivateKey, false},
			{".api.password", a.API.Password, false},
			{".api.api_key", a.API.APIKey, false},
			{".api.app_secret", a.API.AppSecret, false},
		} {
			if f.secret != "" {
				out = append(out, credential{path + f.name, owner, f.secret, f.verifies, false})
			}
		}
	}
	for i, t := range c.Ingest.Tokens {
		if t.Token != "" {
			out = append(out, credential{at("ingest.tokens", i) + ".token", "token " + t.Name, t.Token, true, false})
		}
	}
	return out
}

// minSecret is the least length, in bytes, of a secret that verifies.
const minSecret = 16

// checkSecrets refuses secrets that are none: empty, unresolved, placeholders,
// published, too short, or known to a second owner.
func (c Config) checkSecrets(fs *faults, pol providers.Policy) {
	first := map[[sha256.Size]byte]credential{}
	for _, cr := range c.credentials() {
		s := cr.secret.Reveal()
		if slices.ContainsFunc(*fs, func(f fault) bool { return f.path == cr.path }) {
			continue // its provider has said what is wrong with it
		}
		switch {
		case s == "":
			fs.add(cr.path, "must not be empty")
			continue
		case strings.TrimSpace(s) != s:
			fs.add(cr.path, "must not be blank or surrounded by white space")
			continue
		case strings.Contains(s, "${") || strings.Contains(s, "{{"):
			fs.add(cr.path, "holds a reference that nothing replaced")
			continue
		case isPlaceholder(s):
			fs.add(cr.path, "is a placeholder")
			continue
		case !pol.Demo && isPublished(s):
			fs.add(cr.path, "is published in a provider's documentation or in this repository")
		case cr.verifies && !cr.short && len(s) < minSecret:
			fs.add(cr.path, "%s", shortRule(cr.path))
		}
		sum := sha256.Sum256([]byte(s))
		if other, ok := first[sum]; ok && other.owner != cr.owner {
			// One account's deliveries would verify as the other's.
			fs.add(cr.path, "is also the secret of %s", other.path)
		} else if !ok {
			first[sum] = cr
		}
	}
}

func shortRule(path string) string {
	rule := fmt.Sprintf("must be at least %d bytes", minSecret)
	if strings.Contains(path, ".webhook.secrets[") {
		rule += "; allow_short_secrets: true admits what the provider issued"
	}
	return rule
}
