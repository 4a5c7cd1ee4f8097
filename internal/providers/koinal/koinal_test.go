package koinal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/koinal"
)

const (
	current    = providers.Secret("current-callback-secret-01")
	previous   = providers.Secret("previous-callback-secret-1")
	receivedAt = events.Millis(1_700_000_000_000)
)

const completed = `{"id":123,"status":"COMPLETED","currency_amount":1000,"currency":"USD","cryptocurrency_amount":0.10034116,` +
	`"cryptocurrency":"BTC","transaction_id":"abc123","customer_reference":"cust-7-x","email":"jane@example.com","wallet":"wallet-canary"}`

func account() providers.Account {
	return providers.Account{
		Provider: koinal.Name, Account: "shop", Webhook: providers.Webhook{Secrets: []providers.Secret{current, previous}},
	}
}

func open(t testing.TB, a providers.Account) providers.WebhookParser {
	t.Helper()
	c, err := koinal.Provider.Open(a, providers.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Webhook
}

func delivery(body, header, signature string) providers.Delivery {
	return providers.Delivery{
		Method: "POST", Body: []byte(body), ReceivedAt: receivedAt,
		Header: map[string][]string{"Content-Type": {"application/json"}, header: {signature}},
	}
}

func signed(body string) providers.Delivery {
	return delivery(body, "Signature", koinal.Sign("a", []byte(body), current))
}

// The example of the document, byte for byte.
func TestAuthToken_documentVector(t *testing.T) {
	const want = "eyJtZXJjaGFudF9jb2RlIjoxMDAwLCJjdXN0b21lcl9yZWZlcmVuY2UiOiJVc2VyMSIsInRpbWVzdGFtcCI6IjEwMDAiLCJzaWduYXR1cmUiOiI2NjQyZmIxYmY2MDg0ZDNiZmEwZGViODNmOGZlNzFkMWM3YTczMDExOTUwMjI5MzJhMTAzYjFkOTczMWEwNTZiIn0="
	got, err := koinal.AuthToken("1000", "User1", "1000", "11qq22ww")
	if err != nil || got.Reveal() != want {
		t.Errorf("AuthToken = %q, %v; want %q", got.Reveal(), err, want)
	}
	for _, bad := range [][4]string{
		{"1000", "User1", "1000", ""}, {"", "User1", "1000", "s"}, {"01", "User1", "1000", "s"}, {"1e3", "User1", "1000", "s"},
		{"1000", `U"x`, "1000", "s"}, {"1000", "", "1000", "s"}, {"1000", "User1", "", "s"}, {"1000", "User1", "1 0", "s"},
	} {
		if got, err := koinal.AuthToken(bad[0], bad[1], bad[2], providers.Secret(bad[3])); err == nil || got != "" {
			t.Errorf("AuthToken(%q) = %v, %v; want an error", bad, got, err)
		}
	}
}

func TestSafeReference(t *testing.T) {
	for s, want := range map[string]bool{"": false, "User1": false, "1user": false, "user": true, "u1x": true, "a b": false} {
		if got := koinal.SafeReference(s); got != want {
			t.Errorf("SafeReference(%q) = %v, want %v", s, got, want)
		}
	}
}

// Our own vectors: the document has none for callbacks.
func TestSign_vectors(t *testing.T) {
	body := []byte(`{"id":123,"status":"COMPLETED"}`)
	for reading, want := range map[string]string{
		"a": "79ba7f16ed8a74fb95e97cc6852b737854af6e98420ffa2497d6e91808993c74",
		"b": "71b287407913af16bfa93e25695472fc62a9540d0205fe0b8daebd0b1a43b466",
		"c": "865230358e78a523ccdafe808a9109a5fd35662dab6b236776ea4906432de20a",
		"d": "",
	} {
		if got := koinal.Sign(reading, body, "11qq22ww"); got != want {
			t.Errorf("Sign(%s) = %s, want %s", reading, got, want)
		}
	}
	if got := koinal.Sign("a", body, ""); got != "" {
		t.Errorf("Sign with an empty secret = %s", got)
	}
}

func TestParseWebhook_meaning(t *testing.T) {
	got, err := open(t, account()).ParseWebhook(signed(completed))
	want := events.Webhook{
		Key: events.Key{Provider: "koinal", Account: "shop", ID: "123"}, EventID: got.EventID, ObservedAt: receivedAt,
		Trust: events.TrustSigned, StatusRaw: "COMPLETED", Status: events.StatusCompleted, BodyDigest: got.BodyDigest, Scheme: "a/current",
		Facts: events.Facts{
			FiatAmount: "1000", FiatCurrency: "USD", CryptoAmount: "0.10034116", CryptoAsset: "BTC", Side: "buy", TxHash: "abc123",
			CustomerID: "cust-7-x",
		},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" || len(got.EventID) != 32 {
		t.Errorf("ParseWebhook: %v (-want +got):\n%s", err, d)
	}
}

func TestParseWebhook_words(t *testing.T) {
	a := account()
	a.API.Statuses = map[string]string{"done": "COMPLETED", "approved": "PENDING"}
	for _, tc := range []struct {
		a    providers.Account
		body string
		raw  string
		want events.Status
	}{
		{account(), `{"id":"o-1","status":"completed"}`, "completed", events.StatusCompleted},
		{account(), `{"id":"o-1","status":"Canceled"}`, "Canceled", events.StatusCancelled},
		{account(), `{"id":"o-1","status":"in review"}`, "in review", events.StatusUnknown},
		{account(), `{"id":"o-1"}`, "CALLBACK", events.StatusUnknown},
		{account(), `{"id":"o-1","status":null}`, "CALLBACK", events.StatusUnknown},
		{a, `{"id":"o-1","status":"DONE"}`, "DONE", events.StatusCompleted},
		{a, `{"id":"o-1","status":"APPROVED"}`, "APPROVED", events.StatusPending},
	} {
		got, err := open(t, tc.a).ParseWebhook(signed(tc.body))
		if err != nil || got.StatusRaw != tc.raw || got.Status != tc.want || got.Trust != events.TrustSigned || got.Key.ID != "o-1" {
			t.Errorf("%s: ParseWebhook = %+v, %v; want %s, %v", tc.body, got, err, tc.raw, tc.want)
		}
	}
	v := koinal.Vocabulary(account())
	for word, w := range v.Orders {
		if !w.Guess && word != "CALLBACK" {
			t.Errorf("%s is not marked as a guess: no status list is published", word)
		}
	}
	if w, ok := v.Meaning(events.Order, "CALLBACK"); !ok || w.Status != events.StatusUnknown {
		t.Errorf("Meaning(CALLBACK) = %v, %v; want a known word that decides nothing", w.Status, ok)
	}
}

func TestParseWebhook_accepts(t *testing.T) {
	withField := account()
	withField.Webhook.Fields = map[string]string{"id": "orderNo", "status": "state"}
	pinned := account()
	pinned.Webhook.Strict, pinned.Webhook.Reading, pinned.Webhook.Header = true, "c", "x-sig"
	for _, tc := range []struct {
		name   string
		a      providers.Account
		d      providers.Delivery
		scheme string
	}{
		{"a", account(), signed(completed), "a/current"},
		{"b", account(), delivery(completed, "Callback-Signature", koinal.Sign("b", []byte(completed), current)), "b/current"},
		{"previous", account(), delivery(completed, "X-Signature", koinal.Sign("a", []byte(completed), previous)), "a/previous"},
		{"upper case", account(), delivery(completed, "X-Callback-Signature", strings.ToUpper(koinal.Sign("b", []byte(completed), current))), "b/current"},
		{"newline added", account(), delivery(completed+"\n", "Signature", koinal.Sign("a", []byte(completed), current)), "a/current/newline"},
		{"line end added", account(), delivery(completed+"\r\n", "Signature", koinal.Sign("a", []byte(completed), current)), "a/current/newline"},
		{"newline signed", account(), signed(completed + "\n"), "a/current"},
		{"strict c", pinned, delivery(completed, "X-Sig", koinal.Sign("c", []byte(completed), current)), "c/current"},
		{"other names", withField, signed(`{"id":"other","orderNo":123,"state":"COMPLETED","status":"FAILED"}`), "a/current"},
	} {
		got, err := open(t, tc.a).ParseWebhook(tc.d)
		if err != nil || got.Scheme != tc.scheme || got.Key.ID != "123" || got.Status != events.StatusCompleted {
			t.Errorf("%s: ParseWebhook = %+v, %v; want %s", tc.name, got, err, tc.scheme)
		}
	}
}

func TestParseWebhook_refuses(t *testing.T) {
	good := koinal.Sign("a", []byte(completed), current)
	with := func(d providers.Delivery, name string, values ...string) providers.Delivery {
		d.Header[name] = values
		return d
	}
	pin := func(reading string, strict bool) providers.Account {
		a := account()
		a.Webhook.Reading, a.Webhook.Strict = reading, strict
		return a
	}
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for _, tc := range []struct {
		name   string
		a      providers.Account
		d      providers.Delivery
		class  error
		reason providers.Reason
	}{
		{"another secret", account(), delivery(completed, "Signature", koinal.Sign("a", []byte(completed), "somebody-else's-secret")), providers.ErrUnauthentic, "signature"},
		{"c by default", account(), delivery(completed, "Signature", koinal.Sign("c", []byte(completed), current)), providers.ErrUnauthentic, "signature"},
		{"b where a is pinned", pin("a", false), delivery(completed, "Signature", koinal.Sign("b", []byte(completed), current)), providers.ErrUnauthentic, "signature"},
		{"hash of the secret alone", account(), delivery(completed, "Signature", koinal.Sign("a", nil, current)), providers.ErrUnauthentic, "signature"},
		{"blank before", account(), delivery(" "+completed, "Signature", good), providers.ErrUnauthentic, "signature"},
		{"two newlines", account(), delivery(completed+"\n\n", "Signature", good), providers.ErrUnauthentic, "signature"},
		{"newline, strict", pin("a", true), delivery(completed+"\n", "Signature", good), providers.ErrUnauthentic, "signature"},
		{"broken body, not signed", account(), delivery("{", "Signature", good), providers.ErrUnauthentic, "signature"},
		{"no header", account(), delivery(completed, "Sig", good), providers.ErrUnauthentic, "header_missing"},
		{"header twice", account(), with(signed(completed), "Signature", good, good), providers.ErrUnauthentic, "header_duplicate"},
		{"two names", account(), with(signed(completed), "X-Signature", good), providers.ErrUnauthentic, "header_duplicate"},
		{"empty signature", account(), delivery(completed, "Signature", ""), providers.ErrUnauthentic, "signature_format"},
		{"short signature", account(), delivery(completed, "Signature", good[:62]), providers.ErrUnauthentic, "signature_format"},
		{"long signature", account(), delivery(completed, "Signature", good+"00"), providers.ErrUnauthentic, "signature_format"},
		{"odd signature", account(), delivery(completed, "Signature", good[:63]), providers.ErrUnauthentic, "signature_format"},
		{"prefixed signature", account(), delivery(completed, "Signature", "sha256="+good), providers.ErrUnauthentic, "signature_format"},

		{"empty body", account(), delivery("", "Signature", koinal.Sign("a", nil, current)), providers.ErrBadRequest, "empty_body"},
		{"method", account(), providers.Delivery{Method: "GET", Body: []byte(completed)}, providers.ErrBadRequest, "unknown_shape"},
		{"gzip", account(), with(signed(completed), "Content-Encoding", "gzip"), providers.ErrUnsupportedMedia, "media_type"},
		{"two content types", account(), with(signed(completed), "Content-Type", "application/json", "text/html"), providers.ErrUnsupportedMedia, "media_type"},
		{"text, strict", pin("a", true), with(signed(completed), "Content-Type", "text/plain"), providers.ErrUnsupportedMedia, "media_type"},

		{"syntax", account(), signed("{"), providers.ErrMalformed, "json_syntax"},
		{"encoding", account(), signed("{\"id\":\"\xff\"}"), providers.ErrMalformed, "encoding"},
		{"bounds", account(), signed(deep), providers.ErrMalformed, "json_bounds"},
		{"duplicate keys", account(), signed(`{"id":1,"id":2}`), providers.ErrMalformed, "json_ambiguous"},
		{"keys that differ by case", account(), signed(`{"id":1,"status":"FAILED","Status":"COMPLETED"}`), providers.ErrMalformed, "json_ambiguous"},
		{"array", account(), signed(`[{"id":1}]`), providers.ErrMalformed, "unknown_shape"},
		{"status is prose", account(), signed(`{"id":1,"status":"paid by jane@example.com"}`), providers.ErrMalformed, "unknown_shape"},
		{"status is a number", account(), signed(`{"id":1,"status":2}`), providers.ErrMalformed, "unknown_shape"},
		{"no id", account(), signed(`{"status":"COMPLETED"}`), providers.ErrMalformed, "no_order_id"},
		{"null id", account(), signed(`{"id":null}`), providers.ErrMalformed, "no_order_id"},
		{"id with a slash", account(), signed(`{"id":"a/b"}`), providers.ErrMalformed, "bad_id"},
		{"id is a fraction", account(), signed(`{"id":1.0}`), providers.ErrMalformed, "bad_id"},
		{"id is negative", account(), signed(`{"id":-1}`), providers.ErrMalformed, "bad_id"},
		{"id is a parent path", account(), signed(`{"id":".."}`), providers.ErrMalformed, "bad_id"},
		{"id is an object", account(), signed(`{"id":{}}`), providers.ErrMalformed, "bad_id"},
		{"no number of money", account(), signed(`{"id":1,"currency_amount":1e9999}`), providers.ErrMalformed, "number_lossy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := open(t, tc.a).ParseWebhook(tc.d)
			var refused *providers.DeliveryError
			if !errors.As(err, &refused) || !errors.Is(err, tc.class) || refused.Reason != tc.reason || got != (events.Webhook{}) {
				t.Fatalf("ParseWebhook = %+v, %v; want %s: %v", got, err, tc.reason, tc.class)
			}
			for _, secret := range []string{"jane", "canary", current.Reveal(), good} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q quotes the delivery", err)
				}
			}
		})
	}
}

