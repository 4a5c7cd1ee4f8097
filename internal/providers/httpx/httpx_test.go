package httpx_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
)

func get(t *testing.T, client *http.Client, target string, limit int64) (int, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", target+"/path-canary?token=query-canary", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "header-canary")
	status, _, body, err := httpx.Do(t.Context(), client, "acme order status", req, limit)
	return status, body, err
}

func check(t *testing.T, err error, want events.Outcome) {
	t.Helper()
	var call *providers.CallError
	if !errors.As(err, &call) || call.Outcome != want || call.Op != "acme order status" {
		t.Errorf("error %v, want %s", err, want)
		return
	}
	for _, secret := range []string{"canary", "127.0.0.1", "localhost", "://", "invalid."} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q has %q in it", err, secret)
		}
	}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func insecure() *http.Client {
	return httpx.New(httpx.Options{AllowInsecure: true, Timeout: time.Minute})
}

func TestStatusError_everyStatus(t *testing.T) {
	want := func(status int) events.Outcome {
		named := map[int]events.Outcome{
			401: events.OutcomeUnauthorized, 403: events.OutcomeUnauthorized, 404: events.OutcomeNotFound,
			408: events.OutcomeTimeout, 429: events.OutcomeRateLimited,
		}
		if o, ok := named[status]; ok {
			return o
		}
		switch status / 100 {
		case 3:
			return events.OutcomeRedirect
		case 4:
			return events.OutcomeRejected
		case 5:
			return events.OutcomeProvider
		}
		return events.OutcomeMalformed
	}
	for status := -1; status <= 1000; status++ {
		err := httpx.StatusError("op", status, http.Header{"Retry-After": {"7"}}, time.Time{})
		if status/100 == 2 {
			if err != nil {
				t.Errorf("StatusError(%d) = %v, want nil", status, err)
			}
			continue
		}
		var call *providers.CallError
		if !errors.As(err, &call) || call.Outcome != want(status) || call.HTTPStatus != status || call.RetryAfter != 7*time.Second {
			t.Errorf("StatusError(%d) = %v, want %s", status, err, want(status))
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		values []string
		want   time.Duration
	}{
		{nil, 0}, {[]string{""}, 0}, {[]string{"soon"}, 0}, {[]string{"1.5"}, 0}, {[]string{"1e3"}, 0}, {[]string{"-"}, 0},
		{[]string{"0"}, time.Second}, {[]string{"-5"}, time.Second}, {[]string{"120"}, 2 * time.Minute}, {[]string{" 3 "}, 3 * time.Second},
		{[]string{"86401"}, 24 * time.Hour}, {[]string{strings.Repeat("9", 400)}, 24 * time.Hour},
		{[]string{"Tue, 02 Jan 2024 03:05:05 GMT"}, time.Minute}, {[]string{"Tue, 02 Jan 2024 03:00:00 GMT"}, time.Second},
		{[]string{"Fri, 31 Dec 9999 23:59:59 GMT"}, 24 * time.Hour}, {[]string{"5", "60", "x"}, time.Minute},
	} {
		if got := httpx.RetryAfter(http.Header{"Retry-After": tc.values}, now); got != tc.want {
			t.Errorf("RetryAfter(%q) = %v, want %v", tc.values, got, tc.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"0", "-1", "99999999999999999999", "Tue, 02 Jan 2024 03:05:05 GMT", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := httpx.RetryAfter(http.Header{"Retry-After": {s}}, time.Unix(1_700_000_000, 0))
		if got != 0 && (got < time.Second || got > 24*time.Hour) {
			t.Fatalf("RetryAfter(%q) = %v", s, got)
		}
	})
}

func TestCheckAddress(t *testing.T) {
	for address, public := range map[string]bool{
		"8.8.8.8:443": true, "[2606:4700::1111]:443": true, "172.15.0.1:443": true, "172.32.0.1:443": true,
		"127.0.0.1:443": false, "127.9.9.9:443": false, "0.0.0.0:443": false, "10.0.0.1:443": false, "172.16.0.1:443": false,
		"192.168.1.1:443": false, "169.254.169.254:80": false, "100.100.100.200:80": false, "168.63.129.16:80": false,
		"224.0.0.1:443": false, "255.255.255.255:443": false, "198.18.0.1:443": false, "192.0.2.1:443": false,
		"[::1]:443": false, "[::]:443": false, "[::ffff:127.0.0.1]:443": false, "[::ffff:8.8.8.8]:443": true, "[fe80::1%eth0]:443": false,
		"[fd00:ec2::254]:80": false, "[fc00::1]:443": false, "[ff02::1]:443": false, "[64:ff9b::7f00:1]:443": false,
		"[2002:7f00:1::]:443": false, "[2001:db8::1]:443": false, "[::7f00:1]:443": false,
		"": false, "localhost:443": false, "8.8.8.8": false,
	} {
		if err := httpx.CheckAddress(address); (err == nil) != public {
			t.Errorf("checkAddress(%q) = %v; public: %v", address, err, public)
		}
	}
}

func TestDo_refusesPrivateAddresses(t *testing.T) {
	called := false
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	for _, target := range []string{srv.URL, "https://localhost:" + port} {
		_, _, err := get(t, httpx.New(httpx.Options{TLS: trusting(srv)}), target, 0)
		check(t, err, events.OutcomeUnreachable)
		if !errors.Is(err, httpx.ErrAddress) || called {
			t.Errorf("%s: error %v, called %v; want a refused address", target, err, called)
		}
	}
}

func TestDo_refusesOtherSchemes(t *testing.T) {
	for _, target := range []string{"http://example.com", "HTTP://example.com", "ftp://example.com", "https://user:password-canary@example.com"} {
		_, _, err := get(t, httpx.New(httpx.Options{}), target, 0)
		check(t, err, events.OutcomeRejected)
	}
	_, _, err := get(t, nil, "https://example.com", 0)
	check(t, err, events.OutcomeRejected)
}

// A redirect would carry signatures and tokens to a host that somebody else chose.
func TestDo_followsNoRedirect(t *testing.T) {
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	for _, status := range []int{301, 302, 303, 307, 308} {
		base := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, status) })
		got, _, err := get(t, insecure(), base, 0)
		if err != nil || got != status {
			t.Errorf("Do = %d, %v; want %d as the answer", got, err, status)
		}
		check(t, httpx.StatusError("acme order status", got, nil, time.Time{}), events.OutcomeRedirect)
	}
}

