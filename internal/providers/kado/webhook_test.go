package kado_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
)

const (
	publicKey  = "kado-test-public-key"
	current    = providers.Secret("current-webhook-secret-0001")
	previous   = providers.Secret("previous-webhook-secret-001")
	privateKey = providers.Secret("server-to-server-private-key")
	receivedAt = events.Millis(1_700_000_000_000)
	hookURL    = "https://hooks.example.com/v1/webhooks/kado/acme"
	hookPath   = "/v1/webhooks/kado/acme"
)

const completed = `{"id":"w1","resource":"order","type":"order_completed","data":{"id":"6408fd3e24c501549aaac9fd",` +
	`"paymentStatus":"success","transferStatus":"settled","machineStatusField":"SETTLED","orderType":"buy","userRef":"c6e2e802-edfb",` +
	`"createdAt":"2023-11-14T22:13:20.123Z","txHash":"5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW",` +
	`"blockchain":"solana","walletAddress":"wallet-canary","manualDepositMemo":"memo-canary","payAmount":{"amount":100.5,"unit":"USD"},` +
	`"recvAmount":{"amount":98.1234567,"unit":"USDC"},"cryptoCurrency":{"symbol":"USDC"}},"message":"Order is complete"}`

func account() providers.Account {
	return providers.Account{
		Provider: kado.Name, Account: "acme",
		Webhook: providers.Webhook{PublicKey: publicKey, Secrets: []providers.Secret{current, previous}, URL: hookURL},
	}
}

func open(t testing.TB, a providers.Account) providers.WebhookParser {
	t.Helper()
	c, err := kado.Provider.Open(a, providers.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Webhook
}

// sent is what a delivery is made of; zero fields take the values of an honest one.
type sent struct {
	body, payload string // payload is what is hashed: default the canonical form of body
	key           providers.Secret
	path, method  string
	at            events.Millis
	public        string
}

func (s sent) delivery(t testing.TB) providers.Delivery {
	t.Helper()
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&s.method, "POST")
	def(&s.path, hookPath)
	def(&s.public, publicKey)
	if s.key == "" {
		s.key = current
	}
	if s.at == 0 {
		s.at = receivedAt
	}
	if s.payload == "" {
		c, err := kado.Canonical([]byte(s.body))
		if err != nil {
			t.Fatalf("Canonical(%q): %v", s.body, err)
		}
		s.payload = string(c)
	}
	if s.path == "none" {
		s.path = ""
	}
	timestamp := strconv.FormatInt(int64(s.at), 10)
	return providers.Delivery{
		Method: s.method, Body: []byte(s.body), ReceivedAt: receivedAt,
		Header: map[string][]string{
			"Content-Type": {"application/json"}, "X-Timestamp": {timestamp}, "X-Public-Key": {s.public},
			"X-Signature": {kado.Sign(s.key, s.method, timestamp, s.path, kado.PayloadHex([]byte(s.payload)))},
		},
	}
}

