package ingest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"rampstream/internal/ingest"
)

// prefixes reads a list of networks.
func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// The address that counts is the last one that no proxy of ours has: whoever
// writes X-Forwarded-For himself gets no further than his own address.
func TestHandle_allowList(t *testing.T) {
	const allowed, stranger, proxy, inner = "192.0.2.7", "198.51.100.9", "10.0.0.1", "10.0.0.2"
	with := func(proxies ...string) *rig {
		return newRig(t, func(c *ingest.Config, _ *ingest.Deps, _ *rig) {
			c.TrustedProxies = prefixes(proxies...)
			c.Routes[0].AllowFrom = prefixes("192.0.2.0/28", "2001:db8::/32")
		})
	}
	direct, behind := with(), with("10.0.0.0/8")
	for _, tc := range []struct {
		name      string
		rig       *rig
		remote    string
		forwarded []string
		want      int
	}{
		{"allowed", direct, allowed + ":1234", nil, 200},
		{"allowed, IPv6", direct, "[2001:db8::5]:1234", nil, 200},
		{"allowed, IPv4 in IPv6", direct, "[::ffff:192.0.2.7]:1234", nil, 200},
		{"allowed, with a zone", direct, "[2001:db8::5%eth0]:1234", nil, 200},
		{"a stranger", direct, stranger + ":1234", nil, 403},
		{"the next network", direct, "192.0.2.16:1234", nil, 403},
		{"a stranger who claims", direct, stranger + ":1234", []string{allowed}, 403},
		{"allowed who is said to be a stranger", direct, allowed + ":1234", []string{stranger}, 200},
		{"no address", direct, "", nil, 403},
		{"a pipe", direct, "@", nil, 403},

		{"through the proxy", behind, proxy + ":1", []string{allowed}, 200},
		{"with a port", behind, proxy + ":1", []string{allowed + ":4711"}, 200},
		{"IPv6 in brackets", behind, proxy + ":1", []string{"[2001:db8::5]"}, 200},
		{"through two proxies", behind, proxy + ":1", []string{allowed + ", " + inner}, 200},
		{"two headers", behind, proxy + ":1", []string{allowed, inner}, 200},
		{"a stranger through the proxy", behind, proxy + ":1", []string{stranger}, 403},
		{"a stranger who claims through the proxy", behind, proxy + ":1", []string{allowed + ", " + stranger}, 403},
		{"a stranger who claims in a header of his own", behind, proxy + ":1", []string{allowed, stranger}, 403},
		{"a stranger who claims to be the proxy", behind, proxy + ":1", []string{allowed + ", " + stranger + ", " + inner}, 403},
		{"a stranger beside the proxy", behind, stranger + ":1", []string{allowed}, 403},
		{"the proxy for itself", behind, proxy + ":1", nil, 403},
		{"proxies all the way", behind, proxy + ":1", []string{inner + ", " + inner}, 403},
		{"no address in the header", behind, proxy + ":1", []string{allowed + ", unknown"}, 403},
		{"an empty header", behind, proxy + ":1", []string{""}, 403},
		{"a comma too many", behind, proxy + ":1", []string{allowed + ","}, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := post(hook, `{"id":"o-1","status":"paid"}`)
			req.Remote = tc.remote
			if tc.forwarded != nil {
				req.Header["X-Forwarded-For"] = tc.forwarded
			}
			got := tc.rig.Handle(context.Background(), req)
			if got.Status != tc.want || tc.want == 403 && got.Reason != "address" {
				t.Errorf("= %d %s, want %d", got.Status, got.Reason, tc.want)
			}
		})
	}
}

// A route without a list takes everybody, and ServeHTTP says who asks.
func TestServeHTTP_allowList(t *testing.T) {
	r := newRig(t, func(c *ingest.Config, _ *ingest.Deps, _ *rig) { c.Routes[0].AllowFrom = prefixes("192.0.2.0/24") })
	for remote, want := range map[string]int{"192.0.2.1:99": 200, "203.0.113.1:99": 403} {
		req := httptest.NewRequest(http.MethodPost, hook, strings.NewReader(`{"id":"o-1","status":"paid"}`))
		req.Header = post(hook, "").Header
		req.RemoteAddr = remote
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("from %s: %d, want %d", remote, w.Code, want)
		}
	}
}
