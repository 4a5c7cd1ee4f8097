package kado

import (
	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Vocabulary is Kado's table. An order has two families of words: the type of
// a webhook, and "<paymentStatus>+<transferStatus>" of the order object, a
// null spelled "null", with "+<machineStatusField>" where those two do not
// decide. See docs/providers/kado.md for the source of each row.
func Vocabulary(a providers.Account) events.Vocabulary {
	v := events.Vocabulary{
		Provider: Name,
		Orders: map[string]events.Word{
			"order_pending":    {Status: events.StatusPending, Note: "pending crypto trade: the payment may be taken already"},
			"order_processing": {Status: events.StatusProcessing},
			"order_completed":  {Status: events.StatusCompleted},
			"order_failed":     {Status: events.StatusFailed, Note: "payment or transfer: the webhook does not say which"},

			"success+uninitiated": {Status: events.StatusProcessing},
			"success+pending":     {Status: events.StatusProcessing},
			"success+settled":     {Status: events.StatusCompleted},
			"success+failed":      {Status: events.StatusFailed, Note: "funds taken; a refund may follow, no word for it is documented"},
			"success+unknown":     {Status: events.StatusProcessing, Note: "any outcome is still possible"},

			"null+uninitiated": {Status: events.StatusPending, Guess: true},
			"null+pending":     {Status: events.StatusProcessing, Guess: true},
			"null+settled":     {Status: events.StatusCompleted, Guess: true},
			"null+failed":      {Status: events.StatusFailed, Guess: true},
		},
		Customers: map[string]events.Word{
			"L0": {Status: events.StatusCreated, Note: "nothing submitted, or the first validation failed"},
			"L1": {Status: events.StatusProcessing, Note: "awaiting approval"},
			"L2": {Status: events.StatusCompleted, Note: "verified"},
		},
		PollOrders:    true,                  // a public route
		PollCustomers: a.API.PublicKey != "", // a signed one
		Webhooks:      a.Webhook.Trust != "hint",
		Regressions: [][2]string{
			{"success+unknown", "*"}, {"null+unknown+DELAYED_SETTLEMENT", "*"},
			{"success+uninitiated", "order_pending"}, // one moment, two words
			{"L1", "L0"}, {"L2", "L0"}, {"L2", "L1"},
		},
	}
	addPaymentWords(v.Orders)
	addMachineWords(v.Orders)
	return v
}

// addPaymentWords: a payment that is pending or failed decides whatever the
// transfer says. Where the two contradict each other the row is a guess, and
// "failed+settled" (not charged, yet paid out) has none: a person must look.
func addPaymentWords(orders map[string]events.Word) {
	for _, transfer := range []string{"null", "uninitiated", "pending", "settled", "failed", "unknown"} {
		contradicts := transfer == "settled" || transfer == "failed"
		orders["pending+"+transfer] = events.Word{Status: events.StatusPending, Guess: contradicts}
		if transfer != "settled" {
			orders["failed+"+transfer] = events.Word{Status: events.StatusFailed, Note: "not charged"}
		}
	}
}

// machineWords were seen by a public client; the list is not complete, so a
// word that is not here stays UNKNOWN.
var machineWords = map[string]events.Status{
	"SETTLED":               events.StatusCompleted,
	"CARD_PAYMENT_FAILED":   events.StatusFailed,
	"ACH_PAYMENT_FAILED":    events.StatusFailed,
	"WIRE_TRANSFER_PENDING": events.StatusPending,
	"PENDING_PAYMENT":       events.StatusPending,
	"DELAYED_SETTLEMENT":    events.StatusProcessing,
}

// undecided are the pairs after which machineStatusField is asked. They have
// no meaning of their own.
var undecided = []string{"null+null", "null+unknown", "success+null"}

func addMachineWords(orders map[string]events.Word) {
	for _, pair := range undecided {
		for machine, status := range machineWords {
			orders[pair+"+"+machine] = events.Word{Status: status, Guess: true, Note: "by machineStatusField"}
		}
	}
}
