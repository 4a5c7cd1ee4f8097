package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// keyDelim never stands in a key; Kafka's property names are full of dots.
const keyDelim = "\x1f"

// Load reads the layers: defaults, the YAML file at path ("" for the one that
// RAMP_CONFIG names, if any), the RAMP_ variables of env (os.Environ's form), and overrides (dotted key to
// value, as flags give them). "${NAME}" in a string is the environment variable
// and "${file:name}" the trimmed content of a file; *_file keys are read.
// Relative names are relative to the folder of the configuration file.
//
// The error is an *Error with every fault of shape: unknown keys, wrong types,
// unknown variables. What the values must be is Validate's business, and so
// are files that cannot be read, because not every program needs every secret.
func Load(path string, env []string, overrides map[string]any) (Config, error) {
	var fs faults
	raw, vars := map[string]any{}, variables(env)
	if path == "" {
		path = vars[EnvFile]
	}
	if path != "" {
		k := koanf.New(keyDelim)
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			fs.add("", "file %s: %s", path, readable(err))
			return Config{}, fs.err()
		}
		raw = k.Raw()
	}
	applyEnv(raw, vars, &fs)
	applyOverrides(raw, overrides, &fs)

	in := &input{env: vars, faults: &fs, dir: filepath.Dir(path)}
	norm, _ := in.walk(root(), raw, "").(map[string]any)
	if err := fs.err(); err != nil {
		return Config{}, err
	}

	cfg := Default()
	k := koanf.New(keyDelim)
	if err := k.Load(confmap.Provider(norm, ""), nil); err != nil {
		return Config{}, fmt.Errorf("configuration: merge: %w", err)
	}
	if err := k.Unmarshal("", &cfg); err != nil {
		// Unreachable while walk and the structs agree; never with values in it.
		fs.add("", "the checked values do not fit the structs")
		return Config{}, fs.err()
	}
	cfg.deferred, cfg.noFile = in.deferred, path == ""
	cfg.complete(in)
	return cfg, nil
}

// complete reads the secret files, resolves the names of others, and fills what defaults to other fields.
func (c *Config) complete(in *input) {
	for i := range c.Accounts {
		in.accountFiles(&c.Accounts[i], fmt.Sprintf("accounts[%d]", i))
	}
	for i := range c.Ingest.Tokens {
		t := &c.Ingest.Tokens[i]
		in.secretFile(&t.Token, t.TokenFile, fmt.Sprintf("ingest.tokens[%d].token", i))
	}
	r := &c.Reconciler
	if r.TransactionalID == "" && r.InstanceID != "" {
		r.TransactionalID = r.Group + "-" + r.InstanceID
	}
	for _, name := range []*string{&c.Ingest.TLS.CertFile, &c.Ingest.TLS.KeyFile} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(in.dir, *name)
		}
	}
	c.deferred = in.deferred
}

// quoted is the piece of the file that the YAML parser puts into its messages: a
// value, or the name of an alias.
var quoted = regexp.MustCompile("`[^`]*`|'[^']*'")

// readable drops from a parser's message whatever it quotes of the file.
func readable(err error) string {
	return strings.ReplaceAll(quoted.ReplaceAllString(err.Error(), "`...`"), "\n", " ")
}
