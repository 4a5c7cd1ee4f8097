package kafka_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// A registry that restarts closes its connections without a word.
func TestRegistry_hangsUp(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer srv.Close()
	r := openRegistry(t, srv.URL)
	if _, err := r.Lookup(patient(t), "s", schemaV1); !errors.Is(err, stream.ErrTransient) {
		t.Errorf("Lookup of a registry that hangs up = %v, want ErrTransient", err)
	}
	if _, err := r.SchemaByID(patient(t), 7); !errors.Is(err, stream.ErrTransient) {
		t.Errorf("SchemaByID of a registry that hangs up = %v, want ErrTransient", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.SchemaByID(gone, 7); !errors.Is(err, context.Canceled) || errors.Is(err, stream.ErrTransient) {
		t.Errorf("SchemaByID of who left = %v, want no class", err)
	}
}

// Credentials that are to come from elsewhere would not be sent at all.
func TestOpenRegistry_refusesCredentialsFromElsewhere(t *testing.T) {
	for _, props := range []map[string]string{
		{"basic.auth.credentials.source": "SASL_INHERIT"}, {"basic.auth.credentials.source": "URL", "basic.auth.user.info": "u:p"},
		{"basic.auth.credentials.source": "USER_INFO"}, {"basic.auth.credentials.source": "USER_INFO", "basic.auth.user.info": ""},
	} {
		if _, err := kafka.OpenRegistry("http://127.0.0.1:1", props); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "basic.auth") {
			t.Errorf("OpenRegistry with %v = %v, want ErrRefused that names the property", props, err)
		}
	}
	if _, err := kafka.OpenRegistry("http://127.0.0.1:1", map[string]string{"basic.auth.credentials.source": "USER_INFO", "basic.auth.user.info": "u:p"}); err != nil {
		t.Errorf("OpenRegistry with credentials of its own = %v", err)
	}
}

// An answer that says nothing about a schema is none: the codec keeps what an id
// means for as long as it runs.
func TestRegistry_saysNothing(t *testing.T) {
	for _, body := range []string{`{}`, `{"status":"maintenance"}`} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		defer srv.Close()
		r := openRegistry(t, srv.URL)
		if text, err := r.SchemaByID(patient(t), 7); !errors.Is(err, stream.ErrTransient) || errors.Is(err, kafka.ErrNoSchema) {
			t.Errorf("SchemaByID answered %s = %q, %v; want ErrTransient", body, text, err)
		}
		if id, err := r.Lookup(patient(t), "s", schemaV1); !errors.Is(err, stream.ErrTransient) || errors.Is(err, kafka.ErrNotRegistered) {
			t.Errorf("Lookup answered %s = %d, %v; want ErrTransient", body, id, err)
		}
	}
}
