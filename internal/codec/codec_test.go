package codec_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

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

func TestNew_refusesWhatCannotBeFramed(t *testing.T) {
	for _, bad := range []map[string]int{{"Order": 1}, {"Webhook": -1}, {"Webhook": 1 << 31}, {"Webhook": 1, "Intent": 1}} {
		if _, err := codec.New(bad, nil); err == nil {
			t.Errorf("New(%v) = nil error", bad)
		}
	}
}

func TestFrame(t *testing.T) {
	c, err := codec.New(map[string]int{"LaneState": 0x01020304}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.EncodeLaneState(events.LaneState{Lane: "kado/acme"})
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := codec.SchemaID(b); string(b[:5]) != "\x00\x01\x02\x03\x04" || id != 0x01020304 || !ok {
		t.Errorf("frame = %x, SchemaID = %d, %v", b[:5], id, ok)
	}
	if got := codec.Body(b); string(got) != string(b[5:]) {
		t.Errorf("Body = %x, want %x", got, b[5:])
	}
	for _, bad := range []string{"", "\x00", "\x00\x00\x00\x00", "\x01\x00\x00\x00\x01x"} {
		if got := codec.Body([]byte(bad)); got != nil {
			t.Errorf("Body(%x) = %x, want nil", bad, got)
		}
	}
}

// Without an id nothing is written, and the error says which record.
func TestEncode_withoutID(t *testing.T) {
	c, err := codec.New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for vector, v := range samples() {
		name, _, _ := strings.Cut(vector, "-")
		b, err := recordOf(t, name).encode(c, v)
		if !errors.Is(err, codec.ErrNoID) || b != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("encode %s = %x, %v; want ErrNoID", vector, b, err)
		}
	}
}

// quoteMe stands for what no error may quote.
const quoteMe = "do-not-quote-me"

// forbidden is a value with one field that the contract forbids.
type forbidden struct {
	record, field string
	value         any
}

