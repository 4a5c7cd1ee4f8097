package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/ingest"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// patience is more than anything here takes where others have the processors:
// nothing waits for it to end.
const patience = time.Minute

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func TestPublish_failures(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		reason ingest.Reason
		ready  bool
	}{
		{"transient", fmt.Errorf("produce: %w", stream.ErrTransient), "kafka", true},
		{"fenced", stream.ErrFenced, "kafka", true},
		{"loss", stream.ErrLoss, "kafka", true},
		{"unknown", errors.New("x"), "kafka", true},
		{"refused", fmt.Errorf("produce: %w", stream.ErrRefused), "kafka_refused", false},
		{"clock", fmt.Errorf("produce: %w", stream.ErrClock), "kafka_clock", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.log.script = []error{tc.err}
			got := r.post(hook, `{"id":"o-1","status":"paid"}`)
			if got.Status != http.StatusServiceUnavailable || got.Reason != tc.reason || got.Close {
				t.Errorf("= %d %q; want 503 %q on a connection that stays", got.Status, got.Reason, tc.reason)
			}
			if ready := r.Ready(context.Background()); (ready == nil) != tc.ready {
				t.Errorf("Ready = %v; want ready %v", ready, tc.ready)
			}
			if tc.name == "clock" && !strings.Contains(fmt.Sprint(r.Ready(context.Background())), "the time of this host") {
				t.Errorf("Ready = %v; want a word of the clock", r.Ready(context.Background()))
			}
			// The sender's retry is a new delivery, not a replay.
			if again := r.post(hook, `{"id":"o-1","status":"paid"}`); again.Reason != "event" {
				t.Errorf("the retry is %q; want an event", again.Reason)
			}
			if err := r.Ready(context.Background()); err != nil {
				t.Errorf("Ready after an acknowledgement = %v", err)
			}
		})
	}
}

type reply []stream.Record

func (r reply) Publish(context.Context, ...stream.Record) ([]stream.Record, error) { return r, nil }

// An acknowledgement that names no record, or an offset that none has, is none.
func TestPublish_emptyAcknowledgement(t *testing.T) {
	for _, acked := range []reply{nil, {{Offset: -1}}, {{}, {}}} {
		r := newRig(t, func(_ *ingest.Config, d *ingest.Deps, _ *rig) { d.Publisher = acked })
		if got := r.post(hook, `{"id":"o-1","status":"paid"}`); got.Status != http.StatusServiceUnavailable {
			t.Errorf("after %v = %d; want 503", acked, got.Status)
		}
	}
}

func TestPublish_retryAfterHasJitter(t *testing.T) {
	for rand, want := range map[float64]int{0: 5, 0.5: 8, 0.999999: 10, 1: 10} {
		r := newRig(t, func(_ *ingest.Config, d *ingest.Deps, _ *rig) { d.Rand = func() float64 { return rand } })
		r.log.script = []error{stream.ErrTransient}
		if got, err := strconv.Atoi(r.post(hook, `{"id":"o-1"}`).Header.Get("Retry-After")); err != nil || got != want {
			t.Errorf("Retry-After at %v = %d, %v; want %d", rand, got, err, want)
		}
	}
}

// A broker that never answers is a 503 at the deadline, not before and not
// much after. Virtual time.
func TestPublish_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *ingest.Config, d *ingest.Deps, r *rig) { r.at = time.Time{}; r.log.hold = make(chan struct{}) })
		start := time.Now()
		got := r.post(hook, `{"id":"o-1","status":"paid"}`)
		if took := time.Since(start); got.Status != http.StatusServiceUnavailable || took != 8*time.Second {
			t.Errorf("= %d after %v; want 503 after 8s", got.Status, took)
		}
	})
}

