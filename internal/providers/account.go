package providers

import (
	"net/http"
	"time"

	"rampstream/internal/events"
)

// Secret is a credential. It prints as "[redacted]" by every verb, in JSON and
// in logs; Reveal is the only way to its bytes.
type Secret string

// String hides the secret.
func (s Secret) String() string { return s.redacted() }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.redacted() }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.redacted()), nil }

// Reveal gives the secret itself.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) redacted() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// Account is the configuration of one set of credentials. Which fields a
// provider uses is in docs/providers/; a field that it does not use is a fault.
type Account struct {
	Provider events.Provider `koanf:"provider" yaml:"provider"`
	Account  events.Account  `koanf:"account" yaml:"account"`
	Webhook  Webhook         `koanf:"webhook" yaml:"webhook,omitempty"`
	API      API             `koanf:"api" yaml:"api,omitempty"`
	Poll     Poll            `koanf:"poll" yaml:"poll,omitempty"`
}

// Webhook configures how deliveries of an account are verified.
type Webhook struct {
	// Trust "hint" accepts deliveries that nothing verifies, as hints. It must
	// be written for a route without a verifier.
	Trust     string `koanf:"trust" yaml:"trust,omitempty"`
	PublicKey string `koanf:"public_key" yaml:"public_key,omitempty"` // Kado: our organisation's public key
	// Secrets are tried in order: current, previous. SecretFiles name files
	// whose trimmed content is appended to Secrets by internal/config.
	Secrets     []Secret `koanf:"secrets" yaml:"secrets,omitempty"`
	SecretFiles []string `koanf:"secret_files" yaml:"secret_files,omitempty"`
	// AllowShortSecrets admits provider-issued secrets under 16 bytes.
	AllowShortSecrets bool          `koanf:"allow_short_secrets" yaml:"allow_short_secrets,omitempty"`
	Window            time.Duration `koanf:"window" yaml:"window,omitempty"` // freshness, two-sided; Kado default 5m
	// URL is the URL registered with the provider, where its path is signed
	// (Kado). Default: ingest.public_url + the route.
	URL string `koanf:"url" yaml:"url,omitempty"`
	// Strict pins one reading of an ambiguous document; Reading names it
	// (Kado: canonical; Koinal: a, b or c).
	Strict  bool   `koanf:"strict" yaml:"strict,omitempty"`
	Reading string `koanf:"reading" yaml:"reading,omitempty"`
	// Header names the signature header where the document does not (Koinal,
	// Zumo). Algorithm, Encoding and Prefix are Zumo's: hmac-sha256,
	// hmac-sha512; hex, base64.
	Header    string `koanf:"header" yaml:"header,omitempty"`
	Algorithm string `koanf:"algorithm" yaml:"algorithm,omitempty"`
	Encoding  string `koanf:"encoding" yaml:"encoding,omitempty"`
	Prefix    string `koanf:"prefix" yaml:"prefix,omitempty"`
	// AllowFrom are the networks that deliveries may come from, as 192.0.2.0/24;
	// none takes all. Every provider may have it. It is a second factor: an
	// address is no signature.
	AllowFrom []string `koanf:"allow_from" yaml:"allow_from,omitempty"`
	// PathToken is the last element of an unsigned callback's route; "" for none.
	PathToken Secret `koanf:"path_token" yaml:"path_token,omitempty"`
	// Fields renames members of the body where the document lost the names.
	Fields map[string]string `koanf:"fields" yaml:"fields,omitempty"`
}

// API configures the calls to the provider.
type API struct {
	BaseURL string `koanf:"base_url" yaml:"base_url,omitempty"` // default per provider, see docs/providers/
	// AllowInsecure admits http:// and private addresses: tests and the demo.
	AllowInsecure bool `koanf:"allow_insecure" yaml:"allow_insecure,omitempty"`

	PublicKey      string            `koanf:"public_key" yaml:"public_key,omitempty"`             // Kado X-Public-Key, Kanga appId
	PrivateKey     Secret            `koanf:"private_key" yaml:"private_key,omitempty"`           // Kado, Kanga API secret, Koinal secret
	PrivateKeyFile string            `koanf:"private_key_file" yaml:"private_key_file,omitempty"` // read by internal/config
	WidgetID       string            `koanf:"widget_id" yaml:"widget_id,omitempty"`               // Kado X-Widget-Id
	MerchantCode   string            `koanf:"merchant_code" yaml:"merchant_code,omitempty"`       // Koinal, a JSON number
	CustomerRef    string            `koanf:"customer_reference" yaml:"customer_reference,omitempty"`
	MerchantID     string            `koanf:"merchant_id" yaml:"merchant_id,omitempty"` // Kuna
	Login          string            `koanf:"login" yaml:"login,omitempty"`             // Kuna
	Password       Secret            `koanf:"password" yaml:"password,omitempty"`       // Kuna
	PasswordFile   string            `koanf:"password_file" yaml:"password_file,omitempty"`
	APIKey         Secret            `koanf:"api_key" yaml:"api_key,omitempty"` // Kuna header api-key, instead of login
	APIKeyFile     string            `koanf:"api_key_file" yaml:"api_key_file,omitempty"`
	AppID          string            `koanf:"app_id" yaml:"app_id,omitempty"`         // Zumo
	AppSecret      Secret            `koanf:"app_secret" yaml:"app_secret,omitempty"` // Zumo
	AppSecretFile  string            `koanf:"app_secret_file" yaml:"app_secret_file,omitempty"`
	Paths          map[string]string `koanf:"paths" yaml:"paths,omitempty"`       // by call name, where the document lost them
	Fields         map[string]string `koanf:"fields" yaml:"fields,omitempty"`     // JSON names, where the document lost them
	Statuses       map[string]string `koanf:"statuses" yaml:"statuses,omitempty"` // raw word -> status, added to the table
	AuthHeader     string            `koanf:"auth_header" yaml:"auth_header,omitempty"`
	PageSize       int               `koanf:"page_size" yaml:"page_size,omitempty"`
}

// Poll is the budget of a lane.
type Poll struct {
	Rate       float64       `koanf:"rate" yaml:"rate,omitempty"`               // calls a second; default 5
	Burst      int           `koanf:"burst" yaml:"burst,omitempty"`             // default 10
	HintRate   float64       `koanf:"hint_rate" yaml:"hint_rate,omitempty"`     // default a tenth of rate
	SweepEvery time.Duration `koanf:"sweep_every" yaml:"sweep_every,omitempty"` // default 1m; 0 keeps the default
	// UnknownHints "ignore" asks nothing about ids that only a hint named;
	// default "check".
	UnknownHints string `koanf:"unknown_hints" yaml:"unknown_hints,omitempty"`
}

// Policy is what the configuration as a whole allows.
type Policy struct {
	// Demo admits documentation secrets and insecure URLs.
	Demo bool
}

// Env is what the calling half of a provider needs from outside.
type Env struct {
	// HTTP makes the calls. It follows no redirect and has its own timeouts;
	// see internal/providers/httpx. Nil in ingest, which never calls.
	HTTP *http.Client
	Now  func() time.Time
	// WebhookURL is the public URL of the account's route, used where Webhook.URL is empty.
	WebhookURL string
}
