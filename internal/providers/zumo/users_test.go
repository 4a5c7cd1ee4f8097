package zumo_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// The document's answers, with values where it says "string".
const (
	noAccount = `{"id":"3fa85f64-5717-4562-b3fc-2c963f66afa6","createdAt":"2020-04-15T13:30:55.570Z","modifiedAt":"2020-04-15T13:30:55.570Z",` +
		`"appUserId":"` + userID + `","synced":false,"wallet":{}}`
	oneAccount = `{"id":"3fa85f64-5717-4562-b3fc-2c963f66afa6","createdAt":"2020-04-15T13:43:34.666Z","modifiedAt":"2020-04-15T13:43:34.666Z",` +
		`"appUserId":"` + userID + `","synced":false,"wallet":{"id":"w-1","createdAt":"2020-04-15T13:43:34.666Z","accounts":[` +
		`{"id":"a-1","network":"MAINNET","address":"0xabc","path":"m/44'/60'/0'/0/0","coin":"Ethereum Classic","symbol":"ETC","version":"1"}]}}`
)

var user = "/app-users/" + userID + "/"

func TestCheck(t *testing.T) {
	accounts := events.JoinWalletAccounts([]events.WalletAccount{{ID: "a-1", Network: "MAINNET", Coin: "Ethereum Classic", Symbol: "ETC", Address: "0xabc"}})
	for _, tc := range []struct {
		name, body, raw string
		facts           events.Facts
	}{
		{"created", noAccount, "created", events.Facts{ProviderCreatedAt: 1586957455570}},
		{"provisioned", oneAccount, "provisioned", events.Facts{ProviderCreatedAt: 1586958214666, WalletID: "w-1", WalletAccounts: accounts}},
		{"null wallet", strings.Replace(noAccount, "{}", "null", 1), "created", events.Facts{ProviderCreatedAt: 1586957455570}},
		{"null accounts", strings.Replace(noAccount, "{}", `{"id":"w-1","accounts":null}`, 1), "created", events.Facts{ProviderCreatedAt: 1586957455570, WalletID: "w-1"}},
		{"time without a zone", strings.Replace(noAccount, "2020-04-15T13:30:55.570Z", "2020-01-15 09:03:13", 1), "created", events.Facts{ProviderCreatedAt: 1579078993000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := answering(200, tc.body)
			got, err := open(t, hinting(), env(f)).Customers.Check(t.Context(), providers.Question{Key: customer(userID)})
			if err != nil {
				t.Fatal(err)
			}
			want := providers.Answer{Key: customer(userID), StatusRaw: tc.raw, Facts: tc.facts}
			if diff := cmp.Diff(want, got); diff != "" || strings.Contains(got.Facts.WalletAccounts, "m/44") {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
			if f.count("GET", user) != 1 {
				t.Errorf("requests = %+v", f.calls)
			}
		})
	}
}

func TestCheck_outcomes(t *testing.T) {
	const gone = `{"statusCode":404,"type":"invalid_request_error","message":"Entity not found."}`
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   events.Outcome
	}{
		{"404", 404, gone, events.OutcomeNotFound},
		{"400 with the same words", 400, gone, events.OutcomeRejected},
		{"403", 403, gone, events.OutcomeUnauthorized},
		{"429", 429, "", events.OutcomeRateLimited},
		{"500", 500, oneAccount, events.OutcomeProvider},
		{"redirect to the other spelling", 301, oneAccount, events.OutcomeRedirect},
		{"another user", 200, strings.Replace(oneAccount, userID, "someone", 1), events.OutcomeMismatch},
		{"failure inside 200", 200, gone, events.OutcomeMalformed},
		{"OK", 200, "OK", events.OutcomeMalformed},
		{"html", 200, "<html>", events.OutcomeMalformed},
		{"empty", 200, "", events.OutcomeMalformed},
		{"array", 200, "[" + oneAccount + "]", events.OutcomeMalformed},
		{"wallet is an array", 200, strings.Replace(noAccount, "{}", "[]", 1), events.OutcomeMalformed},
		{"accounts is an object", 200, strings.Replace(noAccount, "{}", `{"accounts":{}}`, 1), events.OutcomeMalformed},
		{"account is a word", 200, strings.Replace(noAccount, "{}", `{"accounts":["a"]}`, 1), events.OutcomeMalformed},
		{"account without an id", 200, strings.Replace(oneAccount, `"id":"a-1",`, "", 1), events.OutcomeMalformed},
		{"address is a number", 200, strings.Replace(oneAccount, `"0xabc"`, "7", 1), events.OutcomeMalformed},
		{"address with a line end", 200, strings.Replace(oneAccount, "0xabc", `0x\nabc`, 1), events.OutcomeMalformed},
		{"two wallets", 200, strings.Replace(oneAccount, `{"id":"3`, `{"wallet":{},"id":"3`, 1), events.OutcomeMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := open(t, hinting(), env(answering(tc.status, tc.body))).Customers.Check(t.Context(), providers.Question{Key: customer(userID)})
			if outcomeOf(err) != tc.want || got != (providers.Answer{}) {
				t.Errorf("Check = %+v, %v; want %s", got, err, tc.want)
			}
		})
	}
}

