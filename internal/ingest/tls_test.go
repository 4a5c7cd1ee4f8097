package ingest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rampstream/internal/ingest"
)

// certificate is a self-signed one for 127.0.0.1 and a pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// Over TLS both protocols are spoken, with the same answers.
func TestRun_tls(t *testing.T) {
	cert, pool := certificate(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(_ *ingest.Config, _ *ingest.Deps, r *rig) { r.at = time.Time{} })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, ingest.Listeners{Public: ln, TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}})
	}()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: proto == "HTTP/2.0"}
		for _, tc := range []struct {
			path, body string
			want       int
		}{
			{hook, `{"id":"` + proto[5:] + `","status":"paid"}`, 200},
			{hook, strings.Repeat(" ", 300<<10), 413},
			{hook + "/", `{}`, 404},
		} {
			req, err := http.NewRequest(http.MethodPost, "https://"+ln.Addr().String()+tc.path, struct{ io.Reader }{strings.NewReader(tc.body)})
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Test-Signature", "good")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatalf("%s %s: %v", proto, tc.path, err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != tc.want || resp.Proto != proto {
				t.Errorf("%s %s = %d by %s; want %d", proto, tc.path, resp.StatusCode, resp.Proto, tc.want)
			}
		}
		tr.CloseIdleConnections()
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	if n := len(r.log.snapshot()); n != 2 {
		t.Errorf("%d records; want 2", n)
	}
}
