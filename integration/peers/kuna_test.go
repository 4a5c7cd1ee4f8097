package peers_test

import (
	"fmt"

	"rampstream/integration/peers"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kuna"
)

func kunaStory(s *side) {
	ctx, t := s.t.Context(), s.t
	c, err := kuna.NewClient(s.account, s.env)
	must(t, err)
	if s.p.Dialect == peers.Document {
		if token, expires, err := c.Login(ctx); err != nil || token == "" || expires.IsZero() {
			t.Errorf("Login: %v, until %v", err, expires)
		}
	}
	person := kuna.NewCustomer{
		Email: "viktor@example.com", PhoneNumber: "+380991234567", FirstName: "Viktor", LastName: "T\u00e4tov", Country: "UA", ExternalID: "ours-1",
		VerificationDocumentID: "1237654", ResidenceAddress: "my street ap.12", TaxNumber: "1237654",
	}
	customer, err := c.CreateCustomer(ctx, person)
	if err != nil || customer.ID == "" || customer.WalletID != customer.ID || customer.ExternalID != "ours-1" || customer.VerificationStatus != "ACCEPTED" {
		t.Fatalf("CreateCustomer = %+v, %v", customer, err)
	}
	_, err = c.CreateCustomer(ctx, person)
	s.outcome("the same e-mail again", err, events.OutcomeRejected)
	s.status(events.Customer, customer.ID, "ACCEPTED+Active", events.StatusCompleted)
	s.set(peers.Fields{"kind": "customer", "id": customer.ID, "status": "Blocked"})
	s.status(events.Customer, customer.ID, "Blocked", events.StatusOnHold)
	s.unknown(events.Customer, events.OutcomeNotFound)

	token, err := c.RampToken(ctx, customer.ID, "Mozilla/5.0 (X11; \"Linux\")")
	must(t, err)
	page, err := c.WidgetURL("institution-1", token)
	must(t, err)
	if code := get(t, page); code != 200 {
		t.Errorf("the widget answers %d", code)
	}
	must(t, c.InvalidateRampToken(ctx, customer.ID))
	if code := get(t, page); code != 401 {
		t.Errorf("the widget answers %d after the token was ended", code)
	}
	s.kunaOperations(c)

	must(t, s.p.Forget("kuna"))
	s.status(events.Order, id(1), "Completed", events.StatusCompleted) // logged in anew after a 401
	if s.p.Dialect == peers.Document {
		s.wrong(func(api *providers.API) { api.Password = otherSecret }, s.try(events.Order, id(1)))
		s.wrong(func(api *providers.API) { api.MerchantID = "another" }, s.try(events.Order, id(1)))
	} else {
		s.wrong(func(api *providers.API) { api.APIKey = otherSecret }, s.try(events.Order, id(1)))
	}
}

func (s *side) kunaOperations(c *kuna.Client) {
	for word, means := range map[string]events.Status{
		"Created": events.StatusCreated, "Processing": events.StatusProcessing, "OnHold": events.StatusOnHold, "Declined": events.StatusFailed,
		"Completed": events.StatusCompleted,
	} {
		s.set(peers.Fields{"id": id(1), "status": word})
		f := s.status(events.Order, id(1), word, means).Facts
		if f.Side != "buy" || f.FiatAmount != "25.00" || f.FiatCurrency != "EUR" || f.CryptoAmount != "15.07768" || f.CryptoAsset != "USDT" || f.ExternalID != "shop-o-1" {
			s.t.Errorf("facts %+v", f)
		}
	}
	s.set(peers.Fields{"id": id(1), "status": "Completed"})
	s.unknown(events.Order, events.OutcomeNotFound)
	for n := range 120 {
		s.set(peers.Fields{"id": fmt.Sprintf("sweep-%d", n), "status": "Processing", "targetAsset": "BTC"})
	}
	page, total, err := c.Find(s.t.Context(), kuna.Filter{TargetAsset: "BTC", Status: "Processing", DateTo: "2999-01-01T00:00:00.000Z"}, 100, 50)
	if err != nil || total != 20 || len(page.Answers) != 20 || page.Answers[0].Key.ID != "sweep-100" {
		s.t.Errorf("Find = %d of %d, %v", len(page.Answers), total, err)
	}
	seen := s.swept()
	if len(seen) != 121 || !seen["sweep-119"] || !seen[id(1)] {
		s.t.Errorf("a sweep finds %d operations; want 121", len(seen))
	}
	s.set(peers.Fields{"id": "old", "createdAt": "2020-01-01T00:00:00.000Z"})
	if s.swept()["old"] {
		s.t.Error("a sweep finds an operation of years ago")
	}
	w := s.delivered(peers.Fields{"id": id(1)})
	if w.Trust != events.TrustHint || w.Key != s.key(events.Order, id(1)) {
		s.t.Errorf("the callback is %+v", w)
	}
}

// swept is the ids of a whole sweep.
func (s *side) swept() map[string]bool {
	s.t.Helper()
	seen := map[string]bool{}
	for cursor, pages := "", 0; pages < 100; pages++ {
		page, err := s.caps.Sweep.Sweep(s.t.Context(), cursor)
		must(s.t, err)
		for _, a := range page.Answers {
			seen[a.Key.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			return seen
		}
	}
	s.t.Fatal("a sweep has no end")
	return nil
}
