package demo

import (
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"rampstream/internal/config"
	"rampstream/internal/providers"
)

// WriteConfig writes cfg, which Sim.Config made, as the file that the programs
// read, with every credential in a file of its own beside it: the way an
// operator would. The folder is made if it is not there. It returns the path of the configuration.
func WriteConfig(cfg config.Config, dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	secrets := 0
	var failed error
	file := func(s providers.Secret) string {
		secrets++
		path := filepath.Join(dir, fmt.Sprintf("secret-%d", secrets))
		if err := os.WriteFile(path, []byte(s.Reveal()+"\n"), 0o600); err != nil && failed == nil {
			failed = err
		}
		return path
	}
	move := func(s *providers.Secret, to *string) {
		if *s != "" {
			*to, *s = file(*s), ""
		}
	}
	cfg.Ingest.Tokens = append([]config.Token(nil), cfg.Ingest.Tokens...)
	for i := range cfg.Ingest.Tokens {
		move(&cfg.Ingest.Tokens[i].Token, &cfg.Ingest.Tokens[i].TokenFile)
	}
	cfg.Accounts = append([]providers.Account(nil), cfg.Accounts...)
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		for _, s := range a.Webhook.Secrets {
			a.Webhook.SecretFiles = append(a.Webhook.SecretFiles, file(s))
		}
		a.Webhook.Secrets = nil
		move(&a.API.PrivateKey, &a.API.PrivateKeyFile)
		move(&a.API.Password, &a.API.PasswordFile)
		move(&a.API.AppSecret, &a.API.AppSecretFile)
		move(&a.API.APIKey, &a.API.APIKeyFile)
	}
	text, err := yaml.Marshal(cfg)
	if err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	if failed != nil {
		return "", failed
	}
	path := filepath.Join(dir, "rampstream.yaml")
	return path, os.WriteFile(path, text, 0o600)
}
