package kuna_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kuna"
)

// The document's answer to customer/create; its e-mail is cut out in the copy
// that we have, so it is ours.
const customer = `{"data":{"id":"` + customerID + `","email":"canary@example.com","walletId":"w-1","phoneNumber":"+380991112233",` +
	`"firstName":"Viktor","lastName":"Tatov","comment":"Customer of our test program","externalId":"mnopqr12-3456-7890-abcd-efghijklmnop",` +
	`"createdAt":"2024-11-01T08:01:19.952Z","referralId":"stu56789","verificationStatus":"ACCEPTED","walletStatus":"Active"}}`

func TestCustomer_check(t *testing.T) {
	f := answering(200, customer)
	got, err := open(t, withKey(), env(f)).Customers.Check(t.Context(), question(events.Customer, customerID))
	if err != nil {
		t.Fatal(err)
	}
	want := providers.Answer{Key: question(events.Customer, customerID).Key, StatusRaw: "ACCEPTED+Active", Facts: events.Facts{
		VerificationStatus: "ACCEPTED", WalletStatus: "Active", WalletID: "w-1",
		ExternalID: "mnopqr12-3456-7890-abcd-efghijklmnop", ProviderCreatedAt: 1730448079952}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
	if c := f.calls[0]; c.uri != "/v2/customer/details" || c.body != `{"id":"`+customerID+`"}` {
		t.Errorf("request = %+v", c)
	}
}

func TestCustomer_words(t *testing.T) {
	v := kuna.Provider.Vocabulary(withKey())
	for _, tc := range []struct {
		verification, wallet, raw string
		want                      events.Status
	}{
		{`"ACCEPTED"`, `"Active"`, "ACCEPTED+Active", events.StatusCompleted},
		{`"ACCEPTED"`, `"Blocked"`, "Blocked", events.StatusOnHold},
		{`"NEW"`, `"Suspicious"`, "Suspicious", events.StatusOnHold},
		{`"NEW"`, `"Active"`, "NEW+Active", events.StatusUnknown},
		{`null`, `"Active"`, "+Active", events.StatusUnknown},
		{`"ACCEPTED"`, `null`, "ACCEPTED+", events.StatusUnknown},
	} {
		body := strings.NewReplacer(`"ACCEPTED"`, tc.verification, `"Active"`, tc.wallet).Replace(customer)
		got, err := open(t, withKey(), env(answering(200, body))).Customers.Check(t.Context(), question(events.Customer, customerID))
		word, _ := v.Meaning(events.Customer, got.StatusRaw)
		if err != nil || got.StatusRaw != tc.raw || word.Status != tc.want {
			t.Errorf("%s and %s = %q (%v), %v; want %q (%v)", tc.verification, tc.wallet, got.StatusRaw, word.Status, err, tc.raw, tc.want)
		}
	}
}

func TestCustomer_outcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want events.Outcome
	}{
		"another":        {strings.Replace(customer, customerID, "someone-else", 1), events.OutcomeMismatch},
		"array":          {`{"data":[{"id":"` + customerID + `"}]}`, events.OutcomeMalformed},
		"no statuses":    {`{"data":{"id":"` + customerID + `"}}`, events.OutcomeMalformed},
		"no id":          {`{"data":{"walletStatus":"Active"}}`, events.OutcomeMalformed},
		"twice the same": {strings.Replace(customer, `{"id"`, `{"walletStatus":"Blocked","id"`, 1), events.OutcomeMalformed},
	} {
		got, err := open(t, withKey(), env(answering(200, tc.body))).Customers.Check(t.Context(), question(events.Customer, customerID))
		if outcomeOf(err) != tc.want || got != (providers.Answer{}) {
			t.Errorf("%s: Check = %+v, %v; want %s", name, got, err, tc.want)
		}
	}
}

func newCustomer() kuna.NewCustomer {
	return kuna.NewCustomer{Email: "canary@example.com", PhoneNumber: "+380991234567", FirstName: "Canary", LastName: "Tatov",
		Country: "UA", VerificationDocumentID: "1237654", ResidenceAddress: "my street ap.12", TaxNumber: "1237654"}
}

