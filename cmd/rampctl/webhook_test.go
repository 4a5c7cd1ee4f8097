package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/koinal"
)

const ctlDelivery = `{"id":"w1","type":"order_completed", "data":{"id":"o-1","paymentStatus":"success","transferStatus":"settled"}}`

// ctlPersonal is the same with what no verdict repeats.
const ctlPersonal = `{"id":"w1","type":"order_completed", "data":{"id":"o-1","paymentStatus":"success","transferStatus":"settled"},"email":"canary@example.com"}`

// saved writes a file and gives its name.
func (c ctl) saved(text string) string {
	c.t.Helper()
	name := filepath.Join(c.t.TempDir(), "delivery.http")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return name
}

// What sign makes, verify believes; a changed byte it does not.
func TestWebhook_signAndVerify(t *testing.T) {
	c := newCtl(t)
	for account, body := range map[string]string{
		"kado/acme": ctlDelivery, "koinal/shop": `{"id":7,"status":"COMPLETED"}`,
		"zumo/shop": `{"eventType":"appUser.wallet.accounts.updated","subject":{"appUserId":"o-1","wallet":{"accounts":[]}}}`,
	} {
		request, errs, code := c.run(body, "webhook", "sign", "--account", account, "--request")
		if code != 0 || !strings.HasSuffix(request, body) {
			t.Fatalf("%s: sign = %d, %s, %q", account, code, errs, request)
		}
		c.want(0, map[string]any{"accepted": true, "trust": "SIGNED", "account": account, "answer": 200.0}, "", "webhook", "verify", c.saved(request), "-o", "json")
		changed := strings.Replace(request, "o-1", "o-2", 1)
		changed = strings.Replace(changed, `"id":7`, `"id":8`, 1)
		c.want(1, map[string]any{"accepted": false, "reason": "signature", "answer": 401.0}, "", "webhook", "verify", c.saved(changed), "-o", "json")
		if out, _, _ := c.run(body, "webhook", "sign", "--account", account); !strings.Contains(out, "ignature: ") {
			t.Errorf("%s: sign prints %q", account, out)
		}
	}
	for _, account := range []string{"kanga/shop", "kuna/shop"} {
		if _, errs, code := c.run("{}", "webhook", "sign", "--account", account); code != 2 || !strings.Contains(errs, "nothing to sign") {
			t.Errorf("%s: sign = %d, %s; want that nothing is signed", account, code, errs)
		}
	}
}

