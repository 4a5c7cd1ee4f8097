package kafka_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/stream"
)

const (
	schemaV1 = `{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}`
	schemaV2 = `{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"b","type":["null","string"],"default":null}]}`
	schemaV3 = `{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"b","type":["null","string"],"default":null},{"name":"c","type":"int"}]}`
	// schemaBack gives v2's field another type: fine with v1, not with v2.
	schemaBack = `{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"b","type":["null","long"],"default":null}]}`
)

func openRegistry(t *testing.T, url string) *kafka.Registry {
	t.Helper()
	r, err := kafka.OpenRegistry(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegistry(t *testing.T) {
	dir := t.TempDir()
	c, err := embedded.Start(embedded.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	r, ctx := openRegistry(t, c.RegistryURL()), patient(t)
	const subject = "ramp.order-state.v1-value"

	if _, err := r.Lookup(ctx, subject, schemaV1); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "rampctl schemas register") {
		t.Errorf("Lookup of nothing = %v, want ErrRefused with the command", err)
	}
	if err := r.Check(ctx, subject, schemaV1); err != nil {
		t.Errorf("Check of a first schema = %v", err)
	}
	id1, err := r.Register(ctx, subject, schemaV1, "FULL_TRANSITIVE")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Register(ctx, subject, schemaV1, "FULL_TRANSITIVE"); err != nil || again != id1 {
		t.Errorf("Register again = %d, %v; want %d", again, err, id1)
	}
	id2, err := r.Register(ctx, subject, schemaV2, "FULL_TRANSITIVE")
	if err != nil || id2 == id1 {
		t.Fatalf("Register of a compatible change = %d, %v", id2, err)
	}
	for name, bad := range map[string]string{"field without a default": schemaV3, "changed type": schemaBack, "no schema": `{"type":"nonsense"}`} {
		if err := r.Check(ctx, subject, bad); !errors.Is(err, stream.ErrRefused) {
			t.Errorf("Check of %s = %v, want ErrRefused", name, err)
		}
		if _, err := r.Register(ctx, subject, bad, "FULL_TRANSITIVE"); !errors.Is(err, stream.ErrRefused) {
			t.Errorf("Register of %s = %v, want ErrRefused", name, err)
		}
	}
	if id, err := r.Lookup(ctx, subject, schemaV1); err != nil || id != id1 {
		t.Errorf("Lookup by content = %d, %v; want %d", id, err, id1)
	}
	if text, err := r.SchemaByID(ctx, id2); err != nil || text != schemaV2 {
		t.Errorf("SchemaByID = %q, %v", text, err)
	}
	if _, err := r.SchemaByID(ctx, 999); !errors.Is(err, kafka.ErrNoSchema) {
		t.Errorf("SchemaByID of an unknown id = %v, want ErrNoSchema", err)
	}
	if _, err := r.Register(ctx, subject, schemaV1, "SOMETIMES"); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("Register with an unknown level = %v, want ErrRefused", err)
	}
	c.Close()
	if _, err := r.Lookup(ctx, subject, schemaV1); !errors.Is(err, stream.ErrTransient) {
		t.Errorf("Lookup without a registry = %v, want ErrTransient", err)
	}
	afterRestart(t, dir, subject, id2)
}

// afterRestart finds the same ids and levels.
func afterRestart(t *testing.T, dir, subject string, id2 int) {
	t.Helper()
	c, err := embedded.Start(embedded.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := openRegistry(t, c.RegistryURL())
	if id, err := r.Lookup(patient(t), subject, schemaV2); err != nil || id != id2 {
		t.Errorf("Lookup after a restart = %d, %v; want %d", id, err, id2)
	}
	if err := r.Check(patient(t), subject, schemaV3); err == nil {
		t.Error("the level of the subject is forgotten after a restart")
	}
}

func TestRegistry_answers(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		want   error
	}{
		{500, `{"error_code":50001,"message":"store"}`, stream.ErrTransient},
		{503, `oops`, stream.ErrTransient},
		{429, `{"error_code":42900,"message":"slow down"}`, stream.ErrTransient},
		{401, `{"error_code":40101,"message":"who"}`, stream.ErrRefused},
		{403, `{"error_code":40301,"message":"no"}`, stream.ErrRefused},
		{404, `{"error_code":40403,"message":"schema not found"}`, kafka.ErrNotRegistered},
		{404, `<html>default backend</html>`, stream.ErrTransient},
		{404, `{"status":404,"title":"no such path"}`, stream.ErrTransient},
		{422, `{"error_code":42201,"message":"bad"}`, stream.ErrRefused},
		{302, ``, stream.ErrRefused},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if u, p, ok := r.BasicAuth(); !ok || u != "user" || p != "s3cret:x" || !strings.HasPrefix(r.URL.Path, "/apis/ccompat/v7/subjects/") {
				t.Errorf("request = %s with user %q, want the base path and credentials", r.URL.Path, u)
			}
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(tc.status)
			_, _ = w.Write([]byte(tc.body))
		}))
		r, err := kafka.OpenRegistry(srv.URL+"/apis/ccompat/v7/", map[string]string{"basic.auth.user.info": "user:s3cret:x"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Lookup(patient(t), "s", schemaV1)
		if !errors.Is(err, tc.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Lookup with status %d = %v, want %v", tc.status, err, tc.want)
		}
		srv.Close()
	}
}

