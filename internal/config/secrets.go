package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"rampstream/internal/providers"
)

// reference is an environment variable or a file inside a string.
var reference = regexp.MustCompile(`\$\{(file:[^}]+|[A-Za-z_][A-Za-z0-9_]*)\}`)

// maxSecretFile bounds what is read of a file: keys and tokens are short, and
// a path to a device must not fill the memory.
const maxSecretFile = 64 << 10

// expand replaces the references of s; false after a fault, which waits for
// Validate: a program need not see the secrets of the others.
func (in *input) expand(s, path string) (string, bool) {
	ok := true
	out := reference.ReplaceAllStringFunc(s, func(ref string) string {
		name := ref[2 : len(ref)-1]
		if file, isFile := strings.CutPrefix(name, "file:"); isFile {
			v, err := in.read(file)
			if err != nil {
				in.later(path, "%s", err)
				ok = false
			}
			return v
		}
		v, set := in.env[name]
		switch {
		case !set:
			in.later(path, "environment variable %s is not set", name)
			ok = false
		case strings.TrimSpace(v) == "": // a secret that is none would open what it closes
			in.later(path, "environment variable %s is empty", name)
			ok = false
		}
		return v
	})
	return out, ok
}

func (in *input) later(path, format string, args ...any) {
	in.deferred = append(in.deferred, fault{path, fmt.Sprintf(format, args...)})
}

// read gives the trimmed content of a file. The error names the file and the
// operating system's reason only.
func (in *input) read(name string) (string, error) {
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(in.dir, full)
	}
	b, err := readCapped(full)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err
		}
		return "", fmt.Errorf("file %s: %w", quote(name), err)
	}
	return strings.TrimSpace(string(b)), nil
}

func readCapped(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err == nil && len(b) > maxSecretFile {
		return nil, fmt.Errorf("larger than %s", Size(maxSecretFile))
	}
	return b, err
}

// secretFile fills secret from a file unless neither is configured; both is a fault.
func (in *input) secretFile(secret *providers.Secret, file, path string) {
	switch {
	case file == "":
		return
	case *secret != "":
		in.later(path+"_file", "must not stand beside %s", path)
		return
	}
	v, err := in.read(file)
	if err != nil {
		in.later(path+"_file", "%s", err)
		return
	}
	if v == "" {
		in.later(path+"_file", "file %s is empty", quote(file))
	}
	*secret = providers.Secret(v)
}

// accountFiles reads every secret file of one account.
func (in *input) accountFiles(a *providers.Account, path string) {
	for i, name := range a.Webhook.SecretFiles {
		at := fmt.Sprintf("%s.webhook.secret_files[%d]", path, i)
		v, err := in.read(name)
		switch {
		case err != nil:
			in.later(at, "%s", err)
		case v == "":
			in.later(at, "file %s is empty", quote(name))
		default:
			a.Webhook.Secrets = append(a.Webhook.Secrets, providers.Secret(v))
		}
	}
	in.secretFile(&a.API.PrivateKey, a.API.PrivateKeyFile, path+".api.private_key")
	in.secretFile(&a.API.Password, a.API.PasswordFile, path+".api.password")
	in.secretFile(&a.API.APIKey, a.API.APIKeyFile, path+".api.api_key")
	in.secretFile(&a.API.AppSecret, a.API.AppSecretFile, path+".api.app_secret")
}