// Digits beyond any float stay as they are: the signature covers them.
func TestParseWebhook_keepsDigits(t *testing.T) {
	got, err := open(t, account()).ParseWebhook(signed(`{"id":123456789012345678901234567890,"cryptocurrency_amount":0.123456789012345678901234567890}`))
	if err != nil || got.Key.ID != "123456789012345678901234567890" || got.Facts.CryptoAmount != "0.123456789012345678901234567890" {
		t.Errorf("ParseWebhook = %+v, %v", got, err)
	}
}

// The scheme has no time, so a replay is the same event for ever, and with or
// without the newline that a proxy added.
func TestParseWebhook_replaysShareAnEventID(t *testing.T) {
	p := open(t, account())
	first, err := p.ParseWebhook(signed(completed))
	if err != nil {
		t.Fatal(err)
	}
	later := delivery(completed+"\n", "X-Signature", strings.ToUpper(koinal.Sign("a", []byte(completed), current)))
	later.ReceivedAt += 90 * 24 * 3600 * 1000
	if got, err := p.ParseWebhook(later); err != nil || got.EventID != first.EventID {
		t.Errorf("replay: %v, %v; want %v", got.EventID, err, first.EventID)
	}
	if got, err := p.ParseWebhook(signed(strings.Replace(completed, "COMPLETED", "REFUNDED", 1))); err != nil || got.EventID == first.EventID {
		t.Errorf("another meaning: %v, %v; want another event", got.EventID, err)
	}
}

