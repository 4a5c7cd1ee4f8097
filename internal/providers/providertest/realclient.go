package providertest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
)

// patience is longer than any answer takes that comes, and hangFor is how long a real client waits in a test for an answer that never comes.
const patience, hangFor = time.Minute, 100 * time.Millisecond

// realClient makes the call with the client that the programs use, over real
// connections: what a fake transport cannot show.
func (c callTest) realClient(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   events.Outcome
	}{
		{"a good answer", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.Good) }, events.OutcomeOK},
		{"an answer above the cap", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte(" "), 3<<20)) }, events.OutcomeOversized},
		{"an answer that is cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush() // a beginning, so that it is no failure to connect
			panic(http.ErrAbortHandler)
		}, events.OutcomeUnreachable},
	} {
		_, err := c.over(t, tc.answer, patience)
		if result(err) != tc.want {
			t.Errorf("%s: %s (%v); want %s", tc.name, result(err), err, tc.want)
		}
	}
	if _, err := c.over(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, hangFor); result(err) != events.OutcomeTimeout {
		t.Errorf("no answer: %v; want a timeout", err)
	}
	c.redirects(t)
}

// redirects are not followed: the next host would get the credentials.
func (c callTest) redirects(t *testing.T) {
	var reached atomic.Int32
	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, c.Good)
	}))
	defer next.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		_, err := c.over(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", next.URL+r.URL.Path)
			w.WriteHeader(status)
		}, patience)
		if result(err) != events.OutcomeRedirect {
			t.Errorf("%d: %v; want %s", status, err, events.OutcomeRedirect)
		}
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// over makes the call against a server, once.
func (c callTest) over(t *testing.T, answer http.HandlerFunc, timeout time.Duration) (any, error) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
		if c.Login != nil {
			if reply, ok := c.Login(r); ok {
				_, _ = io.WriteString(w, reply.Body)
				return
			}
		}
		answer(w, r)
	}))
	defer srv.Close()
	client := httpx.New(httpx.Options{AllowInsecure: true, Timeout: timeout})
	defer client.CloseIdleConnections()
	a := c.Account
	a.API.BaseURL, a.API.AllowInsecure = srv.URL, true
	call, err := c.Open(a, providers.Env{HTTP: client, Now: time.Now})
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	return c.once(t, ctx, call)
}
