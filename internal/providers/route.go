package providers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Route is one call of a provider's API: its method, and its path below the
// base URL.
type Route struct{ Method, Path string }

// ParseRoute reads a setting of api.paths: "/path", which keeps method, or
// "METHOD /path". Where a call's path holds the id of its subject, placeholder
// is what stands for it, as "{id}", and must be there exactly once; "" for none.
func ParseRoute(text, method, placeholder string) (Route, error) {
	r := Route{Method: method, Path: text}
	if m, path, found := strings.Cut(text, " "); found {
		r = Route{Method: m, Path: path}
	}
	switch {
	case !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, r.Method):
		return Route{}, errors.New("must be /path, or METHOD /path in capitals")
	case !strings.HasPrefix(r.Path, "/") || !plainPath(r.Path):
		return Route{}, errors.New("must be an absolute path without query")
	case placeholder == "" && strings.ContainsAny(r.Path, "{}"):
		return Route{}, errors.New("must hold no placeholder")
	case placeholder != "" && (strings.Count(r.Path, placeholder) != 1 || strings.ContainsAny(strings.Replace(r.Path, placeholder, "", 1), "{}")):
		return Route{}, fmt.Errorf("must hold %s once, and no other placeholder", placeholder)
	}
	return r, nil
}

// plainPath: printable, and nothing that a URL reads as something else.
func plainPath(path string) bool {
	for i := range len(path) {
		if path[i] <= ' ' || path[i] > '~' || strings.IndexByte(`?#\%`, path[i]) >= 0 {
			return false
		}
	}
	return true
}