func TestParseWebhook_everyBitFlip(t *testing.T) {
	p := open(t, account())
	for _, body := range []string{completed, completed + "\n"} {
		sig := koinal.Sign("a", []byte(completed), current)
		want, err := p.ParseWebhook(delivery(body, "Signature", sig))
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * (len(body) + len(sig)) {
			b, s := []byte(body), []byte(sig)
			if i := bit / 8; i < len(b) {
				b[i] ^= 1 << (bit % 8)
			} else {
				s[i-len(b)] ^= 1 << (bit % 8)
			}
			got, err := p.ParseWebhook(delivery(string(b), "Signature", string(s)))
			if got.BodyDigest = want.BodyDigest; err == nil && got != want {
				t.Errorf("bit %d: ParseWebhook = %+v, want %+v or a refusal", bit, got, want)
			}
		}
	}
}

func TestParseWebhook_hintRoute(t *testing.T) {
	c, err := koinal.Provider.Open(providers.Account{Account: "shop", Webhook: providers.Webhook{Trust: "hint"}}, providers.Env{})
	if err != nil || c.Authenticated || c.Orders != nil {
		t.Fatalf("Open = %+v, %v; want an unauthenticated route without calls", c, err)
	}
	got, err := c.Webhook.ParseWebhook(providers.Delivery{Method: "POST", Body: []byte(completed), ReceivedAt: receivedAt})
	want := events.Webhook{
		Key: events.Key{Provider: "koinal", Account: "shop", ID: "123"}, ObservedAt: receivedAt, EventID: got.EventID,
		BodyDigest: got.BodyDigest, HintReason: "unconfigured",
	}
	if err != nil || got != want || got.EventID == "" {
		t.Errorf("ParseWebhook = %+v, %v; want the order's key and nothing else", got, err)
	}
	if got, err := c.Webhook.ParseWebhook(providers.Delivery{Method: "POST", Body: []byte("{")}); !errors.Is(err, providers.ErrBadRequest) || got != (events.Webhook{}) {
		t.Errorf("ParseWebhook = %+v, %v; want ErrBadRequest", got, err)
	}
}

func FuzzParseWebhook(f *testing.F) {
	f.Add([]byte(completed), "", true)
	f.Add([]byte(`{"id":"a/b"}`), "", true)
	f.Add([]byte("\n"), "", true)
	f.Add([]byte("{"), strings.Repeat("0", 64), false)
	p := open(f, account())
	f.Fuzz(func(t *testing.T, body []byte, sig string, sign bool) {
		if sign { // reach what only the secret's owner reaches
			sig = koinal.Sign("b", body, current)
		}
		got, err := p.ParseWebhook(delivery(string(body), "Signature", sig))
		var refused *providers.DeliveryError
		switch {
		case err != nil:
			if !errors.As(err, &refused) || got != (events.Webhook{}) {
				t.Fatalf("ParseWebhook = %+v beside %v", got, err)
			}
			if sign && len(body) > 0 && !errors.Is(err, providers.ErrMalformed) {
				t.Fatalf("ParseWebhook refuses a signed delivery as %v", err)
			}
		case !sign:
			t.Fatalf("ParseWebhook accepts a signature that was not made with the secret: %+v", got)
		case !got.Key.Valid() || got.EventID == "" || got.StatusRaw == "":
			t.Fatalf("ParseWebhook = %+v", got)
		}
	})
}
