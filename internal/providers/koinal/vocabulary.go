package koinal

import (
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// guesses are what the words would mean if Koinal used them: no list of
// statuses is published. api.statuses replaces or adds rows.
var guesses = map[string]events.Status{
	"NEW": events.StatusCreated, "CREATED": events.StatusCreated,
	"PENDING": events.StatusPending, "PROCESSING": events.StatusProcessing,
	"COMPLETED": events.StatusCompleted, "APPROVED": events.StatusCompleted, "SUCCESS": events.StatusCompleted,
	"FAILED": events.StatusFailed, "DECLINED": events.StatusFailed, "REJECTED": events.StatusFailed,
	"CANCELLED": events.StatusCancelled, "CANCELED": events.StatusCancelled,
	"EXPIRED": events.StatusExpired, "REFUNDED": events.StatusRefunded,
}

// Vocabulary is the table of guesses with the account's own words over it,
// without regard to case. "CALLBACK" stands for a signed callback that states
// no status: it is known and decides nothing, unless api.statuses says what it
// means.
func Vocabulary(a providers.Account) events.Vocabulary {
	orders := map[string]events.Word{
		wordCallback: {Status: events.StatusUnknown, Note: "a signed callback without a status: the next check decides"},
	}
	for word, status := range guesses {
		orders[word] = events.Word{Status: status, Guess: true}
	}
	for word, name := range a.API.Statuses {
		if status, ok := events.ParseStatus(name); ok {
			orders[strings.ToUpper(word)] = events.Word{Status: status, Note: "configured"}
		}
	}
	return events.Vocabulary{
		Provider: Name, Orders: orders, FoldCase: true, PollOrders: a.API.BaseURL != "",
		// Webhooks stays false: a callback is promised for completed transactions
		// only and need not state a status, so none can be called missing.
	}
}
