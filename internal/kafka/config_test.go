package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

const jaasPlain = `org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="s3cr\"et;";`

func TestConfig_Validate(t *testing.T) {
	for _, tc := range []struct {
		name    string
		brokers []string
		props   map[string]string
		want    []string // a piece of each fault, in order
	}{
		{"plain", []string{"a:9092", "[::1]:9092"}, nil, nil},
		{"no brokers", nil, nil, []string{"brokers: at least one"}},
		{"bad brokers", []string{"a", "a:x", ":1", "a:0", "http://a:1"}, nil,
			[]string{`"a"`, `"a:x"`, `":1"`, `"a:0"`, `"http://a:1"`}},
		{"all faults at once", nil, map[string]string{"securty.protocol": "SSL", "ssl.truststore.type": "JKS"},
			[]string{"brokers", "securty.protocol: unknown (did you mean security.protocol?)", "ssl.truststore.type: must be one of PEM"}},
		{"elsewhere or fixed", []string{"a:1"}, map[string]string{"bootstrap.servers": "a:1", "acks": "1", "ssl.key.password": "hunter2"},
			[]string{"acks: not a setting here (fixed: all)", "bootstrap.servers: not a setting here (write the addresses under brokers)", "ssl.key.password"}},
		{"sasl without protocol", []string{"a:1"}, map[string]string{"sasl.mechanism": "PLAIN"}, []string{"security.protocol: must be SASL_SSL or SASL_PLAINTEXT"}},
		{"sasl without mechanism and credentials", []string{"a:1"}, map[string]string{"security.protocol": "SASL_SSL"},
			[]string{"sasl.mechanism: required", "sasl.jaas.config: required"}},
		{"sasl", []string{"a:1"}, map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": jaasPlain}, nil},
		{"librdkafka's names", []string{"a:1"}, map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "p"}, nil},
		{"module of another mechanism", []string{"a:1"}, map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": jaasPlain},
			[]string{"must name org.apache.kafka.common.security.scram.ScramLoginModule"}},
		{"unknown mechanism", []string{"a:1"}, map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI", "sasl.username": "u", "sasl.password": "p"},
			[]string{`sasl.mechanism: must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 (got "GSSAPI")`}},
		{"ssl files without ssl", []string{"a:1"}, map[string]string{"ssl.ca.location": "ca.pem"}, []string{"security.protocol: must be SSL or SASL_SSL where ssl.ca.location is set"}},
		{"certificate without key", []string{"a:1"}, map[string]string{"security.protocol": "SSL", "ssl.certificate.location": "c.pem"}, []string{"ssl.certificate.location: required together with ssl.key.location"}},
		{"java keystore", []string{"a:1"}, map[string]string{"security.protocol": "SSL", "ssl.keystore.location": "k.jks"}, []string{"ssl.keystore.type: must be PEM"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := kafka.Config{Brokers: tc.brokers, Properties: tc.props}.Validate()
			ok := len(got) == len(tc.want)
			for i := 0; ok && i < len(got); i++ {
				ok = strings.Contains(got[i], tc.want[i])
			}
			if !ok {
				t.Errorf("Validate = %q, want pieces %q", got, tc.want)
			}
			for _, f := range got {
				for _, secret := range []string{"s3cr", "hunter2"} {
					if strings.Contains(f, secret) {
						t.Errorf("a secret is in %q", f)
					}
				}
			}
		})
	}
}

func TestParseJAAS(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		want       []string // module, user, password; nil is refused
	}{
		{"quoted with escapes", jaasPlain, []string{"org.apache.kafka.common.security.plain.PlainLoginModule", "alice", `s3cr"et;`}},
		{"any order and spaces", " x.M\n required\tpassword=\"p q\"  username=\"u\" ;\n", []string{"x.M", "u", "p q"}},
		{"further options", `x.M required username="u" password="p" tokenauth="true";`, []string{"x.M", "u", "p"}},
		{"bare words", `x.M required username=u password=p;`, []string{"x.M", "u", "p"}},
		{"no semicolon", `x.M required username="u" password="p"`, nil},
		{"not required", `x.M optional username="u" password="p";`, nil},
		{"no password", `x.M required username="u";`, nil},
		{"empty password", `x.M required username="u" password="";`, nil},
		{"twice", `x.M required username="u" username="v" password="p";`, nil},
		{"open quote", `x.M required username="u" password="p;`, nil},
		{"escape at the end", `x.M required username="u" password="p\`, nil},
		{"two modules", `x.M required username="u" password="p"; y.M required;`, nil},
		{"empty", ``, nil},
		{"only semicolon", `;`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, u, p, err := kafka.ParseJAAS(tc.line)
			if tc.want == nil {
				if err == nil || m+u+p != "" {
					t.Errorf("ParseJAAS = %q, %q, %q, %v; want an error alone", m, u, p, err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, []string{m, u, p}); err != nil || diff != "" {
				t.Errorf("ParseJAAS: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func FuzzParseJAAS(f *testing.F) {
	for _, s := range []string{jaasPlain, `x.M required username=u password=p;`, `;`, `x required a="`, "x required \xff=\"\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, u, p, err := kafka.ParseJAAS(s)
		if err != nil {
			if m+u+p != "" {
				t.Errorf("ParseJAAS(%q) gives values beside %v", s, err)
			}
			return
		}
		if m == "" || u == "" || p == "" {
			t.Errorf("ParseJAAS(%q) = %q, %q, %q without an error", s, m, u, p)
		}
		quote := func(v string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"` }
		m2, u2, p2, err := kafka.ParseJAAS(m + " required username=" + quote(u) + " password=" + quote(p) + ";")
		if err != nil || m2 != m || u2 != u || p2 != p {
			t.Errorf("ParseJAAS(%q) does not survive being written again: %v", s, err)
		}
	})
}

