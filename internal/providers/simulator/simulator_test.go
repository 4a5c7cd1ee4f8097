package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers/simulator"
)

var (
	kadoCreds   = simulator.KadoCreds{PublicKey: "pub", APISecret: "kado-api-secret-0001", WebhookSecret: "kado-hook-secret-0001", WidgetID: "widget"}
	kangaCreds  = simulator.KangaCreds{APIKey: "V7JM4R4361E80SfSEEffxlhJb2C1d", Secret: "kanga-secret-0001"}
	koinalCreds = simulator.KoinalCreds{MerchantCode: 1000, Secret: "11qq22ww", CallbackSecret: "koinal-callback-0001"}
	zumoCreds   = simulator.ZumoCreds{AppID: "app", AppSecret: "zumo-secret-0001", Signing: &simulator.ZumoSigning{Secret: "zumo-hook-secret-0001"}}
	kunaCreds   = simulator.KunaCreds{MerchantID: "m1", Login: "ops@example.com", Password: "kuna-password-0001", APIKey: "kuna-api-key-0001"}
)

// fast makes a life take some ten milliseconds.
var fast = simulator.Speed{
	Stage: 4 * time.Millisecond, Retry: 2 * time.Millisecond, Delay: 8 * time.Millisecond, SlowCall: 5 * time.Millisecond,
	KangaRetry: 1.0 / 900_000,
}

// inbox is a merchant's webhook endpoint. It refuses the first `refuse`
// requests with 503, and all that verify does not admit with 401.
type inbox struct {
	*httptest.Server
	verify func(*http.Request, []byte) bool

	mu     sync.Mutex
	refuse int
	got    []received
}

type received struct {
	r    *http.Request
	body []byte
	ok   bool
}

func newInbox(t *testing.T, refuse int, verify func(*http.Request, []byte) bool) *inbox {
	t.Helper()
	in := &inbox{verify: verify, refuse: refuse}
	in.Server = httptest.NewServer(in)
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.refuse > 0 {
		in.refuse--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	ok := in.verify == nil || in.verify(r, body)
	in.got = append(in.got, received{r, body, ok})
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (in *inbox) received() []received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.got)
}

// newWorld has one account "a" of each provider; hooks names their webhook URLs.
func newWorld(t *testing.T, o simulator.Options, hooks map[events.Provider]string) *simulator.World {
	t.Helper()
	w := simulator.New(o)
	for _, err := range []error{
		w.AddKado("a", kadoCreds, hooks["kado"]), w.AddKanga("a", kangaCreds, hooks["kanga"]),
		w.AddKoinal("a", koinalCreds, hooks["koinal"]), w.AddZumo("a", zumoCreds, hooks["zumo"]),
		w.AddKuna("a", kunaCreds, hooks["kuna"]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func start(t *testing.T, w *simulator.World) {
	t.Helper()
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
}

func quiet(t *testing.T, w *simulator.World) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.WaitQuiet(ctx); err != nil {
		t.Fatal(err)
	}
}

func place(t *testing.T, w *simulator.World, p events.Provider, spec simulator.OrderSpec) simulator.Truth {
	t.Helper()
	tr, err := w.PlaceOrder(p, "a", spec)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// reply is an answer of a provider.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	raw    []byte
	err    error
}

// text walks members of objects and first elements of arrays.
func (r reply) text(path ...string) string {
	var v any = r.body
	for _, p := range path {
		if a, ok := v.([]any); ok && len(a) > 0 {
			v = a[0]
		}
		m, _ := v.(map[string]any)
		v = m[p]
	}
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func do(t *testing.T, method, url, body string, header map[string]string) reply {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = bytes.NewReader([]byte(body))
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, in)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	client := &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	out := reply{status: resp.StatusCode, header: resp.Header, raw: raw, err: err}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	_ = d.Decode(&out.body) // HTML and "OK" stay raw
	return out
}

// clock is a hand-moved clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}
