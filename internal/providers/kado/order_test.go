package kado_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
)

// observe reads a signed delivery with the given data.
func observe(t *testing.T, head, data string) events.Webhook {
	t.Helper()
	body := `{"id":"w1",` + head + `"data":` + data + `}`
	w, err := open(t, account()).ParseWebhook(sent{body: body, payload: body}.delivery(t))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return w
}

func TestParseWebhook_types(t *testing.T) {
	for _, tc := range []struct {
		head, raw string
		want      events.Status
	}{
		{`"resource":"order","type":"order_pending",`, "order_pending", events.StatusPending},
		{`"resource":"order","type":"order_processing",`, "order_processing", events.StatusProcessing},
		{`"resource":"order","type":"order_completed",`, "order_completed", events.StatusCompleted},
		{`"resource":"order","type":"order_failed",`, "order_failed", events.StatusFailed},
		{`"resource":"order","type":"order_refunded",`, "order_refunded", events.StatusUnknown},
		{`"resource":"order","type":"ORDER_COMPLETED",`, "ORDER_COMPLETED", events.StatusUnknown},
		{`"resource":null,"type":"order_failed",`, "order_failed", events.StatusFailed},
		{`"type":"order_failed",`, "order_failed", events.StatusFailed},
		{`"resource":"payout","type":"order_completed",`, "payout:order_completed", events.StatusUnknown},
	} {
		w := observe(t, tc.head, `{"id":"x1","orderId":"x1"}`)
		if w.StatusRaw != tc.raw || w.Status != tc.want || w.Key.ID != "x1" || w.Trust != events.TrustSigned {
			t.Errorf("%s: %+v; want %s, %v", tc.head, w, tc.raw, tc.want)
		}
	}
	for _, tc := range []struct{ data, want string }{
		{`{"id":"a","_id":"b","orderId":"c"}`, "a"}, {`{"id":null,"_id":"b","orderId":"c"}`, "b"}, {`{"orderId":"c"}`, "c"}, {`{"ID":"x","orderId":"c"}`, "c"},
	} {
		if w := observe(t, `"type":"order_failed",`, tc.data); w.Key.ID != tc.want {
			t.Errorf("%s: order %q, want %q", tc.data, w.Key.ID, tc.want)
		}
	}
}

// Both statuses of an order object become one word; each word's meaning is
// that of the vocabulary.
func TestStatusWords(t *testing.T) {
	for _, tc := range []struct {
		payment, transfer, machine string // "" is absent
		word                       string
		want                       events.Status
		funds                      string
	}{
		{`"pending"`, `"uninitiated"`, `"PENDING_PAYMENT"`, "pending+uninitiated", events.StatusPending, ""},
		{`"failed"`, `"uninitiated"`, `"CARD_PAYMENT_FAILED"`, "failed+uninitiated", events.StatusFailed, ""},
		{`"success"`, `"uninitiated"`, "", "success+uninitiated", events.StatusProcessing, ""},
		{`"success"`, `"pending"`, `"SETTLED"`, "success+pending", events.StatusProcessing, ""},
		{`"success"`, `"settled"`, "", "success+settled", events.StatusCompleted, ""},
		{`"success"`, `"failed"`, "", "success+failed", events.StatusFailed, "true"},
		{`"success"`, `"unknown"`, `"DELAYED_SETTLEMENT"`, "success+unknown", events.StatusProcessing, ""},
		{`null`, `"settled"`, "", "null+settled", events.StatusCompleted, ""},
		{"", `"settled"`, "", "null+settled", events.StatusCompleted, ""},
		{`null`, `null`, `"SETTLED"`, "null+null+SETTLED", events.StatusCompleted, ""},
		{`null`, `null`, `"ACH_PAYMENT_FAILED"`, "null+null+ACH_PAYMENT_FAILED", events.StatusFailed, ""},
		{`null`, `"unknown"`, `"WIRE_TRANSFER_PENDING"`, "null+unknown+WIRE_TRANSFER_PENDING", events.StatusPending, ""},
		{`null`, `null`, `"NEVER_SEEN"`, "null+null+NEVER_SEEN", events.StatusUnknown, ""},
		{`null`, `null`, `null`, "null+null", events.StatusUnknown, ""},
		{`"failed"`, `"settled"`, "", "failed+settled", events.StatusUnknown, ""},
		{`"reversed"`, `"settled"`, "", "reversed+settled", events.StatusUnknown, ""},
		{`"Jane Roe"`, `"settled"`, "", "", events.StatusUnknown, ""},
		{`7`, `"settled"`, "", "", events.StatusUnknown, ""},
		{"", "", "", "", events.StatusUnknown, ""},
	} {
		var data strings.Builder
		data.WriteString(`{"id":"x1"`)
		for name, v := range map[string]string{"paymentStatus": tc.payment, "transferStatus": tc.transfer, "machineStatusField": tc.machine} {
			if v != "" {
				data.WriteString(`,"` + name + `":` + v)
			}
		}
		w := observe(t, `"type":"order_pending",`, data.String()+"}")
		m, _ := kado.Vocabulary(providers.Account{}).Meaning(events.Order, w.Facts.StatusInData)
		if w.Facts.StatusInData != tc.word || m.Status != tc.want || w.Facts.FundsTaken != tc.funds {
			t.Errorf("%s: word %q means %v, funds %q; want %q, %v, %q", data.String(), w.Facts.StatusInData, m.Status, w.Facts.FundsTaken, tc.word, tc.want, tc.funds)
		}
	}
}

