package ingest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rampstream/internal/ingest"
)

// Tests for single rows of docs/faults.md that no other test shows.

// I23: what proxies and attackers say about the address of a request is no part
// of what it means.
func TestHandle_forwardingHeadersMeanNothing(t *testing.T) {
	r := newRig(t)
	const body = `{"id":"o-1","status":"paid"}`
	want := receiptOf(t, r.post(hook, body))
	r.advance(time.Hour) // past the replay window
	got := receiptOf(t, r.post(hook, body, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "X-Forwarded-For", "127.0.0.1",
		"X-Forwarded-Prefix", "/v1/webhooks/kado/other", "X-Original-Url", "/v1/webhooks/kado/other", "X-Rewrite-Url", "/v1/webhooks/kado/other",
		"Forwarded", "for=127.0.0.1;host=evil.example", "X-Http-Method-Override", "GET"))
	if got.EventID != want.EventID || got.Partition != want.Partition {
		t.Errorf("with forwarding headers = %+v; want the event %+v", got, want)
	}
	for _, rec := range r.log.snapshot() {
		if string(rec.Key) != "kado/acme/o-1" {
			t.Errorf("record key %s; want the route's account", rec.Key)
		}
	}
}

// I34: a client that hung up is counted, and so is the answer it did not get.
func TestServeHTTP_hangUpIsCounted(t *testing.T) {
	r := newRig(t, func(_ *ingest.Config, _ *ingest.Deps, r *rig) { r.log.hold = make(chan struct{}) })
	ctx, hangUp := context.WithCancel(t.Context())
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, hook, strings.NewReader(`{"id":"o-1"}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Test-Signature", "good")
	done := make(chan struct{})
	go func() { defer close(done); r.ServeHTTP(httptest.NewRecorder(), req) }()
	waitFor(t, "the record to be on its way", func() bool { return r.log.calls() == 1 })
	hangUp()
	close(r.log.hold)
	<-done
	if a, ok := r.count(t, "ramp_ingest_abandoned_total"), r.count(t, "ramp_ingest_responses_total", "code=200"); a != 1 || ok != 1 || len(r.log.snapshot()) != 1 {
		t.Errorf("abandoned %v, answered 200 %v, records %d; want one each", a, ok, len(r.log.snapshot()))
	}
}

// I36, K19: what Kafka acknowledged and then lost, ingest cannot know. A repeat
// within the window is answered from the receipt; after it the delivery is
// written again.
func TestReplay_windowBoundsALostRecord(t *testing.T) {
	r := newRig(t)
	const body = `{"id":"o-1","status":"paid"}`
	receiptOf(t, r.post(hook, body))
	r.log.mu.Lock()
	r.log.records = nil
	r.log.mu.Unlock()
	r.advance(10*time.Minute + time.Second)
	if got := r.Handle(context.Background(), post(hook, body)); got.Reason != "event" || len(r.log.snapshot()) != 1 {
		t.Errorf("a repeat after the window = %q with %d records; want it written again", got.Reason, len(r.log.snapshot()))
	}
}
