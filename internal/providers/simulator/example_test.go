package simulator_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"rampstream/internal/providers/simulator"
)

// A merchant's endpoint and one Kado organisation, from the first webhook to
// the truth.
func Example() {
	merchant := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // answers 200
	defer merchant.Close()

	w := simulator.New(simulator.Options{Seed: 1, Speed: simulator.Speed{Stage: 5 * time.Millisecond}})
	creds := simulator.KadoCreds{PublicKey: "pub", APISecret: "example-private-key", WebhookSecret: "example-webhook-secret"}
	if err := w.AddKado("acme", creds, merchant.URL+"/v1/webhooks/kado/acme"); err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()

	if _, err := w.PlaceOrder("kado", "acme", simulator.OrderSpec{Fate: simulator.FateCompleted}); err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.WaitQuiet(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range w.Truth() {
		fmt.Println(t.Raw, t.Final, w.Stats().Acknowledged)
	}
	// Output: success+settled COMPLETED 3
}