func TestParseWebhook_meaning(t *testing.T) {
	got, err := open(t, account()).ParseWebhook(sent{body: completed}.delivery(t))
	if err != nil {
		t.Fatal(err)
	}
	want := events.Webhook{
		Key: events.Key{Provider: "kado", Account: "acme", ID: "6408fd3e24c501549aaac9fd"}, ObservedAt: receivedAt,
		EventID: got.EventID, BodyDigest: got.BodyDigest, Trust: events.TrustSigned, EventType: "order_completed",
		StatusRaw: "order_completed", Status: events.StatusCompleted, DeliveryID: "w1", Scheme: "canonical/current",
		Facts: events.Facts{
			FiatAmount: "100.5", FiatCurrency: "USD", CryptoAmount: "98.1234567", CryptoAsset: "USDC", CryptoNetwork: "solana",
			Side: "buy", CustomerID: "c6e2e802-edfb", StatusInData: "success+settled", ProviderCreatedAt: receivedAt + 123,
			TxHash: "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW",
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("ParseWebhook (-want +got):\n%s", d)
	}
	if len(got.EventID) != 32 || len(got.BodyDigest) != 64 {
		t.Errorf("EventID %q, BodyDigest %q", got.EventID, got.BodyDigest)
	}
}

func TestParseWebhook_accepts(t *testing.T) {
	spaced := strings.ReplaceAll(completed, `":`, `" : `)
	for _, tc := range []struct {
		name   string
		change func(*providers.Account)
		in     sent
		scheme string
	}{
		{"canonical of another spelling", nil, sent{body: spaced}, "canonical/current"},
		{"raw", nil, sent{body: spaced, payload: spaced}, "raw/current"},
		{"previous secret", nil, sent{body: completed, key: previous}, "canonical/previous"},
		{"private key where no secret is", func(a *providers.Account) {
			a.Webhook.Secrets, a.API.PrivateKey = nil, privateKey
		}, sent{body: completed, key: privateKey}, "canonical/private_key"},
		{"path and query", func(a *providers.Account) { a.Webhook.URL += "?x=1" }, sent{body: completed, path: hookPath + "?x=1"}, "canonical/current/query"},
		{"path without its query", func(a *providers.Account) { a.Webhook.URL += "?x=1" }, sent{body: completed}, "canonical/current"},
		{"bare host", func(a *providers.Account) { a.Webhook.URL = "https://h" }, sent{body: completed, path: "none"}, "canonical/current"},
		{"bare host as slash", func(a *providers.Account) { a.Webhook.URL = "https://h" }, sent{body: completed, path: "/"}, "canonical/current/slash"},
		{"slash as bare host", func(a *providers.Account) { a.Webhook.URL = "https://h/" }, sent{body: completed, path: "none"}, "canonical/current/bare"},
		{"oldest of the window", nil, sent{body: completed, at: receivedAt - 300_000}, "canonical/current"},
		{"newest of the window", nil, sent{body: completed, at: receivedAt + 300_000}, "canonical/current"},
		{"strict", strict, sent{body: completed}, "canonical/current"},
		{"duplicate keys by their canonical form", nil, sent{body: strings.Replace(completed, `"id":"w1"`, `"id":"w0","id":"w1"`, 1)}, "canonical/current"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := account()
			if tc.change != nil {
				tc.change(&a)
			}
			got, err := open(t, a).ParseWebhook(tc.in.delivery(t))
			if err != nil || got.Trust != events.TrustSigned || got.Scheme != tc.scheme || got.Status != events.StatusCompleted || got.DeliveryID != "w1" {
				t.Errorf("ParseWebhook = %+v, %v; want SIGNED by %s", got, err, tc.scheme)
			}
		})
	}
}

func strict(a *providers.Account) { a.Webhook.Strict = true }

