package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
)

func lanesServer(t *testing.T, lanes ...poller.LaneSnapshot) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/lanes" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(lanes)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// A table without a line would hide that nobody answered.
func TestPoller_nobodyAnswers(t *testing.T) {
	out, err := rampctl(t, "poller", "--admin", "127.0.0.1:1")
	if err == nil || out != "" {
		t.Errorf("rampctl poller = %q, %v; want an error and nothing else", out, err)
	}
}

func rampctl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errw bytes.Buffer
	err := execute(t.Context(), args, nil, &out, &errw)
	return out.String(), err
}

func TestPoller(t *testing.T) {
	now := events.At(time.Now())
	a := lanesServer(t, poller.LaneSnapshot{Lane: "kanga/acme", Configured: true, Serial: true, Due: 600, Overdue: 7, Held: 3, InFlight: 1,
		Rate: 5, ConfiguredRate: 5, HintRate: 0.5, LastMinute: 298, Breaker: "closed", NonceReserved: 1767225600000,
		OldestDue: now.Add(-90 * time.Second), AgesSampled: 1000, AgesUnasked: 20, AgeP50: 30_000, AgeP99: 61_000})
	b := lanesServer(t,
		poller.LaneSnapshot{Lane: "kado/acme", Configured: true, Rate: 1.25, ConfiguredRate: 5, Breaker: "open", OpenUntil: now.Add(100 * time.Second),
			RetryAfter: now.Add(time.Hour), Paused: true},
		poller.LaneSnapshot{Lane: "kuna/gone", Rate: 5, ConfiguredRate: 5, Breaker: "closed", Parked: 4, NonceAlarm: true, Refused: 9})

	// As the command does, but for the clock: what is left is printed to the second.
	var table bytes.Buffer
	c := &cli{out: &table, errw: io.Discard, output: "text"}
	urls, err := c.admins([]string{a + "/", strings.TrimPrefix(b, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	asked, err := c.lanes(t.Context(), urls)
	if err == nil {
		err = c.laneTable(asked, len(urls) > 1, now.Time())
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(table.String(), "\n")
	for i, want := range []struct {
		has []string
	}{
		{[]string{"LANE", "OLDEST DUE", "POLLER"}},
		{[]string{"kado/acme", "1.25 of 5", "open 1m40s", "1h0m0s", "paused", b}},
		{[]string{"kanga/acme", " 600 ", " 7 ", "1767225600000", "1m30s", a}},
		{[]string{"kuna/gone", "NONCE REFUSED TWICE", "not configured here", "4 cannot be asked", "9 unknown hints"}},
	} {
		for _, h := range want.has {
			if !strings.Contains(lines[i], h) {
				t.Errorf("line %d has no %q: %s", i, h, lines[i])
			}
		}
	}
	for _, want := range []string{
		"with 298 requests in the last minute the p99 age is 1m1s, the median 30s", "of 980 sampled open orders", "20 of the sample are not counted",
		"600 are due: 2m0s at the whole budget", "no open order to have an age",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in:\n%s", want, table.String())
		}
	}
	out, err := rampctl(t, "poller", "--admin", a+"/,"+strings.TrimPrefix(b, "http://"))
	if err != nil || !strings.Contains(out, "kanga/acme") || !strings.Contains(out, "kuna/gone") || !strings.Contains(out, "POLLER") {
		t.Errorf("rampctl poller = %v, %s", err, out)
	}

	out, err = rampctl(t, "poller", "-o", "json", "--admin", a)
	var line map[string]any
	if jerr := json.Unmarshal([]byte(out), &line); err != nil || jerr != nil || line["lane"] != "kanga/acme" || line["due"] != 600.0 || line["admin"] != a {
		t.Errorf("-o json = %s, %v, %v", out, err, jerr)
	}
}

// A poller that does not answer hides no other, and fails the command.
func TestPoller_oneIsDown(t *testing.T) {
	a := lanesServer(t, poller.LaneSnapshot{Lane: "kanga/acme", Breaker: "closed"})
	down := httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	out, err := rampctl(t, "poller", "--admin", down.URL, "--admin", a)
	if err == nil || !strings.Contains(err.Error(), down.URL) || !strings.Contains(err.Error(), "HTTP 404") {
		t.Errorf("error = %v, want one that names the poller", err)
	}
	if !strings.Contains(out, "kanga/acme") {
		t.Errorf("output = %q, want the other poller's lane", out)
	}
	if _, err := rampctl(t, "poller", "--admin", "ftp://x"); err == nil {
		t.Error("an ftp URL was taken")
	}
}
