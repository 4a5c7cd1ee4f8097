package ingest_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/ingest"
)

// endless is a body that never ends; it fails the test when more than most
// bytes of it are read.
type endless struct {
	t    *testing.T
	most int64
	n    int64
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	if e.n += int64(len(p)); e.n > e.most {
		e.t.Errorf("%d bytes of the body were read; want at most %d", e.n, e.most)
		return 0, io.EOF
	}
	return len(p), nil
}

func with(r ingest.Request, f func(*ingest.Request)) ingest.Request {
	f(&r)
	return r
}

func TestHandle_refuses(t *testing.T) {
	const ok = `{"id":"o-1","status":"paid"}`
	chunked := func(n int64) ingest.Request {
		return with(post(hook, ""), func(r *ingest.Request) { r.ContentLength, r.Body = -1, &endless{t: t, most: n} })
	}
	for _, tc := range []struct {
		name   string
		req    ingest.Request
		status int
		reason ingest.Reason
		closes bool
	}{
		{"no signature", post(hook, ok, "X-Test-Signature", ""), 401, "header_missing", true},
		{"wrong signature", post(hook, ok, "X-Test-Signature", "bad"), 401, "signature", true},
		{"two signatures", with(post(hook, ok), func(r *ingest.Request) { r.Header.Add("X-Test-Signature", "good") }), 401, "header_duplicate", true},
		{"unreadable", post(hook, `{`), 400, "json_syntax", false},
		{"parser's media type", post(hook, `{"class":"media"}`), 415, "media_type", true},
		{"class no parser has", post(hook, `{"class":"foreign"}`), 401, "other", true},
		{"reason no parser has", post(hook, `{"class":"invented","id":"<script>"}`), 400, "other", false},
		{"empty body", post(hook, ``), 400, "empty_body", false},
		{"empty chunked body", with(post(hook, ""), func(r *ingest.Request) { r.ContentLength = -1 }), 400, "empty_body", false},
		{"no content type", post(hook, ok, "Content-Type", ""), 415, "media_type", true},
		{"form", post(hook, ok, "Content-Type", "application/x-www-form-urlencoded"), 415, "media_type", true},
		{"two content types", with(post(hook, ok), func(r *ingest.Request) { r.Header.Add("Content-Type", "application/json") }), 415, "media_type", true},
		{"json-like type", post(hook, ok, "Content-Type", "application/json5"), 415, "media_type", true},
		{"gzip", post(hook, ok, "Content-Encoding", "gzip"), 415, "content_encoding", true},
		{"br", post(hook, ok, "Content-Encoding", "br"), 415, "content_encoding", true},
		{"identity, gzip", post(hook, ok, "Content-Encoding", "identity, gzip"), 415, "content_encoding", true},
		{"two encodings", with(post(hook, ok, "Content-Encoding", "identity"), func(r *ingest.Request) { r.Header.Add("Content-Encoding", "identity") }), 415, "content_encoding", true},
		{"1 GiB declared", with(post(hook, ok), func(r *ingest.Request) { r.ContentLength, r.Body = 1<<30, &endless{t: t} }), 413, "too_large", true},
		{"one byte above the cap", with(post(hook, ok), func(r *ingest.Request) { r.ContentLength, r.Body = 256<<10+1, &endless{t: t} }), 413, "too_large", true},
		{"endless chunks", chunked(256<<10 + 1), 413, "too_large", true},
		{"cut off", with(post(hook, ok), func(r *ingest.Request) {
			r.Body = io.MultiReader(strings.NewReader(ok[:9]), errReader{})
		}), 400, "body_unreadable", true},
		{"GET", with(post(hook, ""), func(r *ingest.Request) { r.Method = "GET" }), 405, "method", false},
		{"PUT", with(post(hook, ok), func(r *ingest.Request) { r.Method = "PUT" }), 405, "method", false},
		{"OPTIONS", with(post(hook, ok), func(r *ingest.Request) { r.Method = "OPTIONS" }), 405, "method", false},
		{"long query", post(hook+"?"+strings.Repeat("x", 2049), ok), 400, "query", false},
		{"GET with a body", with(post("/v1/webhooks/kanga/acme?transactionKey=a", ok), func(r *ingest.Request) { r.Method = "GET" }), 400, "body_unreadable", true},
		{"unknown account", post("/v1/webhooks/kado/nobody", ok), 404, "path", false},
		{"token on a route without", post(hook+"/token", ok), 404, "path", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			got := r.Handle(context.Background(), tc.req)
			if got.Status != tc.status || got.Reason != tc.reason || got.Close != tc.closes {
				t.Errorf("Handle = %d %q, close %v; want %d %q, close %v", got.Status, got.Reason, got.Close, tc.status, tc.reason, tc.closes)
			}
			if n := len(r.log.snapshot()); n != 0 {
				t.Errorf("%d records were published before verification", n)
			}
			if n := r.count(t, "ramp_ingest_responses_total"); n != 1 {
				t.Errorf("counted %v answers to one request", n)
			}
			if len(got.Body) == 0 || len(got.Body) > 64 || bytes.Contains(got.Body, []byte("o-1")) {
				t.Errorf("body %q; want a short constant", got.Body)
			}
			if got.Status == 405 && got.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// No spelling of a route but its own is answered with anything but 404, and
// none with a redirect.
func TestHandle_uncleanPaths(t *testing.T) {
	r := newRig(t)
	for _, target := range []string{
		"", "/", "*", "/v1", "/v1/", "/v1/webhooks", "/v1/webhooks/", "/v1/webhooks/kado", "/v1/webhooks/kado/", hook + "/",
		"//v1/webhooks/kado/acme", "/v1//webhooks/kado/acme", "/v1/webhooks//kado/acme", "/v1/webhooks/kado//acme", hook + "//",
		"/v1/./webhooks/kado/acme", "/v1/webhooks/kado/./acme", "/v1/webhooks/kado/../kado/acme", hook + "/..", hook + "/.",
		"/v1/webhooks/kado%2facme", "/v1/webhooks/kado/%61cme", "/v1/webhooks/kado/acme%2f", "/v1/webhooks/kado/acme%00",
		"/v1/webhooks/Kado/acme", "/V1/webhooks/kado/acme", `/v1/webhooks/kado\acme`, "/v1/webhooks/kado/acme;x=1", hook + "/a/b",
		"/v1/webhooks/kanga/acme/", "/v1/webhooks/kanga/acme/..", "/v1/webhooks/kanga/acme/%2e%2e", "/v1/webhooks/kanga/acme/" + strings.Repeat("x", 257),
		"/v1/orders/", "//v1/orders", "/v1/orders/1", "/v1/Orders", "/v1/%6frders", "/v1/customers/", "/metrics", "/debug/pprof/", "/healthz", "/readyz",
		"http://evil", "http://evil/v1/webhooks/kado/acme/", "example.com:443", "HTTPS://evil//v1/orders",
	} {
		if got := r.post(target, `{"id":"o-1"}`); got.Status != http.StatusNotFound {
			t.Errorf("Handle(%q) = %d; want 404", target, got.Status)
		}
	}
	if got := r.post("http://evil.example/v1/webhooks/kado/acme", `{"id":"o-1","status":"a"}`); got.Status != http.StatusOK {
		t.Errorf("absolute-form target = %d; want 200: its authority is no part of the route", got.Status)
	}
}

func TestHandle_publishesThenAnswers(t *testing.T) {
	r := newRig(t)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	got := receiptOf(t, r.post(hook, `{"id":"o-1","status":"paid"}`, "Content-Type", "Application/JSON; charset=utf-8", "Traceparent", trace))
	records := r.log.snapshot()
	if len(records) != 1 {
		t.Fatalf("%d records; want 1", len(records))
	}
	rec := records[0]
	if got != (receipt{EventID: events.Digest("test", "o-1", "paid"), Topic: "ramp.webhook.v1", Partition: rec.Partition}) {
		t.Errorf("receipt %+v; want that of the record", got)
	}
	w, err := r.codec.DecodeWebhook(context.Background(), rec.Value)
	if err != nil || w.Key.String() != string(rec.Key) || w.StatusRaw != "paid" || w.ObservedAt != events.At(r.now()) {
		t.Errorf("record %q = %+v, %v", rec.Key, w, err)
	}
	for key, want := range map[string]string{
		"ce_specversion": "1.0", "ce_id": got.EventID, "ce_source": "/rampstream/ingest/kado/acme",
		"ce_type": "rampstream.v1.Webhook", "content-type": "application/avro", "traceparent": trace,
	} {
		if v, _ := rec.Header(key); string(v) != want {
			t.Errorf("header %s = %q; want %q", key, v, want)
		}
	}
	if n := r.count(t, "ramp_ingest_responses_total", "provider=kado", "code=200", "reason=event"); n != 1 {
		t.Errorf("counted %v events", n)
	}
}

// The key is the route's: a delivery that names another account is not let
// into that account's partition, whatever its parser thought.
func TestHandle_keyComesFromTheRoute(t *testing.T) {
	r := newRig(t)
	resp := r.post(hook, `{"id":"o-1","status":"paid","account":"other"}`)
	if got := receiptOf(t, resp); got.Topic != "ramp.dead-letter.v1" {
		t.Errorf("a foreign key went to %s; want a dead letter", got.Topic)
	}
}

func TestHandle_countsHowItWasVerified(t *testing.T) {
	r := newRig(t)
	r.post(hook, `{"id":"o-1","status":"paid"}`, "X-Test-Signature", "good previous")
	r.post(hook, `{"id":"o-2","status":"odd"}`)
	for name, want := range map[string]float64{
		"ramp_ingest_previous_key_total": 1, "ramp_ingest_unknown_status_total": 1, "ramp_ingest_verified_total": 2,
		"ramp_ingest_published_total": 2, "ramp_ingest_in_flight_requests": 0,
	} {
		if got := r.count(t, name); got != want {
			t.Errorf("%s = %v; want %v", name, got, want)
		}
	}
	if got := r.count(t, "ramp_ingest_verified_total", "provider=kado", "scheme=raw/previous"); got != 1 {
		t.Errorf("verified by the previous secret: %v; want 1", got)
	}
}

func TestHandle_parserPanics(t *testing.T) {
	var out bytes.Buffer
	r := newRig(t, func(_ *ingest.Config, d *ingest.Deps, _ *rig) {
		d.Log = slog.New(slog.NewJSONHandler(&out, nil))
	})
	got := r.post(hook, `{"id":"canary-7731","class":"panic"}`)
	if got.Status != http.StatusInternalServerError || got.Reason != "panic" || r.count(t, "ramp_ingest_panics_total") != 1 {
		t.Errorf("a panic is answered %d %q; want a counted 500", got.Status, got.Reason)
	}
	if !strings.Contains(out.String(), "ParseWebhook") || strings.Contains(out.String(), "canary") {
		t.Errorf("log %s; want the stack and nothing of the payload", out.String())
	}
	if got := r.post(hook, `{"id":"o-1","status":"paid"}`); got.Status != http.StatusOK {
		t.Errorf("after the panic %d; want 200", got.Status)
	}
}

// A memory that is full, and slots that are taken, are a 503 at once.
func TestHandle_overload(t *testing.T) {
	r := newRig(t, func(c *ingest.Config, _ *ingest.Deps, r *rig) {
		c.Limits.InFlight = 1
		r.log.hold = make(chan struct{})
	})
	first := make(chan ingest.Response)
	go func() { first <- r.post(hook, `{"id":"o-1","status":"paid"}`) }()
	waitFor(t, "the first request to publish", func() bool { return r.log.calls() == 1 })
	got := r.post(hook, `{"id":"o-2","status":"paid"}`)
	if got.Status != http.StatusServiceUnavailable || got.Reason != "overload" || got.Header.Get("Retry-After") == "" {
		t.Errorf("second request = %d %q; want 503 overload", got.Status, got.Reason)
	}
	close(r.log.hold)
	if got := <-first; got.Status != http.StatusOK {
		t.Errorf("first request = %d; want 200", got.Status)
	}
}

// Nothing of a refused request is in a log or a label.
func TestHandle_logsNoForeignText(t *testing.T) {
	var out bytes.Buffer
	r := newRig(t, func(_ *ingest.Config, d *ingest.Deps, _ *rig) {
		d.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const canary = "canary-5512"
	r.post("/v1/webhooks/kado/"+canary, `{}`)
	r.post(hook+"?"+canary, canary, "X-Test-Signature", canary, "Content-Type", "application/json; "+canary)
	r.post(hook, `{"class":"malformed","`+canary+`":1}`)
	r.post("/v1/orders", canary, "Authorization", "Bearer "+canary)
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.Contains(f.String(), canary) {
			t.Errorf("metric %s has text of a request", f.GetName())
		}
	}
	if strings.Contains(out.String(), canary) {
		t.Errorf("log has text of a request: %s", out.String())
	}
	for i := range 1000 {
		r.post("/"+strings.Repeat("x", i%50), `{}`)
	}
	if n := strings.Count(out.String(), "\n"); n > 50 {
		t.Errorf("%d log lines for a flood; want few", n)
	}
}

func FuzzHandle_target(f *testing.F) {
	for _, s := range []string{hook, "/v1/orders", "//v1/orders", "http://x/v1/webhooks/kado/acme", "/v1/webhooks/kanga/acme/t?transactionKey=a", "*"} {
		f.Add("POST", s)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		r := newRig(t)
		got := r.Handle(context.Background(), with(post(target, `{"id":"o-1","status":"paid"}`), func(r *ingest.Request) { r.Method = method }))
		if got.Status >= 300 && got.Status < 400 || got.Status > 200 && got.Status < 300 || got.Status == 500 {
			t.Fatalf("%s %q = %d", method, target, got.Status)
		}
		if got.Status != http.StatusOK && len(r.log.snapshot()) != 0 {
			t.Fatalf("%s %q = %d and published", method, target, got.Status)
		}
	})
}