func TestParseWebhook_refuses(t *testing.T) {
	header := func(name string, values ...string) func(*providers.Delivery) {
		return func(d *providers.Delivery) { d.Header[name] = values }
	}
	lossy := strings.Replace(completed, "100.5", "9007199254740993", 1)
	doubled := strings.Replace(completed, `"id":"w1"`, `"id":"w0","id":"w1"`, 1)
	costly := "[" + strings.Repeat("5e-324,", 200) + "0]"
	many := "[" + strings.Repeat("1.5,", 1100) + "0]"
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for _, tc := range []struct {
		name   string
		change func(*providers.Account)
		in     sent
		forge  func(*providers.Delivery)
		class  error
		reason providers.Reason
	}{
		{"another key", nil, sent{body: completed, key: "somebody-else's-secret"}, nil, providers.ErrUnauthentic, "signature"},
		{"another method signed", nil, sent{body: completed, method: "PUT"}, func(d *providers.Delivery) { d.Method = "POST" }, providers.ErrUnauthentic, "signature"},
		{"another path", nil, sent{body: completed, path: "/v1/webhooks/kado/other"}, nil, providers.ErrUnauthentic, "signature"},
		{"empty payloadHex", nil, sent{body: completed}, func(d *providers.Delivery) {
			d.Header["X-Signature"] = []string{kado.Sign(current, "POST", d.Header["X-Timestamp"][0], hookPath, "")}
		}, providers.ErrUnauthentic, "signature"},
		{"empty key's signature", nil, sent{body: completed}, func(d *providers.Delivery) {
			d.Header["X-Signature"] = []string{kado.Sign("", "POST", d.Header["X-Timestamp"][0], hookPath, kado.PayloadHex(d.Body))}
		}, providers.ErrUnauthentic, "signature"},
		{"blanks stripped from strings", nil, sent{body: completed, payload: strings.ReplaceAll(completed, " ", "")}, nil, providers.ErrUnauthentic, "signature"},
		{"another account's public key", nil, sent{body: completed, public: "kado-test-public-kez"}, nil, providers.ErrUnauthentic, "public_key"},
		{"longer public key", nil, sent{body: completed, public: publicKey + "x"}, nil, providers.ErrUnauthentic, "public_key"},
		{"signature twice", nil, sent{body: completed}, func(d *providers.Delivery) {
			d.Header["X-Signature"] = append(d.Header["X-Signature"], d.Header["X-Signature"]...)
		}, providers.ErrUnauthentic, "header_duplicate"},
		{"timestamp twice", nil, sent{body: completed}, header("X-Timestamp", "1", "1"), providers.ErrUnauthentic, "header_duplicate"},
		{"public key missing", nil, sent{body: completed}, header("X-Public-Key"), providers.ErrUnauthentic, "header_missing"},
		{"signature missing", nil, sent{body: completed}, header("X-Signature"), providers.ErrUnauthentic, "header_missing"},
		{"signature empty", nil, sent{body: completed}, header("X-Signature", ""), providers.ErrUnauthentic, "signature_format"},
		{"signature short", nil, sent{body: completed}, header("X-Signature", strings.Repeat("a", 62)), providers.ErrUnauthentic, "signature_format"},
		{"signature long", nil, sent{body: completed}, header("X-Signature", strings.Repeat("a", 66)), providers.ErrUnauthentic, "signature_format"},
		{"signature odd", nil, sent{body: completed}, header("X-Signature", strings.Repeat("a", 63)), providers.ErrUnauthentic, "signature_format"},
		{"signature base64", nil, sent{body: completed}, header("X-Signature", strings.Repeat("Q", 64)), providers.ErrUnauthentic, "signature_format"},
		{"signature in wide digits", nil, sent{body: completed}, header("X-Signature", strings.Repeat("\uff11", 64)), providers.ErrUnauthentic, "signature_format"},
		{"timestamp signed", nil, sent{body: completed}, header("X-Timestamp", "+1700000000000"), providers.ErrUnauthentic, "timestamp"},
		{"timestamp ISO", nil, sent{body: completed}, header("X-Timestamp", "2023-11-14T22:13:20Z"), providers.ErrUnauthentic, "timestamp"},
		{"timestamp with zero", nil, sent{body: completed}, header("X-Timestamp", "01700000000000"), providers.ErrUnauthentic, "timestamp"},
		{"timestamp huge", nil, sent{body: completed}, header("X-Timestamp", strings.Repeat("9", 30)), providers.ErrUnauthentic, "timestamp"},
		{"stale, strict", strict, sent{body: completed, at: receivedAt - 300_001}, nil, providers.ErrUnauthentic, "stale"},
		{"early, strict", strict, sent{body: completed, at: receivedAt + 300_001}, nil, providers.ErrUnauthentic, "stale"},
		{"raw, strict", strict, sent{body: " " + completed, payload: " " + completed}, nil, providers.ErrUnauthentic, "signature"},
		{"query, strict", func(a *providers.Account) { a.Webhook.URL += "?x=1"; a.Webhook.Strict = true }, sent{body: completed, path: hookPath + "?x=1"}, nil, providers.ErrUnauthentic, "signature"},
		{"raw, pinned canonical", func(a *providers.Account) { a.Webhook.Reading = "canonical" }, sent{body: " " + completed, payload: " " + completed}, nil, providers.ErrUnauthentic, "signature"},
		{"canonical, pinned raw", func(a *providers.Account) { a.Webhook.Reading = "raw" }, sent{body: " " + completed}, nil, providers.ErrUnauthentic, "signature"},

		{"empty body", nil, sent{body: completed}, func(d *providers.Delivery) { d.Body = nil }, providers.ErrBadRequest, "empty_body"},
		{"method", nil, sent{body: completed, method: "GET"}, nil, providers.ErrBadRequest, "unknown_shape"},
		{"not UTF-8, though signed", nil, sent{body: "{\"a\":\"\xff\"}", payload: "{\"a\":\"\xff\"}"}, nil, providers.ErrBadRequest, "encoding"},
		{"byte order mark", nil, sent{body: "\ufeff{}", payload: "\ufeff{}"}, nil, providers.ErrBadRequest, "encoding"},
		{"syntax", nil, sent{body: "{", payload: "x"}, nil, providers.ErrBadRequest, "json_syntax"},
		{"bounds", nil, sent{body: deep, payload: "x"}, nil, providers.ErrBadRequest, "json_bounds"},
		{"too many costly numbers", nil, sent{body: costly, payload: "x"}, nil, providers.ErrBadRequest, "json_bounds"},
		{"too many numbers", nil, sent{body: many, payload: "x"}, nil, providers.ErrBadRequest, "json_bounds"},
		{"gzip", nil, sent{body: completed}, header("Content-Encoding", "gzip"), providers.ErrUnsupportedMedia, "media_type"},
		{"two content types", nil, sent{body: completed}, header("Content-Type", "application/json", "text/plain"), providers.ErrUnsupportedMedia, "media_type"},
		{"form, strict", strict, sent{body: completed}, header("Content-Type", "application/x-www-form-urlencoded"), providers.ErrUnsupportedMedia, "media_type"},
		{"no content type, strict", strict, sent{body: completed}, header("Content-Type"), providers.ErrUnsupportedMedia, "media_type"},

		{"syntax, signed as it came", nil, sent{body: "{", payload: "{"}, nil, providers.ErrMalformed, "json_syntax"},
		{"bounds, signed as it came", nil, sent{body: deep, payload: deep}, nil, providers.ErrMalformed, "json_bounds"},
		{"too many costly numbers, signed as they came", nil, sent{body: costly, payload: costly}, nil, providers.ErrMalformed, "json_bounds"},
		{"duplicate keys, signed as they came", nil, sent{body: doubled, payload: doubled}, nil, providers.ErrMalformed, "json_ambiguous"},
		{"duplicate keys, strict", strict, sent{body: doubled}, nil, providers.ErrMalformed, "json_ambiguous"},
		{"digits that only the canonical form lacks", nil, sent{body: lossy}, nil, providers.ErrMalformed, "number_lossy"},
		{"no number of money", nil, sent{body: strings.Replace(completed, "100.5", `"1e9999"`, 1)}, nil, providers.ErrMalformed, "number_lossy"},
		{"array", nil, sent{body: "[1]"}, nil, providers.ErrMalformed, "unknown_shape"},
		{"no type", nil, sent{body: `{"data":{"id":"1"}}`}, nil, providers.ErrMalformed, "unknown_shape"},
		{"type is prose", nil, sent{body: `{"type":"Jane Roe paid","data":{"id":"1"}}`}, nil, providers.ErrMalformed, "unknown_shape"},
		{"resource is prose", nil, sent{body: `{"resource":"a b","type":"order_failed","data":{"id":"1"}}`}, nil, providers.ErrMalformed, "unknown_shape"},
		{"no data", nil, sent{body: `{"type":"order_failed"}`}, nil, providers.ErrMalformed, "no_order_id"},
		{"null id", nil, sent{body: `{"type":"order_failed","data":{"id":null}}`}, nil, providers.ErrMalformed, "no_order_id"},
		{"another resource", nil, sent{body: `{"resource":"user","type":"kyc","data":{"id":"1"}}`}, nil, providers.ErrMalformed, "no_order_id"},
		{"id with a slash", nil, sent{body: `{"type":"order_failed","data":{"id":"a/customer/b"}}`}, nil, providers.ErrMalformed, "bad_id"},
		{"id is a number", nil, sent{body: `{"type":"order_failed","data":{"id":7,"_id":"x"}}`}, nil, providers.ErrMalformed, "bad_id"},
		{"id with a zero-width space", nil, sent{body: `{"type":"order_failed","data":{"id":"a\u200b"}}`}, nil, providers.ErrMalformed, "bad_id"},
		{"id is half a pair", nil, sent{body: `{"type":"order_failed","data":{"id":"\ud800"}}`}, nil, providers.ErrMalformed, "bad_id"},
		{"id is a parent path", nil, sent{body: `{"type":"order_failed","data":{"id":".."}}`}, nil, providers.ErrMalformed, "bad_id"},
		{"id above the limit", nil, sent{body: `{"type":"order_failed","data":{"id":"` + strings.Repeat("a", 129) + `"}}`}, nil, providers.ErrMalformed, "bad_id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := account()
			if tc.change != nil {
				tc.change(&a)
			}
			d := tc.in.delivery(t)
			if tc.forge != nil {
				tc.forge(&d)
			}
			got, err := open(t, a).ParseWebhook(d)
			var refused *providers.DeliveryError
			if !errors.As(err, &refused) || !errors.Is(err, tc.class) || refused.Reason != tc.reason || got != (events.Webhook{}) {
				t.Errorf("ParseWebhook = %+v, %v; want %s: %v", got, err, tc.reason, tc.class)
			}
		})
	}
}

