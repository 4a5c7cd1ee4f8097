package ingest

import (
	"net/http"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// The routes. Paths are compared byte by byte before anything interprets
// them: net/http's mux would answer a redirect to an unclean one, which a
// provider counts as failed or follows elsewhere.
const (
	webhookPrefix = "/v1/webhooks/"
	ordersPath    = "/v1/orders"
	customersPath = "/v1/customers"
)

// maxQuery bounds the query of a callback; the longest documented one is a
// transaction key.
const maxQuery = 2 << 10

// RouteOf is the route of a configured account whose capabilities have a
// webhook parser. What nothing verifies has no documented content type either,
// so its parser judges that.
func RouteOf(a providers.Account, caps providers.Capabilities) Route {
	r := Route{
		Provider: a.Provider, Account: a.Account, Parser: caps.Webhook, Authenticated: caps.Authenticated,
		GET: caps.CallbackByGET, PathToken: a.Webhook.PathToken != "",
	}
	if !caps.Authenticated || caps.AnyMedia {
		r.Media = MediaAny
	}
	return r
}

// target splits a request target as it stood on the wire into path and query.
// The authority of an absolute-form target is dropped unread.
func target(requestURI string) (path, query string) {
	path, query, _ = strings.Cut(requestURI, "?")
	for _, scheme := range []string{"http://", "https://"} {
		if len(path) >= len(scheme) && strings.EqualFold(path[:len(scheme)], scheme) {
			rest := path[len(scheme):]
			slash := strings.IndexByte(rest, '/')
			if slash < 0 {
				return "", query
			}
			return rest[slash:], query
		}
	}
	return path, query
}

// webhookPath reads /v1/webhooks/{provider}/{account}[/{token}]. It refuses
// escapes, dot segments, empty elements and trailing slashes.
func webhookPath(path string) (lane events.Lane, token string, ok bool) {
	rest, ok := strings.CutPrefix(path, webhookPrefix)
	if !ok {
		return "", "", false
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return "", "", false
	}
	for _, p := range parts {
		if !plainElement(p) {
			return "", "", false
		}
	}
	if len(parts) == 3 {
		token = parts[2]
	}
	return events.LaneOf(events.Provider(parts[0]), events.Account(parts[1])), token, true
}

// plainElement reports whether s is a path element that means itself.
func plainElement(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte(`%\#;`, s[i]) >= 0 {
			return false
		}
	}
	return true
}

// allows reports whether the route takes a method, and the Allow header.
func (r *Route) allows(method string) (bool, string) {
	if r.GET {
		return method == http.MethodPost || method == http.MethodGet || method == http.MethodHead, "GET, HEAD, POST"
	}
	return method == http.MethodPost, "POST"
}
