package ingest_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/ingest"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/stream"
)

// A hint is dropped because one about its order is durable already. As long as that
// is not known, a second one (the provider's repetition after its own timeout) must
// not be answered 200: the first may fail.
func TestHints_notDroppedForOneThatIsNotDurable(t *testing.T) {
	r := newRig(t)
	r.log.hold = make(chan struct{})
	r.log.script = []error{stream.ErrTransient, stream.ErrTransient}
	get := ingest.Request{Method: "GET", Target: "/v1/webhooks/kanga/acme?transactionKey=a", Header: http.Header{}}
	first := make(chan ingest.Response)
	go func() { first <- r.Handle(context.Background(), get) }()
	waitFor(t, "the first to be on its way", func() bool { return r.log.calls() == 1 })
	// Kanga gives up waiting and sends it again; were it published it would wait too.
	second := make(chan ingest.Response)
	go func() { second <- r.Handle(context.Background(), get) }()
	var again ingest.Response
	select {
	case again = <-second:
		close(r.log.hold)
	default:
		waitFor(t, "the second to be answered or on its way", func() bool {
			select {
			case again = <-second:
				return true
			default:
				return r.log.calls() == 2
			}
		})
		close(r.log.hold)
		if again.Status == 0 {
			again = <-second
		}
	}
	if got := <-first; got.Status != http.StatusServiceUnavailable {
		t.Fatalf("the first is %d; want 503", got.Status)
	}
	if n := len(r.log.snapshot()); again.Status == http.StatusOK && n == 0 {
		t.Errorf("the second is 200 %s and nothing is in Kafka", strings.TrimSpace(string(again.Body)))
	}
}

const (
	kadoPublic = "kado-review-public-key"
	kadoSecret = providers.Secret("kado-review-webhook-secret")
	kadoURL    = "https://hooks.example.com/v1/webhooks/kado/acme"
)

// One delivery that somebody has seen, long ago, must not open the dead-letter topic
// to them for ever: what is stale is at most a hint, and hints have a budget.
func TestDeadLetter_staleDeliveriesAreBudgeted(t *testing.T) {
	caps, err := kado.Provider.Open(providers.Account{Provider: "kado", Account: "acme",
		Webhook: providers.Webhook{PublicKey: kadoPublic, Secrets: []providers.Secret{kadoSecret}, URL: kadoURL}}, providers.Env{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *ingest.Config, _ *ingest.Deps, _ *rig) {
		c.Routes = []ingest.Route{{Provider: "kado", Account: "acme", Parser: caps.Webhook, Authenticated: true}}
		c.Limits.HintBurst, c.Limits.HintRate = 3, 0.001
	})
	const seen = `{"type":"order_completed","data":{"id":"o-1","payAmount":{"amount":100,"unit":"USD"}}}`
	at := strconv.FormatInt(int64(events.At(r.now()))-86_400_000, 10) // yesterday
	canonical, err := kado.Canonical([]byte(seen))
	if err != nil {
		t.Fatal(err)
	}
	signature := kado.Sign(kadoSecret, "POST", at, "/v1/webhooks/kado/acme", kado.PayloadHex(canonical))
	for i := range 50 { // other bytes, the same canonical form, the same signature
		body := strings.Replace(seen, "100", fmt.Sprintf("100.0000000000000000000%d1", i), 1)
		r.post(hook, body, "X-Timestamp", at, "X-Public-Key", kadoPublic, "X-Signature", signature)
	}
	if n := len(r.log.snapshot()); n > 3 {
		t.Errorf("a stranger with one delivery of yesterday wrote %d records; want at most the burst of 3", n)
	}
}

// The same authentic delivery that says nothing usable, again and again, is one dead
// letter within the replay window, as it would be one event.
func TestDeadLetter_replayIsAnsweredFromTheReceipt(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		if got := r.post(hook+"?"+strconv.Itoa(i), `{"class":"malformed"}`); got.Status != http.StatusOK {
			t.Fatalf("= %d; want 200", got.Status)
		}
	}
	if n := len(r.log.snapshot()); n != 1 {
		t.Errorf("one delivery that came 20 times is %d dead letters; want 1", n)
	}
}
