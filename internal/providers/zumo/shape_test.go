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
