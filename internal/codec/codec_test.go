package codec_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/schemas"
)

// ids gives every record an id, in the order of schemas.Names.
func ids() map[string]int {
	out := map[string]int{}
	for i, name := range schemas.Names() {
		out[name] = i + 1
	}
	return out
}

func newCodec(t testing.TB) *codec.Codec {
	t.Helper()
	c, err := codec.New(ids(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSmoke(t *testing.T) {
	c := newCodec(t)
	s := sampleState()
	b, err := c.EncodeState(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.DecodeState(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, got); d != "" {
		t.Fatal(d)
	}
	name, line, err := c.DecodeAny(context.Background(), b)
	t.Log(name, string(line), err, len(b))
}

func sampleState() events.State {
	f := events.Facts{FiatAmount: "100.50", FiatCurrency: "EUR", CryptoAmount: "0.010", CryptoAsset: "BTC", TxHash: "ab"}
	at := func(n int64) events.Sighting {
		return events.Sighting{At: events.Millis(1760000000000 + n), EventID: events.EventID(events.Digest("x")), Topic: "ramp.webhook.v1", Partition: 3, Offset: n}
	}
	return events.State{
		Key:    events.Key{Provider: "kado", Account: "acme", ID: "order-1"},
		Status: events.StatusCompleted, StatusRaw: "settled", DecidedBy: "terminal", DecidedSource: "webhook", Terminal: true,
		Since: 1760000000001, FirstSeenAt: 1760000000000, LastSeenAt: 1760000000005, RulesVersion: "r1", Facts: f, Expected: events.Facts{FiatAmount: "100.50", FiatCurrency: "EUR"},
		Open: []string{"AMOUNT_MISMATCH"},
		Evidence: []events.Evidence{
			{Kind: events.EvidenceWebhook, Word: "pending", Digest: f.Digest(), First: at(1), Facts: f},
			{Kind: events.EvidenceWebhook, Word: "settled", Digest: f.Digest(), First: at(2), Facts: f},
			{Kind: events.EvidencePoll, Word: "settled", First: at(3), Last: at(9), Facts: f},
			{Kind: events.EvidenceIntent, Digest: "cc", First: at(4), Revision: 2, Facts: events.Facts{FiatAmount: "100.50", FiatCurrency: "EUR"}},
		},
	}
}

func BenchmarkEncodeState(b *testing.B) {
	c, s := newCodec(b), sampleState()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.EncodeState(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeState(b *testing.B) {
	c := newCodec(b)
	v, err := c.EncodeState(sampleState())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.DecodeState(b.Context(), v); err != nil {
			b.Fatal(err)
		}
	}
}
