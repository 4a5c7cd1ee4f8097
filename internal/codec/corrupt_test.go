package codec_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"pgregory.net/rapid"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/schemas"
)

// refuse decodes b as a record and wants an error of the class with the zero
// value beside it.
func refuse(t *testing.T, c *codec.Codec, name string, b []byte, class error) {
	t.Helper()
	r := recordOf(t, name)
	v, err := r.decode(t.Context(), c, b)
	if !errors.Is(err, class) {
		t.Errorf("decode %s %.60x = %v, want %v", name, b, err, class)
	}
	if !reflect.ValueOf(v).IsZero() {
		t.Errorf("decode %s: value %+v beside an error", name, v)
	}
}

// Every cut and every extra byte is found.
func TestDecode_refusesCutAndTrailingBytes(t *testing.T) {
	c := newCodec(t)
	for vector, v := range samples() {
		name, _, _ := strings.Cut(vector, "-")
		b, err := recordOf(t, name).encode(c, v)
		if err != nil {
			t.Fatal(err)
		}
		for n := range b {
			refuse(t, c, name, b[:n], codec.ErrCorrupt)
		}
		refuse(t, c, name, append(bytes.Clone(b), 0), codec.ErrCorrupt)
		b[0] = 1
		refuse(t, c, name, b, codec.ErrCorrupt)
	}
}

// native is a record as goavro holds it: what another producer might write.
type native = map[string]any

func optional(branch string, v any) native { return native{branch: v} }

// Well-formed Avro that says what the contract forbids.
func TestDecode_refusesForbiddenValues(t *testing.T) {
	row := func(change func(native)) func(native) {
		return func(n native) { change(n["evidence"].([]any)[0].(native)) }
	}
	set := func(field string, v any) func(native) { return func(n native) { n[field] = v } }
	for _, tc := range []struct {
		vector, rule string
		change       func(native)
	}{
		{"Webhook-full", "key of another subject", set("key", "kado/acme/order-2")},
		{"Webhook-full", "key of a customer", set("key", "kado/acme/customer/order-1")},
		{"Webhook-full", "provider that the key does not have", set("provider", "zumo")},
		{"Webhook-full", "account that the key does not have", set("account", "other")},
		{"Webhook-full", "subject id that the key does not have", set("subject_id", "order-2")},
		{"Webhook-full", "subject that the key does not have", set("subject", "customer")},
		{"Webhook-full", "no such subject", set("subject", "payment")},
		{"Webhook-full", "trust", set("trust", "signed")},
		{"Webhook-full", "status", set("status", "DONE")},
		{"Webhook-full", "amount with exponent", set("fiat_amount", optional("string", "1e3"))},
		{"Webhook-full", "amount with leading zero", set("fiat_amount", optional("string", "01"))},
		{"Webhook-full", "no event id", set("event_id", "")},
		{"Webhook-full", "no time", set("observed_at", time.UnixMilli(0))},
		{"Webhook-full", "not UTF-8", set("status_raw", optional("string", "\xff"))},
		{"Intent-full", "kind", set("kind", "MAYBE")},
		{"Intent-full", "decision by an EXPECT", set("decision", optional("string", "FAILED"))},
		{"Intent-decide", "decision that is not terminal", set("decision", optional("string", "PENDING"))},
		{"Intent-decide", "decision that is no status", set("decision", optional("string", "DONE"))},
		{"Intent-decide", "no decision", set("decision", nil)},
		{"Intent-full", "revision", set("revision", optional("long", int64(-1)))},
		{"StatusCheck-full", "outcome", set("outcome", "fine")},
		{"StatusCheck-full", "cause", set("cause", "curiosity")},
		{"OrderState-full", "customer in an order's record", func(n native) {
			n["subject"], n["key"] = "customer", "kado/acme/customer/order-1"
		}},
		{"OrderState-full", "open discrepancy", set("open_discrepancies", []any{"ODD"})},
		{"OrderState-full", "open discrepancies not sorted", set("open_discrepancies", []any{"STUCK", "AMOUNT_MISMATCH"})},
		{"OrderState-full", "evidence kind", row(set("kind", "rumour"))},
		{"OrderState-full", "evidence not sorted", row(set("kind", "overflow"))},
		{"OrderState-full", "evidence amount", row(set("crypto_amount", optional("string", "NaN")))},
		{"OrderState-full", "coordinates", row(set("first_coordinates", "somewhere"))},
		{"OrderState-full", "coordinates spelled otherwise", row(set("first_coordinates", "t-03-1"))},
		{"OrderState-full", "wallet accounts", row(set("wallet_accounts_json", optional("string", `[ {"id":"a"} ]`)))},
		{"Transition-full", "to_status", set("to_status", "DONE")},
		{"Transition-full", "reason", set("reason", "mood")},
		{"Discrepancy-full", "type", set("type", "ODD")},
		{"Discrepancy-full", "severity", set("severity", "fatal")},
		{"Discrepancy-full", "evidence not sorted", set("evidence", []any{"b-0-1", "a-0-1"})},
		{"CheckTask-full", "announced_status", set("announced_status", "DONE")},
		{"LaneState-full", "lane that disagrees", set("lane", "kado/other")},
		{"LaneState-full", "calls_per_second", set("calls_per_second", optional("string", "fast"))},
		{"ReconcilerPosition-full", "inputs not sorted", func(n native) { in := n["inputs"].([]any); in[0], in[1] = in[1], in[0] }},
		{"ReconcilerPosition-full", "offset", func(n native) { n["inputs"].([]any)[0].(native)["next_offset"] = int64(-1) }},
	} {
		t.Run(tc.vector+" "+tc.rule, func(t *testing.T) {
			name, _, _ := strings.Cut(tc.vector, "-")
			refuse(t, newCodec(t), name, otherwise(t, name, samples()[tc.vector], tc.change), codec.ErrCorrupt)
		})
	}
}