// The client hanging up does not cancel its record.
func TestPublish_clientHasGone(t *testing.T) {
	r := newRig(t, func(_ *ingest.Config, _ *ingest.Deps, r *rig) { r.log.hold = make(chan struct{}) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan ingest.Response)
	go func() { done <- r.Handle(ctx, post(hook, `{"id":"o-1","status":"paid"}`)) }()
	waitFor(t, "the record to be on its way", func() bool { return r.log.calls() == 1 })
	cancel()
	close(r.log.hold)
	if got := <-done; got.Status != http.StatusOK || len(r.log.snapshot()) != 1 {
		t.Errorf("= %d, %d records; want the record kept", got.Status, len(r.log.snapshot()))
	}
}

// An identical delivery within the window is answered from its receipt; after
// it, and when the first one was never acknowledged, it is published.
func TestReplay(t *testing.T) {
	r := newRig(t)
	const body = `{"id":"o-1","status":"paid"}`
	first := receiptOf(t, r.post(hook, body))
	r.advance(9 * time.Minute)
	again := r.post(hook, body)
	if got := receiptOf(t, again); got != first || again.Reason != "replay" || len(r.log.snapshot()) != 1 {
		t.Errorf("replay = %+v %q; want the receipt %+v", got, again.Reason, first)
	}
	if receiptOf(t, r.post(hook, `{"id":"o-1","status":"sent"}`)) == first {
		t.Error("another meaning got the receipt of the first")
	}
	r.advance(2 * time.Minute)
	if got := r.post(hook, body); got.Reason != "event" || receiptOf(t, got).Offset == first.Offset {
		t.Errorf("after the window = %q; want it published again", got.Reason)
	}
	if n := r.count(t, "ramp_ingest_replays_total"); n != 2 {
		t.Errorf("replays = %v; want 2", n)
	}
}

// What was a hint because our clock was off is evidence when it comes again: a
// hint's receipt must not answer it.
func TestReplay_ofAHintIsPublished(t *testing.T) {
	r := newRig(t)
	const body = `{"id":"o-1","status":"paid"}`
	stale := receiptOf(t, r.post(hook, body, "X-Test-Signature", "good stale"))
	fresh := r.post(hook, body)
	if got := receiptOf(t, fresh); fresh.Reason != "event" || got.EventID != stale.EventID || got.Offset == stale.Offset {
		t.Errorf("signed after stale = %+v %q; want an event of its own", got, fresh.Reason)
	}
}

func TestHints_budget(t *testing.T) {
	r := newRig(t, func(c *ingest.Config, _ *ingest.Deps, _ *rig) { c.Limits.HintBurst = 3; c.Limits.HintRate = 0.001 })
	get := func(id string) ingest.Response {
		return r.Handle(context.Background(), ingest.Request{Method: "GET", Target: "/v1/webhooks/kanga/acme?transactionKey=" + id, Header: http.Header{}})
	}
	if got := receiptOf(t, get("a")); got.Dropped || got.Topic != "ramp.webhook.v1" {
		t.Fatalf("first hint = %+v; want an event", got)
	}
	if got := receiptOf(t, get("a")); !got.Dropped {
		t.Error("a second hint of the order within the minute was published")
	}
	r.advance(time.Minute)
	if receiptOf(t, get("a")).Dropped {
		t.Error("a hint after a minute was dropped")
	}
	for i := range 100 {
		get(fmt.Sprint("random-", i))
	}
	if n := len(r.log.snapshot()); n != 3 {
		t.Errorf("%d hints were published; want the burst of 3", n)
	}
	if o, a := r.count(t, "ramp_ingest_hints_dropped_total", "budget=order"), r.count(t, "ramp_ingest_hints_dropped_total", "budget=account"); o != 1 || a != 99 {
		t.Errorf("dropped %v by order, %v by account; want 1 and 99", o, a)
	}
	for _, rec := range r.log.snapshot() {
		if w, err := r.codec.DecodeWebhook(context.Background(), rec.Value); err != nil || w.Trust != events.TrustHint || w.StatusRaw != "" {
			t.Errorf("hint record %+v, %v", w, err)
		}
	}
}

// A hint that Kafka did not take may come again at once.
func TestHints_retryAfterFailure(t *testing.T) {
	r := newRig(t)
	r.log.script = []error{stream.ErrTransient}
	head := ingest.Request{Method: "HEAD", Target: "/v1/webhooks/kanga/acme?transactionKey=a", Header: http.Header{}}
	if got := r.Handle(context.Background(), head); got.Status != http.StatusServiceUnavailable {
		t.Fatalf("= %d; want 503", got.Status)
	}
	if got := receiptOf(t, r.Handle(context.Background(), head)); got.Dropped {
		t.Error("the retry was dropped")
	}
}

func TestDeadLetter(t *testing.T) {
	const body = `{"id":"","class":"malformed","ssn":"078-05-1120","status":"x"}`
	for _, tc := range []struct {
		name string
		raw  bool
		want string
	}{
		{"remains", false, `{"digest":"` + digest(body) + `","length":62,"content_type":"application/json","keys":["id","status"]}`},
		{"raw bodies", true, body},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(c *ingest.Config, _ *ingest.Deps, _ *rig) { c.RawDeadLetters = tc.raw })
			resp := r.post(hook, body)
			got := receiptOf(t, resp)
			records := r.log.snapshot()
			if got.Topic != "ramp.dead-letter.v1" || resp.Reason != "dead_letter" || len(records) != 1 {
				t.Fatalf("= %+v %q, %d records; want one dead letter", got, resp.Reason, len(records))
			}
			if rec := records[0]; string(rec.Key) != "kado/acme" || string(rec.Value) != tc.want {
				t.Errorf("dead letter %s: %s; want %s", rec.Key, rec.Value, tc.want)
			}
			for key, want := range map[string]string{
				stream.HeaderErrTopic: "ramp.webhook.v1", stream.HeaderErrPartition: "-1", stream.HeaderErrOffset: "-1",
				stream.HeaderErrConnector: "ingest", stream.HeaderErrStage: "parse", stream.HeaderErrClass: "no_order_id",
				"content-type": "application/json",
			} {
				if v, _ := records[0].Header(key); string(v) != want {
					t.Errorf("header %s = %q; want %q", key, v, want)
				}
			}
		})
	}
}

