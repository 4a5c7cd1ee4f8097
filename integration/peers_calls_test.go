package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rampstream/integration/peers"
)

// line is a command line of rampctl provider.
type line struct {
	words []string
	file  string // content of the file that the last word names
	keep  string // member of the output to keep, under its name
}

// everyCommand makes every documented call with the built rampctl. It comes
// before the programs: a person's nonces and tokens are not the poller's.
func (w peered) everyCommand() {
	customer := `{"email":"viktor@example.com","firstName":"Viktor","lastName":"T","country":"UA","verificationDocumentId":"1","residenceAddress":"a"}`
	person := `{"firstName":"A","lastName":"B","phone":"+15183334444","email":"a@example.com","dateOfBirth":"1992-01-31","address":{"street1":"1","postalCode":"1","city":"C","country":"DE"}}`
	kept := map[string]string{}
	must(w.t, w.peers.Set("kado", peers.Fields{"id": "o-1"}))
	must(w.t, w.peers.Set("kuna", peers.Fields{"id": "o-1"}))
	must(w.t, w.peers.Set("kanga", peers.Fields{"id": "o-1"}))
	lines := []line{
		{words: []string{"kado", "configure-webhook", "--secret", "1"}},
		{words: []string{"kado", "order", "o-1"}},
		{words: []string{"kado", "quote", "--method", "ach", "--amount", "100.5", "--asset", "USDC", "--blockchain", "solana"}},
		{words: []string{"kado", "kyc-submit", "--body"}, file: person, keep: "user_id"},
		{words: []string{"kado", "kyc-init-partial", "--body"}, file: person},
		{words: []string{"kado", "kyc-status", "{user_id}"}},
		{words: []string{"kado", "kyc-status-by-ref", "ref-{user_id}"}},
		{words: []string{"kado", "kyc-upload-docs", "{user_id}", "--type", "passport", "--front"}, file: strings.Repeat("image", 10_000)},
		{words: []string{"kanga", "estimate", "EMT", "3000"}},
		{words: []string{"kanga", "create-payment", "--reveal"}, keep: "payment_token"},
		{words: []string{"kanga", "start-url", "k-1", "--currency", "oPLN", "--amount", "10.50"}},
		{words: []string{"kanga", "check", "o-1"}},
		{words: []string{"kanga", "test"}},
		{words: []string{"koinal", "token", "--reveal"}},
		{words: []string{"koinal", "quote", "--fiat-amount", "1000", "--fiat", "USD", "--crypto", "BTC", "--reveal"}, keep: "token"},
		{words: []string{"koinal", "create-order", "--body"}, keep: "order_id",
			file: `{"quote_token":"{token}","crypto_asset":"BTC","wallet_address":"bc1","customer_ip":"192.0.2.7"}`},
		{words: []string{"koinal", "status", "{order_id}"}},
		{words: []string{"kuna", "create-customer", "--body"}, file: customer, keep: "customer_id"},
		{words: []string{"kuna", "customer", "{customer_id}"}},
		{words: []string{"kuna", "ramp-token", "{customer_id}", "--user-agent", "UA", "--reveal"}, keep: "token"},
		{words: []string{"kuna", "widget-url", "institution-1", "--token"}, file: "{token}"},
		{words: []string{"kuna", "invalidate", "{customer_id}"}},
		{words: []string{"kuna", "operation", "o-1"}},
		{words: []string{"kuna", "operations", "--take", "10"}},
		{words: []string{"zumo", "token"}},
		{words: []string{"zumo", "create-user", "u-1"}},
		{words: []string{"zumo", "get-user", "u-1"}},
		{words: []string{"zumo", "user-token", "u-1", "--reveal"}, keep: "refresh_token"},
		{words: []string{"zumo", "user-token", "u-1", "--refresh"}, file: "{refresh_token}"},
		{words: []string{"zumo", "users"}},
		{words: []string{"zumo", "mark-synced", "u-1"}},
		{words: []string{"zumo", "delete-user", "u-1"}},
	}
	if w.peers.Dialect == peers.Document {
		lines = append(lines, line{words: []string{"kuna", "login"}})
	}
	for n, l := range lines {
		w.commandLine(n, l, kept)
	}
	w.tested("peer", 0)
	w.tested(string(rival), 1)
}

// commandLine runs one line; "{name}" stands for what an earlier one kept.
func (w peered) commandLine(n int, l line, kept map[string]string) {
	w.t.Helper()
	fill := func(s string) string {
		for name, v := range kept {
			s = strings.ReplaceAll(s, "{"+name+"}", v)
		}
		return s
	}
	args := []string{"provider"}
	for _, word := range l.words {
		args = append(args, fill(word))
	}
	if l.file != "" {
		name := filepath.Join(w.dir, fmt.Sprintf("input-%d", n))
		must(w.t, os.WriteFile(name, []byte(fill(l.file)), 0o600))
		args = append(args, name)
	}
	code, out := w.rampctl(append(args, "--account", "peer")...)
	var doc map[string]any
	if err := json.Unmarshal([]byte(out), &doc); code != 0 || err != nil || len(doc) == 0 {
		w.t.Errorf("rampctl %s: exit code %d, %v\n%s", strings.Join(args, " "), code, err, out)
		return
	}
	if l.keep != "" {
		kept[l.keep], _ = doc[l.keep].(string)
	}
}

// tested tries the credentials of an account of every provider.
func (w peered) tested(account string, want int) {
	w.t.Helper()
	for _, name := range []string{"kado", "kanga", "koinal", "kuna", "zumo"} {
		code, out := w.rampctl("provider", "test", "--account", name+"/"+account)
		word := map[int]string{0: `"accepted"`, 1: `"refused"`}[want]
		if code != want || !strings.Contains(out, word) {
			w.t.Errorf("rampctl provider test %s/%s: exit code %d, want %d and %s\n%s", name, account, code, want, word, out)
		}
	}
}

// webhookCommands: what rampctl signs it verifies, and the running ingest takes.
func (w peered) webhookCommands() {
	for _, s := range w.subjects() {
		if s.deliver == nil || s.provider == "kanga" || s.provider == "kuna" {
			continue
		}
		d, err := w.peers.Sign(s.provider, s.delivery())
		must(w.t, err)
		account := string(s.provider) + "/peer"
		body, request := filepath.Join(w.dir, "body-"+string(s.provider)), filepath.Join(w.dir, "request-"+string(s.provider))
		must(w.t, os.WriteFile(body, []byte(d.Body), 0o600))
		code, out := w.rampctl("webhook", "sign", "--account", account, "--body", body, "--request")
		must(w.t, os.WriteFile(request, []byte(out), 0o600))
		if code != 0 {
			w.t.Errorf("rampctl webhook sign for %s: exit code %d\n%s", account, code, out)
		}
		for _, args := range [][]string{{"webhook", "verify", request}, {"webhook", "send", request, "--url", w.hook(s.provider, "peer")}} {
			if code, out := w.rampctl(args...); code != 0 {
				w.t.Errorf("rampctl %s: exit code %d\n%s", strings.Join(args, " "), code, out)
			}
		}
		// The same for the rival is not: the key is another.
		if code, out := w.rampctl("webhook", "verify", request, "--account", string(s.provider)+"/"+string(rival)); code != 1 || !strings.Contains(out, "refused by") {
			w.t.Errorf("rampctl webhook verify for the rival: exit code %d\n%s", code, out)
		}
	}
}
