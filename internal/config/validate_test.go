package config_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// signing wants a webhook secret and an API key; open says nothing verifies
// unless a secret is there.
var signing = providers.Provider{
	Name: "kado",
	Validate: func(a providers.Account, _ providers.Policy) []string {
		var out []string
		if len(a.Webhook.Secrets) == 0 && a.Webhook.Trust == "" {
			out = append(out, "webhook.secrets: at least one is required")
		}
		if a.API.PrivateKey == "" {
			out = append(out, "api.private_key: is required")
		}
		return out
	},
	Open: func(a providers.Account, env providers.Env) (providers.Capabilities, error) {
		if env.WebhookURL == "" {
			return providers.Capabilities{}, errors.New("webhook.url or ingest.public_url is required")
		}
		return providers.Capabilities{Webhook: parser{}, Authenticated: len(a.Webhook.Secrets) > 0}, nil
	},
}

// unsigned has nothing to verify with, and forgets to say so in Validate.
var unsigned = providers.Provider{
	Name: "kanga",
	Open: func(providers.Account, providers.Env) (providers.Capabilities, error) {
		return providers.Capabilities{Webhook: parser{}}, nil
	},
}

type parser struct{}

func (parser) ParseWebhook(providers.Delivery) (events.Webhook, error) { return events.Webhook{}, nil }

const valid = `
kafka: {brokers: [localhost:9092]}
registry: {url: http://localhost:8081}
ingest: {public_url: https://hooks.example.com, tokens: [{name: shop, token: a-token-of-the-shop-1, accounts: [kado/acme]}]}
poller: {instance_id: poller-0}
reconciler: {instance_id: reconciler-0}
accounts:
  - {provider: kado, account: acme, webhook: {secrets: [a-webhook-secret-of-acme]}, api: {private_key: the-key-of-acme}}
  - {provider: kanga, account: acme, webhook: {trust: hint}}
`

func TestValidate_accepts(t *testing.T) {
	cfg, err := load(t, valid)
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{config.ForAll, config.ForIngest, config.ForPoller, config.ForReconciler, config.ForRampctl} {
		if err := cfg.Validate(program, []providers.Provider{signing, unsigned}, providers.Policy{}); err != nil {
			t.Errorf("Validate(%s) = %v, want nil", program, err)
		}
	}
	if cfg.Reconciler.TransactionalID != "ramp-reconciler-reconciler-0" {
		t.Errorf("transactional_id = %q, want <group>-<instance_id>", cfg.Reconciler.TransactionalID)
	}
	if got, want := cfg.WebhookURL(cfg.Accounts[0]), "https://hooks.example.com/v1/webhooks/kado/acme"; got != want {
		t.Errorf("WebhookURL = %q, want %q", got, want)
	}
}