// certificate makes a self-signed one for 127.0.0.1 and writes it as PEM.
func certificate(t *testing.T) (tls.Certificate, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER)
}

func TestConfig_security(t *testing.T) {
	cert, certFile, keyFile := certificate(t)
	_, otherFile, _ := certificate(t)
	kc, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "s"), kfake.EnableSASL(),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}),
		kfake.Superuser("PLAIN", "alice", `s3cr"et;`), kfake.Superuser("SCRAM-SHA-256", "bob", "pw"), kfake.Superuser("SCRAM-SHA-512", "eve", "pw"))
	if err != nil {
		t.Fatal(err)
	}
	defer kc.Close()
	scram := func(user, pass string) string {
		return `org.apache.kafka.common.security.scram.ScramLoginModule required username="` + user + `" password="` + pass + `";`
	}
	for _, tc := range []struct {
		name  string
		props map[string]string
		err   error
	}{
		{"plain", map[string]string{"sasl.mechanism": "PLAIN", "sasl.jaas.config": jaasPlain, "ssl.truststore.location": certFile, "ssl.truststore.type": "PEM"}, nil},
		{"scram 256 with a client certificate", map[string]string{"sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": scram("bob", "pw"), "ssl.ca.location": certFile, "ssl.certificate.location": certFile, "ssl.key.location": keyFile}, nil},
		{"scram 512", map[string]string{"sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": scram("eve", "pw"), "ssl.ca.location": certFile, "ssl.endpoint.identification.algorithm": "https"}, nil},
		{"no host check", map[string]string{"sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": scram("eve", "pw"), "ssl.ca.location": certFile, "ssl.endpoint.identification.algorithm": ""}, nil},
		{"no host check still wants the chain", map[string]string{"sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": scram("eve", "pw"), "ssl.ca.location": otherFile, "ssl.endpoint.identification.algorithm": ""}, stream.ErrRefused},
		{"wrong password", map[string]string{"sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": scram("bob", "no"), "ssl.ca.location": certFile}, stream.ErrTransient}, // kfake hangs up instead of saying so
		{"wrong authority", map[string]string{"sasl.mechanism": "PLAIN", "sasl.jaas.config": jaasPlain, "ssl.ca.location": otherFile}, stream.ErrRefused},
		{"missing file", map[string]string{"sasl.mechanism": "PLAIN", "sasl.jaas.config": jaasPlain, "ssl.ca.location": "nowhere.pem"}, stream.ErrRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.props["security.protocol"] = "SASL_SSL"
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if errors.Is(tc.err, stream.ErrTransient) {
				ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second) // it is tried again until then
			}
			defer cancel()
			p, err := kafka.OpenProducer(ctx, kafka.Config{Brokers: kc.ListenAddrs(), Properties: tc.props}, kafka.ProducerOptions{Topics: []string{"s"}})
			if !errors.Is(err, tc.err) {
				t.Fatalf("OpenProducer = %v, want %v", err, tc.err)
			}
			if err != nil {
				return
			}
			defer p.Close(ctx)
			if _, err := p.Publish(ctx, stream.Record{Topic: "s", Value: []byte("v")}); err != nil {
				t.Errorf("Publish = %v", err)
			}
		})
	}
}

func TestConfig_metrics(t *testing.T) {
	cfg, _ := start(t, 1, "s")
	reg := prometheus.NewRegistry()
	cfg.Registerer = reg
	// A client that closes gives its names free for the next one.
	for range 2 {
		p, err := kafka.OpenProducer(patient(t), cfg, kafka.ProducerOptions{Topics: []string{"s"}})
		if err != nil {
			t.Fatal(err)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range families {
			found = found || strings.HasPrefix(f.GetName(), "ramp_kafka_")
		}
		if !found {
			t.Error("no ramp_kafka_ metrics while a producer is open")
		}
		if err := p.Close(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
}
