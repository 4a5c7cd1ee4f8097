package config

import (
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"rampstream/internal/providers"
)

// redacted stands for a secret, as providers.Secret prints itself.
const redacted = "[redacted]"

// secretProperty matches the properties of Kafka and the registry that hold a
// secret, by their names. A name not known to be harmless but sounding like
// one of these is hidden too.
var secretProperty = regexp.MustCompile(`(?i)password|passphrase|secret|jaas|token|credential|user\.info|\.key$|keystore\.key|certificate\.chain|assertion`)

// Print writes the effective configuration as YAML that Load reads, with every
// secret replaced by "[redacted]"; a secret that came from a file shows only
// the file.
func (c Config) Print(w io.Writer) error {
	c.Kafka.Properties = hideProperties(c.Kafka.Properties)
	c.Registry.Properties = hideProperties(c.Registry.Properties)
	c.Registry.URL = hideURL(c.Registry.URL)
	c.Ingest.PublicURL = hideURL(c.Ingest.PublicURL)
	c.Ingest.Tokens = slices.Clone(c.Ingest.Tokens)
	for i := range c.Ingest.Tokens {
		t := &c.Ingest.Tokens[i]
		hideRead(&t.Token, t.TokenFile)
	}
	c.Accounts = slices.Clone(c.Accounts)
	for i := range c.Accounts {
		hook, api := &c.Accounts[i].Webhook, &c.Accounts[i].API
		// Load appends what it reads from secret_files.
		hook.Secrets = hook.Secrets[:max(0, len(hook.Secrets)-len(hook.SecretFiles))]
		hook.URL, api.BaseURL = hideURL(hook.URL), hideURL(api.BaseURL)
		hideRead(&api.PrivateKey, api.PrivateKeyFile)
		hideRead(&api.Password, api.PasswordFile)
		hideRead(&api.APIKey, api.APIKeyFile)
		hideRead(&api.AppSecret, api.AppSecretFile)
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return enc.Close()
}

func hideRead(s *providers.Secret, file string) {
	if file != "" {
		*s = ""
	}
}

func hideProperties(props map[string]string) map[string]string {
	out := make(map[string]string, len(props))
	for name, v := range props {
		if secretProperty.MatchString(name) {
			v = redacted
		}
		out[name] = v
	}
	return out
}

// hideURL drops user and password, query and fragment from a URL; what does not
// parse is hidden whole.
func hideURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return redacted
	case u.User == nil && u.RawQuery == "" && u.Fragment == "":
		return s
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.RawQuery != "" {
		u.RawQuery = redacted
	}
	return u.String()
}
