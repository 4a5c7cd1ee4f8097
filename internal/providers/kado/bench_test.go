package kado_test

import (
	"strings"
	"testing"
)

// A delivery is verified within the budget of an ingest request, whatever an
// attacker puts into the body before the signature is known to be wrong.
func BenchmarkParseWebhook(b *testing.B) {
	p := open(b, account())
	members := `{"a":0` + strings.Repeat(`,"k":1e308`, 9_000) + `}`
	for name, d := range map[string]sent{
		"honest":         {body: completed},
		"wrong key":      {body: completed, key: "somebody-else's-secret"},
		"many members":   {body: members, key: "somebody-else's-secret"},
		"long number":    {body: `[1` + strings.Repeat("1", 250_000) + `e-249990]`, key: "somebody-else's-secret"},
		"many exponents": {body: "[" + strings.Repeat("4.9e-324,", 18_000) + "0]", payload: "x", key: "somebody-else's-secret"},
		"most exponents": {body: "[" + strings.Repeat("4.9e-324,", 128) + "0]", key: "somebody-else's-secret"},
		"halfway":        {body: "[" + strings.Repeat("9007199254740993e9,", 13_000) + "0]", key: "somebody-else's-secret"},
		"thirty":         {body: "[" + strings.Repeat("1152921504606846977e-30,", 10_000) + "0]", key: "somebody-else's-secret"},
	} {
		delivery := d.delivery(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.ParseWebhook(delivery)
			}
		})
	}
}