func TestCheck_foreignKey(t *testing.T) {
	f := answering(200, oneAccount)
	other, order := customer(userID), customer(userID)
	other.Account, order.Kind = "other", events.Order
	for _, key := range []events.Key{other, order, customer(".."), customer("."), customer("a/b"), {}} {
		if _, err := open(t, hinting(), env(f)).Customers.Check(t.Context(), providers.Question{Key: key}); outcomeOf(err) != events.OutcomeRejected {
			t.Errorf("Check(%v) = %v, want rejected", key, err)
		}
	}
	if len(f.calls) != 0 {
		t.Errorf("%d requests were sent", len(f.calls))
	}
}

// The paths, bodies and answers of the document; its "OK" is not JSON.
func TestClient_calls(t *testing.T) {
	f := answering(200, "OK")
	f.answer = func(c call) (int, string) {
		switch {
		case strings.HasSuffix(c.uri, "/token/"):
			return 200, loggedIn
		case c.method == "POST":
			return 201, noAccount
		}
		return 200, "OK"
	}
	c := client(t, f)
	if u, err := c.CreateUser(t.Context(), userID); err != nil || u.AppUserID != userID {
		t.Errorf("CreateUser = %+v, %v", u, err)
	}
	if err := c.MarkSynced(t.Context(), userID); err != nil {
		t.Errorf("MarkSynced = %v", err)
	}
	if err := c.DeleteUser(t.Context(), userID); err != nil {
		t.Errorf("DeleteUser = %v", err)
	}
	if tok, err := c.UserToken(t.Context(), userID); err != nil || tok.Access != "access-1" || tok.ExpiresIn.Seconds() != 3600 {
		t.Errorf("UserToken = %v", err)
	}
	if tok, err := c.RefreshUserToken(t.Context(), userID, "user-refresh"); err != nil || tok.Refresh != "refresh-1" {
		t.Errorf("RefreshUserToken = %v", err)
	}
	const bearer = "Bearer access-1"
	want := []call{
		{"POST", user, bearer, `{"appUserId":"` + userID + `"}`},
		{"PUT", user, bearer, `{"appUserId":"` + userID + `","synchronised":true}`},
		{"DELETE", user, bearer, ""},
		{"POST", user + "token/", bearer, `{"appUserId":"` + userID + `"}`},
		{"POST", user + "token/", bearer, `{"refreshToken":"user-refresh"}`},
	}
	if diff := cmp.Diff(want, f.calls[1:], cmp.AllowUnexported(call{})); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	before := len(f.calls)
	for _, id := range []string{"", "..", "a/b", "a?b"} {
		_, createErr := c.CreateUser(t.Context(), id)
		_, tokenErr := c.UserToken(t.Context(), id)
		for _, err := range []error{createErr, tokenErr, c.MarkSynced(t.Context(), id), c.DeleteUser(t.Context(), id)} {
			if outcomeOf(err) != events.OutcomeRejected {
				t.Errorf("id %q = %v, want rejected", id, err)
			}
		}
	}
	if len(f.calls) != before {
		t.Errorf("%d requests with unusable ids", len(f.calls)-before)
	}
}

func list(page string, users ...string) string {
	return `{"page":` + page + `,"users":[` + strings.Join(users, ",") + `]}`
}

func named(body, id string) string { return strings.Replace(body, userID, id, 1) }

