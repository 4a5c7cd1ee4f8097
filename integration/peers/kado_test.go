package peers_test

import (
	"bytes"
	"strings"

	"rampstream/integration/peers"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
)

func kadoStory(s *side) {
	ctx, t := s.t.Context(), s.t
	c, err := kado.NewClient(s.account, s.env)
	must(t, err)

	person := kado.Person{
		FirstName: "Zo\u00eb", LastName: "O'Neil <x>", Phone: "+15183334444", Email: "zoe@example.com", DateOfBirth: "1992-01-31", SSN: "123456789",
		Address: kado.Address{Street1: "1 \"Main\" St & Co", PostalCode: "12345", City: "Troy\u2028", State: "NY", Country: "US"},
	}
	user, err := c.SubmitKYC(ctx, person)
	must(t, err)
	partial := person
	partial.Phone, partial.SSN, partial.Address = "", "", kado.Address{Street1: "1", PostalCode: "1", City: "Bonn", Country: "DE"}
	if _, err := c.InitPartialKYC(ctx, partial); err != nil {
		t.Errorf("InitPartialKYC = %v", err)
	}
	partial.DateOfBirth = "31.1.1992"
	_, err = c.InitPartialKYC(ctx, partial)
	s.outcome("a date in another form", err, events.OutcomeRejected)

	s.status(events.Customer, user, "L0", events.StatusCreated)
	err = c.UploadDocuments(ctx, user, kado.Documents{
		Type: "passport", Front: strings.NewReader(strings.Repeat("front", 20_000)), Back: bytes.NewReader([]byte("\r\n--back\r\n")), Profile: strings.NewReader("p"),
	})
	if err != nil {
		t.Errorf("UploadDocuments = %v", err)
	}
	if a := s.status(events.Customer, user, "L1", events.StatusProcessing); a.Facts.DocsUploaded != "true" {
		t.Errorf("docsUploaded = %q", a.Facts.DocsUploaded)
	}
	s.set(peers.Fields{"kind": "customer", "id": user, "status": "L2"})
	want := kado.KYC{Level: "L2", DocsUploaded: "true", UserID: user}
	if got, err := c.KYCByUserRef(ctx, "ref-"+user); err != nil || got != want {
		t.Errorf("KYCByUserRef = %+v, %v; want %+v", got, err, want)
	}
	s.unknown(events.Customer, events.OutcomeNotFound)
	s.unknown(events.Order, events.OutcomeNotFound)

	q, err := c.Quote(ctx, kado.QuoteRequest{TransactionType: "buy", FiatMethod: "ach", Amount: "100.50", Asset: "USDC", Blockchain: "solana", Currency: "USD"})
	if err != nil || q.Asset != "USDC" || q.Receive != "99" {
		t.Errorf("Quote = %+v, %v", q, err)
	}
	s.kadoOrders()
	if err := c.ConfigureWebhook(ctx, s.p.Credentials.Kado.WebhookURL, peers.KadoSecret); err != nil {
		t.Errorf("ConfigureWebhook = %v", err)
	}
	s.kadoWebhooks()
	s.wrong(func(api *providers.API) { api.PrivateKey = otherSecret }, s.try(events.Customer, user))
	s.wrong(func(api *providers.API) { api.PublicKey = "another-key" }, s.try(events.Customer, user))
}

func (s *side) kadoOrders() {
	const order = "6408fd3e24c501549aaac9fd"
	for _, tc := range []struct {
		payment, transfer any
		word              string
		means             events.Status
	}{
		{"pending", "uninitiated", "pending+uninitiated", events.StatusPending},
		{"success", "pending", "success+pending", events.StatusProcessing},
		{"success", "unknown", "success+unknown", events.StatusProcessing},
		{"success", "settled", "success+settled", events.StatusCompleted},
		{"failed", "uninitiated", "failed+uninitiated", events.StatusFailed},
		{"success", "failed", "success+failed", events.StatusFailed},
		{nil, "settled", "null+settled", events.StatusCompleted},
	} {
		s.set(peers.Fields{"id": order, "paymentStatus": tc.payment, "transferStatus": tc.transfer})
		a := s.status(events.Order, order, tc.word, tc.means)
		if a.Facts.FiatAmount != "100.5" || a.Facts.FiatCurrency != "USD" || a.Facts.CryptoAsset != "USDC" || a.Facts.Side != "buy" {
			s.t.Errorf("facts %+v", a.Facts)
		}
	}
}

func (s *side) kadoWebhooks() {
	for word, means := range map[string]events.Status{
		"order_pending": events.StatusPending, "order_processing": events.StatusProcessing, "order_completed": events.StatusCompleted,
		"order_failed": events.StatusFailed, "order_refunded": events.StatusUnknown,
	} {
		s.set(peers.Fields{"id": id(1), "paymentStatus": "success", "transferStatus": "settled"})
		w := s.delivered(peers.Fields{"id": id(1), "type": word})
		if w.StatusRaw != word || w.Status != means || w.Trust != events.TrustSigned || w.Key != s.key(events.Order, id(1)) || w.Facts.FiatAmount != "100.5" {
			s.t.Errorf("%s is %+v", word, w)
		}
	}
}
