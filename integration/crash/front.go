package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// front is a load balancer before the ingests. It knows nothing of their
// health: a request to one that is gone is answered 503, as a proxy would, and
// its sender repeats it.
type front struct {
	backends []*httputil.ReverseProxy
	turn     atomic.Uint64
	rec      *recorder
	server   *http.Server
	url      string
	answers  [6]atomic.Int64 // by hundreds of the status
}

// newFront listens and passes requests on to the addresses in turn.
func newFront(rec *recorder, addresses []string) (*front, error) {
	f := &front{rec: rec}
	for _, a := range addresses {
		p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: a})
		p.ModifyResponse = f.record
		p.ErrorLog = log.New(io.Discard, "", 0)
		p.Transport = &http.Transport{DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, ResponseHeaderTimeout: 12 * time.Second, MaxIdleConnsPerHost: 64}
		p.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
			f.count(r, http.StatusServiceUnavailable, nil)
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		f.backends = append(f.backends, p)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.url = "http://" + ln.Addr().String()
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = f.server.Serve(ln) }()
	return f, nil
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		// The proxy panics with this when a backend dies in the middle of an
		// answer: the client sees a broken connection, as it should.
		if v := recover(); v != nil {
			f.count(r, 0, nil)
			panic(v)
		}
	}()
	f.backends[f.turn.Add(1)%uint64(len(f.backends))].ServeHTTP(w, r)
}

// record writes down what was answered; an answer 200 carries a receipt.
func (f *front) record(resp *http.Response) error {
	var receipt json.RawMessage
	if resp.StatusCode == http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(text))
		if json.Valid(text) {
			receipt = text
		}
	}
	f.count(resp.Request, resp.StatusCode, receipt)
	return nil
}

func (f *front) count(r *http.Request, status int, receipt json.RawMessage) {
	f.answers[status/100].Add(1)
	f.rec.write("delivery", map[string]any{"path": r.URL.Path, "status": status, "receipt": receipt})
}

func (f *front) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = f.server.Shutdown(ctx)
}
