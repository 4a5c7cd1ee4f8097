package app

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/config"
	"rampstream/internal/run"
)

const eventCertificate = "certificate not valid now"

// serverTLS reads the certificate of the public listener, nil for none. A renewed
// one wants a restart.
func serverTLS(c config.TLS) (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, run.Config(fmt.Errorf("ingest.tls: %w", err))
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// publicTLS is serverTLS at the start, which tells what it has read.
func (p Program) publicTLS(now time.Time) (*tls.Config, error) {
	c, err := serverTLS(p.Config.Ingest.TLS)
	if err != nil {
		return nil, err
	}
	return c, p.tellCertificate(c, now)
}

// tellCertificate says until when the certificate is valid, and warns where
// callers refuse it already. It refuses nothing: the clock of this host may be
// what is wrong.
func (p Program) tellCertificate(c *tls.Config, now time.Time) error {
	if c == nil {
		return nil
	}
	leaf := c.Certificates[0].Leaf
	ends := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ramp_ingest_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of the public listener ends; absent without one.",
	})
	ends.Set(float64(leaf.NotAfter.Unix()))
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		p.Log.Warn(eventCertificate, "file", p.Config.Ingest.TLS.CertFile, "not_before", leaf.NotBefore.UTC(), "not_after", leaf.NotAfter.UTC(),
			"effect", "providers and merchants refuse the connection")
	}
	return p.Metrics.Register(ends)
}