// otherwise encodes v, changed by a producer that does not use our codec.
func otherwise(t *testing.T, name string, v any, change func(native)) []byte {
	t.Helper()
	b, err := recordOf(t, name).encode(newCodec(t), v)
	if err != nil {
		t.Fatal(err)
	}
	oracle, err := goavro.NewCodec(schemas.Text(name))
	if err != nil {
		t.Fatal(err)
	}
	n, _, err := oracle.NativeFromBinary(codec.Body(b))
	if err != nil {
		t.Fatal(err)
	}
	change(n.(native))
	out, err := oracle.BinaryFromNative(b[:5:5], n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// An empty string in a nullable column is what null is.
func TestDecode_emptyIsAbsent(t *testing.T) {
	c := newCodec(t)
	b := otherwise(t, "Intent", samples()["Intent-minimal"], func(n native) {
		n["fiat_amount"], n["source"], n["decision"] = optional("string", ""), optional("string", ""), optional("string", "")
	})
	got, err := c.DecodeIntent(t.Context(), b)
	if want := samples()["Intent-minimal"].(events.Intent); err != nil || got != want {
		t.Errorf("DecodeIntent = %+v, %v; want %+v", got, err, want)
	}
}

// What an amount is, is said twice: here without allocations.
func TestAmounts_areThoseOfEvents(t *testing.T) {
	c := newCodec(t)
	rapid.Check(t, func(rt *rapid.T) {
		a := events.Amount(rapid.OneOf(
			rapid.StringMatching(`-?[0-9.]{0,6}`), rapid.StringMatching(`-?0?[0-9]{1,50}(\.[0-9]{0,50})?`), rapid.String(),
		).Draw(rt, "amount"))
		_, err := c.EncodeLaneState(events.LaneState{Lane: "kado/acme", Budget: a})
		if want := a == "" || a.Valid(); (err == nil) != want {
			rt.Fatalf("amount %q: %v, want accepted = %v", a, err, want)
		}
	})
}

// Bombs: small values that claim to be large, or that would keep a decoder
// busy. Time and memory stay in proportion to the input.
func TestDecode_isBounded(t *testing.T) {
	c := newCodec(t)
	b, err := c.EncodeState(events.State{Key: minimalKey})
	if err != nil {
		t.Fatal(err)
	}
	head := b[:len(b)-1] // without the empty array of evidence
	emptyRow := make([]byte, 33)
	blocks := func(n int) []byte { return bytes.Repeat(append([]byte{2}, emptyRow...), n) }
	for _, tc := range []struct {
		name string
		tail []byte
	}{
		{"count of 2^62", []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0}},
		{"count of -2^63", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 2, 0}},
		{"negative count with a huge size", []byte{3, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0}},
		{"varint without end", bytes.Repeat([]byte{0xff}, 20)},
		{"string of 2^62", []byte{2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}},
		{"string of -1", []byte{2, 1}},
		{"union branch 9", append([]byte{2, 0, 0}, 18)},
		{"20,000 blocks of one row", append(blocks(20000), 0)},
		{"5,000 rows", append(append([]byte{0x90, 0x4e}, bytes.Repeat(emptyRow, 5000)...), 0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := append(bytes.Clone(head), tc.tail...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			refuse(t, c, "OrderState", v, codec.ErrCorrupt)
			refuse(t, codec.Slow(c), "OrderState", v, codec.ErrCorrupt)
			if _, _, err := c.DecodeAny(t.Context(), v); !errors.Is(err, codec.ErrCorrupt) {
				t.Errorf("DecodeAny = %v, want ErrCorrupt", err)
			}
			runtime.ReadMemStats(&after)
			if used, limit := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+32*len(v)); used > limit {
				t.Errorf("decoding %d bytes allocated %d, want at most %d", len(v), used, limit)
			}
		})
	}
}
