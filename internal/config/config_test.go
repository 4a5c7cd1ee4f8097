package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// ignoreDeferred: faults that wait for Validate are compared through it.
var ignoreDeferred = cmpopts.IgnoreUnexported(config.Config{})

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, env ...string) (config.Config, error) {
	t.Helper()
	return config.Load(write(t, "config.yaml", text), env, nil)
}

// faultsOf fails unless err is an *Error (or nil), so that exit code 2 holds.
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var ce *config.Error
	if !errors.As(err, &ce) || ce.ExitCode() != 2 {
		t.Fatalf("error %v is %T, want *config.Error with exit code 2", err, err)
	}
	return ce.Faults
}

func TestLoad_defaults(t *testing.T) {
	got, err := config.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(config.Default(), got, ignoreDeferred); d != "" {
		t.Errorf("Load without layers differs from Default (-want +got):\n%s", d)
	}
}

func TestLoad_layers(t *testing.T) {
	path := write(t, "c.yaml", `
kafka: {brokers: [file:9092], properties: {security.protocol: SSL, request.timeout.ms: 5000, enable.x: true}}
ingest: {listen: ":1", max_body: 64 KiB}
rules: {confirmations_other: [1m], margin: 2s}
accounts:
  - {provider: kado, account: acme, webhook: {window: 4m}}
  - {provider: kanga, account: shop, webhook: {trust: hint}}
`)
	got, err := config.Load(path, []string{
		"PATH=/bin", "RAMP_CONFIG=elsewhere", "RAMP_INGEST_PORT_8080_TCP_ADDR=10.0.0.1", "RAMP_INGEST_SERVICE_HOST=10.0.0.1",
		"RAMP_KAFKA_BROKERS=a:1, b:2", "RAMP_INGEST_LISTEN=:2", "RAMP_INGEST_ADMIN_LISTEN=:3",
		"RAMP_KAFKA_PROPERTIES_SASL_JAAS_CONFIG=x", "RAMP_DEAD_LETTER_RAW_BODIES=true", "RAMP_TOPICS_NAMES_DEAD_LETTER=dlq",
		"RAMP_ACCOUNTS_1_API_PRIVATE_KEY=with,comma", "RAMP_ACCOUNTS_0_WEBHOOK_SECRETS_0=one,1", "RAMP_ACCOUNTS_0_WEBHOOK_SECRETS_1=two",
		"RAMP_INGEST_HINT_RATE=2.5", "RAMP_INGEST_TOKENS_0_NAME=shop", "RAMP_INGEST_TOKENS_0_ACCOUNTS=kado/acme",
	}, map[string]any{"ingest.listen": ":4", "kafka.properties.sasl.mechanism": "PLAIN", "log.level": "debug", "accounts.0.api.base_url": "https://x"})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Kafka.Brokers = []string{"a:1", "b:2"}
	want.Kafka.Properties = map[string]string{
		"security.protocol": "SSL", "sasl.jaas.config": "x", "sasl.mechanism": "PLAIN", "request.timeout.ms": "5000", "enable.x": "true",
	}
	want.Ingest.Listen, want.Ingest.AdminListen, want.Ingest.MaxBody, want.Ingest.Hint.Rate = ":4", ":3", 64<<10, 2.5
	want.Ingest.Tokens = []config.Token{{Name: "shop", Accounts: []events.Lane{"kado/acme"}}}
	want.Rules.ConfirmationsOther, want.Rules.Margin = []time.Duration{time.Minute}, 2*time.Second
	want.DeadLetter.RawBodies, want.Topics.Override.DeadLetter, want.Log.Level = true, "dlq", "debug"
	want.Accounts = []providers.Account{
		{
			Provider: "kado", Account: "acme", API: providers.API{BaseURL: "https://x"},
			Webhook: providers.Webhook{Window: 4 * time.Minute, Secrets: []providers.Secret{"one,1", "two"}},
		},
		{Provider: "kanga", Account: "shop", Webhook: providers.Webhook{Trust: "hint"}, API: providers.API{PrivateKey: "with,comma"}},
	}
	if d := cmp.Diff(want, got, ignoreDeferred); d != "" {
		t.Errorf("Load of file, environment and overrides (-want +got):\n%s", d)
	}
	if n := got.Topics.Names(); n.DeadLetter != "dlq" || n.Webhook != "ramp.webhook.v1" {
		t.Errorf("Names() = %q, %q; want dlq, ramp.webhook.v1", n.DeadLetter, n.Webhook)
	}
}