func digest(s string) string { return providers.BodyDigest([]byte(s)) }

// An event above the topic's limit becomes a dead letter, and one with the raw
// body that is itself too large is cut to its remains: never a 200 and nothing.
func TestDeadLetter_tooLarge(t *testing.T) {
	r := newRig(t, func(c *ingest.Config, _ *ingest.Deps, r *rig) { c.RawDeadLetters = true })
	r.log.script = []error{stream.ErrTooLarge, stream.ErrTooLarge}
	got := receiptOf(t, r.post(hook, `{"id":"o-1","status":"paid"}`))
	records := r.log.snapshot()
	if got.Topic != "ramp.dead-letter.v1" || len(records) != 1 || !strings.HasPrefix(string(records[0].Value), `{"digest"`) {
		t.Errorf("= %+v, %d records; want the remains", got, len(records))
	}
	if v, _ := records[0].Header(stream.HeaderErrClass); string(v) != "record_too_large" {
		t.Errorf("class %q", v)
	}
}

func TestDeadLetter_notAcknowledged(t *testing.T) {
	r := newRig(t)
	r.log.script = []error{stream.ErrTransient}
	if got := r.post(hook, `{"class":"malformed"}`); got.Status != http.StatusServiceUnavailable {
		t.Errorf("= %d; want 503", got.Status)
	}
}

// A route without a verifier cannot fill the dead-letter topic.
func TestDeadLetter_hintsAreBudgeted(t *testing.T) {
	r := newRig(t, func(c *ingest.Config, _ *ingest.Deps, _ *rig) { c.Limits.HintBurst = 2; c.Limits.HintRate = 0.001 })
	for i := range 50 {
		if got := r.post("/v1/webhooks/kanga/acme", fmt.Sprintf(`{"class":"malformed","id":"%d"}`, i)); got.Status != http.StatusOK {
			t.Fatalf("= %d; want 200", got.Status)
		}
	}
	if n := len(r.log.snapshot()); n != 2 {
		t.Errorf("%d dead letters; want the burst of 2", n)
	}
}

func TestReady_clock(t *testing.T) {
	for _, tc := range []struct {
		name       string
		ahead      time.Duration // the broker's clock
		appendTime bool
		ready      bool
		offset     float64
	}{
		{"true", 0, true, true, 0},
		{"ours is ahead", -time.Hour, true, false, 3600},
		{"ours is behind", time.Hour, true, false, -3600},
		{"within the margin", -4 * time.Second, true, true, 4},
		{"not the broker's clock", time.Hour, false, true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.log.ahead, r.log.appendTime = tc.ahead, tc.appendTime
			if got := r.post(hook, `{"id":"o-1"}`); got.Status != http.StatusOK {
				t.Fatalf("= %d; want 200: the record is durable", got.Status)
			}
			err := r.Ready(context.Background())
			if (err == nil) != tc.ready || err != nil && !strings.HasPrefix(err.Error(), "clock") {
				t.Errorf("Ready = %v; want ready %v", err, tc.ready)
			}
			if got := r.count(t, "ramp_ingest_clock_offset_seconds"); got != tc.offset {
				t.Errorf("offset = %v; want %v", got, tc.offset)
			}
			// Without requests there is no new measurement: it must not last for ever.
			r.advance(3 * time.Minute)
			if err := r.Ready(context.Background()); err != nil {
				t.Errorf("Ready three minutes later = %v", err)
			}
		})
	}
}

func TestReady_asksKafka(t *testing.T) {
	r := newRig(t)
	r.healthy = errors.New("no broker")
	if err := r.Ready(context.Background()); err == nil || err.Error() != "kafka: no broker" {
		t.Errorf("Ready = %v; want kafka: no broker", err)
	}
}
