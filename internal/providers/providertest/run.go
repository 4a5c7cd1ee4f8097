package providertest

import (
	"testing"

	"rampstream/internal/providers"
)

// Run holds a provider to the contract.
func Run(t *testing.T, s Subject) {
	t.Helper()
	complete(t, "Subject", s)
	provider(t, s.Provider)
	for _, r := range s.Signed {
		t.Run("signed/"+r.Name, func(t *testing.T) { runSigned(t, s.Provider, r) })
	}
	for _, h := range s.Hinted {
		t.Run("hinted/"+h.Name, func(t *testing.T) { runHinted(t, s.Provider, h) })
	}
	for _, c := range s.Calls {
		t.Run("call/"+c.Name, func(t *testing.T) { runCall(t, s.Provider, c) })
	}
	for _, f := range s.Secrets {
		t.Run("secret/"+f.Name, func(t *testing.T) { runSetting(t, s.Provider, f, s.Printed) })
	}
}

// provider: the variable itself has every part.
func provider(t *testing.T, p providers.Provider) {
	t.Helper()
	if p.Name == "" || p.Vocabulary == nil || p.Validate == nil || p.Open == nil {
		t.Fatal("Provider: a member is nil")
	}
}

// valid fails unless the account is one that the provider takes.
func valid(t testing.TB, p providers.Provider, a providers.Account) {
	t.Helper()
	if faults := p.Validate(a, providers.Policy{}); len(faults) > 0 {
		t.Fatalf("Validate of the subject's own account = %q; want none", faults)
	}
}
