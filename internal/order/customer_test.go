package order_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

var person = events.Key{Provider: "acme", Account: "shop", Kind: events.Customer, ID: "c1"}

// customerRules has words of every status that a provider gives customers.
func customerRules(t testing.TB) order.Rules {
	return rules(t, func(v *events.Vocabulary) {
		v.Customers = map[string]events.Word{
			"L0": {Status: events.StatusCreated}, "L1": {Status: events.StatusProcessing}, "ACCEPTED+Active": {Status: events.StatusCompleted},
			"Blocked": {Status: events.StatusOnHold}, "Refused": {Status: events.StatusFailed}, "Closed": {Status: events.StatusCancelled},
		}
		v.Regressions = [][2]string{{"*", "*"}}
	})
}

// A customer's words can all be taken back: the latest counts, whatever its
// rank and whoever said it.
func TestView_customerFollowsTheLatestAnswer(t *testing.T) {
	r := customerRules(t)
	for _, tc := range []struct {
		name  string
		said  []say
		want  events.Status
		rule  string
		since int
	}{
		{"blocked after accepted", []say{{"poll", "ACCEPTED+Active", 1, "", 0}, {"poll", "Blocked", 9, "", 0}}, events.StatusOnHold, order.RuleCustomerLatest, 9},
		{"released", []say{{"poll", "ACCEPTED+Active", 1, "", 0}, {"poll", "Blocked", 9, "", 0}, {"poll", "ACCEPTED+Active", 20, "", 0}}, events.StatusCompleted, order.RuleCustomerLatest, 9},
		{"a webhook takes it back", []say{{"hook", "ACCEPTED+Active", 1, "", 0}, {"hook", "L0", 9, "", 0}}, events.StatusCreated, order.RuleCustomerLatest, 9},
		{"a webhook after the poll", []say{{"poll", "ACCEPTED+Active", 1, "", 0}, {"hook", "Blocked", 9, "", 0}}, events.StatusOnHold, order.RuleCustomerLatest, 9},
		{"two ends", []say{{"poll", "ACCEPTED+Active", 1, "", 0}, {"poll", "Refused", 2, "", 0}, {"hook", "Closed", 3, "", 0}}, events.StatusCancelled, order.RuleCustomerLatest, 3},
		{"registered again later", []say{{"poll", "ACCEPTED+Active", 1, "", 0}, {"intent", "", 9, "", 0}}, events.StatusCompleted, order.RuleCustomerLatest, 1},
		{"only registered", []say{{"intent", "", 9, "", 0}}, events.StatusCreated, order.RuleIntent, 9},
		{"an unknown word decides nothing", []say{{"poll", "L1", 1, "", 0}, {"poll", "PENDING+Active", 9, "", 0}}, events.StatusProcessing, order.RuleCustomerLatest, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.View(person, foldOf(r, person, tc.said...))
			if got.Status != tc.want || got.DecidedBy != tc.rule || got.Since != minute(tc.since) {
				t.Errorf("View = %v by %s since minute %d; want %v by %s since %d", got.Status, got.DecidedBy, (got.Since-day)/60_000, tc.want, tc.rule, tc.since)
			}
		})
	}
}

func TestView_customersAreNeverDisputed(t *testing.T) {
	r := customerRules(t)
	rapid.Check(t, func(t *rapid.T) {
		var rows []events.Evidence
		words := []string{"L0", "L1", "ACCEPTED+Active", "Blocked", "Refused", "Closed", "odd"}
		for i, n := 0, rapid.IntRange(1, 30).Draw(t, "n"); i < n; i++ {
			s := say{source: rapid.SampledFrom([]string{"hook", "poll", "decide", "intent"}).Draw(t, "source"), minute: rapid.IntRange(0, 300).Draw(t, "minute")}
			s.word = rapid.SampledFrom(words).Draw(t, "word")
			if s.source == "decide" {
				s.word = "FAILED"
			}
			rows = order.Join(rows, rowsFor(r, person, s, int64(i)))
			st, all := r.Assess(person, rows)
			if st.Status == events.StatusDisputed || st.DecidedBy == order.RuleOperatorDecision {
				t.Fatalf("a customer became %v by %s", st.Status, st.DecidedBy)
			}
			for _, d := range all {
				if slices.Contains([]events.DiscrepancyType{events.StatusConflict, events.LateAfterTerminal, events.MissingWebhook, events.AmountMismatch}, d.Type) {
					t.Fatalf("a customer got %s, which is about orders", d.Type)
				}
			}
		}
	})
}