// A stale delivery is authentic, but may be a replay: worth a look at the
// provider, not worth believing.
func TestParseWebhook_staleIsAHint(t *testing.T) {
	for _, at := range []events.Millis{receivedAt - 300_001, receivedAt + 300_001, 1} {
		got, err := open(t, account()).ParseWebhook(sent{body: completed, at: at}.delivery(t))
		if err != nil || got.Trust != events.TrustHint || got.HintReason != "stale" || got.Scheme != "" || !got.Key.Valid() {
			t.Errorf("at %d: ParseWebhook = %+v, %v; want a stale hint", at, got, err)
		}
	}
	a := account()
	a.Webhook.Window = 10 * time.Second
	if got, err := open(t, a).ParseWebhook(sent{body: completed, at: receivedAt - 10_001}.delivery(t)); err != nil || got.Trust != events.TrustHint {
		t.Errorf("window of 10 s: ParseWebhook = %v, %v; want a hint", got.Trust, err)
	}
}

// One signature fits endless byte forms; they are one event.
func TestParseWebhook_spellingsShareAnEventID(t *testing.T) {
	p := open(t, account())
	honest := sent{body: completed}.delivery(t)
	first, err := p.ParseWebhook(honest)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{
		" " + completed + "\n",
		strings.ReplaceAll(completed, "100.5", "1.005e2"),
		strings.ReplaceAll(completed, "order_completed", `order\u005fcompleted`),
		strings.Replace(completed, `"id":"w1"`, `"id":"other","id":"w1"`, 1),
	} {
		d := honest
		d.Body = []byte(body)
		got, err := p.ParseWebhook(d)
		got.BodyDigest = first.BodyDigest
		if err != nil || got != first {
			t.Errorf("%.60q: ParseWebhook = %+v, %v; want what the honest spelling gave", body, got, err)
		}
	}
	d := honest
	d.Header["X-Signature"] = []string{strings.ToUpper(honest.Header["X-Signature"][0])}
	if got, err := p.ParseWebhook(d); err != nil || got.EventID != first.EventID {
		t.Errorf("upper-case signature: %v, %v; want the same event", got.EventID, err)
	}
}

