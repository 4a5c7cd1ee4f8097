package kanga_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kanga"
)

const received = events.Millis(1_700_000_040_000)

func parser(t testing.TB, a providers.Account) providers.WebhookParser {
	t.Helper()
	caps, err := kanga.Provider.Open(a, providers.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return caps.Webhook
}

var form = map[string][]string{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}

func TestParseWebhook_accepts(t *testing.T) {
	for _, tc := range []struct {
		name string
		d    providers.Delivery
	}{
		{"GET", providers.Delivery{Method: "GET", RawQuery: "transactionKey=ORDER34H773A1"}},
		{"HEAD", providers.Delivery{Method: "HEAD", RawQuery: "transactionKey=ORDER34H773A1"}},
		{"POST with a query", providers.Delivery{Method: "POST", RawQuery: "transactionKey=ORDER34H773A1"}},
		{"escaped", providers.Delivery{Method: "GET", RawQuery: "transactionKey=%4fRDER34H773A1"}},
		{"beside others", providers.Delivery{Method: "GET", RawQuery: "a=1&transactionKey=ORDER34H773A1&b="}},
		{"form", providers.Delivery{Method: "POST", Header: form, Body: []byte("transactionKey=ORDER34H773A1")}},
		{"query before form", providers.Delivery{Method: "POST", RawQuery: "transactionKey=ORDER34H773A1", Header: form,
			Body: []byte("transactionKey=OTHER")}},
		{"query before JSON", providers.Delivery{Method: "POST", RawQuery: "transactionKey=ORDER34H773A1",
			Header: map[string][]string{"Content-Type": {"application/json"}}, Body: []byte(`{}`)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.d.ReceivedAt = received
			got, err := parser(t, account()).ParseWebhook(tc.d)
			if err != nil {
				t.Fatal(err)
			}
			want := events.Webhook{Key: order("ORDER34H773A1"), EventID: got.EventID, ObservedAt: received,
				Trust: events.TrustHint, HintReason: "unsigned", BodyDigest: providers.BodyDigest(tc.d.Body)}
			if diff := cmp.Diff(want, got); diff != "" || got.EventID == "" {
				t.Errorf("ParseWebhook (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseWebhook_refuses(t *testing.T) {
	get := func(query string) providers.Delivery { return providers.Delivery{Method: "GET", RawQuery: query} }
	post := func(header map[string][]string, body string) providers.Delivery {
		return providers.Delivery{Method: "POST", Header: header, Body: []byte(body)}
	}
	bad, media := providers.ErrBadRequest, providers.ErrUnsupportedMedia
	for _, tc := range []struct {
		name   string
		d      providers.Delivery
		class  error
		reason providers.Reason
	}{
		{"nothing", get(""), bad, "no_order_id"},
		{"another name", get("transactionkey=A1"), bad, "no_order_id"},
		{"empty id", get("transactionKey="), bad, "bad_id"},
		{"twice", get("transactionKey=A1&transactionKey=A1"), bad, "bad_id"},
		{"twice, escaped name", get("transactionKey=A1&transaction%4bey=A2"), bad, "bad_id"},
		{"slash", get("transactionKey=a%2Fb"), bad, "bad_id"},
		{"line end", get("transactionKey=a%0Ab"), bad, "bad_id"},
		{"blank", get("transactionKey=a+b"), bad, "bad_id"},
		{"not ASCII", get("transactionKey=%C3%A9"), bad, "bad_id"},
		{"129 bytes", get("transactionKey=" + strings.Repeat("a", 129)), bad, "bad_id"},
		{"bad escape", get("transactionKey=%zz"), bad, "encoding"},
		{"semicolon", get("transactionKey=A1;b=2"), bad, "encoding"},
		{"a second question mark", get("a=b?transactionKey=A1"), bad, "no_order_id"},
		{"long query", get("transactionKey=A1&x=" + strings.Repeat("x", 2048)), bad, "unknown_shape"},
		{"form with GET", providers.Delivery{Method: "GET", Header: form, Body: []byte("transactionKey=A1")}, bad, "no_order_id"},
		{"form without it", post(form, "a=b"), bad, "no_order_id"},
		{"form twice", post(form, "transactionKey=A1&transactionKey=A2"), bad, "bad_id"},
		{"long form", post(form, "transactionKey=A1&x="+strings.Repeat("x", 2048)), bad, "unknown_shape"},
		{"JSON", post(map[string][]string{"Content-Type": {"application/json"}}, `{"transactionKey":"A1"}`), media, "media_type"},
		{"multipart", post(map[string][]string{"Content-Type": {"multipart/form-data; boundary=x"}}, "x"), media, "media_type"},
		{"no type", post(nil, "transactionKey=A1"), media, "media_type"},
		{"two types", post(map[string][]string{"Content-Type": {form["Content-Type"][0], "text/plain"}}, "transactionKey=A1"), media, "media_type"},
		{"compressed", post(map[string][]string{"Content-Type": form["Content-Type"], "Content-Encoding": {"gzip"}}, "x"), media, "media_type"},
		{"PUT", providers.Delivery{Method: "PUT", RawQuery: "transactionKey=A1"}, bad, "unknown_shape"},
		{"a token where none is", providers.Delivery{Method: "GET", RawQuery: "transactionKey=A1", PathToken: "x"}, providers.ErrUnauthentic, "path_token"},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, parser(t, account()), tc.d, tc.class, tc.reason) })
	}
}

func refused(t *testing.T, p providers.WebhookParser, d providers.Delivery, class error, reason providers.Reason) {
	t.Helper()
	got, err := p.ParseWebhook(d)
	var de *providers.DeliveryError
	if !errors.As(err, &de) || !errors.Is(err, class) || de.Reason != reason {
		t.Errorf("ParseWebhook = %v, want %v, %s", err, class, reason)
	}
	if (got != events.Webhook{}) {
		t.Errorf("ParseWebhook = %+v beside an error", got)
	}
}

func TestParseWebhook_pathToken(t *testing.T) {
	a := account()
	a.Webhook.PathToken = pathToken
	p := parser(t, a)
	d := providers.Delivery{Method: "GET", RawQuery: "transactionKey=A1", PathToken: pathToken, ReceivedAt: received}
	if _, err := p.ParseWebhook(d); err != nil {
		t.Errorf("ParseWebhook with the token = %v", err)
	}
	for _, wrong := range []string{"", "x", pathToken[:19], pathToken + "1", strings.ToUpper(pathToken)} {
		d.PathToken = wrong
		refused(t, p, d, providers.ErrUnauthentic, "path_token")
	}
}

func TestParseWebhook_pinnedMethod(t *testing.T) {
	for _, tc := range []struct{ reading, accepted, refused string }{{"", "GET", "POST"}, {"get", "GET", "POST"}, {"post", "POST", "GET"}} {
		a := account()
		a.Webhook.Strict, a.Webhook.Reading = true, tc.reading
		p := parser(t, a)
		if _, err := p.ParseWebhook(providers.Delivery{Method: tc.accepted, RawQuery: "transactionKey=A1"}); err != nil {
			t.Errorf("strict %q: %s = %v", tc.reading, tc.accepted, err)
		}
		refused(t, p, providers.Delivery{Method: tc.refused, RawQuery: "transactionKey=A1"}, providers.ErrBadRequest, "unknown_shape")
	}
}

// Callbacks about one payment within a minute are one event.
func TestParseWebhook_eventID(t *testing.T) {
	id := func(query string, at events.Millis) events.EventID {
		w, err := parser(t, account()).ParseWebhook(providers.Delivery{Method: "GET", RawQuery: query, ReceivedAt: at})
		if err != nil {
			t.Fatal(err)
		}
		return w.EventID
	}
	first := id("transactionKey=A1", received)
	if again := id("x=y&transactionKey=A1", received+19_999); again != first {
		t.Errorf("event id within the minute = %s, want %s", again, first)
	}
	if later := id("transactionKey=A1", received+60_000); later == first {
		t.Error("event id a minute later is the same")
	}
	if other := id("transactionKey=A2", received); other == first {
		t.Error("event id of another payment is the same")
	}
}
