package peers_test

import (
	"rampstream/integration/peers"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kanga"
)

func kangaStory(s *side) {
	ctx, t := s.t.Context(), s.t
	c, err := kanga.NewClient(s.account, s.env)
	must(t, err)
	if err := c.Test(ctx, 1234); err != nil {
		t.Errorf("Test = %v", err)
	}
	prices, err := c.PriceEstimate(ctx, "EMT", "3000")
	if err != nil || len(prices) != 4 || prices[1] != (kanga.Estimate{Currency: "BTC", Amount: "0.0015"}) {
		t.Errorf("PriceEstimate = %+v, %v", prices, err)
	}
	s.unknown(events.Order, events.OutcomeNotFound) // the payer has not opened the page yet
	token, err := c.CreatePaymentToken(ctx, s.next())
	must(t, err)
	page, err := c.StartURL(kanga.StartPayment{
		Currency: "oPLN", Amount: "10.50", TransactionKey: id(1), Name: "Caf\u00e9 & more", Email: "p+q@example.com", PaymentToken: token, ForceCurrency: "ETH",
	})
	must(t, err)
	if code := get(t, page); code != 200 {
		t.Errorf("the payment page answers %d", code)
	}
	for word, means := range map[string]events.Status{
		"NEW": events.StatusCreated, "ACTIVE": events.StatusPending, "PROCESSING": events.StatusProcessing, "FINALIZING": events.StatusProcessing,
		"FINALIZED": events.StatusCompleted, "CANCELED": events.StatusCancelled, "CANCELLING": events.StatusProcessing, "FAILED": events.StatusFailed,
	} {
		s.set(peers.Fields{"id": id(1), "state": word})
		if a := s.status(events.Order, id(1), word, means); a.Facts.CryptoAmount != "10.50" || a.Facts.CryptoAsset != "oPLN" {
			t.Errorf("facts %+v", a.Facts)
		}
	}
	if s.p.Dialect == peers.Other {
		s.set(peers.Fields{"id": id(1), "state": "RETURNED"})
		s.status(events.Order, id(1), "RETURNED", events.StatusRefunded)
	}
	w := s.delivered(peers.Fields{"id": id(1)})
	if w.Trust != events.TrustHint || w.Key != s.key(events.Order, id(1)) || w.StatusRaw != "" {
		t.Errorf("the callback is %+v", w)
	}

	// A nonce that was used is refused as credentials are, and said to be a nonce.
	_, err = c.Check(ctx, providers.Question{Key: s.key(events.Order, id(1)), Nonce: s.nonce})
	s.outcome("a nonce again", err, events.OutcomeUnauthorized)
	s.wrong(func(api *providers.API) { api.PrivateKey = otherSecret }, s.try(events.Order, id(1)))
	s.wrong(func(api *providers.API) { api.PublicKey = "anotherkey" }, s.try(events.Order, id(1)))
}
