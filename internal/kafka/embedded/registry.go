package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// schemaBytes caps a request body.
const schemaBytes = 1 << 20

// gate stands before the fake registry, which accepts every schema: it refuses
// incompatible ones and writes the accepted ones down.
type gate struct {
	inner http.Handler
	fake  *srfake.Registry
	file  string // "" keeps nothing

	mu    sync.Mutex // one registration at a time: check, store, write
	saved saved
}

// saved is the file's content, in the order of registration.
type saved struct {
	Levels  map[string]string `json:"levels"`
	Schemas []savedSchema     `json:"schemas"`
}

type savedSchema struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int    `json:"id"`
	Schema  string `json:"schema"`
}

func newRegistry(dir string) (http.Handler, error) {
	fake := srfake.NewRegistry()
	g := &gate{inner: fake.Handler(), fake: fake, saved: saved{Levels: map[string]string{}}}
	if dir == "" {
		return g, nil
	}
	g.file = filepath.Join(dir, "schemas.json")
	b, err := os.ReadFile(g.file)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &g.saved)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded registry: %w", err)
	}
	for _, s := range g.saved.Schemas {
		fake.SeedSchema(s.Subject, s.Version, s.ID, sr.Schema{Schema: s.Schema})
	}
	for subject, name := range g.saved.Levels {
		var level sr.CompatibilityLevel
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return nil, fmt.Errorf("embedded registry: %w", err)
		}
		if err := fake.SetCompat(subject, level); err != nil {
			return nil, fmt.Errorf("embedded registry: %w", err)
		}
	}
	return g, nil
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	switch {
	case r.Method == http.MethodPost && len(parts) == 3 && parts[0] == "subjects" && parts[2] == "versions":
		g.register(w, r, unescape(parts[1]))
	case r.Method == http.MethodPost && len(parts) >= 4 && parts[0] == "compatibility" && parts[1] == "subjects":
		g.check(w, r, unescape(parts[2]))
	case r.Method == http.MethodPut && len(parts) == 2 && parts[0] == "config":
		g.level(w, r, unescape(parts[1]))
	default:
		g.inner.ServeHTTP(w, r)
	}
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// pass hands a request with its body on and gives the answer.
func (g *gate) pass(r *http.Request, body []byte) *httptest.ResponseRecorder {
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	g.inner.ServeHTTP(rec, r)
	return rec
}

func reply(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (g *gate) register(w http.ResponseWriter, r *http.Request, subject string) {
	body, schema, ok := readSchema(w, r)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if problems := g.problems(subject, schema); len(problems) > 0 {
		refuse(w, http.StatusConflict, 409, "Schema being registered is incompatible with an earlier schema: "+strings.Join(problems, "; "))
		return
	}
	rec := g.pass(r, body)
	if rec.Code == http.StatusOK {
		if err := g.keep(subject); err != nil {
			refuse(w, http.StatusInternalServerError, 50001, "schema not written to disk")
			return
		}
	}
	reply(w, rec)
}

func (g *gate) check(w http.ResponseWriter, r *http.Request, subject string) {
	_, schema, ok := readSchema(w, r)
	if !ok {
		return
	}
	g.mu.Lock()
	problems := g.problems(subject, schema)
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"is_compatible": len(problems) == 0, "messages": problems})
}

func (g *gate) level(w http.ResponseWriter, r *http.Request, subject string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, schemaBytes))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, 413, "body too large")
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	rec := g.pass(r, body)
	var in struct {
		Compatibility string `json:"compatibility"`
	}
	if rec.Code == http.StatusOK && json.Unmarshal(body, &in) == nil {
		g.saved.Levels[subject] = in.Compatibility
		if err := g.write(); err != nil {
			refuse(w, http.StatusInternalServerError, 50001, "level not written to disk")
			return
		}
	}
	reply(w, rec)
}

func readSchema(w http.ResponseWriter, r *http.Request) ([]byte, string, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, schemaBytes))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, 413, "body too large")
		return nil, "", false
	}
	var in struct {
		Schema string `json:"schema"`
	}
	if json.Unmarshal(body, &in) != nil || in.Schema == "" {
		refuse(w, http.StatusUnprocessableEntity, 42201, "no schema in the body")
		return nil, "", false
	}
	return body, in.Schema, true
}

func refuse(w http.ResponseWriter, code, srCode int, message string) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"error_code": srCode, "message": message})
}

// defaultLevel is the registry's own default.
const defaultLevel = "BACKWARD"

// problems compares a schema with the earlier ones of its subject, all of them
// where the level is transitive.
func (g *gate) problems(subject, text string) []string {
	next, err := avro.Parse(text)
	if err != nil {
		return []string{"not an Avro schema: " + err.Error()}
	}
	level := g.saved.Levels[subject]
	if level == "" {
		level = defaultLevel
	}
	earlier := g.earlier(subject)
	if !strings.HasSuffix(level, "_TRANSITIVE") && len(earlier) > 1 {
		earlier = earlier[len(earlier)-1:]
	}
	backward := strings.HasPrefix(level, "BACKWARD") || strings.HasPrefix(level, "FULL")
	forward := strings.HasPrefix(level, "FORWARD") || strings.HasPrefix(level, "FULL")
	var problems []string
	for _, e := range earlier {
		prev, err := avro.Parse(e.Schema.Schema)
		if err != nil {
			return []string{fmt.Sprintf("version %d: %v", e.Version, err)}
		}
		if backward {
			problems = appendErr(problems, "BACKWARD", e.Version, avro.CheckCompatibility(prev, next))
		}
		if forward {
			problems = appendErr(problems, "FORWARD", e.Version, avro.CheckCompatibility(next, prev))
		}
	}
	return problems
}

func appendErr(list []string, rule string, version int, err error) []string {
	if err == nil {
		return list
	}
	return append(list, fmt.Sprintf("%s with version %d: %v", rule, version, err))
}

func (g *gate) earlier(subject string) []sr.SubjectSchema {
	var out []sr.SubjectSchema
	for v := 1; ; v++ {
		s, ok := g.fake.GetSchema(subject, v)
		if !ok {
			return out
		}
		out = append(out, s)
	}
}

// keep writes down what the fake registry knows of subject and the file not.
func (g *gate) keep(subject string) error {
	known := map[int]bool{}
	for _, s := range g.saved.Schemas {
		if s.Subject == subject {
			known[s.Version] = true
		}
	}
	for _, s := range g.earlier(subject) {
		if !known[s.Version] {
			g.saved.Schemas = append(g.saved.Schemas, savedSchema{subject, s.Version, s.ID, s.Schema.Schema})
		}
	}
	return g.write()
}

func (g *gate) write() error {
	if g.file == "" {
		return nil
	}
	b, err := json.MarshalIndent(g.saved, "", "  ")
	if err != nil {
		return err
	}
	tmp := g.file + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, g.file)
}