// Who forgot the file sees faults of what stands in it; the last line says so.
func TestValidate_saysThatNoFileWasRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(path, []byte("log: {level: info}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		path string
		env  []string
		note bool
	}{
		"none": {note: true}, "flag": {path: path}, "environment": {env: []string{"RAMP_CONFIG=" + path}},
	} {
		cfg, err := config.Load(tc.path, tc.env, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = cfg.Validate(config.ForRampctl, nil, providers.Policy{})
		if err == nil || strings.Contains(err.Error(), "no configuration file was read") != tc.note || strings.Contains(err.Error(), "3 faults") {
			t.Errorf("%s: Validate = %v; want two faults, note: %v", name, err, tc.note)
		}
	}
}

func TestLoad_fileNamedByTheEnvironment(t *testing.T) {
	path := write(t, "c.yaml", "log: {level: debug}")
	cfg, err := config.Load("", []string{"RAMP_CONFIG=" + path}, nil)
	if err != nil || cfg.Log.Level != "debug" {
		t.Errorf("Load with RAMP_CONFIG = log.level %q, %v; want debug, nil", cfg.Log.Level, err)
	}
	if _, err := config.Load("", []string{"RAMP_CONFIG=" + path + "x"}, nil); len(faultsOf(t, err)) != 1 {
		t.Errorf("Load with a missing RAMP_CONFIG = %v, want one fault", err)
	}
}

func TestLoad_faults(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		env        []string
		want       []string
	}{
		{name: "several at once", text: `
ingest: {listn: ":1", max_in_flight: many}
accounts: [{provider: kado, account: 7, webhook: {secretz: [x], window: 5}}]
`, want: []string{
			"accounts[0].account: must be a string, write it in quotes",
			"accounts[0].webhook.secretz: unknown key, did you mean secrets?",
			"accounts[0].webhook.window: must be a duration such as 90s, 5m or 24h",
			"ingest.listn: unknown key, did you mean listen?",
			`ingest.max_in_flight: must be a whole number (got "many")`,
		}},
		{name: "unlike any key", text: "log: {xylophone: 1}", want: []string{"log.xylophone: unknown key (known: level, format)"}},
		{name: "number too large for its field", text: "topics: {replication: 70000}", want: []string{`topics.replication: must be a whole number (got "70000")`}},
		{
			name: "a number where a secret stands is not shown", text: "accounts: [{api: {password: 12345678}}]",
			want: []string{"accounts[0].api.password: must be a string, write it in quotes"},
		},
		{name: "section is a list", text: "kafka: [1]", want: []string{"kafka: must be a section with keys"}},
		{name: "list is a number", text: "kafka: {brokers: 1}", want: []string{"kafka.brokers: must be a list"}},
		{name: "environment", env: []string{"RAMP_KAFKA_BROKER=a:1", "RAMP_ACCOUNTS_1_ACCOUNT=x", "RAMP_QQQQQQQQQQQQ=1"}, want: []string{
			"RAMP_KAFKA_BROKER: environment variable of no known key, did you mean RAMP_KAFKA_BROKERS?",
			"RAMP_QQQQQQQQQQQQ: environment variable of no known key",
			"RAMP_ACCOUNTS_1_ACCOUNT: does not fit the list: elements are numbered from 0 without a gap",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(t, tc.text, tc.env...)
			if d := cmp.Diff(tc.want, faultsOf(t, err)); d != "" {
				t.Errorf("Load(%s) faults (-want +got):\n%s", tc.text, d)
			}
		})
	}
}

func TestLoad_parserMessageQuotesNothing(t *testing.T) {
	for _, text := range []string{"sup3rsecret-value-here", "a: b: sup3rsecret", "log: {level: a}\nlog: {level: sup3rsecret}"} {
		_, err := load(t, text)
		if err == nil || strings.Contains(err.Error(), "sup3r") {
			t.Errorf("Load(%q) error = %v; want one that quotes nothing of the file", text, err)
		}
	}
}

