package kado_test

import (
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/providers/kado"
)

// docs/providers/kado.md: legal moves to a lower status: "from success+unknown and
// null+unknown+DELAYED_SETTLEMENT to anything". null+unknown has no meaning of its own.
func TestVocabulary_unknownTransferMayGoAnywhere(t *testing.T) {
	k := events.Key{Provider: "kado", Account: "acme", ID: "o1"}
	v := kado.Vocabulary(account())
	r, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{k.Lane(): v})
	if err != nil {
		t.Fatal(err)
	}
	var rows []events.Evidence
	for i, word := range []string{"null+unknown+DELAYED_SETTLEMENT", "null+unknown+PENDING_PAYMENT"} {
		at := events.Millis(1_700_000_000_000 + i*600_000)
		m, ok := v.Meaning(events.Order, word)
		if !ok {
			t.Fatal(word)
		}
		rows = order.Join(rows, r.FromCheck(events.StatusCheck{Key: k, EventID: events.EventID(word), ObservedAt: at, Outcome: events.OutcomeOK,
			StatusRaw: word, Status: m.Status}, order.Where{Topic: "p", Offset: int64(i), AppendedAt: at}))
	}
	if st := r.View(k, rows); len(st.Open) != 0 {
		t.Errorf("open %v, want none", st.Open)
	}
}