func TestValidate_refuses(t *testing.T) {
	for _, tc := range []struct {
		name     string
		old, new string // an edit of valid
		program  string
		want     string // a fault that must be there
	}{
		{"no brokers", "brokers: [localhost:9092]", "brokers: []", "", "kafka.brokers: at least one host:port is required (got \"none\")"},
		{"broker without port", "localhost:9092", "localhost", "", `kafka.brokers[0]: must be host:port (got "localhost")`},
		{
			"password in the registry's URL is not shown", "http://localhost:8081", "http://u:hunter2@localhost:8081", "",
			"registry.url: credentials belong into registry.properties, basic.auth.user.info",
		},
		{"a proxy that is no network", "ingest: {", `ingest: {trusted_proxies: ["10.0.0.1"], `, "", `ingest.trusted_proxies[0]: must be a network such as 192.0.2.0/24, or 192.0.2.7/32 (got "10.0.0.1")`},
		{"a proxy's network with an address in it", "ingest: {", `ingest: {trusted_proxies: ["10.0.0.1/8"], `, "", `ingest.trusted_proxies[0]: must be a network such as 192.0.2.0/24, or 192.0.2.7/32 (got "10.0.0.1/8")`},
		{"every proxy", "ingest: {", `ingest: {trusted_proxies: ["0.0.0.0/0"], `, "", `ingest.trusted_proxies[0]: must be a network such as 192.0.2.0/24, or 192.0.2.7/32 (got "0.0.0.0/0")`},
		{"every proxy, IPv6", "ingest: {", `ingest: {trusted_proxies: ["::/0"], `, "", `ingest.trusted_proxies[0]: must be a network such as 192.0.2.0/24, or 192.0.2.7/32 (got "::/0")`},
		{"addresses that are no network", "trust: hint}", "trust: hint, allow_from: ['2001:db8::/32', somewhere]}", "",
			`accounts[1].webhook.allow_from[1]: must be a network such as 192.0.2.0/24, or 192.0.2.7/32 (got "somewhere")`},
		{"plain http", "https://hooks", "http://hooks", "", `ingest.public_url: must be https:// (got "http://hooks.example.com")`},
		{"random instances", "instance_id: poller-0", "", config.ForPoller, `poller.instance_id: must be set, different for every instance and the same after a restart (a StatefulSet's pod name); 1-128 of [A-Za-z0-9._:-] (got "")`},
		{"token of nobody", "[kado/acme]", "[kado/other]", "", `ingest.tokens[0].accounts[0]: is no configured provider/account (got "kado/other")`},
		{"twice", "provider: kanga", "provider: kado", "", `accounts[1]: provider and account stand twice (got "kado/acme")`},
		{"unknown provider", "provider: kanga", "provider: kango", "", `accounts[1].provider: must be one of kado, kanga (got "kango")`},
		{"slash in an account", "account: acme, webhook: {s", "account: a/b, webhook: {s", "", `accounts[0].account: must be 1-128 of [A-Za-z0-9._:-] (got "a/b")`},
		{
			"nothing verifies (I5)", "webhook: {trust: hint}", "poll: {rate: 1}", config.ForIngest,
			"accounts[1].webhook: nothing verifies this route: configure a verifier, or write trust: hint to accept its deliveries as hints",
		},
		{"trust of another word", "trust: hint", "trust: full", "", `accounts[1].webhook.trust: must be absent or "hint" (got "full")`},
		{"the provider's rule", "private_key: the-key-of-acme", "login: x", config.ForPoller, "accounts[0].api.private_key: is required"},
		{"the provider cannot open", "public_url: https://hooks.example.com, ", "", "", "accounts[0]: webhook.url or ingest.public_url is required"},

		{"empty (I3)", "[a-webhook-secret-of-acme]", `[""]`, "", "accounts[0].webhook.secrets[0]: must not be empty"},
		{"blank", "[a-webhook-secret-of-acme]", `["                    "]`, "", "accounts[0].webhook.secrets[0]: must not be blank or surrounded by white space"},
		{"empty", "[a-webhook-secret-of-acme]", `["${EMPTY}"]`, config.ForIngest, "accounts[0].webhook.secrets[0]: environment variable EMPTY is empty"},
		{"unresolved", "[a-webhook-secret-of-acme]", `["${NOT_SET_ANYWHERE}"]`, config.ForIngest, "accounts[0].webhook.secrets[0]: environment variable NOT_SET_ANYWHERE is not set"},
		{"unresolvable", "[a-webhook-secret-of-acme]", `["${not a name, is it}"]`, "", "accounts[0].webhook.secrets[0]: holds a reference that nothing replaced"},
		{"changeme", "[a-webhook-secret-of-acme]", `[Change-Me-1234567890]`, "", "accounts[0].webhook.secrets[0]: is a placeholder"},
		{"one byte over and over", "[a-webhook-secret-of-acme]", `[xxxxxxxxxxxxxxxxxxxxxxxx]`, "", "accounts[0].webhook.secrets[0]: is a placeholder"},
		{"short", "[a-webhook-secret-of-acme]", `[fifteen-bytes-x]`, "", "accounts[0].webhook.secrets[0]: must be at least 16 bytes; allow_short_secrets: true admits what the provider issued"},
		{"short token", "a-token-of-the-shop-1", "fifteen-bytes-x", "", "ingest.tokens[0].token: must be at least 16 bytes"},
		{
			"documentation (I4)", "[a-webhook-secret-of-acme]", `[8B2EFBECA2BEBB2C413BCFD7915E9209D80F3F4222042B31DD9D605E39F2035F]`, "",
			"accounts[0].webhook.secrets[0]: is published in a provider's documentation or in this repository",
		},
		{"one secret, two owners (I6)", "a-token-of-the-shop-1", "a-webhook-secret-of-acme", "", "ingest.tokens[0].token: is also the secret of accounts[0].webhook.secrets[0]"},

		{"partitions", "kafka:", "topics: {partitions: 0}\nkafka:", "", "topics.partitions: must be 1 to 1000 (got 0)"},
		{"topic of two roles", "kafka:", "topics: {names: {intent: ramp.webhook.v1}}\nkafka:", config.ForRampctl, `topics.names: two topics have one name (got "ramp.webhook.v1")`},
		{"topic name", "kafka:", "topics: {prefix: 'a b'}\nkafka:", "", `topics: a name must be 1-249 of [a-zA-Z0-9._-] (got "a bwebhook.v1")`},
		{"confirmations go back", "kafka:", "rules: {confirmations_other: [1h, 1m]}\nkafka:", "", "rules.confirmations_other[1]: must be later than the one before it (got 1m0s)"},
		{"body cap", "ingest: {", "ingest: {max_body: 2MiB, ", "", "ingest.max_body: must be 1KiB to 1MiB (got 2MiB)"},
		{"half of TLS", "ingest: {", "ingest: {tls: {cert_file: c.pem}, ", "", `ingest.tls: cert_file and key_file come together (got "one of them")`},
		{"a checkpoint that nothing verifies", "reconciler: {", "reconciler: {guarantee: at_least_once, checkpoint_dir: /var/lib/ramp, ", "", "reconciler.checkpoint_dir: needs exactly_once (got \"/var/lib/ramp\")"},
		{"a store without a folder", "reconciler: {", "reconciler: {store: pebble, ", "", "reconciler.store_dir: must be an absolute path with the store pebble (got \"\")"},
		{"an unknown store", "reconciler: {", "reconciler: {store: rocksdb, ", "", "reconciler.store: must be memory or pebble (got \"rocksdb\")"},
		{"a checkpoint somewhere", "reconciler: {", "reconciler: {checkpoint_dir: ramp, ", "", "reconciler.checkpoint_dir: must be an absolute path (got \"ramp\")"},
		{"a transaction outlives the session", "reconciler: {", "reconciler: {session_timeout: 20s, ", "", `reconciler.transaction_timeout: must be 1s to 19.999s (got 30s)`},
		{"a session that brokers refuse", "poller: {", "poller: {session_timeout: 5s, ", "", `poller.session_timeout: must be 6s to 30m0s (got 5s)`},
		{"a call outlives the owner's lease", "poller: {", "poller: {call_timeout: 16s, ", "", `poller.call_timeout: must be at most a third of poller.session_timeout (got 16s)`},
		{"a batch that a start does not cover", "reconciler: {", "reconciler: {guarantee: at_least_once, max_batch: 5001, ", "", "reconciler.max_batch: must be at most 5000 with guarantee: at_least_once (got 5001)"},
		{"joiners", "reconciler: {", "reconciler: {joiners: -1, ", "", "reconciler.joiners: must be 0 to 64 (got -1)"},
		{"guarantee", "reconciler: {", "reconciler: {guarantee: maybe, ", "", `reconciler.guarantee: must be exactly_once or at_least_once (got "maybe")`},
		{"log level", "kafka:", "log: {level: loud}\nkafka:", "", `log.level: must be debug, info, warn or error (got "loud")`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(valid, tc.old, tc.new, 1)
			if text == valid {
				t.Fatalf("the edit %q -> %q changes nothing", tc.old, tc.new)
			}
			cfg, err := load(t, text, "EMPTY= ")
			if err != nil {
				t.Fatal(err)
			}
			program := tc.program
			if program == "" {
				program = config.ForAll
			}
			got := faultsOf(t, cfg.Validate(program, []providers.Provider{signing, unsigned}, providers.Policy{}))
			if !contains(got, tc.want) {
				t.Errorf("Validate(%s) =\n  %s\nwant among them\n  %s", program, strings.Join(got, "\n  "), tc.want)
			}
			for _, secret := range []string{"a-webhook-secret-of-acme", "a-token-of", "the-key-of", "hunter2", "fifteen", "8B2E"} {
				if strings.Contains(fmt.Sprint(got), secret) {
					t.Errorf("a fault shows %q: %q", secret, got)
				}
			}
		})
	}
}

