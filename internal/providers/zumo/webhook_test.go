package zumo_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// The document's sample, with its missing commas put in, its stray letter taken
// out, and an id of ours.
const updated = `{
"eventType": "appUser.wallet.accounts.updated",
"subjectType": "appUser",
"subject": {
"appUserId": "` + userID + `",
"createdAt": "2020-01-15 09:03:13",
"updatedAt": "2020-01-15 09:03:13",
"wallet": {
"accounts": [
{
"id": "00000000-5555-0000-0000-000000000000",
"createdAt": "2020-01-15 10:22:24",
"updatedAt": "2020-01-15 10:22:24"
}
]
}
}
}`

func mac(h func() hash.Hash, key, body string) []byte {
	m := hmac.New(h, []byte(key))
	m.Write([]byte(body))
	return m.Sum(nil)
}

func signedBy(key, body string) providers.Delivery {
	return delivery(body, hex.EncodeToString(mac(sha256.New, key, body)))
}

func delivery(body string, signatures ...string) providers.Delivery {
	return providers.Delivery{Method: "POST", Body: []byte(body), ReceivedAt: received,
		Header: map[string][]string{"Content-Type": {"application/json"}, "X-Signature": signatures}}
}

func TestParseWebhook_signed(t *testing.T) {
	for _, tc := range []struct {
		name string
		d    providers.Delivery
		want events.Webhook
	}{
		{"current", signedBy(secret, updated), events.Webhook{EventType: "appUser.wallet.accounts.updated", StatusRaw: "provisioned",
			Status: events.StatusCompleted, Scheme: "hmac-sha256/current", Facts: events.Facts{ProviderCreatedAt: 1579078993000}}},
		{"previous", signedBy(previous, updated), events.Webhook{EventType: "appUser.wallet.accounts.updated", StatusRaw: "provisioned",
			Status: events.StatusCompleted, Scheme: "hmac-sha256/previous", Facts: events.Facts{ProviderCreatedAt: 1579078993000}}},
		{"no account", signedBy(secret, `{"eventType":"appUser.wallet.accounts.updated","subject":{"appUserId":"`+userID+`","wallet":{"id":"w","accounts":[]}}}`),
			events.Webhook{EventType: "appUser.wallet.accounts.updated", StatusRaw: "created", Status: events.StatusCreated,
				Scheme: "hmac-sha256/current", Facts: events.Facts{WalletID: "w"}}},
		{"another event", signedBy(secret, `{"eventType":"appUser.deleted","subject":{"appUserId":"`+userID+`"}}`),
			events.Webhook{EventType: "appUser.deleted", StatusRaw: "appUser.deleted", Scheme: "hmac-sha256/current"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := open(t, verifying(), providers.Env{}).Webhook.ParseWebhook(tc.d)
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Key, tc.want.ObservedAt, tc.want.Trust = customer(userID), received, events.TrustSigned
			tc.want.BodyDigest, tc.want.EventID = providers.BodyDigest(tc.d.Body), got.EventID
			if diff := cmp.Diff(tc.want, got); diff != "" || got.EventID == "" {
				t.Errorf("ParseWebhook (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseWebhook_schemes(t *testing.T) {
	sha2, sha5 := mac(sha256.New, secret, updated), mac(sha512.New, secret, updated)
	for _, tc := range []struct {
		name      string
		configure func(*providers.Webhook)
		header    string
		value     string
	}{
		{"hex capitals", func(*providers.Webhook) {}, "X-Signature", strings.ToUpper(hex.EncodeToString(sha2))},
		{"sha512", func(w *providers.Webhook) { w.Algorithm = "hmac-sha512" }, "X-Signature", hex.EncodeToString(sha5)},
		{"base64", func(w *providers.Webhook) { w.Encoding = "base64" }, "X-Signature", base64.StdEncoding.EncodeToString(sha2)},
		{"prefix", func(w *providers.Webhook) { w.Prefix = "sha256=" }, "X-Signature", "sha256=" + hex.EncodeToString(sha2)},
		{"header", func(w *providers.Webhook) { w.Header = "zumo-signature" }, "Zumo-Signature", hex.EncodeToString(sha2)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := verifying()
			tc.configure(&a.Webhook)
			p := open(t, a, providers.Env{}).Webhook
			d := delivery(updated)
			d.Header = map[string][]string{tc.header: {tc.value}}
			if w, err := p.ParseWebhook(d); err != nil || w.Trust != events.TrustSigned {
				t.Errorf("ParseWebhook = %v, %v", w.Trust, err)
			}
			d.Body = []byte(updated + " ")
			refused(t, p, d, providers.ErrUnauthentic, "signature")
		})
	}
}

func TestParseWebhook_unauthentic(t *testing.T) {
	good := hex.EncodeToString(mac(sha256.New, secret, updated))
	for _, tc := range []struct {
		name   string
		d      providers.Delivery
		reason providers.Reason
	}{
		{"none", delivery(updated), "header_missing"},
		{"two", delivery(updated, good, good), "header_duplicate"},
		{"folded", delivery(updated, good+", "+good), "signature_format"},
		{"empty", delivery(updated, ""), "signature_format"},
		{"short", delivery(updated, good[:62]), "signature_format"},
		{"odd", delivery(updated, good[:63]), "signature_format"},
		{"long", delivery(updated, good+"00"), "signature_format"},
		{"not hex", delivery(updated, strings.Repeat("zz", 32)), "signature_format"},
		{"wide digits", delivery(updated, strings.Repeat("\uff11", 64)), "signature_format"},
		{"prefix that is not configured", delivery(updated, "sha256="+good), "signature_format"},
		{"other secret", signedBy("another-secret-of-nobody", updated), "signature"},
		{"empty secret", signedBy("", updated), "signature"},
		{"other body", delivery(updated+"\n", good), "signature"},
		{"empty body", delivery("", good), "signature"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refused(t, open(t, verifying(), providers.Env{}).Webhook, tc.d, providers.ErrUnauthentic, tc.reason)
		})
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

// The same bodies are bad requests while nothing is verified, and unusable
// deliveries of Zumo's once they are.
func TestParseWebhook_unreadable(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		reason     providers.Reason
	}{
		{"empty", "", "empty_body"},
		{"the sample as printed", strings.Replace(updated, `13",`, `13"`, 1), "json_syntax"},
		{"two users", `{"subject":{"appUserId":"a","appUserId":"b"}}`, "json_ambiguous"},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), "json_bounds"},
		{"not UTF-8", "{\"subject\":{\"appUserId\":\"\xff\"}}", "encoding"},
		{"no user", `{"eventType":"x.y","subject":{}}`, "no_order_id"},
		{"no subject", `{"eventType":"x.y"}`, "no_order_id"},
		{"array", `[]`, "no_order_id"},
		{"user is a number", `{"eventType":"x.y","subject":{"appUserId":7}}`, "bad_id"},
		{"user with a slash", `{"eventType":"x.y","subject":{"appUserId":"a/b"}}`, "bad_id"},
		{"user that is a directory", `{"eventType":"x.y","subject":{"appUserId":".."}}`, "bad_id"},
		{"user is an e-mail", `{"eventType":"x.y","subject":{"appUserId":"canary@example.com"}}`, "bad_id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refused(t, open(t, hinting(), providers.Env{}).Webhook, delivery(tc.body), providers.ErrBadRequest, tc.reason)
			refused(t, open(t, verifying(), providers.Env{}).Webhook, signedBy(secret, tc.body), providers.ErrMalformed, tc.reason)
		})
	}
	for _, body := range []string{`{"subject":{"appUserId":"a"}}`, `{"eventType":"","subject":{"appUserId":"a"}}`, `{"eventType":{},"subject":{"appUserId":"a"}}`} {
		refused(t, open(t, verifying(), providers.Env{}).Webhook, signedBy(secret, body), providers.ErrMalformed, "unknown_shape")
	}
}

func TestParseWebhook_hint(t *testing.T) {
	d := delivery(updated, "whatever", "twice")
	got, err := open(t, hinting(), providers.Env{}).Webhook.ParseWebhook(d)
	if err != nil {
		t.Fatal(err)
	}
	want := events.Webhook{Key: customer(userID), EventID: got.EventID, ObservedAt: received, Trust: events.TrustHint,
		HintReason: "unconfigured", BodyDigest: providers.BodyDigest(d.Body)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseWebhook (-want +got):\n%s", diff)
	}
	d.PathToken = "x"
	refused(t, open(t, hinting(), providers.Env{}).Webhook, d, providers.ErrUnauthentic, "path_token")
}

// One flipped bit of the body or the signature is refused. The only exception is
// the case of a hexadecimal digit, which is the same signature and the same event.
func TestParseWebhook_everyBitFlip(t *testing.T) {
	p := open(t, verifying(), providers.Env{}).Webhook
	base := signedBy(secret, updated)
	want, err := p.ParseWebhook(base)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(updated) * 8 {
		body := []byte(updated)
		body[i/8] ^= 1 << (i % 8)
		d := base
		d.Body = body
		refused(t, p, d, providers.ErrUnauthentic, "signature")
	}
	signature := base.Header["X-Signature"][0]
	for i := range len(signature) * 8 {
		flipped := []byte(signature)
		flipped[i/8] ^= 1 << (i % 8)
		got, err := p.ParseWebhook(delivery(updated, string(flipped)))
		switch {
		case strings.EqualFold(string(flipped), signature):
			if err != nil || got.EventID != want.EventID {
				t.Errorf("signature in other case = %v, %v", got.EventID, err)
			}
		case !errors.Is(err, providers.ErrUnauthentic):
			t.Errorf("bit %d of the signature: ParseWebhook = %v", i, err)
		}
	}
}

func TestParseWebhook_eventID(t *testing.T) {
	p := open(t, verifying(), providers.Env{}).Webhook
	id := func(d providers.Delivery) events.EventID {
		t.Helper()
		w, err := p.ParseWebhook(d)
		if err != nil {
			t.Fatal(err)
		}
		return w.EventID
	}
	first := signedBy(secret, updated)
	again := first
	again.ReceivedAt += 3_600_000
	if id(first) != id(again) {
		t.Error("a redelivery has another event id")
	}
	if id(first) == id(signedBy(secret, strings.Replace(updated, "10:22:24\"\n}", "10:22:25\"\n}", 1))) {
		t.Error("another version of an account has the same event id")
	}
}
