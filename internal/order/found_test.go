package order_test

import (
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

// What hardly any evidence has: only the rule that is for it would tell.

func TestDiscrepancies_wordsThatAreNotKeptAmongKnownOnes(t *testing.T) {
	r := rules(t, nil)
	rows := append(fold(r, say{"hook", "wait", 1, "1", 0}), events.Evidence{
		Kind: events.EvidenceOverflow, Word: "webhook", First: events.Sighting{At: minute(2), EventID: "e"},
	})
	all := r.Discrepancies(key, rows)
	if len(all) != 1 || all[0].Type != events.UnknownStatus || all[0].Severity != order.SeverityWarning || all[0].Seen != "more of a webhook" {
		t.Errorf("discrepancies = %+v, want one UNKNOWN_STATUS", all)
	}
}

// The money of an order is in question whatever does not fit; that of a customer
// only where nothing moves any more.
func TestDiscrepancies_stakeOfACustomerThatIsStuck(t *testing.T) {
	r := rules(t, func(v *events.Vocabulary) { v.Customers = v.Orders })
	customer := key
	customer.Kind = events.Customer
	rows := foldOf(r, customer, say{"poll", "run", 0, "5", 0}, say{"poll", "run", 3000, "5", 0}, say{"hook", "odd", 1, "", 0})
	stakes := map[events.DiscrepancyType]events.Amount{}
	for _, d := range r.Discrepancies(customer, rows) {
		stakes[d.Type] = d.AtStake
	}
	stuck, found := stakes[events.Stuck]
	unknown, foundToo := stakes[events.UnknownStatus]
	if !found || stuck != "5" || !foundToo || unknown != "" {
		t.Errorf("at stake: %v, want 5 of STUCK and nothing of UNKNOWN_STATUS", stakes)
	}
}

func TestNone(t *testing.T) {
	for _, x := range []events.Sighting{{At: 1}, {At: -1}, {EventID: "e"}, {Topic: "t"}, {Partition: 1}, {Offset: 1}} {
		if order.None(&x) {
			t.Errorf("none(%+v) = true", x)
		}
	}
	if !order.None(&events.Sighting{}) {
		t.Error("the zero sighting is one")
	}
}