func TestCreateCustomer(t *testing.T) {
	f := answering(201, customer)
	got, err := client(t, withKey(), f).CreateCustomer(t.Context(), newCustomer())
	if err != nil || got.ID != customerID || got.VerificationStatus != "ACCEPTED" {
		t.Fatalf("CreateCustomer = %+v, %v", got, err)
	}
	want := `{"email":"canary@example.com","phoneNumber":"+380991234567","firstName":"Canary","lastName":"Tatov","country":"UA",` +
		`"verificationDocumentId":"1237654","residenceAddress":"my street ap.12","itn":"1237654"}`
	if c := f.calls[0]; c.uri != "/v2/customer/create" || c.body != want {
		t.Errorf("request = %+v", c)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, newCustomer()); s != "[redacted]" {
			t.Errorf("Sprintf(%q) = %s", verb, s)
		}
	}
	if _, err := client(t, withKey(), f).CreateCustomer(t.Context(), kuna.NewCustomer{Email: "a@example.com"}); outcomeOf(err) != events.OutcomeRejected {
		t.Errorf("CreateCustomer without its required fields = %v", err)
	}
}

// Creation is not idempotent: no answer must not become a second customer.
func TestCreateCustomer_isNotRepeated(t *testing.T) {
	for _, status := range []int{0, 502, 503} {
		f := answering(status, "")
		if _, err := client(t, withKey(), f).CreateCustomer(t.Context(), newCustomer()); err == nil || len(f.calls) != 1 {
			t.Errorf("HTTP %d: CreateCustomer = %v after %d requests, want one", status, err, len(f.calls))
		}
	}
}

func TestRampToken(t *testing.T) {
	f := answering(201, `{"data":{"token":"aaa.bbb.ccc"}}`)
	c := client(t, withKey(), f)
	token, err := c.RampToken(t.Context(), customerID, "Mozilla/5.0")
	if err != nil || token.Reveal() != "aaa.bbb.ccc" {
		t.Fatalf("RampToken = %q, %v", token.Reveal(), err)
	}
	if err := c.InvalidateRampToken(t.Context(), customerID); err != nil {
		t.Fatal(err)
	}
	if f.calls[0].uri != "/v2/ramp/token" || f.calls[0].body != `{"customerId":"`+customerID+`","userAgent":"Mozilla/5.0"}` ||
		f.calls[1].uri != "/v2/ramp/invalidate" || f.calls[1].body != `{"customerId":"`+customerID+`"}` {
		t.Errorf("requests = %+v", f.calls)
	}
	for _, body := range []string{`{"data":{"token":"a b"}}`, `{"data":{}}`, `{"token":"a"}`, ``} {
		if got, err := client(t, withKey(), answering(200, body)).RampToken(t.Context(), customerID, ""); outcomeOf(err) != events.OutcomeMalformed || got != "" {
			t.Errorf("RampToken answered %s = %v", body, err)
		}
	}
}

func TestWidgetURL(t *testing.T) {
	a := withKey()
	if got, err := client(t, a, nil).WidgetURL("inst-1", "tok"); !errors.Is(err, kuna.ErrWidget) || got != "" {
		t.Errorf("WidgetURL without an address = %q, %v", got, err)
	}
	a.API.Paths = map[string]string{"widget": "https://widget.example.com"}
	got, err := client(t, a, nil).WidgetURL("inst-1", "aaa.bbb.ccc")
	u, parseErr := url.Parse(got)
	if err != nil || parseErr != nil || u.Path != "/" || u.Query().Get("institutionId") != "inst-1" || u.Query().Get("refreshToken") != "aaa.bbb.ccc" {
		t.Errorf("WidgetURL = %q, %v", got, err)
	}
	for _, bad := range [][2]string{{"", "tok"}, {"a b", "tok"}, {"inst", ""}, {"inst", "a\nb"}} {
		if _, err := client(t, a, nil).WidgetURL(bad[0], providers.Secret(bad[1])); !errors.Is(err, kuna.ErrWidget) {
			t.Errorf("WidgetURL(%q) = %v", bad, err)
		}
	}
}