func TestSweep(t *testing.T) {
	f := &fake{}
	f.answer = func(c call) (int, string) {
		switch c.uri {
		case "/token/":
			return 200, loggedIn
		case "/app-users?synced=false":
			return 200, list(`{"limit":3,"offset":0,"all":4}`, named(oneAccount, "u-1"), named(noAccount, "u-2"), named(noAccount, "u/3"))
		case "/app-users?synced=false&offset=3":
			return 200, list(`{"limit":3,"offset":3,"all":4}`, named(oneAccount, "u-4"))
		}
		return 200, "OK"
	}
	sweep := open(t, hinting(), env(f)).Sweep
	first, err := sweep.Sweep(t.Context(), "")
	if err != nil || len(first.Answers) != 2 || first.Unreadable != 1 || first.Next != "3" {
		t.Fatalf("first page = %+v, %v", first, err)
	}
	second, err := sweep.Sweep(t.Context(), first.Next)
	if err != nil || len(second.Answers) != 1 || second.Answers[0].Key.ID != "u-4" || second.Next != "" {
		t.Fatalf("second page = %+v, %v", second, err)
	}
	for _, a := range append(first.Answers, second.Answers...) {
		if err := sweep.Ack(t.Context(), a); err != nil {
			t.Errorf("Ack(%s) = %v", a.Key.ID, err)
		}
	}
	// u-2 has no account: it stays in the list.
	for id, want := range map[string]int{"u-1": 1, "u-2": 0, "u-4": 1} {
		if got := f.count("PUT", "/app-users/"+id+"/"); got != want {
			t.Errorf("%s was marked %d times, want %d", id, got, want)
		}
	}
}

func TestSweep_parameters(t *testing.T) {
	a := hinting()
	a.API.PageSize, a.API.Fields = 50, map[string]string{"limit": "per_page", "offset": "from"}
	f := answering(200, list(`{"limit":50,"offset":7,"all":0}`))
	sweep := open(t, a, env(f)).Sweep
	if _, err := sweep.Sweep(t.Context(), "7"); err != nil {
		t.Fatal(err)
	}
	if f.count("GET", "/app-users?synced=false&per_page=50&from=7") != 1 {
		t.Errorf("requests = %+v", f.calls)
	}
}

func TestSweep_outcomes(t *testing.T) {
	for _, tc := range []struct {
		cursor, body string
		want         events.Outcome
	}{
		{"", list(`{"limit":0,"offset":0,"all":0}`), events.OutcomeOK},
		{"", list(`{}`, noAccount), events.OutcomeOK},
		{"3", list(`{"limit":3,"offset":0,"all":4}`, noAccount), events.OutcomeMismatch}, // the parameter was not understood
		{"", `{"users":[]}`, events.OutcomeMalformed},
		{"", `{"page":{},"users":{}}`, events.OutcomeMalformed},
		{"", `[]`, events.OutcomeMalformed},
		{"", "OK", events.OutcomeMalformed},
		{"x", list(`{}`), events.OutcomeRejected},
		{"-1", list(`{}`), events.OutcomeRejected},
		{"0", list(`{}`), events.OutcomeRejected},
	} {
		page, err := open(t, hinting(), env(answering(200, tc.body))).Sweep.Sweep(t.Context(), tc.cursor)
		if outcomeOf(err) != tc.want || page.Next != "" {
			t.Errorf("Sweep(%q) answered %s = %+v, %v; want %s", tc.cursor, tc.body, page, err, tc.want)
		}
	}
}

func TestAck_failure(t *testing.T) {
	provisioned := providers.Answer{Key: customer(userID), StatusRaw: "provisioned"}
	for status, want := range map[int]events.Outcome{404: events.OutcomeNotFound, 500: events.OutcomeProvider, 302: events.OutcomeRedirect} {
		if err := open(t, hinting(), env(answering(status, ""))).Sweep.Ack(t.Context(), provisioned); outcomeOf(err) != want {
			t.Errorf("Ack answered %d = %v, want %s", status, err, want)
		}
	}
}

// Nothing of the account, of the request or of the answer may be in an error.
func TestClient_errorsAreClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, f := range []*fake{
			answering(0, ""), answering(500, "canary"), answering(200, "canary@example.com"), answering(200, `{"appUserId":"canary"}`),
			{answer: func(call) (int, string) { return 200, `{"accessToken":"canary canary"}` }},
			{answer: func(call) (int, string) { return 0, "" }},
		} {
			_, checkErr := open(t, hinting(), env(f)).Customers.Check(t.Context(), providers.Question{Key: customer(userID)})
			_, sweepErr := open(t, hinting(), env(f)).Sweep.Sweep(t.Context(), "")
			_, tokenErr := client(t, f).UserToken(t.Context(), userID)
			for _, err := range []error{checkErr, sweepErr, tokenErr} {
				if err == nil {
					t.Error("a failure was expected")
					continue
				}
				for _, canary := range []string{"canary", "access-1", "refresh-1", "zumo.money", "app-1", userID} {
					if strings.Contains(err.Error(), canary) {
						t.Errorf("error %q has %q in it", err, canary)
					}
				}
			}
		}
	})
}
