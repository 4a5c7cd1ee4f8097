package app

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rampstream/internal/config"
	"rampstream/internal/telemetry"
)

// A certificate that callers refuse is told at the start, and its end is a
// metric. Nothing is refused for it.
func TestServerTLS_saysWhenTheCertificateEnds(t *testing.T) {
	from, to := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2030, 4, 1, 0, 0, 0, 0, time.UTC)
	tlsFiles := certificate(t, from, to)
	for name, tc := range map[string]struct {
		now   time.Time
		warns bool
	}{"valid": {from.Add(time.Hour), false}, "expired": {to.Add(time.Hour), true}, "not yet": {from.Add(-time.Hour), true}} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, "ingest", "info", "json")
		if err != nil {
			t.Fatal(err)
		}
		p := Program{Log: log, Metrics: telemetry.NewRegistry("ingest")}
		p.Config.Ingest.TLS = tlsFiles
		c, err := p.publicTLS(tc.now)
		if err != nil || c == nil || strings.Contains(out.String(), eventCertificate) != tc.warns {
			t.Errorf("%s: %v, logged %q; want a warning: %v", name, err, out.String(), tc.warns)
		}
		families, err := p.Metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var ends float64
		for _, f := range families {
			if f.GetName() == "ramp_ingest_certificate_expiry_timestamp_seconds" {
				ends = f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		if ends != float64(to.Unix()) {
			t.Errorf("%s: the metric is %v, want %v", name, ends, to.Unix())
		}
	}
	if c, err := (Program{}).publicTLS(from); c != nil || err != nil {
		t.Errorf("without TLS = %v, %v", c, err)
	}
}

// certificate writes a key pair that is valid from, to.
func certificate(t *testing.T, from, to time.Time) config.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	out := config.TLS{CertFile: filepath.Join(t.TempDir(), "tls.crt"), KeyFile: filepath.Join(t.TempDir(), "tls.key")}
	for name, block := range map[string]*pem.Block{out.CertFile: {Type: "CERTIFICATE", Bytes: der}, out.KeyFile: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