// verify names the reading that the sender uses, where we do not accept it.
func TestWebhook_verifySaysWhy(t *testing.T) {
	c := newCtl(t)
	kadoText := func(path, payload, key, at string) string {
		sig := kado.Sign(providers.Secret(key), "POST", at, path, kado.PayloadHex([]byte(payload)))
		return "POST /v1/webhooks/kado/acme HTTP/1.1\nContent-Type: application/json\nX-Timestamp: " + at + "\nX-Public-Key: ctl-public\nX-Signature: " + sig + "\n\n" + ctlPersonal
	}
	const route, at, when = "/v1/webhooks/kado/acme", "1700000000000", "1700000001000"
	first := ctlCanaries[1]
	for _, tc := range []struct {
		name, text, at string
		code           int
		want           []string
	}{
		{"as documented", kadoText(route, ctlPersonal, first, at), when, 0, []string{"ok     signature: payloadHex of the raw body, secret current", "accepted by kado/acme as SIGNED"}},
		{"second secret", kadoText(route, ctlPersonal, ctlCanaries[2], at), when, 0, []string{"raw/previous"}},
		{"stale", kadoText(route, ctlPersonal, first, at), "1700009001000", 1, []string{"FAIL   x-timestamp is within 5m0s", "signed 2h30m1s before it was received", "HINT (stale)"}},
		{"stale now", kadoText(route, ctlPersonal, first, at), "", 1, []string{"FAIL   x-timestamp"}},
		{"another path", kadoText("/hooks/kado", ctlPersonal, first, at), when, 1, []string{"FAIL   signature: payloadHex of the canonical body, secret current", "ingest answers 401"}},
		{"a slash too many", kadoText(route+"/", ctlPersonal, first, at), when, 1, []string{`aside  signature: payloadHex of the body as it came, path "/v1/webhooks/kado/acme/"`, "not accepted here"}},
		{"no payload", kadoText(route, "", first, at), when, 1, []string{"aside  signature: payloadHex of no body"}},
		{"no white space at all", kadoText(route, strings.ReplaceAll(ctlPersonal, " ", ""), first, at), when, 0, []string{"canonical/current"}},
		{"seconds for milliseconds", kadoText(route, ctlPersonal, first, "1700000000"), when, 1, []string{"FAIL   x-timestamp is within"}},
		{"koinal, reading c", "POST /v1/webhooks/koinal/shop HTTP/1.1\r\nSignature: " + koinal.Sign("c", []byte(`{"id":7}`), providers.Secret(ctlCanaries[6])) + "\r\nContent-Length: 8\r\n\r\n{\"id\":7}\n",
			when, 1, []string{"FAIL   signature: reading a", "aside  signature: reading c", "note: the newline at the end of the file is left out"}},
		{"koinal, another header", "POST /v1/webhooks/koinal/shop HTTP/1.1\nKoinal-Signature: ab\n\n{}", when, 1, []string{"aside  header Koinal-Signature is there", "header_missing"}},
		{"zumo, another scheme", "POST /v1/webhooks/zumo/shop HTTP/1.1\nX-Signature: 00\n\n{}", when, 1, []string{"FAIL   signature: hmac-sha256 of the body, hex, secret 1", "signature_format"}},
		{"kanga", "GET /v1/webhooks/kanga/shop/TOKEN?transactionKey=o-1 HTTP/1.1\n\n", when, 1, []string{"path_token", "ingest answers 401"}},
		{"kuna", "POST /v1/webhooks/kuna/shop HTTP/1.1\n\n{\"id\":\"o-1\"}", when, 0, []string{"accepted by kuna/shop as HINT (unsigned): kuna/shop/o-1"}},
	} {
		line := []string{"webhook", "verify", "-"}
		if tc.at != "" {
			line = append(line, "--at", tc.at)
		}
		out, errs, code := c.run(tc.text, line...)
		if code != tc.code {
			t.Errorf("%s: exit code %d (%s); want %d\n%s", tc.name, code, errs, tc.code, out)
		}
		for _, want := range tc.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", tc.name, want, out)
			}
		}
	}
}

// Nobody knows how Zumo signs. On an account that verifies nothing yet, verify
// names each reading that the settings could name, and which of them fits.
func TestWebhook_verifyNamesEveryReadingOfZumo(t *testing.T) {
	c := newCtl(t)
	c.config = filepath.Join(t.TempDir(), "hint.yaml")
	text := `{kafka: {brokers: ["localhost:9092"]}, accounts: [{provider: zumo, account: hint, webhook: {trust: hint}, api: {app_id: a, app_secret: ctl-zumo-hint-secret1}}]}`
	if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	zumoText := func(changed, header, prefix string) string {
		const body = `{"eventType":"appUser.wallet.accounts.updated","subject":{"appUserId":"o-1","wallet":{"accounts":[]}}}`
		m := hmac.New(sha256.New, []byte("ctl-zumo-hint-secret1"))
		m.Write([]byte(body + changed))
		return "POST /v1/webhooks/zumo/hint HTTP/1.1\n" + header + ": " + prefix + hex.EncodeToString(m.Sum(nil)) + "\n\n" + body
	}
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"zumo, nothing configured", zumoText("", "X-Signature", "v1="), []string{
			"ok     signature (not looked at: the account says trust: hint)", "aside  reading: hmac-sha256 of the body, base64, in X-Signature", "does not fit",
			`aside  reading: hmac-sha256 of the body, hex, in X-Signature, under api.app_secret (it fits: set webhook.algorithm hmac-sha256, encoding hex, header X-Signature, prefix "v1=" and secrets)`,
			"aside  reading: hmac-sha512 of the body, base64, in X-Signature", "aside  reading: hmac-sha512 of the body, hex, in X-Signature", "accepted by zumo/hint as HINT"}},
		{"zumo, nothing that looks like a signature", zumoText("", "X-Other", ""), []string{"aside  a header that may be a signature (there is none: webhook.header can name another)"}},
		{"zumo, nothing configured, one byte changed", zumoText(" ", "Zumo-Hmac", ""), []string{"aside  reading: hmac-sha256 of the body, hex, in Zumo-Hmac, under api.app_secret (does not fit"}},
	} {
		out, errs, code := c.run(tc.text, "webhook", "verify", "-")
		if code != 0 {
			t.Errorf("%s: exit code %d (%s); want 0\n%s", tc.name, code, errs, out)
		}
		for _, want := range tc.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", tc.name, want, out)
			}
		}
	}
}