func forbiddenValues() []forbidden {
	hook := func(change func(*events.Webhook)) any { w := fullWebhook(); change(&w); return w }
	intent := func(change func(*events.Intent)) any { i := fullIntent(); change(&i); return i }
	check := func(change func(*events.StatusCheck)) any { c := fullStatusCheck(); change(&c); return c }
	state := func(change func(*events.State)) any { s := fullOrderState(); change(&s); return s }
	return []forbidden{
		{"Webhook", "key", hook(func(w *events.Webhook) { w.Key.ID = quoteMe + "/x" })},
		{"Webhook", "event_id", hook(func(w *events.Webhook) { w.EventID = "" })},
		{"Webhook", "event_id", hook(func(w *events.Webhook) { w.EventID = events.EventID(strings.Repeat("x", 129)) })},
		{"Webhook", "observed_at", hook(func(w *events.Webhook) { w.ObservedAt = 0 })},
		{"Webhook", "observed_at", hook(func(w *events.Webhook) { w.ObservedAt = 253402300800000 })},
		{"Webhook", "trust", hook(func(w *events.Webhook) { w.Trust = 2 })},
		{"Webhook", "status", hook(func(w *events.Webhook) { w.Status = 99 })},
		{"Webhook", "status_raw", hook(func(w *events.Webhook) { w.StatusRaw = quoteMe + "\xff" })},
		{"Webhook", "fiat_amount", hook(func(w *events.Webhook) { w.Facts.FiatAmount = "1e3" })},
		{"Webhook", "crypto_amount", hook(func(w *events.Webhook) { w.Facts.CryptoAmount = quoteMe })},
		{"Webhook", "tx_hash", hook(func(w *events.Webhook) { w.Facts.TxHash = "\xff" })},
		{"Webhook", "funds_taken", hook(func(w *events.Webhook) { w.Facts.FundsTaken = "yes" })},
		{"Webhook", "docs_uploaded", hook(func(w *events.Webhook) { w.Facts.DocsUploaded = "TRUE" })},
		{"Webhook", "provider_created_at", hook(func(w *events.Webhook) { w.Facts.ProviderCreatedAt = -1 << 62 })},
		{"Webhook", "wallet_accounts", hook(func(w *events.Webhook) { w.Facts.WalletAccounts = `[{"id":"b"},{"id":"a"}]` })},
		{"Webhook", "wallet_accounts", hook(func(w *events.Webhook) { w.Facts.WalletAccounts = quoteMe })},
		{"Webhook", "facts", hook(func(w *events.Webhook) { w.Facts.MerchantRef = quoteMe })},
		{"Intent", "kind", intent(func(i *events.Intent) { i.Kind = 9 })},
		{"Intent", "revision", intent(func(i *events.Intent) { i.Revision = -1 })},
		{"Intent", "decision", intent(func(i *events.Intent) { i.Kind, i.Status = events.Decide, events.StatusPending })},
		{"Intent", "decision", intent(func(i *events.Intent) { i.Status = events.StatusFailed })},
		{"Intent", "facts", intent(func(i *events.Intent) { i.Facts.TxHash = "0xabc" })},
		{"StatusCheck", "cause", check(func(c *events.StatusCheck) { c.Cause = 9 })},
		{"StatusCheck", "outcome", check(func(c *events.StatusCheck) { c.Outcome = "fine" })},
		{"StatusCheck", "status_raw", check(func(c *events.StatusCheck) { c.Outcome = events.OutcomeTimeout })},
		{"StatusCheck", "http_status", check(func(c *events.StatusCheck) { c.HTTPStatus = -1 })},
		{"StatusCheck", "facts", check(func(c *events.StatusCheck) { c.Facts.CustomerRef = quoteMe })},
		{"StatusCheck", "attempt", check(func(c *events.StatusCheck) { c.Attempt = -1 })},
		{"OrderState", "status", state(func(s *events.State) { s.Status = 99 })},
		{"OrderState", "open_discrepancies", state(func(s *events.State) { s.Open = []string{"ODD"} })},
		{"OrderState", "open_discrepancies", state(func(s *events.State) { s.Open = []string{"STUCK", "STUCK"} })},
		{"OrderState", "evidence", state(func(s *events.State) { s.Evidence = append(s.Evidence, s.Evidence[0]) })},
		{"OrderState", "kind", state(func(s *events.State) { s.Evidence = []events.Evidence{{Kind: 99}} })},
		{"OrderState", "first_coordinates", state(func(s *events.State) { s.Evidence = []events.Evidence{{First: events.Sighting{Offset: 1}}} })},
		{"OrderState", "last_coordinates", state(func(s *events.State) {
			s.Evidence = []events.Evidence{{Last: events.Sighting{Topic: "t", Partition: -1}}}
		})},
		{"OrderState", "evidence", state(func(s *events.State) {
			s.Evidence = make([]events.Evidence, codec.MaxItems+1)
			for i := range s.Evidence {
				s.Evidence[i].Word = strconv.Itoa(i)
			}
		})},
		{"Webhook", "wallet_accounts", hook(func(w *events.Webhook) {
			w.Facts.WalletAccounts = events.JoinWalletAccounts(make([]events.WalletAccount, codec.MaxItems+1))
		})},
		{"Transition", "reason", events.Transition{Key: orderKey}},
		{"Discrepancy", "type", events.Discrepancy{Key: orderKey, Severity: "info"}},
		{"Discrepancy", "severity", events.Discrepancy{Key: orderKey, Type: events.Stuck, Severity: "bad"}},
		{"Discrepancy", "at_stake_amount", events.Discrepancy{Key: orderKey, Type: events.Stuck, Severity: "info", AtStake: "1,5"}},
		{"Discrepancy", "evidence", events.Discrepancy{Key: orderKey, Type: events.Stuck, Severity: "info", Evidence: make([]string, codec.MaxItems+1)}},
		{"CheckTask", "expected_amount", events.CheckTask{Key: orderKey, ExpectedAmount: "+1"}},
		{"LaneState", "lane", events.LaneState{Lane: "kado"}},
		{"LaneState", "lane", events.LaneState{Lane: "kado/acme/x"}},
		{"LaneState", "nonce_reserved", events.LaneState{Lane: "kado/acme", NonceReserved: -1}},
		{"ReconcilerPosition", "inputs", events.Position{Next: []events.InputOffset{{Topic: "t"}, {Topic: "t", Offset: 1}}}},
		{"ReconcilerPosition", "partition", events.Position{Partition: -1}},
		{"ReconcilerPosition", "state_count", events.Position{States: -1}},
	}
}

// What the contract forbids is refused when it is written, by name of the
// field and without its content.
func TestEncode_refusesWhatNobodyCouldRead(t *testing.T) {
	c := newCodec(t)
	for _, tc := range forbiddenValues() {
		b, err := recordOf(t, tc.record).encode(c, tc.value)
		if !errors.Is(err, codec.ErrInvalid) || b != nil {
			t.Errorf("encode %s with bad %s = %x, %v; want ErrInvalid", tc.record, tc.field, b, err)
			continue
		}
		if !strings.Contains(err.Error(), tc.field) || strings.Contains(err.Error(), quoteMe) {
			t.Errorf("encode %s with bad %s: error %q does not name the field, or quotes it", tc.record, tc.field, err)
		}
	}
}

func TestDecodeAny_isOneLineInSchemaOrder(t *testing.T) {
	c := newCodec(t)
	b, err := c.EncodeWebhook(fullWebhook())
	if err != nil {
		t.Fatal(err)
	}
	name, line, err := c.DecodeAny(t.Context(), b)
	if err != nil || name != "Webhook" || strings.Contains(string(line), "\n") || !json.Valid(line) {
		t.Fatalf("DecodeAny = %q, %s, %v", name, line, err)
	}
	if !strings.HasPrefix(string(line), `{"key":"kado/acme/order-1","provider":"kado","account":"acme","subject":"order",`) ||
		!strings.Contains(string(line), `"observed_at":"2025-10-09T08:53:20.123Z"`) {
		t.Errorf("DecodeAny = %s", line)
	}
}
