package app_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/stream"
)

// A registry that finds our schema under an id and gives another one, or none,
// for that id is noticed before anything is written with it.
func TestOpenCodec_registryThatLies(t *testing.T) {
	cluster, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cfg := config.Default()
	cfg.Registry.URL = cluster.RegistryURL()
	reg, err := app.OpenRegistry(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.OpenCodec(t.Context(), cfg, reg); !errors.Is(err, stream.ErrRefused) || strings.Count(err.Error(), "-value") != 10 || strings.Count(err.Error(), "rampctl schemas register") != 1 {
		t.Errorf("OpenCodec of an empty registry = %v; want ErrRefused that names ten subjects, and once the command", err)
	}
	ids, err := app.RegisterSchemas(t.Context(), cfg, reg)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(cluster.RegistryURL())
	if err != nil {
		t.Fatal(err)
	}
	honest := httputil.NewSingleHostReverseProxy(target)
	for name, lie := range map[string]http.HandlerFunc{
		"truth":          honest.ServeHTTP,
		"another schema": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"schema":"\"string\""}`)) },
		"no schema": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error_code":40403,"message":"Schema not found"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/schemas/ids/") {
					lie(w, r)
					return
				}
				honest.ServeHTTP(w, r)
			}))
			defer srv.Close()
			cfg := cfg
			cfg.Registry.URL = srv.URL
			reg, err := app.OpenRegistry(cfg)
			if err != nil {
				t.Fatal(err)
			}
			cd, err := app.OpenCodec(t.Context(), cfg, reg)
			if name == "truth" {
				if err != nil || cd == nil {
					t.Errorf("OpenCodec of an honest registry with %d schemas = %v", len(ids), err)
				}
				return
			}
			if !errors.Is(err, stream.ErrLoss) || cd != nil || !strings.Contains(err.Error(), "-value has id") {
				t.Errorf("OpenCodec = %v, want ErrLoss that names subject and id", err)
			}
		})
	}
}