// Whatever single bit changes on the way, the delivery is refused or means
// exactly the same.
func TestParseWebhook_everyBitFlip(t *testing.T) {
	for _, change := range []func(*providers.Account){func(*providers.Account) {}, strict} {
		a := account()
		change(&a)
		p := open(t, a)
		for _, in := range []sent{{body: completed}, {body: " " + completed + "\n"}} {
			flipAll(t, p, in.delivery(t))
		}
	}
	raw := " " + completed
	flipAll(t, open(t, account()), sent{body: raw, payload: raw}.delivery(t))
}

func flipAll(t *testing.T, p providers.WebhookParser, honest providers.Delivery) {
	t.Helper()
	want, err := p.ParseWebhook(honest)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, bit int, d providers.Delivery) {
		got, err := p.ParseWebhook(d)
		if err != nil {
			return
		}
		got.BodyDigest = want.BodyDigest
		if got != want {
			t.Errorf("bit %d of %s: ParseWebhook = %+v, want %+v or a refusal", bit, what, got, want)
		}
	}
	for bit := range 8 * len(honest.Body) {
		d := honest
		d.Body = flip(honest.Body, bit)
		check("the body", bit, d)
	}
	for name := range honest.Header {
		for bit := range 8 * len(honest.Header[name][0]) {
			d := honest
			d.Header = map[string][]string{}
			for k, v := range honest.Header {
				d.Header[k] = v
			}
			d.Header[name] = []string{string(flip([]byte(honest.Header[name][0]), bit))}
			check(name, bit, d)
		}
	}
}

