package providertest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"rampstream/internal/providers"
)

// baseURL is where calls go that never leave the process. The host is a canary:
// no error names it.
const baseURL = "https://canary-host.example.com/base"

// callTimeout is the client's own, as that of httpx.
const callTimeout = 15 * time.Second

// wire is a transport without a network. Logins are answered as the call says;
// everything else by own.
type wire struct {
	login func(*http.Request) (Reply, bool)
	own   func(*http.Request) (*http.Response, error)

	mu     sync.Mutex
	logins int
	calls  []string // method and path of the call's own requests
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil { // a transport reads and closes what it sends
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
		_ = r.Body.Close()
	}
	if w.login != nil {
		if reply, ok := w.login(r); ok {
			w.mu.Lock()
			w.logins++
			w.mu.Unlock()
			return response(r, reply), nil
		}
	}
	w.mu.Lock()
	w.calls = append(w.calls, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/base"))
	w.mu.Unlock()
	return w.own(r)
}

// made is how many requests of each sort came.
func (w *wire) made() (logins int, calls []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logins, append([]string(nil), w.calls...)
}

// client follows no redirect, as the client of httpx.
func (w *wire) client() *http.Client {
	return &http.Client{
		Transport: w, Timeout: callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func response(r *http.Request, reply Reply) *http.Response {
	if reply.Status == 0 {
		reply.Status = http.StatusOK
	}
	h := reply.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{
		StatusCode: reply.Status, Header: h, Body: io.NopCloser(strings.NewReader(reply.Body)), ContentLength: int64(len(reply.Body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
	}
}

// answering gives every request of the call itself one reply.
func (c Call) answering(reply Reply) *wire {
	return &wire{login: c.Login, own: func(r *http.Request) (*http.Response, error) { return response(r, reply), nil }}
}

// failing gives every request of the call itself an error of the network.
func (c Call) failing(err func(*http.Request) error) *wire {
	return &wire{login: c.Login, own: func(r *http.Request) (*http.Response, error) { return nil, err(r) }}
}

// streaming answers 200 with a body that read makes.
func (c Call) streaming(read func(ctx context.Context, p []byte) (int, error)) (*wire, *counter) {
	n := &counter{}
	return &wire{login: c.Login, own: func(r *http.Request) (*http.Response, error) {
		resp := response(r, Reply{})
		resp.ContentLength = -1
		resp.Body = &stream{ctx: r.Context(), read: read, n: n}
		return resp, nil
	}}, n
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add(n int) { c.mu.Lock(); c.n += n; c.mu.Unlock() }
func (c *counter) get() int  { c.mu.Lock(); defer c.mu.Unlock(); return c.n }

type stream struct {
	ctx  context.Context
	read func(context.Context, []byte) (int, error)
	n    *counter
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.read(s.ctx, p)
	s.n.add(n)
	return n, err
}

func (s *stream) Close() error { return nil }

// open builds the call over a wire, with the clock of the test's bubble.
func (c Call) open(w *wire) (func(context.Context) (any, error), error) {
	a := c.Account
	a.API.BaseURL = baseURL
	return c.Open(a, providers.Env{HTTP: w.client(), Now: time.Now})
}

// errCanary is a failure of the network that names what must not be named.
var errCanary = errors.New("dial tcp: lookup canary-host.example.com: " + CanaryEmail)
