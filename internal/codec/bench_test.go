package codec_test

import (
	"testing"

	"rampstream/internal/events"
)

func BenchmarkEncodeState(b *testing.B) { benchmarkEncode(b, "OrderState", benchState()) }

func BenchmarkDecodeState(b *testing.B) { benchmarkDecode(b, "OrderState", benchState()) }

func BenchmarkEncodeWebhook(b *testing.B) { benchmarkEncode(b, "Webhook", benchWebhook()) }

func BenchmarkDecodeWebhook(b *testing.B) { benchmarkDecode(b, "Webhook", benchWebhook()) }

// benchWebhook is what a provider usually states.
func benchWebhook() events.Webhook {
	w := fullWebhook()
	w.Facts = events.Facts{FiatAmount: "100.50", FiatCurrency: "EUR", CryptoAmount: "0.0021", CryptoAsset: "ETH", Side: "buy", TxHash: "0xabc", CustomerID: "cust-1"}
	return w
}

// benchState is an order after two webhooks, a poll and an intent.
func benchState() events.State {
	s, facts := fullOrderState(), benchWebhook().Facts
	s.Facts = facts
	s.Evidence = []events.Evidence{s.Evidence[0], s.Evidence[3], s.Evidence[4]}
	pending := s.Evidence[0]
	pending.Word = "pending"
	s.Evidence = append(s.Evidence, pending)
	for i := range s.Evidence {
		s.Evidence[i].Facts = facts
	}
	return s
}

func benchmarkEncode(b *testing.B, name string, v any) {
	c, r := newCodec(b), benchRecord(name)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.encode(c, v); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkDecode(b *testing.B, name string, v any) {
	c, r := newCodec(b), benchRecord(name)
	value, err := r.encode(c, v)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if _, err := r.decode(b.Context(), c, value); err != nil {
			b.Fatal(err)
		}
	}
}

func benchRecord(name string) record {
	for _, r := range records() {
		if r.name == name {
			return r
		}
	}
	panic("no record " + name)
}