func TestDo_explicitProxy(t *testing.T) {
	through := ""
	proxy, err := url.Parse(serve(t, func(_ http.ResponseWriter, r *http.Request) { through = r.Host }))
	if err != nil {
		t.Fatal(err)
	}
	client := httpx.New(httpx.Options{AllowInsecure: true, Proxy: proxy})
	if status, _, err := get(t, client, "http://example.com", 0); err != nil || status != 200 || through != "example.com" {
		t.Errorf("Do through a proxy = %d, %v, for %q", status, err, through)
	}
}

func TestDo_bounds(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 100)) })
	if _, body, err := get(t, insecure(), base, 100); err != nil || len(body) != 100 {
		t.Errorf("Do at the limit = %d bytes, %v", len(body), err)
	}
	_, body, err := get(t, insecure(), base, 99)
	if check(t, err, events.OutcomeOversized); body != nil {
		t.Errorf("%d bytes beside %v", len(body), err)
	}
	endless := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 64<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, _, err = get(t, httpx.New(httpx.Options{AllowInsecure: true}), endless, 1<<40)
	check(t, err, events.OutcomeOversized)
}

func TestDo_failures(t *testing.T) {
	for _, tc := range []struct {
		name, target string
		want         events.Outcome
	}{
		// Not a port that was free a moment ago: another server here may have it now.
		{"refused", "http://127.0.0.1:1", events.OutcomeUnreachable},
		{"no such name", "http://invalid.", events.OutcomeUnreachable},
		{"hung up", serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), events.OutcomeUnreachable},
		{"cut", serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			fmt.Fprint(w, "x")
		}), events.OutcomeUnreachable},
		{"silent", serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), events.OutcomeTimeout},
		{"drip", serve(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), events.OutcomeTimeout},
		{"not HTTP", raw(t, "220 mail.example.com ESMTP canary\r\n"), events.OutcomeMalformed},
		{"not TLS", "https" + strings.TrimPrefix(raw(t, "220 canary\r\n"), "http"), events.OutcomeTLS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			client := insecure()
			if tc.want == events.OutcomeTimeout {
				client.Timeout = 300 * time.Millisecond
			}
			_, _, err := get(t, client, tc.target, 0)
			check(t, err, tc.want)
		})
	}
}

// raw answers every connection with the same text.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, answer)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func trusting(srv *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return &tls.Config{RootCAs: roots}
}

