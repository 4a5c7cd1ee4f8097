package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// head is a configuration without accounts; nothing of it is reached.
const head = `
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "http://127.0.0.1:1"}
topics: {replication: 1}
ingest: {listen: "127.0.0.1:0", admin_listen: "127.0.0.1:0", public_url: "https://hooks.example.com"}
poller: {instance_id: a, admin_listen: "127.0.0.1:0"}
accounts:
`

// badSecrets: credentials that are empty, blank, unresolved, placeholders or
// printed in a document are refused at the start, by the built program, with
// the setting's name and without its value.
func badSecrets(t *testing.T, _ platform) {
	w := &world{t: t, dir: t.TempDir()}
	api := `api: {base_url: "https://api.example.com", `
	for n, tc := range []struct {
		program, field, account string
		values                  []string // in the place of %s
	}{
		{"ingest", "webhook.secrets[0]", `{provider: kado, account: a, webhook: {public_key: pub-key, secrets: [%s]}}`,
			[]string{`""`, `"   "`, `"changeme"`, `"short"`, `" padded-secret-0123456 "`, `"kado-test-private-key"`}},
		{"ingest", "webhook.secrets[0]", `{provider: koinal, account: a, webhook: {secrets: [%s]}}`, []string{`""`, `"  "`, `"secret"`, `"11qq22ww"`}},
		{"ingest", "webhook.secrets[0]", `{provider: koinal, account: a, webhook: {secrets: [%s], allow_short_secrets: true}}`, []string{`""`, `" "`, `"11qq22ww"`}},
		{"ingest", "webhook.secrets[0]", `{provider: zumo, account: a, webhook: {algorithm: hmac-sha256, secrets: [%s]}}`, []string{`""`, `"  "`, `"password"`, `"{{app-secret}}"`, `"{{ app-secret-of-16 }}"`}},
		{"ingest", "webhook.path_token", `{provider: kanga, account: a, webhook: {trust: hint, path_token: %s}, api: {public_key: K, private_key_file: none}}`,
			[]string{`"   "`, `"todo"`, `"8B2EFBECA2BEBB2C413BCFD7915E9209D80F3F4222042B31DD9D605E39F2035F"`}},
		{"ingest", "webhook.path_token", `{provider: kuna, account: a, webhook: {trust: hint, path_token: %s}, ` + api + `api_key_file: none}}`, []string{`"   "`, `"xxx"`, `"a/b/c/d/e/f/g/h/i"`}},
		{"poller", "api.private_key", `{provider: kado, account: a, webhook: {trust: hint}, api: {public_key: pub-key, private_key: %s}}`, []string{`" "`, `"changeme"`, `"kado-test-private-key"`}},
		{"poller", "api.private_key", `{provider: kanga, account: a, webhook: {trust: hint}, api: {public_key: K, private_key: %s}}`,
			[]string{`""`, `" "`, `"8B2EFBECA2BEBB2C413BCFD7915E9209D80F3F4222042B31DD9D605E39F2035F"`}},
		{"poller", "api.private_key", `{provider: koinal, account: a, webhook: {trust: hint}, ` + api + `merchant_code: "1000", customer_reference: shop-x, private_key: %s}}`, []string{`""`, `" "`, `"11qq22ww"`}},
		{"poller", "api.api_key", `{provider: kuna, account: a, webhook: {trust: hint}, ` + api + `api_key: %s}}`, []string{`""`, `" "`, `"secret"`}},
		{"poller", "api.password", `{provider: kuna, account: a, webhook: {trust: hint}, ` + api + `merchant_id: M, login: L, password: %s}}`, []string{`""`, `" "`, `"password"`}},
		{"poller", "api.app_secret", `{provider: zumo, account: a, webhook: {trust: hint}, api: {app_id: app, app_secret: %s}}`, []string{`""`, `" "`, `"{{app-secret}}"`}},
	} {
		for i, v := range tc.values {
			file := filepath.Join(w.dir, fmt.Sprintf("%d-%d.yaml", n, i))
			must(t, os.WriteFile(file, []byte(head+"  - "+fmt.Sprintf(tc.account, v)+"\n"), 0o600))
			code, out := w.command(tc.program, "-config", file)
			if code != 2 || !strings.Contains(out, "accounts[0]."+tc.field) {
				t.Errorf("%s with %s: exit code %d, want 2 and accounts[0].%s\n%s", tc.account, v, code, tc.field, tail(out))
			}
			if secret := strings.Trim(v, `" `); len(secret) > 12 && strings.Contains(out, secret) {
				t.Errorf("%s prints the secret\n%s", tc.program, out)
			}
		}
	}
}
