package ingest_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rampstream/internal/ingest"
	"rampstream/internal/providers"
)

// UnlistedFields makes the tests' provider one that knows its document.
func (p scheme) UnlistedFields(body []byte) []string {
	return providers.UnlistedFields(body, providers.Listed("id", "status", "class", "account"))
}

// A field that no document has is counted and told of once, by its hash: the
// name may be somebody's. One delivery a second is looked at, and only such as
// became durable.
func TestHandle_countsFieldsThatNobodyListed(t *testing.T) {
	var out bytes.Buffer
	r := newRig(t, func(_ *ingest.Config, d *ingest.Deps, _ *rig) { d.Log = slog.New(slog.NewJSONHandler(&out, nil)) })
	count := func(want float64) {
		t.Helper()
		if got := r.count(t, "ramp_ingest_unlisted_fields_total", "provider=kado"); got != want {
			t.Errorf("%v fields counted, want %v", got, want)
		}
	}
	count(0)
	r.post(hook, `{"id":"o-1","status":"paid"}`)
	count(0)
	r.post(hook, `{"id":"o-2","status":"paid","canary@example.com":{"7 Canary Row":[{"id":1,"17":2}]}}`)
	count(0) // within the same second
	r.advance(time.Second)
	r.post(hook, `{"id":"o-3","status":"paid","canary@example.com":{"7 Canary Row":[{"id":1,"17":2}]}}`)
	count(2)
	r.advance(time.Second)
	r.post(hook, `{"id":"o-4","status":"paid","canary@example.com":0}`)
	count(3)
	r.advance(time.Second)
	r.post(hook, `{"id":"o-5","status":"paid","class":"malformed","another":0}`)
	r.post(hook, `{"id":"o-5","status":"paid","another":0}`, "X-Test-Signature", "bad")
	count(3)
	if got := strings.Count(out.String(), "field unlisted"); got != 2 || strings.Contains(out.String(), "anary") {
		t.Errorf("told of %d fields, want each of two once and no name:\n%s", got, out.String())
	}
}
