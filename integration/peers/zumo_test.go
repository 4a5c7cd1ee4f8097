package peers_test

import (
	"fmt"
	"time"

	"rampstream/integration/peers"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/zumo"
)

func zumoStory(s *side) {
	ctx, t := s.t.Context(), s.t
	c, err := zumo.NewClient(s.account, s.env)
	must(t, err)
	const user = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
	u, err := c.CreateUser(ctx, user)
	if err != nil || u.AppUserID != user || u.Synced || len(u.Accounts) != 0 || u.CreatedAt == 0 {
		t.Fatalf("CreateUser = %+v, %v", u, err)
	}
	s.status(events.Customer, user, "created", events.StatusCreated)
	s.unknown(events.Customer, events.OutcomeNotFound)

	tokens, err := c.UserToken(ctx, user)
	if err != nil || tokens.Access == "" || tokens.ExpiresIn != time.Hour {
		t.Errorf("UserToken: %v, good for %v", err, tokens.ExpiresIn)
	}
	again, err := c.RefreshUserToken(ctx, user, tokens.Refresh)
	if err != nil || again.Access == tokens.Access {
		t.Errorf("RefreshUserToken: %v", err)
	}
	_, err = c.RefreshUserToken(ctx, user, tokens.Refresh)
	s.outcome("a refresh token again", err, events.OutcomeUnauthorized)

	s.set(peers.Fields{"id": user, "accounts": []any{map[string]string{"id": "acc-1", "address": "0x1"}, map[string]string{"id": "acc-2", "address": "0x2"}}})
	a := s.status(events.Customer, user, "provisioned", events.StatusCompleted)
	if got := events.SplitWalletAccounts(a.Facts.WalletAccounts); len(got) != 2 || got[1].Address != "0x2" || got[1].Coin != "ETH" {
		t.Errorf("accounts %+v", got)
	}
	w := s.delivered(peers.Fields{"id": user})
	if w.Trust != events.TrustSigned || w.StatusRaw != "provisioned" || w.Key != s.key(events.Customer, user) {
		t.Errorf("the webhook is %+v", w)
	}
	s.zumoSweep(c)
	s.zumoTokens(user)

	must(t, c.DeleteUser(ctx, user))
	_, err = c.User(ctx, user)
	s.outcome("a deleted user", err, events.OutcomeNotFound)
	s.wrong(func(api *providers.API) { api.AppSecret = otherSecret }, s.try(events.Customer, user))
	s.wrong(func(api *providers.API) { api.AppID = "another" }, s.try(events.Customer, user))
}

// zumoSweep: every user that is not marked is found, through all pages; once
// marked, it is not.
func (s *side) zumoSweep(c *zumo.Client) {
	for n := range 5 {
		s.set(peers.Fields{"id": fmt.Sprintf("swept-%d", n), "accounts": []any{map[string]string{"id": "acc"}}})
	}
	if seen := s.swept(); len(seen) != 6 {
		s.t.Errorf("a sweep finds %d users; want 6", len(seen))
	}
	must(s.t, c.MarkSynced(s.t.Context(), "swept-0"))
	if err := s.caps.Sweep.Ack(s.t.Context(), s.status(events.Customer, "swept-1", "provisioned", events.StatusCompleted)); err != nil {
		s.t.Errorf("Ack = %v", err)
	}
	if seen := s.swept(); len(seen) != 4 || seen["swept-0"] || seen["swept-1"] {
		s.t.Errorf("a sweep finds %v after two were marked", seen)
	}
	list, err := c.List(s.t.Context(), true, 0)
	if err != nil || list.All != 2 || len(list.Users) != 2 || !list.Users[0].Synced {
		s.t.Errorf("List of the marked = %+v, %v", list, err)
	}
}

// zumoTokens: a token is refreshed before its end and replaced after a 401.
func (s *side) zumoTokens(user string) {
	s.status(events.Customer, user, "provisioned", events.StatusCompleted) // whose tokens are the newest from here on
	before, err := s.p.Report()
	must(s.t, err)
	s.ahead.Store(int64(time.Hour))
	s.status(events.Customer, user, "provisioned", events.StatusCompleted)
	refreshed, err := s.p.Report()
	must(s.t, err)
	if refreshed.Calls["zumo"]["token refresh"] != before.Calls["zumo"]["token refresh"]+1 || refreshed.Calls["zumo"]["token"] != before.Calls["zumo"]["token"] {
		s.t.Errorf("tokens after an hour: %v, before %v", refreshed.Calls["zumo"], before.Calls["zumo"])
	}
	must(s.t, s.p.Forget("zumo"))
	s.status(events.Customer, user, "provisioned", events.StatusCompleted)
	s.ahead.Store(0)
}