func TestValidate_looksAtTheProgramsOwnSectionsOnly(t *testing.T) {
	cfg, err := load(t, `
kafka: {brokers: [localhost:9092]}
registry: {url: http://localhost:8081}
ingest: {public_url: https://hooks.example.com, listen: nowhere}
accounts: [{provider: kado, account: acme}]
`)
	if err != nil {
		t.Fatal(err)
	}
	const (
		listen   = `ingest.listen: must be [host]:port (got "nowhere")`
		secrets  = "accounts[0].webhook.secrets: at least one is required"
		route    = "accounts[0].webhook: nothing verifies this route: configure a verifier, or write trust: hint to accept its deliveries as hints"
		key      = "accounts[0].api.private_key: is required"
		instance = `must be set, different for every instance and the same after a restart (a StatefulSet's pod name); 1-128 of [A-Za-z0-9._:-] (got "")`
	)
	for program, want := range map[string][]string{
		config.ForIngest:     {listen, secrets, route},
		config.ForPoller:     {"poller.instance_id: " + instance, key},
		config.ForReconciler: {"reconciler.instance_id: " + instance},
		config.ForRampctl:    nil,
		config.ForAll:        {listen, "poller.instance_id: " + instance, "reconciler.instance_id: " + instance, secrets, key, route},
	} {
		got := faultsOf(t, cfg.Validate(program, []providers.Provider{signing}, providers.Policy{}))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("Validate(%s) (-want +got):\n%s", program, d)
		}
	}
}