func flip(b []byte, bit int) []byte {
	out := append([]byte(nil), b...)
	out[bit/8] ^= 1 << (bit % 8)
	return out
}

// A delivery for one account proves nothing to another, whose key or URL differs.
func TestParseWebhook_accountsAreApart(t *testing.T) {
	d := sent{body: completed}.delivery(t)
	other := account()
	other.Account, other.Webhook.URL = "other", "https://hooks.example.com/v1/webhooks/kado/other"
	if _, err := open(t, other).ParseWebhook(d); !errors.Is(err, providers.ErrUnauthentic) {
		t.Errorf("replay at another route = %v, want ErrUnauthentic", err)
	}
	other = account()
	other.Webhook.PublicKey = "the-other-organisation"
	if _, err := open(t, other).ParseWebhook(d); !errors.Is(err, providers.ErrUnauthentic) {
		t.Errorf("replay at another organisation = %v, want ErrUnauthentic", err)
	}
}

func TestParseWebhook_hintRoute(t *testing.T) {
	a := providers.Account{Provider: kado.Name, Account: "acme", Webhook: providers.Webhook{Trust: "hint"}}
	c, err := kado.Provider.Open(a, providers.Env{})
	if err != nil || c.Authenticated {
		t.Fatalf("Open = %+v, %v; want an unauthenticated route", c, err)
	}
	got, err := c.Webhook.ParseWebhook(providers.Delivery{Method: "POST", Body: []byte(completed), ReceivedAt: receivedAt})
	want := events.Webhook{
		Key: events.Key{Provider: "kado", Account: "acme", ID: "6408fd3e24c501549aaac9fd"}, ObservedAt: receivedAt,
		EventID: got.EventID, BodyDigest: got.BodyDigest, HintReason: "unconfigured",
	}
	if err != nil || got != want || got.EventID == "" {
		t.Errorf("ParseWebhook = %+v, %v; want the order's key and nothing else", got, err)
	}
	for _, body := range []string{"{", `{"a":1,"a":1}`, `{"type":"order_failed","data":{}}`, "\xff"} {
		got, err := c.Webhook.ParseWebhook(providers.Delivery{Method: "POST", Body: []byte(body)})
		if !errors.Is(err, providers.ErrBadRequest) || got != (events.Webhook{}) {
			t.Errorf("%q: ParseWebhook = %+v, %v; want ErrBadRequest", body, got, err)
		}
	}
}

func FuzzParseWebhook(f *testing.F) {
	f.Add([]byte(completed), "1700000000000", publicKey, "", true)
	f.Add([]byte(`{"type":"order_failed","data":{"id":"a/b"}}`), "1700000000000", publicKey, "", true)
	f.Add([]byte("{"), "0", "", strings.Repeat("0", 64), false)
	f.Add([]byte(""), "", "", "", false)
	p := open(f, account())
	f.Fuzz(func(t *testing.T, body []byte, timestamp, public, sig string, sign bool) {
		if sign { // reach what only the key's owner reaches
			sig = kado.Sign(current, "POST", timestamp, hookPath, kado.PayloadHex(body))
		}
		got, err := p.ParseWebhook(providers.Delivery{
			Method: "POST", Body: body, ReceivedAt: receivedAt,
			Header: map[string][]string{"X-Timestamp": {timestamp}, "X-Public-Key": {public}, "X-Signature": {sig}},
		})
		var refused *providers.DeliveryError
		switch {
		case err != nil:
			if !errors.As(err, &refused) || got != (events.Webhook{}) {
				t.Fatalf("ParseWebhook = %+v beside %v", got, err)
			}
		case !sign:
			t.Fatalf("ParseWebhook accepts a signature that was not made with the key: %+v", got)
		case !got.Key.Valid() || got.EventID == "" || got.StatusRaw == "" || public != publicKey:
			t.Fatalf("ParseWebhook = %+v", got)
		}
	})
}
