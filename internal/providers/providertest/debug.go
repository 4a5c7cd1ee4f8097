package providertest

import (
	"strings"
	"testing"

	"rampstream/internal/providers"
)

// debugger: who asks why a delivery was refused gets an answer that agrees with
// ParseWebhook and gives nothing away that would let him forge one.
func (r signedRoute) debugger(t *testing.T) {
	dbg, ok := r.parser.(providers.WebhookDebugger)
	if !ok {
		t.Fatal("the parser of a verified route is no providers.WebhookDebugger")
	}
	header, err := dbg.SignWebhook(r.body(), now)
	if err != nil {
		t.Fatalf("SignWebhook = %v", err)
	}
	own := providers.Delivery{Method: "POST", Header: header, Body: r.body(), ReceivedAt: now}
	r.accepted(t, own)
	if !fits(r.explain(t, dbg, own)) {
		t.Error("ExplainWebhook finds no signature that fits an honest delivery")
	}
	forged := clone(own)
	forged.Body[len(forged.Body)/3] ^= 1
	if steps := r.explain(t, dbg, forged); fits(steps) {
		t.Errorf("ExplainWebhook finds a signature that fits a forgery: %+v", steps)
	}
	for name, d := range map[string]providers.Delivery{
		"nothing": {}, "no header": {Method: "POST", Body: r.body(), ReceivedAt: now}, "not JSON": r.sign([]byte("{")), "empty": r.sign(nil),
	} {
		if len(r.explain(t, dbg, d)) == 0 {
			t.Errorf("ExplainWebhook of %s has no steps", name)
		}
	}
}

// explain also checks that no step has a secret, a signature or content in it.
func (r signedRoute) explain(t *testing.T, dbg providers.WebhookDebugger, d providers.Delivery) []providers.Step {
	t.Helper()
	hidden := r.secret.with(CanaryID)
	if len(d.Body) > 0 {
		right := r.s.Sign(r.s.Account, d.Body, now).Header[r.s.SignatureHeader][0]
		hidden = hidden.with(right)
	}
	steps := dbg.ExplainWebhook(d, "/some/path")
	for _, s := range steps {
		hidden.keptOut(t, "a step", s)
		if s.Name == "" {
			t.Error("a step has no name")
		}
	}
	return steps
}

// fits reports whether an accepted reading of the signature fits.
func fits(steps []providers.Step) bool {
	for _, s := range steps {
		if strings.HasPrefix(s.Name, "signature: ") && s.OK && !s.Aside {
			return true
		}
	}
	return false
}
