package config_test

import (
	"strings"
	"testing"

	"rampstream/internal/config"
	"rampstream/internal/providers"
)

// What is written of a lane's budget is what it gets, or a fault: a word that is
// none passed for the default, and a rate that is no number stopped the lane or
// asked without end.
func TestValidate_poll(t *testing.T) {
	validate := func(poll string) []string {
		t.Helper()
		cfg, err := load(t, strings.Replace(valid, "{trust: hint}", "{trust: hint}, poll: {"+poll+"}", 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := cfg.Validate(config.ForIngest, []providers.Provider{signing, unsigned}, providers.Policy{}); err != nil {
			t.Errorf("poll: {%s} is none of ingest's business: %v", poll, err)
		}
		err = cfg.Validate(config.ForPoller, []providers.Provider{signing, unsigned}, providers.Policy{})
		if err == nil {
			return nil
		}
		return faultsOf(t, err)
	}
	for poll, field := range map[string]string{
		"unknown_hints: ignroe": "unknown_hints", "rate: .nan": "rate", "rate: .inf": "rate", "rate: -1": "rate", "rate: 0.00001": "rate", "rate: 1e9": "rate",
		"hint_rate: .nan": "hint_rate", "hint_rate: -0.5": "hint_rate", "burst: -1": "burst", "burst: 1000000000": "burst", "sweep_every: -1m": "sweep_every", "sweep_every: 1ns": "sweep_every",
	} {
		if got := validate(poll); len(got) != 1 || !strings.HasPrefix(got[0], "accounts[1].poll."+field+": ") {
			t.Errorf("Validate with poll: {%s} = %q; want one fault of %s", poll, got, field)
		}
	}
	for _, poll := range []string{"", "rate: 0.05", "rate: 100, burst: 50, hint_rate: 0.01, sweep_every: 1s, unknown_hints: ignore", "unknown_hints: check"} {
		if got := validate(poll); got != nil {
			t.Errorf("Validate with poll: {%s} = %q; want none", poll, got)
		}
	}
}
