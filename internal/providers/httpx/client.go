// Package httpx makes the HTTP calls to providers: a client that follows no
// redirect, trusts no resolver and reads a bounded answer, and the mapping of
// everything that can go wrong to a *providers.CallError.
//
// It promises that no error has a URL, body, header or token in it. It does
// not decode answers and knows no provider.
package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// The limits of one call. A status API answers within a second; what takes
// longer than these is as good as down, and the schedule asks again.
const (
	dialTimeout   = 5 * time.Second
	tlsTimeout    = 5 * time.Second
	headerTimeout = 10 * time.Second
	totalTimeout  = 15 * time.Second

	// maxHeaderBytes bounds an answer's header; Go's default is 1 MiB.
	maxHeaderBytes = 64 << 10
)

// Options vary the client. The zero value is the hardened one.
type Options struct {
	// AllowInsecure admits http:// and addresses that are not public: tests and the demo.
	AllowInsecure bool
	// Proxy is the only way a proxy is used: the environment is not read. The
	// proxy resolves and dials, so the address check is its business then.
	Proxy *url.URL
	// RootCAs and such for tests; nil for the system's. Its MinVersion is
	// raised to TLS 1.2, and InsecureSkipVerify is never honoured.
	TLS *tls.Config
	// Timeout bounds a whole call, body included; 0 is 15 s. Uploads of
	// documents need more.
	Timeout time.Duration
}

// New builds a client for calls to one or more providers. It follows no
// redirect: a 3xx is an answer, which StatusError refuses.
func New(o Options) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if !o.AllowInsecure && o.Proxy == nil {
		// At dial time the name has become an address, so a name that resolves
		// differently a second time (DNS rebinding) gains nothing.
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkAddress(address)
		}
	}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsConfig(o.TLS),
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // a compressed answer is not expanded: no bomb
		ForceAttemptHTTP2:      true, // a custom dialer turns it off otherwise
		IdleConnTimeout:        60 * time.Second,
		// Fewer idle ones than calls at once would dial, and shake hands, for
		// every call beyond.
		MaxIdleConnsPerHost: 32,
		MaxConnsPerHost:     32,
	}
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
	}
	if o.Timeout <= 0 {
		o.Timeout = totalTimeout
	}
	return &http.Client{
		Transport:     &guard{next: t, insecure: o.AllowInsecure},
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func tlsConfig(c *tls.Config) *tls.Config {
	if c == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.InsecureSkipVerify = false
	return c
}

// errURL refuses a request before anything is dialled.
var errURL = errors.New("url is not https without credentials")

// guard refuses plain HTTP and credentials in the URL. net/url lower-cases the
// scheme, so a spelling like HTTPS:// cannot slip through.
type guard struct {
	next     *http.Transport
	insecure bool
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	plain := req.URL.Scheme == "http" && g.insecure
	if req.URL.User != nil || (req.URL.Scheme != "https" && !plain) {
		if req.Body != nil {
			_ = req.Body.Close() // the contract of RoundTripper
		}
		return nil, errURL
	}
	return g.next.RoundTrip(req)
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport.
func (g *guard) CloseIdleConnections() { g.next.CloseIdleConnections() }