func TestFacts_amounts(t *testing.T) {
	for _, tc := range []struct {
		name, data string
		want       events.Facts
	}{
		{"buy by unit", `"payAmount":{"amount":100,"unit":"USD"},"recvAmount":{"amount":1e-7,"unit":"BTC"},"cryptoCurrency":{"symbol":"BTC"}`,
			events.Facts{Side: "buy", FiatAmount: "100", FiatCurrency: "USD", CryptoAmount: "0.0000001", CryptoAsset: "BTC"}},
		{"sell by unit", `"payAmount":{"amount":0.50,"unit":"ETH"},"recvAmount":{"amount":900.10,"unit":"EUR"},"cryptoCurrency":{"symbol":"ETH"}`,
			events.Facts{Side: "sell", FiatAmount: "900.10", FiatCurrency: "EUR", CryptoAmount: "0.50", CryptoAsset: "ETH"}},
		{"sell by type", `"orderType":"SELL","payAmount":{"amount":5,"unit":"ETH"},"recvAmount":{"amount":9,"unit":"EUR"}`,
			events.Facts{Side: "sell", FiatAmount: "9", FiatCurrency: "EUR", CryptoAmount: "5", CryptoAsset: "ETH"}},
		{"absent is not zero", `"type":"buy","payAmount":{"amount":5,"unit":"USD"},"recvAmount":{"unit":"USDC"}`,
			events.Facts{Side: "buy", FiatAmount: "5", FiatCurrency: "USD", CryptoAsset: "USDC"}},
		{"null is not zero", `"type":"buy","payAmount":{"amount":null,"unit":"USD"},"recvAmount":null`, events.Facts{Side: "buy", FiatCurrency: "USD"}},
		{"zero is zero", `"type":"buy","payAmount":{"amount":0,"unit":"USD"}`, events.Facts{Side: "buy", FiatAmount: "0", FiatCurrency: "USD"}},
		{"thirty digits", `"type":"buy","payAmount":{"amount":0.123456789012345678901234567890,"unit":"USD"}`,
			events.Facts{Side: "buy", FiatAmount: "0.123456789012345678901234567890", FiatCurrency: "USD"}},
		{"contradiction", `"orderType":"sell","payAmount":{"amount":5,"unit":"USD"},"recvAmount":{"amount":5,"unit":"USDC"},"cryptoCurrency":{"symbol":"USDC"}`,
			events.Facts{CryptoAsset: "USDC"}},
		{"nothing tells", `"payAmount":{"amount":5,"unit":"USD"},"recvAmount":{"amount":5,"unit":"USDC"}`, events.Facts{}},
		{"strings", `"type":"buy","payAmount":{"amount":"5.00","unit":"USD"},"recvAmount":{"amount":"","unit":"X"}`,
			events.Facts{Side: "buy", FiatAmount: "5.00", FiatCurrency: "USD", CryptoAsset: "X"}},
		{"free text is left out", `"userRef":"jane@example.com","txHash":"a b","blockchain":"cosmos hub","createdAt":"yesterday"`,
			events.Facts{CryptoNetwork: "cosmos hub"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := observe(t, `"type":"order_pending",`, `{"id":"x1",`+tc.data+`}`)
			if d := cmp.Diff(tc.want, w.Facts); d != "" {
				t.Errorf("facts (-want +got):\n%s", d)
			}
		})
	}
}

func TestVocabulary(t *testing.T) {
	v := kado.Vocabulary(account())
	for level, want := range map[string]events.Status{"L0": events.StatusCreated, "L1": events.StatusProcessing, "L2": events.StatusCompleted} {
		if w, ok := v.Meaning(events.Customer, level); !ok || w.Status != want {
			t.Errorf("Meaning(customer, %s) = %v, %v; want %v", level, w.Status, ok, want)
		}
	}
	for _, move := range []struct {
		from, to string
		want     bool
	}{
		{"L1", "L0", true}, {"L2", "L0", true}, {"L0", "L1", false}, {"success+unknown", "success+failed", true},
		{"success+uninitiated", "order_pending", true}, {"order_completed", "order_pending", false}, {"success+settled", "success+pending", false},
	} {
		if got := v.Legal(move.from, move.to); got != move.want {
			t.Errorf("Legal(%s, %s) = %v, want %v", move.from, move.to, got, move.want)
		}
	}
	for word, w := range v.Orders {
		if strings.Contains(word, "null+") && !w.Guess && !strings.HasPrefix(word, "pending") && !strings.HasPrefix(word, "failed") {
			t.Errorf("%s has no documented meaning, but is not marked as a guess", word)
		}
		if w.Status == events.StatusExpired || w.Status == events.StatusCancelled || w.Status == events.StatusRefunded {
			t.Errorf("%s means %v: Kado documents no such state", word, w.Status)
		}
	}
}
