package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"rampstream/internal/stream"
)

// CheckProperties returns one sentence for each fault of client properties, nil
// when there is none. Unlike Config.Validate it reads the files that they name.
func CheckProperties(p map[string]string) []string {
	faults := validateProperties(p)
	if len(faults) > 0 || !strings.HasSuffix(p["security.protocol"], "SSL") {
		return faults
	}
	if _, err := tlsConfig(p); err != nil {
		return []string{"properties: " + err.Error()}
	}
	return nil
}

// securityOptions turns validated properties into client options. It reads the
// PEM files that they name.
func securityOptions(p map[string]string, ownNetwork bool) ([]kgo.Opt, error) {
	protocol := p["security.protocol"]
	var opts []kgo.Opt
	if strings.HasSuffix(protocol, "SSL") && !ownNetwork {
		cfg, err := tlsConfig(p)
		if err != nil {
			return nil, fmt.Errorf("kafka tls: %w: %w", stream.ErrRefused, err)
		}
		opts = append(opts, kgo.DialTLSConfig(cfg))
	}
	if strings.HasPrefix(protocol, "SASL_") {
		user, pass, err := credentials(p)
		if err != nil {
			return nil, fmt.Errorf("kafka sasl: %w: %w", stream.ErrRefused, err)
		}
		opts = append(opts, kgo.SASL(mechanism(p["sasl.mechanism"], user, pass)))
	}
	return opts, nil
}

func mechanism(name, user, pass string) sasl.Mechanism {
	switch name {
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: pass}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: pass}.AsSha512Mechanism()
	default: // validated: PLAIN
		return plain.Auth{User: user, Pass: pass}.AsMechanism()
	}
}

// tlsConfig has TLS 1.2 as its floor and the system's roots where no truststore
// is named.
func tlsConfig(p map[string]string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, err := pemOf(p, "ssl.truststore.certificates", "ssl.truststore.location", "ssl.ca.location")
	if err != nil {
		return nil, err
	}
	if roots != nil {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(roots) {
			return nil, errors.New("the truststore holds no PEM certificate")
		}
	}
	if err := addClientCert(cfg, p); err != nil {
		return nil, err
	}
	if v, set := p["ssl.endpoint.identification.algorithm"]; set && v == "" {
		// Kafka's documented way to switch the host name check off: the chain is
		// still verified.
		verifyChainOnly(cfg)
	}
	return cfg, nil
}

// addClientCert has each connection read the certificate anew: it is renewed in its
// files while the program runs. What does not fit, because it is just being written,
// leaves the last one.
func addClientCert(cfg *tls.Config, p map[string]string) error {
	first, err := clientCert(p)
	if err != nil || first == nil {
		return err
	}
	var last atomic.Pointer[tls.Certificate]
	last.Store(first)
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert, err := clientCert(p); err == nil && cert != nil {
			last.Store(cert)
		}
		return last.Load(), nil
	}
	return nil
}

// clientCert is nil where none is named.
func clientCert(p map[string]string) (*tls.Certificate, error) {
	chain, err := pemOf(p, "ssl.keystore.certificate.chain", "ssl.keystore.location", "ssl.certificate.location")
	if err != nil || chain == nil {
		return nil, err
	}
	key, err := pemOf(p, "ssl.keystore.key", "ssl.keystore.location", "ssl.key.location")
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	return &cert, nil
}

func verifyChainOnly(cfg *tls.Config) {
	cfg.InsecureSkipVerify = true //nolint:gosec // VerifyConnection below replaces it
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		_, err := cs.PeerCertificates[0].Verify(opts)
		return err
	}
}

// pemOf is the inline property, else the first file that is named; nil when
// none is.
func pemOf(p map[string]string, inline string, files ...string) ([]byte, error) {
	if v := p[inline]; v != "" {
		return []byte(v), nil
	}
	for _, f := range files {
		if p[f] == "" {
			continue
		}
		b, err := os.ReadFile(p[f])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		return b, nil
	}
	return nil, nil
}

// credentials come from sasl.jaas.config, else from sasl.username and
// sasl.password. An error names the property and never its content.
func credentials(p map[string]string) (user, pass string, err error) {
	if jaas := p["sasl.jaas.config"]; jaas != "" {
		module, user, pass, err := parseJAAS(jaas)
		if err != nil {
			return "", "", fmt.Errorf("sasl.jaas.config: %w", err)
		}
		want := "org.apache.kafka.common.security.scram.ScramLoginModule"
		if p["sasl.mechanism"] == "PLAIN" {
			want = "org.apache.kafka.common.security.plain.PlainLoginModule"
		}
		if module != want {
			return "", "", fmt.Errorf("sasl.jaas.config: must name %s for %s", want, quoteOr(p["sasl.mechanism"], "this mechanism"))
		}
		return user, pass, nil
	}
	if p["sasl.username"] == "" || p["sasl.password"] == "" {
		return "", "", errors.New("sasl.jaas.config: required (or sasl.username and sasl.password)")
	}
	return p["sasl.username"], p["sasl.password"], nil
}

// parseJAAS reads one login module line:
//
//	class required username="u" password="p";
//
// Its errors quote nothing of the line, which holds a password.
func parseJAAS(s string) (module, user, pass string, err error) {
	s = strings.TrimSpace(s)
	body, ok := strings.CutSuffix(s, ";")
	if !ok {
		return "", "", "", errors.New("must end in a semicolon")
	}
	module, rest := cutWord(body)
	control, rest := cutWord(rest)
	if control != "required" {
		return "", "", "", errors.New(`must be: <login module> required username="..." password="...";`)
	}
	options := map[string]string{}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		key, after, found := strings.Cut(rest, "=")
		if !found || key == "" || strings.ContainsAny(key, " \t\n\";") {
			return "", "", "", errors.New("options must be key=\"value\"")
		}
		var value string
		if value, rest, err = cutValue(after); err != nil {
			return "", "", "", err
		}
		if _, twice := options[key]; twice {
			return "", "", "", errors.New("an option is given twice")
		}
		options[key] = value
	}
	if options["username"] == "" || options["password"] == "" {
		return "", "", "", errors.New("username and password are required")
	}
	return module, options["username"], options["password"], nil
}

func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t\r\n")
	if i := strings.IndexAny(s, " \t\r\n"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// cutValue reads a quoted value with backslash escapes, or a bare word.
func cutValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		value, rest = cutWord(s)
		if value == "" || strings.ContainsAny(value, "\";=") {
			return "", "", errors.New("a value with special characters must be quoted")
		}
		return value, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			i++
			if i == len(s) {
				return "", "", errors.New("a quoted value does not end")
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", errors.New("a quoted value does not end")
}
