package codec_test

import (
	"slices"
	"testing"

	"rampstream/internal/codec"
	"rampstream/internal/events"
)

// What the reconciler does for an event, and what the programs around it do.
// The methods are called as they are: a record of gen_test.go would put every
// value into an interface, which costs more than some of them.

func BenchmarkEncodeState(b *testing.B) { benchmarkEncode(b, newCodec(b).EncodeState, benchState()) }

func BenchmarkDecodeState(b *testing.B) {
	c, state := newCodec(b), benchState()
	value, err := c.EncodeState(state)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if _, err := c.DecodeOrderState(b.Context(), value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeWebhook(b *testing.B) {
	benchmarkEncode(b, newCodec(b).EncodeWebhook, benchWebhook())
}

func BenchmarkDecodeWebhook(b *testing.B) {
	c := newCodec(b)
	value, err := c.EncodeWebhook(benchWebhook())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if _, err := c.DecodeWebhook(b.Context(), value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeStatusCheck(b *testing.B) {
	c, check := newCodec(b), fullStatusCheck()
	check.Facts = benchWebhook().Facts
	value, err := c.EncodeStatusCheck(check)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if _, err := c.DecodeStatusCheck(b.Context(), value); err != nil {
			b.Fatal(err)
		}
	}
}

// What the reconciler does with the state of a record's key: it reads it into
// memory that it has, and writes it again with one row that it did not read.

func BenchmarkRereadState(b *testing.B) {
	c, state := newCodec(b), joinedState()
	value, err := c.EncodeState(state)
	if err != nil {
		b.Fatal(err)
	}
	var texts codec.Texts
	var rows codec.Rows
	var x events.State
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		x = events.State{Evidence: x.Evidence[:0]}
		if err := c.RereadState(b.Context(), &texts, events.Order, value, &x, &rows); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendState(b *testing.B) {
	c, state := newCodec(b), joinedState()
	value, err := c.EncodeState(state)
	if err != nil {
		b.Fatal(err)
	}
	var texts codec.Texts
	var rows codec.Rows
	var x events.State
	if err := c.RereadState(b.Context(), &texts, events.Order, value, &x, &rows); err != nil {
		b.Fatal(err)
	}
	rows[3] = ""
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if value, err = c.AppendState(value[:0], &x, rows); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadWebhook(b *testing.B) {
	c, hook := newCodec(b), benchWebhook()
	hook.Facts = joinedFacts
	value, err := c.EncodeWebhook(hook)
	if err != nil {
		b.Fatal(err)
	}
	var texts codec.Texts
	b.ReportAllocs()
	for b.Loop() {
		var x events.Webhook
		if err := c.ReadWebhook(b.Context(), &texts, value, &x); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadStatusCheck(b *testing.B) {
	c, check := newCodec(b), fullStatusCheck()
	check.Facts = joinedFacts
	value, err := c.EncodeStatusCheck(check)
	if err != nil {
		b.Fatal(err)
	}
	var texts codec.Texts
	b.ReportAllocs()
	for b.Loop() {
		var x events.StatusCheck
		if err := c.ReadStatusCheck(b.Context(), &texts, value, &x); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeTransition(b *testing.B) {
	benchmarkEncode(b, newCodec(b).EncodeTransition, samples()["Transition-full"].(events.Transition))
}

func BenchmarkEncodeCheckTask(b *testing.B) {
	benchmarkEncode(b, newCodec(b).EncodeCheckTask, samples()["CheckTask-full"].(events.CheckTask))
}

func benchmarkEncode[T any](b *testing.B, encode func(T) ([]byte, error), v T) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(v); err != nil {
			b.Fatal(err)
		}
	}
}

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
	pending := s.Evidence[0]
	pending.Word = "pending"
	s.Evidence = []events.Evidence{pending, s.Evidence[0], s.Evidence[3], s.Evidence[4]}
	for i := range s.Evidence {
		s.Evidence[i].Facts = facts
	}
	if !slices.IsSortedFunc(s.Evidence, events.Evidence.Compare) {
		panic("rows as the reconciler has them are sorted")
	}
	return s
}

// joinedFacts are what the webhooks and answers about most orders state.
var joinedFacts = events.Facts{FiatAmount: "100.50", FiatCurrency: "USD", CryptoAmount: "0.00215", CryptoAsset: "BTC"}

// joinedState is an order of which webhooks and polls in turn said three words.
func joinedState() events.State {
	full := fullOrderState()
	s := events.State{
		Key: events.Key{Provider: "kado", Account: "acme", ID: "0123456789abcdef01234567"}, Status: events.StatusProcessing, StatusRaw: "run",
		DecidedBy: "latest_poll", DecidedSource: "poll", Since: full.Since, FirstSeenAt: full.FirstSeenAt, LastSeenAt: full.LastSeenAt,
		Facts: joinedFacts, RulesVersion: full.Evidence[0].Digest,
	}
	for _, of := range []events.Evidence{full.Evidence[0], full.Evidence[3]} { // a webhook, a poll
		for _, word := range []string{"done", "run", "wait"} {
			of.Word, of.Listed, of.Facts = word, true, joinedFacts
			s.Evidence = append(s.Evidence, of)
		}
	}
	return s
}

func benchRecord(name string) record {
	for _, r := range records() {
		if r.name == name {
			return r
		}
	}
	panic("no record " + name)
}