// What is not a registry's own answer is no answer about a schema: a proxy's 404,
// while the registry behind it is away, must not set every record aside.
func TestRegistry_notARegistry(t *testing.T) {
	for body, unknown := range map[string]bool{`{"error_code":40403,"message":"schema not found"}`: true, `<html>default backend</html>`: false, ``: false, `{"error_code":404}`: false} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(body))
		}))
		defer srv.Close()
		r := openRegistry(t, srv.URL)
		_, err := r.SchemaByID(patient(t), 7)
		if errors.Is(err, kafka.ErrNoSchema) != unknown || errors.Is(err, stream.ErrTransient) == unknown {
			t.Errorf("SchemaByID with 404 %q = %v; ErrNoSchema wanted: %v, else ErrTransient", body, err, unknown)
		}
		if _, err := r.Register(patient(t), "s", schemaV1, "FULL_TRANSITIVE"); !unknown && (!errors.Is(err, stream.ErrTransient) || !strings.Contains(err.Error(), "registry.url")) {
			t.Errorf("Register with 404 %q = %v; want ErrTransient that names registry.url", body, err)
		}
		if err := r.Check(patient(t), "s", schemaV1); (err == nil) != unknown {
			t.Errorf("Check with 404 %q = %v", body, err)
		}
	}
	away := openRegistry(t, "http://127.0.0.1:1/private")
	if _, err := away.Lookup(patient(t), "s", schemaV1); !errors.Is(err, stream.ErrTransient) || strings.Contains(err.Error(), "/private") || !strings.Contains(err.Error(), "registry") {
		t.Errorf("Lookup of a registry that is away = %v; want ErrTransient, short", err)
	}
}

func TestOpenRegistry_refuses(t *testing.T) {
	for _, tc := range []struct {
		url   string
		props map[string]string
	}{
		{"", nil},
		{"localhost:8081", nil},
		{"ftp://localhost", nil},
		{"http://user:s3cret@localhost", nil},
		{"http://localhost/?token=s3cret", nil},
		{"http://localhost", map[string]string{"basic.auth.user.info": "s3cret"}},
		{"http://localhost", map[string]string{"basic.auth.user.inf": "u:s3cret"}},
		{"https://localhost", map[string]string{"ssl.truststore.location": "nowhere.pem"}},
	} {
		r, err := kafka.OpenRegistry(tc.url, tc.props)
		if r != nil || !errors.Is(err, stream.ErrRefused) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("OpenRegistry(%q, %v) = %v, %v; want ErrRefused without secrets", tc.url, tc.props, r, err)
		}
	}
}

// A level that is transitive is about every version: one that the latest allows may
// break who reads what was written with an older one.
func TestRegistry_Check_asksAboutEveryVersion(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"is_compatible":true}`
		if strings.HasSuffix(r.URL.Path, "/subjects/s/versions") {
			answer = `{"is_compatible":false,"messages":["version 1 cannot be read"]}`
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer srv.Close()
	if err := openRegistry(t, srv.URL).Check(patient(t), "s", schemaV1); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("Check of what an older version does not allow = %v, want ErrRefused that says why", err)
	}
}
