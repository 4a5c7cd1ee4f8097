package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rampstream/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestSafe(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "abc", `"abc"`},
		{"newline and escape sequence", "a\nlevel=error\x1b[31m", `"a\nlevel=error\x1b[31m"`},
		{"beyond ASCII", "\u202eevil", `"\u202eevil"`},
		{"not UTF-8", "\xff", `"\xff"`},
		{"long", strings.Repeat("x", 300), `"` + strings.Repeat("x", 200) + `"...`},
		{"cut between runes", strings.Repeat("x", 199) + "\u00e9y", `"` + strings.Repeat("x", 199) + `"...`},
	} {
		if got := telemetry.Safe(tc.in); got != tc.want {
			t.Errorf("Safe(%s) = %s, want %s", tc.name, got, tc.want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("a\nb")
	f.Fuzz(func(t *testing.T, s string) {
		got := telemetry.Safe(s)
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) || len(got) > 4*200+5+200*6 {
			t.Errorf("Safe(%q) = %q has unprintable text or is too long", s, got)
		}
	})
}

func TestNewLogger(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "ingest", "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("not written")
	log.Warn("delivery refused", "reason", "signature", "took", 20*time.Millisecond)
	var line struct{ Time, Level, Msg, Program, Reason, Took string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("log wrote %q: %v", out.String(), err)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", line.Time); err != nil {
		t.Errorf("time %q: %v", line.Time, err)
	}
	if line.Msg != "delivery refused" || line.Program != "ingest" || line.Reason != "signature" || line.Level != "WARN" || line.Took != "20ms" {
		t.Errorf("log wrote %+v", line)
	}
	for _, tc := range [][2]string{{"loud", "json"}, {"info", "xml"}, {"", "json"}, {"INFO+2", "text"}} {
		if l, err := telemetry.NewLogger(&out, "p", tc[0], tc[1]); err == nil || l != nil {
			t.Errorf("NewLogger(%q, %q) = %v, %v; want nil and an error", tc[0], tc[1], l, err)
		}
	}
}

func TestAdmin(t *testing.T) {
	admin, err := telemetry.OpenAdmin("127.0.0.1:0", telemetry.NewRegistry("ingest"), discard())
	if err != nil {
		t.Fatal(err)
	}
	var kafka atomic.Bool
	admin.Checks.Add("kafka", func(context.Context) error {
		if kafka.Load() {
			return nil
		}
		return errors.New("password=hunter2 refused")
	})
	done := make(chan error, 1)
	go func() { done <- admin.Execute() }()

	for _, tc := range []struct {
		path  string
		kafka bool
		code  int
		body  string
	}{
		{"/livez", false, 200, "ok\n"},
		{"/readyz", false, 503, `{"status":"not ready","failing":["kafka"]}` + "\n"},
		{"/readyz", true, 200, `{"status":"ready"}` + "\n"},
		{"/debug/pprof/", true, 404, ""},
		{"/", true, 404, ""},
	} {
		kafka.Store(tc.kafka)
		code, body := get(t, "http://"+admin.Addr()+tc.path)
		if code != tc.code || tc.body != "" && body != tc.body {
			t.Errorf("GET %s = %d %q, want %d %q", tc.path, code, body, tc.code, tc.body)
		}
	}
	if _, body := get(t, "http://"+admin.Addr()+"/metrics"); !strings.Contains(body, `ramp_build_info{`) || !strings.Contains(body, `program="ingest"`) {
		t.Errorf("/metrics lacks ramp_build_info of ingest")
	} else if !strings.Contains(body, "\ngo_gc_heap_live_bytes ") {
		t.Errorf("/metrics lacks go_gc_heap_live_bytes")
	}
	if _, err := telemetry.OpenAdmin(admin.Addr(), telemetry.NewRegistry("p"), discard()); err == nil {
		t.Errorf("OpenAdmin on a taken port succeeded")
	}
	admin.Interrupt(nil)
	admin.Interrupt(nil)
	if err := <-done; err != nil {
		t.Errorf("Execute after Interrupt = %v, want nil", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAdmin_closedWithoutExecute(t *testing.T) {
	admin, err := telemetry.OpenAdmin("127.0.0.1:0", telemetry.NewRegistry("p"), discard())
	if err != nil {
		t.Fatal(err)
	}
	address := admin.Addr()
	if err := admin.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	again, err := telemetry.OpenAdmin(address, telemetry.NewRegistry("p"), discard())
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	again.Interrupt(nil)
	if err := again.Execute(); err != nil {
		t.Errorf("Execute after Interrupt = %v, want nil", err)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestChecks_runTogetherAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks telemetry.Checks
		release := make(chan struct{})
		var calls atomic.Int32
		checks.Add("stuck", func(context.Context) error { calls.Add(1); <-release; return nil })
		checks.Add("slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		checks.Add("panics", func(context.Context) error { panic("boom") })
		checks.Add("well", func(context.Context) error { return nil })
		start := time.Now()
		for range 3 {
			got := checks.Failing(t.Context())
			if d := cmp.Diff([]string{"panics", "slow", "stuck"}, names(got)); d != "" {
				t.Errorf("Failing (-want +got):\n%s", d)
			}
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("three probes took %v, want at most a second each", took)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("the stuck check was called %d times, want 1", n)
		}
		close(release)
		synctest.Wait()
		if got := checks.Failing(t.Context()); got["stuck"] != nil {
			t.Errorf("the check that came back still fails: %v", got)
		}
	})
}

// Two probers at a time must not see each other's call as a failure.
func TestChecks_probersShareACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks telemetry.Checks
		checks.Add("kafka", func(ctx context.Context) error {
			select {
			case <-time.After(500 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		gone, cancel := context.WithCancel(t.Context())
		go checks.Failing(gone)
		second := make(chan map[string]error)
		go func() { second <- checks.Failing(t.Context()) }()
		synctest.Wait()
		cancel()
		if got := <-second; len(got) != 0 {
			t.Errorf("Failing beside a prober that hung up = %v, want none", got)
		}
	})
}

func names(m map[string]error) []string {
	var out []string
	for _, n := range []string{"panics", "slow", "stuck", "well"} {
		if m[n] != nil {
			out = append(out, n)
		}
	}
	return out
}

func TestErrorLog_quotes(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	if _, err := io.WriteString(telemetry.ErrorLog(log), "bad header \"x\x1b[0m\nlevel=INFO forged\"\n"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("ErrorLog wrote %q, want one line without control characters", out.String())
	}
}

func TestChecks_logEachChangeOnce(t *testing.T) {
	var out bytes.Buffer
	admin, err := telemetry.OpenAdmin("127.0.0.1:0", telemetry.NewRegistry("p"), slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var bad error
	admin.Checks.Add("kafka", func(context.Context) error { return bad })
	for _, err := range []error{nil, errors.New("down"), errors.New("down"), nil, nil} {
		bad = err
		admin.Checks.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
	}
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("five probes logged %d lines, want 2 (failed, recovered):\n%s", got, out.String())
	}
}
