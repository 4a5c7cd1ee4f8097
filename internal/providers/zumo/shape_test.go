package zumo_test

import (
	"testing"

	"rampstream/internal/providers"
)

// What is no list of accounts says nothing about how many there are: a wallet that
// is provisioned must not become one without accounts because a shape changed. The
// answer of the API with such a list is refused too.
func TestParseWebhook_accountsOfAnotherShape(t *testing.T) {
	for _, wallet := range []string{
		`{"accounts":{"00000000-5555-0000-0000-000000000000":{"createdAt":"2020-01-15 10:22:24"}}}`, `{"accounts":"1"}`, `{"accounts":1}`, `[{"id":"a"}]`, `"w"`,
	} {
		body := `{"eventType":"appUser.wallet.accounts.updated","subject":{"appUserId":"` + userID + `","wallet":` + wallet + `}}`
		got, err := open(t, verifying(), providers.Env{}).Webhook.ParseWebhook(signedBy(secret, body))
		if err == nil {
			t.Errorf("wallet %s: status %q (%s); want that it is set aside", wallet, got.StatusRaw, got.Status)
		}
	}
	// The words are ours: an event of that name is none of them.
	for _, name := range []string{"provisioned", "created"} {
		body := `{"eventType":"` + name + `","subject":{"appUserId":"` + userID + `"}}`
		got, err := open(t, verifying(), providers.Env{}).Webhook.ParseWebhook(signedBy(secret, body))
		if err == nil && got.Status.String() != "UNKNOWN" {
			t.Errorf("an event of type %q: status %q (%s); want that it means nothing", name, got.StatusRaw, got.Status)
		}
	}
}

// docs/providers/zumo.md: an event of another type is kept under its own name. What
// stands in its wallet says nothing that is read of it, so no shape of that sets it
// aside.
func TestParseWebhook_otherEventsKeepTheirName(t *testing.T) {
	const name = "appUser.transfer.created"
	for _, wallet := range []string{`{"id":"w-1","accounts":"2"}`, `"w-1"`, `["w-1"]`, `{"id":"w-1"}`, `null`} {
		body := `{"eventType":"` + name + `","subject":{"appUserId":"` + userID + `","wallet":` + wallet + `}}`
		got, err := open(t, verifying(), providers.Env{}).Webhook.ParseWebhook(signedBy(secret, body))
		if err != nil || got.StatusRaw != name || got.Status.String() != "UNKNOWN" {
			t.Errorf("wallet %s: %q (%s), %v; want it under its own name", wallet, got.StatusRaw, got.Status, err)
		}
	}
}
