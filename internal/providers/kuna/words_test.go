package kuna_test

import (
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kuna"
)

// Evidence holds words of up to 64 bytes; of a longer one it holds a hash, which no
// table has. Such a word is accepted in api.statuses, is stamped with its status in the
// status check, and decides nothing in the state.
func TestValidate_configuredWordsCanStandInEvidence(t *testing.T) {
	a := withKey()
	word := strings.Repeat("VERIFIED_", 7) + "+Active" // 70 bytes
	a.API.Statuses = map[string]string{word: "COMPLETED"}
	if faults := kuna.Provider.Validate(a, providers.Policy{}); len(faults) != 0 {
		return // refused: fine
	}
	k := events.Key{Provider: "kuna", Account: a.Account, Kind: events.Customer, ID: "c1"}
	v := kuna.Provider.Vocabulary(a)
	r, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{k.Lane(): v})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := v.Meaning(events.Customer, word)
	at := events.Millis(1_700_000_000_000)
	st := r.View(k, order.Join(nil, r.FromCheck(events.StatusCheck{Key: k, EventID: "e", ObservedAt: at, Outcome: events.OutcomeOK, StatusRaw: word, Status: m.Status},
		order.Where{Topic: "p", AppendedAt: at})))
	if st.Status != m.Status {
		t.Errorf("the check says %v, the state %v by %s, open %v", m.Status, st.Status, st.DecidedBy, st.Open)
	}
}

// docs/providers/kuna.md: customers are never DISPUTED.
func TestView_blockedCustomerIsOnHold(t *testing.T) {
	a := withKey()
	k := events.Key{Provider: "kuna", Account: a.Account, Kind: events.Customer, ID: "c1"}
	v := kuna.Provider.Vocabulary(a)
	r, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{k.Lane(): v})
	if err != nil {
		t.Fatal(err)
	}
	var rows []events.Evidence
	for i, word := range []string{"ACCEPTED+Active", "Blocked"} {
		at := events.Millis(1_700_000_000_000 + i*7_200_000)
		rows = order.Join(rows, r.FromCheck(events.StatusCheck{Key: k, EventID: events.EventID(word), ObservedAt: at, Outcome: events.OutcomeOK, StatusRaw: word,
			Status: v.Customers[word].Status}, order.Where{Topic: "p", Offset: int64(i), AppendedAt: at}))
	}
	if st := r.View(k, rows); st.Status != events.StatusOnHold || len(st.Open) != 0 {
		t.Errorf("%v by %s, open %v", st.Status, st.DecidedBy, st.Open)
	}
}