func TestLoad_secretsFromElsewhere(t *testing.T) {
	path := write(t, "c.yaml", `
kafka: {brokers: ["b:1"], properties: {sasl.jaas.config: 'PlainLoginModule required username="u" password="${KPW}";'}}
accounts:
  - provider: kado
    account: acme
    webhook: {secrets: ["${HOOK}"], secret_files: [old]}
    api: {private_key_file: key, password: "${file:key}"}
ingest: {tokens: [{name: t, token_file: none, accounts: [kado/acme]}]}
`)
	dir := filepath.Dir(path)
	for name, text := range map[string]string{"old": "previous-secret-of-hook\n", "key": " private-key-of-acme \n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(path, []string{"HOOK=current-secret-of-hook", "KPW=pw"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := cfg.Accounts[0]
	if d := cmp.Diff([]providers.Secret{"current-secret-of-hook", "previous-secret-of-hook"}, a.Webhook.Secrets); d != "" {
		t.Errorf("webhook.secrets (-want +got):\n%s", d)
	}
	if a.API.PrivateKey != "private-key-of-acme" || a.API.Password != "private-key-of-acme" {
		t.Errorf("private_key, password = %q, %q; want the file's trimmed content", a.API.PrivateKey.Reveal(), a.API.Password.Reveal())
	}
	if got, want := cfg.Kafka.Properties["sasl.jaas.config"], `PlainLoginModule required username="u" password="pw";`; got != want {
		t.Errorf("sasl.jaas.config = %s, want %s", got, want)
	}
	var out bytes.Buffer
	if err := cfg.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"current-secret", "previous-secret", "private-key-of", `"pw"`} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("Print shows %q:\n%s", secret, out.String())
		}
	}
	want := `ingest.tokens[0].token_file: file "none": no such file or directory`
	if got := faultsOf(t, cfg.Validate(config.ForIngest, nil, providers.Policy{})); !contains(got, want) {
		t.Errorf("Validate(ingest) = %q, want %q among them", got, want)
	}
	if got := faultsOf(t, cfg.Validate(config.ForReconciler, nil, providers.Policy{})); contains(got, want) {
		t.Errorf("Validate(reconciler) = %q: a token file is none of its business", got)
	}
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

func TestPrint_loadsAgain(t *testing.T) {
	cfg, err := load(t, "kafka: {brokers: [a:1]}\nrules: {stuck: 36h}\ntopics: {names: {intent: i}}\naccounts: [{provider: kado, account: a, api: {base_url: 'https://u:p@h/x'}}]")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := cfg.Print(&out); err != nil {
		t.Fatal(err)
	}
	again, err := load(t, out.String())
	if err != nil {
		t.Fatalf("Load of what Print wrote: %v\n%s", err, out.String())
	}
	cfg.Accounts[0].API.BaseURL = "https://h/x"
	if d := cmp.Diff(cfg, again, ignoreDeferred, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("Load(Print(c)) (-want +got):\n%s", d)
	}
}

func TestEnvNames_areUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range config.EnvNames() {
		if seen[n] {
			t.Errorf("%s names two keys", n)
		}
		seen[n] = true
	}
	if !seen["RAMP_RECONCILER_TRANSACTION_TIMEOUT"] {
		t.Errorf("EnvNames() = %q lacks a nested key", config.EnvNames())
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("kafka: {brokers: [a:1]}", "RAMP_LOG_LEVEL=info")
	f.Add("accounts: [{provider: kado, account: a, webhook: {secrets: [abcdefghijklmnopqrstuvwxyz]}}]", "RAMP_ACCOUNTS_0_ACCOUNT=b")
	f.Add("rules: {margin: 1h}\ningest: {max_body: 3MiB, tokens: [{token: x}]}", "RAMP_TOPICS_PARTITIONS=x")
	f.Add("? [a]\n: b", "RAMP_=")
	path := filepath.Join(f.TempDir(), "c.yaml")
	f.Fuzz(func(t *testing.T, text, env string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, []string{env}, nil)
		if err != nil {
			faultsOf(t, err)
			if d := cmp.Diff(config.Config{}, cfg, ignoreDeferred); d != "" {
				t.Fatalf("Load gave an error and a value: %s", d)
			}
			return
		}
		faultsOf(t, cfg.Validate(config.ForAll, nil, providers.Policy{}))
		var out bytes.Buffer
		if err := cfg.Print(&out); err != nil {
			t.Fatalf("Print: %v", err)
		}
	})
}
