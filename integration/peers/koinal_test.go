package peers_test

import (
	"net/netip"

	"rampstream/integration/peers"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/koinal"
)

func koinalStory(s *side) {
	ctx, t := s.t.Context(), s.t
	c, err := koinal.NewClient(s.account, s.env)
	must(t, err)
	q, err := c.Quote(ctx, koinal.QuoteRequest{FiatAmount: "1000.10", FiatCurrency: "USD", CryptoAsset: "BTC"})
	if err != nil || q.FiatAmount != "1000.1" || q.CryptoAmount != "0.10034116" || q.CryptoAsset != "BTC" { // JavaScript wrote the number anew
		t.Fatalf("Quote = %+v, %v", q, err)
	}
	if _, err := c.Quote(ctx, koinal.QuoteRequest{CryptoAmount: "0.5", FiatCurrency: "USD", CryptoAsset: "XRP"}); err != nil {
		t.Errorf("Quote of a crypto amount = %v", err)
	}
	_, err = c.Quote(ctx, koinal.QuoteRequest{FiatAmount: "1000"})
	s.outcome("a quote without currencies", err, events.OutcomeProvider)
	ip := netip.MustParseAddr("192.0.2.7")
	out, err := c.CreateOrder(ctx, koinal.OrderRequest{QuoteToken: q.Token, CryptoAsset: "BTC", WalletAddress: "bc1-canary", CustomerIP: ip})
	if err != nil || out.OrderID == "" || out.URL != "https://checkout.example.com/pay/"+out.OrderID {
		t.Fatalf("CreateOrder = %+v, %v", out, err)
	}
	_, err = c.CreateOrder(ctx, koinal.OrderRequest{QuoteToken: q.Token, CryptoAsset: "BTC", WalletAddress: "bc1-canary", CustomerIP: ip})
	s.outcome("a quote redeemed again", err, events.OutcomeProvider)
	x, err := c.Quote(ctx, koinal.QuoteRequest{FiatAmount: "10", FiatCurrency: "USD", CryptoAsset: "XRP"})
	must(t, err)
	_, err = c.CreateOrder(ctx, koinal.OrderRequest{
		QuoteToken: x.Token, CryptoAsset: "XRP", WalletAddress: "r-canary", DestinationTag: "0", CustomerIP: netip.MustParseAddr("2001:db8::1"), CustomerReference: "customer-y",
	})
	if err != nil {
		t.Errorf("CreateOrder with a destination tag = %v", err)
	}

	completed := "COMPLETED"
	if s.p.Dialect == peers.Other {
		completed = "Settled"
	}
	s.status(events.Order, out.OrderID, "PENDING", events.StatusPending)
	s.set(peers.Fields{"id": out.OrderID, "status": completed, "tx": "0xabc"})
	a := s.status(events.Order, out.OrderID, completed, events.StatusCompleted)
	if f := a.Facts; f.FiatAmount != "1000.1" || f.FiatCurrency != "USD" || f.CryptoAmount != "0.10034116" || f.CryptoAsset != "BTC" || f.TxHash != "0xabc" {
		t.Errorf("facts %+v", f)
	}
	s.unknown(events.Order, events.OutcomeNotFound)
	w := s.delivered(peers.Fields{"id": out.OrderID})
	if w.Trust != events.TrustSigned || w.Status != events.StatusCompleted || w.Key.ID != out.OrderID || w.Facts.FiatAmount != "1000.1" {
		t.Errorf("the callback is %+v", w)
	}
	s.set(peers.Fields{"id": out.OrderID, "status": "ON_THE_MOON"})
	if w := s.delivered(peers.Fields{"id": out.OrderID}); w.StatusRaw != "ON_THE_MOON" || w.Status != events.StatusUnknown {
		t.Errorf("an unknown word is %+v", w)
	}
	s.wrong(func(api *providers.API) { api.PrivateKey = otherSecret }, s.try(events.Order, out.OrderID))
	s.wrong(func(api *providers.API) { api.MerchantCode = "1" }, s.try(events.Order, out.OrderID))
}