func TestValidate_demoAdmitsPublishedSecretsAndPlainHTTP(t *testing.T) {
	text := strings.NewReplacer("a-webhook-secret-of-acme", "kado-test-private-key", "https://hooks", "http://hooks").Replace(valid)
	cfg, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(config.ForAll, []providers.Provider{signing, unsigned}, providers.Policy{Demo: true}); err != nil {
		t.Errorf("Validate in the demo = %v, want nil", err)
	}
}

// Every published secret is refused where it could verify, whatever its case.
func TestValidate_publishedInAnyCase(t *testing.T) {
	cfg, err := load(t, strings.Replace(valid, "secrets: [a-webhook-secret-of-acme]", "secrets: [11QQ22WW], allow_short_secrets: true", 1))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"accounts[0].webhook.secrets[0]: is published in a provider's documentation or in this repository"}
	if d := cmp.Diff(want, faultsOf(t, cfg.Validate(config.ForIngest, []providers.Provider{signing, unsigned}, providers.Policy{}))); d != "" {
		t.Errorf("Validate (-want +got):\n%s", d)
	}
}

func TestExample_loadsAndIsComplete(t *testing.T) {
	const path = "../../deploy/config.example.yaml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, nil, nil); err != nil {
		t.Fatalf("Load(%s): %v", path, err)
	}
	for _, env := range config.EnvNames() {
		// The last words of the name are the key; a section's name may stand before it.
		key, found := strings.ToLower(strings.TrimPrefix(env, config.EnvPrefix)), false
		for rest, more := key, true; more && !found; _, rest, more = strings.Cut(rest, "_") {
			found = regexp.MustCompile(`\b` + rest + `\b`).Match(text)
		}
		if !found {
			t.Errorf("%s does not mention %s", path, env)
		}
	}
}

func TestSize(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want config.Size
		out  string
	}{
		{"262144", 256 << 10, "256KiB"}, {"256 KiB", 256 << 10, "256KiB"}, {"1MiB", 1 << 20, "1MiB"}, {"1000", 1000, "1000"}, {"0", 0, "0"},
	} {
		got, err := config.ParseSize(tc.in)
		if err != nil || got != tc.want || got.String() != tc.out {
			t.Errorf("ParseSize(%q) = %v, %v; want %v printed as %s", tc.in, got, err, int64(tc.want), tc.out)
		}
	}
	for _, in := range []string{"", "-1", "1KB", "1 GiB", "KiB", "99999999999MiB", "1.5MiB"} {
		if got, err := config.ParseSize(in); err == nil || got != 0 {
			t.Errorf("ParseSize(%q) = %v, %v; want 0 and an error", in, got, err)
		}
	}
}

func TestCompose_configurationIsValid(t *testing.T) {
	cfg, err := config.Load("../../deploy/config.compose.yaml", []string{
		"PUBLIC_URL=https://localhost:8080", "KADO_PUBLIC_KEY=a-public-key", "KADO_PRIVATE_KEY=a-private-key-of-acme",
		"KADO_WEBHOOK_SECRET=a-webhook-secret-of-acme", "SHOP_TOKEN=a-token-of-the-shop",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(config.ForAll, []providers.Provider{signing}, providers.Policy{}); err != nil {
		t.Error(err)
	}
}
