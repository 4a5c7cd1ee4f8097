package kafka_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// A broker that does not take our certificate, or wants one that we do not have,
// says so by an alert, and will say so after every restart.
func TestConfig_brokerRefusesTheClientsCertificate(t *testing.T) {
	cert, certFile, keyFile := certificate(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		kc, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "s"), kfake.TLS(&tls.Config{
			Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert,
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer kc.Close()
		for name, props := range map[string]map[string]string{
			"none":                 {"security.protocol": "SSL", "ssl.ca.location": certFile},
			"one of a stranger CA": {"security.protocol": "SSL", "ssl.ca.location": certFile, "ssl.certificate.location": certFile, "ssl.key.location": keyFile},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err := kafka.OpenProducer(ctx, kafka.Config{Brokers: kc.ListenAddrs(), Properties: props}, kafka.ProducerOptions{Topics: []string{"s"}})
			cancel()
			if !errors.Is(err, stream.ErrRefused) || errors.Is(err, stream.ErrTransient) {
				t.Errorf("%s with certificate %s = %v; want ErrRefused", tls.VersionName(version), name, err)
			}
		}
	}
}

// A client's certificate lives for days, some for hours, and is renewed in its
// files: a connection that is made later shows the one of then. One that is being
// written is none.
func TestConfig_clientCertificateIsRenewed(t *testing.T) {
	server, ca, _ := certificate(t)
	old, certFile, keyFile := certificate(t)
	renewed, newCert, newKey := certificate(t)
	cfg, err := kafka.ClientTLS(map[string]string{"ssl.ca.location": ca, "ssl.certificate.location": certFile, "ssl.key.location": keyFile})
	if err != nil {
		t.Fatal(err)
	}
	cfg.ServerName = "127.0.0.1"
	shown := func() []byte {
		t.Helper()
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		s := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{server}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert})
		go func() {
			c := tls.Client(near, cfg.Clone())
			_ = c.HandshakeContext(t.Context())
			_, _ = io.Copy(io.Discard, c)
		}()
		if err := s.HandshakeContext(patient(t)); err != nil {
			t.Fatal(err)
		}
		return s.ConnectionState().PeerCertificates[0].Raw
	}
	replace := func(file, by string) {
		t.Helper()
		b, err := os.ReadFile(by)
		if err == nil {
			err = os.WriteFile(file, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(shown(), old.Certificate[0]) {
		t.Error("the first connection shows another certificate than the file has")
	}
	replace(certFile, newCert)
	if !bytes.Equal(shown(), old.Certificate[0]) {
		t.Error("a certificate without its key is shown")
	}
	replace(keyFile, newKey)
	if !bytes.Equal(shown(), renewed.Certificate[0]) {
		t.Error("a connection after the renewal shows the old certificate")
	}
	replace(certFile, ca)
	if !bytes.Equal(shown(), renewed.Certificate[0]) {
		t.Error("beside files that do not fit, the last certificate is not shown")
	}
}