func TestWebhook_badFiles(t *testing.T) {
	c := newCtl(t)
	for name, text := range map[string]string{
		"empty": "", "no empty line": "POST /x HTTP/1.1\nA: b", "no request line": "\n\n{}", "a body only": ctlDelivery,
		"a header that is none": "POST /x HTTP/1.1\ncanary@example.com\n\n{}", "no path": "POST  HTTP/1.1\n\n{}", "no account": "POST /x HTTP/1.1\nA: b\n\n{}",
	} {
		if _, errs, code := c.run(text, "webhook", "verify", "-"); code != 2 || errs == "" {
			t.Errorf("%s: exit code %d, %s; want 2", name, code, errs)
		}
	}
	if _, _, code := c.run("", "webhook", "verify", filepath.Join(t.TempDir(), "none")); code != 2 {
		t.Errorf("a file that is not there: exit code %d; want 2", code)
	}
}

// send keeps the bytes: the far end sees what was saved.
func TestWebhook_send(t *testing.T) {
	c := newCtl(t)
	var got *http.Request
	var body []byte
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"event_id":"x"}`)
	}))
	defer srv.Close()
	old, _, _ := c.run(ctlDelivery, "webhook", "sign", "--account", "kado/acme", "--at", "2020-01-01T00:00:00Z", "--request")
	file := c.saved(old)
	out, errs, code := c.run("", "webhook", "send", file, "--url", srv.URL+"/hook?a=b", "-o", "json")
	if code != 0 || out != "{\"status\":200,\"body\":\"{\\\"event_id\\\":\\\"x\\\"}\"}\n" {
		t.Fatalf("send = %d, %s, %s", code, out, errs)
	}
	if string(body) != ctlDelivery || got.Method != "POST" || got.URL.String() != "/hook?a=b" || got.Header.Get("X-Timestamp") != "1577836800000" {
		t.Errorf("the far end sees %s %s %v %s", got.Method, got.URL, got.Header, body)
	}
	if _, _, code := c.run("", "webhook", "send", file, "--url", srv.URL, "--resign"); code != 0 || got.Header.Get("X-Timestamp") == "1577836800000" {
		t.Errorf("send --resign: exit code %d, timestamp %s", code, got.Header.Get("X-Timestamp"))
	}
	for _, s := range []int{401, 302, 503, 204} {
		status = s
		if _, _, code := c.run("", "webhook", "send", file, "--url", srv.URL); code != 1 || got.URL.Path == "/elsewhere" {
			t.Errorf("send answered with %d: exit code %d; want 1, and no redirect followed", s, code)
		}
	}
	if _, errs, code := c.run("", "webhook", "send", file, "--url", "ftp://x"); code != 2 {
		t.Errorf("send to ftp: %d, %s; want 2", code, errs)
	}
	srv.Close()
	if _, _, code := c.run("", "webhook", "send", file, "--url", srv.URL); code != 1 {
		t.Errorf("send to nobody: exit code %d; want 1", code)
	}
}

// parseRequest takes the bytes of a body as they are, and never panics.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("POST /v1/webhooks/kado/acme/token?q=1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}\n"))
	f.Add([]byte("GET /x\nA: b\n\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			if r.method != "" || r.header != nil || r.body != nil {
				t.Errorf("parseRequest = %+v beside %v", r, err)
			}
			return
		}
		if r.method == "" || r.target == "" || !strings.HasSuffix(strings.TrimRight(string(b), "\r\n"), strings.TrimRight(string(r.body), "\r\n")) {
			t.Errorf("parseRequest = %+v; want the end of the input as its body", r)
		}
	})
}