func TestDo_tls(t *testing.T) {
	start := func(c *tls.Config) *httptest.Server {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		srv.TLS = c
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv
	}
	good := start(nil)
	_, port, _ := net.SplitHostPort(good.Listener.Addr().String())
	old := start(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	strange := start(&tls.Config{ClientAuth: tls.RequireAnyClientCert})
	careless := trusting(good)
	careless.InsecureSkipVerify, careless.RootCAs, careless.MinVersion = true, nil, tls.VersionTLS10
	for _, tc := range []struct {
		name, target string
		config       *tls.Config
		want         events.Outcome
	}{
		{"trusted", good.URL, trusting(good), events.OutcomeOK},
		{"unknown authority", good.URL, nil, events.OutcomeTLS},
		{"wrong name", "https://localhost:" + port, trusting(good), events.OutcomeTLS},
		{"verification turned off", good.URL, careless, events.OutcomeTLS},
		{"old protocol", old.URL, trusting(old), events.OutcomeTLS},
		{"client certificate wanted", strange.URL, trusting(strange), events.OutcomeTLS},
	} {
		status, _, err := get(t, httpx.New(httpx.Options{AllowInsecure: true, TLS: tc.config}), tc.target, 0)
		if tc.want == events.OutcomeOK {
			if err != nil || status != 200 {
				t.Errorf("%s: Do = %d, %v", tc.name, status, err)
			}
			continue
		}
		check(t, err, tc.want)
	}
}

func TestRetry(t *testing.T) {
	fail := func(o events.Outcome, status int, after time.Duration) error {
		return &providers.CallError{Outcome: o, HTTPStatus: status, RetryAfter: after}
	}
	for _, tc := range []struct {
		name string
		errs []error // of the attempts; the last repeats
		want int
	}{
		{"success", []error{nil}, 1},
		{"mended", []error{fail(events.OutcomeUnreachable, 0, 0), nil}, 2},
		{"unreachable", []error{fail(events.OutcomeUnreachable, 0, 0)}, 3},
		{"502", []error{fail(events.OutcomeProvider, 502, 0)}, 3},
		{"503", []error{fail(events.OutcomeProvider, 503, 0)}, 3},
		{"504", []error{fail(events.OutcomeProvider, 504, 0)}, 3},
		{"503 with Retry-After", []error{fail(events.OutcomeProvider, 503, time.Second)}, 1},
		{"500", []error{fail(events.OutcomeProvider, 500, 0)}, 1},
		{"429", []error{fail(events.OutcomeRateLimited, 429, 0)}, 1},
		{"timeout", []error{fail(events.OutcomeTimeout, 0, 0)}, 1},
		{"cut answer", []error{fail(events.OutcomeUnreachable, 200, 0)}, 1},
		{"tls", []error{fail(events.OutcomeTLS, 0, 0)}, 1},
		{"refused address", []error{&providers.CallError{Outcome: events.OutcomeUnreachable, Err: httpx.ErrAddress}}, 1},
		{"foreign error", []error{errors.New("x")}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			n, start := 0, time.Now()
			err := httpx.Retry(t.Context(), func(context.Context) error {
				n++
				return tc.errs[min(n, len(tc.errs))-1]
			})
			if want := tc.errs[min(n, len(tc.errs))-1]; n != tc.want || !errors.Is(err, want) || time.Since(start) > 2*time.Second {
				t.Errorf("%s: %d attempts, %v, %v; want %d", tc.name, n, err, time.Since(start), tc.want)
			}
		})
	}
}

// The error of a cancelled retry is still the failure, not the context's.
func TestRetry_cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		want := &providers.CallError{Outcome: events.OutcomeUnreachable}
		n := 0
		err := httpx.Retry(ctx, func(context.Context) error { n++; cancel(); return want })
		if n != 1 || !errors.Is(err, want) {
			t.Errorf("%d attempts, %v; want one and its error", n, err)
		}
	})
}

func TestDo_spend(t *testing.T) {
	hits := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits++
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer srv.Close()
	client := httpx.New(httpx.Options{AllowInsecure: true})
	for _, tc := range []struct {
		name    string
		tokens  int
		want    int // requests on the wire
		outcome events.Outcome
		unpaid  bool
	}{
		{"enough", 3, 3, events.OutcomeProvider, false},
		{"for one retry", 2, 2, events.OutcomeProvider, false},
		{"for the call alone", 1, 1, events.OutcomeProvider, false},
		{"for nothing", 0, 0, events.OutcomeRateLimited, true},
	} {
		hits = 0
		tokens := tc.tokens
		ctx := providers.WithSpend(t.Context(), func(context.Context) error {
			if tokens--; tokens < 0 {
				return errors.New("empty")
			}
			return nil
		})
		err := httpx.Retry(ctx, func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
			if err != nil {
				return err
			}
			status, header, _, err := httpx.Do(ctx, client, "acme order status", req, 0)
			if err != nil {
				return err
			}
			return httpx.StatusError("acme order status", status, header, time.Now())
		})
		check(t, err, tc.outcome)
		if hits != tc.want || errors.Is(err, providers.ErrBudget) != tc.unpaid {
			t.Errorf("%s: %d requests, %v; want %d", tc.name, hits, err, tc.want)
		}
	}
}
