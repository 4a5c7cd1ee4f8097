package simulator_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers/simulator"
)

// ask puts one status question to a provider, rightly signed, and gives the
// word of the answer as Truth spells it.
func ask(t *testing.T, w *simulator.World, k events.Key, nonce int64) string {
	t.Helper()
	base, name := w.URL(k.Provider, k.Account), k.ID
	customer := k.Kind == events.Customer
	switch k.Provider {
	case "kado":
		if customer {
			path := "/v1/partner/kyc/" + name
			return do(t, "GET", base+path, "", kadoHeaders(kadoCreds.APISecret, "GET", path, "", timeNow())).text("data", "status")
		}
		got := do(t, "GET", base+"/v2/public/orders/"+name, "", nil)
		return got.text("data", "paymentStatus") + "+" + got.text("data", "transferStatus")
	case "kanga":
		return kangaCall(t, base, kangaCreds.Secret, name, nonce).text("state")
	case "koinal":
		return do(t, "GET", base+"/order/"+name+"/status", "", map[string]string{
			"Authorization": koinalToken(koinalCreds.Secret, "1000", "u", "1"),
		}).text("data", "status")
	case "kuna":
		key := map[string]string{"api-key": kunaCreds.APIKey}
		if !customer {
			return do(t, "POST", base+"/v2/operation/details", `{"id":"`+name+`"}`, key).text("data", "status")
		}
		got := do(t, "POST", base+"/v2/customer/details", `{"id":"`+name+`"}`, key)
		if wallet := got.text("data", "walletStatus"); wallet != "Active" {
			return wallet
		}
		return got.text("data", "verificationStatus") + "+" + got.text("data", "walletStatus")
	}
	token := do(t, "POST", base+"/token/", `{"appId":"app","appSecret":"`+zumoCreds.AppSecret+`"}`, nil).text("accessToken")
	got := do(t, "GET", base+"/app-users/"+name+"/", "", map[string]string{"Authorization": "Bearer " + token})
	switch {
	case got.status == 404:
		return ""
	case strings.Contains(string(got.raw), `"accounts"`):
		return "provisioned"
	}
	return "created"
}

func TestFates_reachTheirLastWord(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 14, Speed: fast}, nil)
	start(t, w)
	for _, p := range []events.Provider{"kado", "kanga", "koinal", "kuna", "zumo"} {
		for _, kind := range []events.SubjectKind{events.Order, events.Customer} {
			for _, fate := range simulator.Fates(p, kind) {
				var err error
				if kind == events.Customer {
					_, err = w.PlaceCustomer(p, "a", simulator.CustomerSpec{Fate: fate})
				} else {
					_, err = w.PlaceOrder(p, "a", simulator.OrderSpec{Fate: fate})
				}
				if err != nil {
					t.Errorf("%s %s %s: %v", p, kind, fate, err)
				}
			}
		}
	}
	quiet(t, w)
	truths := w.Truth()
	if len(truths) < 25 {
		t.Errorf("%d subjects, want one of each fate", len(truths))
	}
	for i, tr := range truths {
		if got := ask(t, w, tr.Key, int64(i+1)); got != tr.Raw || !tr.Settled || tr.NowRaw != tr.Raw || tr.Now != tr.Final {
			t.Errorf("%s %s: API says %q, truth %+v", tr.Key, tr.Fate, got, tr)
		}
		if tr.Fate == simulator.FateCompleted && tr.Final != events.StatusCompleted {
			t.Errorf("%s: completed ends as %s", tr.Key, tr.Final)
		}
	}
}

func TestPlaceOrder_refuses(t *testing.T) {
	w := newWorld(t, simulator.Options{}, nil)
	place(t, w, "kanga", simulator.OrderSpec{ID: "X"})
	for name, call := range map[string]func() error{
		"no account": func() error { _, err := w.PlaceOrder("kado", "b", simulator.OrderSpec{}); return err },
		"same id":    func() error { _, err := w.PlaceOrder("kanga", "a", simulator.OrderSpec{ID: "X"}); return err },
		"bad id":     func() error { _, err := w.PlaceOrder("kanga", "a", simulator.OrderSpec{ID: "a/b"}); return err },
		"kado cancels": func() error {
			_, err := w.PlaceOrder("kado", "a", simulator.OrderSpec{Fate: simulator.FateCancelled})
			return err
		},
		"kanga customer": func() error { _, err := w.PlaceCustomer("kanga", "a", simulator.CustomerSpec{}); return err },
		"same account":   func() error { return w.AddKado("a", kadoCreds, "") },
		"no such lane":   func() error { return w.SetWebhookURL("kado", "b", "") },
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// plans places the same orders, concurrently, in a world of a seed.
func plans(t *testing.T, seed uint64) map[string]string {
	t.Helper()
	w := newWorld(t, simulator.Options{Seed: seed, Faults: simulator.DefaultFaults()}, nil)
	out := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 40 {
		for _, p := range []events.Provider{"kado", "kanga", "koinal", "kuna", "zumo"} {
			wg.Go(func() {
				tr, err := w.PlaceOrder(p, "a", simulator.OrderSpec{ID: fmt.Sprintf("id%d", i)})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				out[tr.Key.String()] = w.Plan(tr.Key)
			})
		}
	}
	wg.Wait()
	return out
}

func TestPlan_dependsOnSeedAndOrderAlone(t *testing.T) {
	a, b, other := plans(t, 15), plans(t, 15), plans(t, 16)
	same := 0
	for k, plan := range a {
		if b[k] != plan {
			t.Errorf("%s: two plans of one seed:\n%s\n%s", k, plan, b[k])
		}
		if other[k] == plan {
			same++
		}
	}
	if len(a) != 200 || same > 0 {
		t.Errorf("%d plans, %d of them equal for another seed", len(a), same)
	}
}

func TestIDs_haveTheProvidersForm(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 17}, nil)
	for p, fits := range map[events.Provider]func(string) bool{
		"kado":   func(id string) bool { return len(id) == 24 && strings.Trim(id, "0123456789abcdef") == "" },
		"kanga":  func(id string) bool { return strings.HasPrefix(id, "ORDER") },
		"koinal": func(id string) bool { return strings.Trim(id, "0123456789") == "" },
		"kuna":   func(id string) bool { return len(id) == 36 && id[14] == '4' && strings.Count(id, "-") == 4 },
		"zumo":   func(id string) bool { return len(id) == 36 },
	} {
		if tr := place(t, w, p, simulator.OrderSpec{}); !fits(tr.Key.ID) || !tr.Key.Valid() {
			t.Errorf("%s id = %q", p, tr.Key.ID)
		}
	}
}

func TestCanaries_standInPayloads(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 18, Speed: fast}, nil)
	srv := httptest.NewServer(w.Handler("kado", "a"))
	defer srv.Close()
	tr := place(t, w, "kado", simulator.OrderSpec{})
	got := do(t, "GET", srv.URL+"/v2/public/orders/"+tr.Key.ID, "", nil)
	found := 0
	for _, c := range w.Canaries() {
		if strings.Contains(string(got.raw), c) {
			found++
		}
	}
	if found < 3 {
		t.Errorf("%d canaries in %s, want the wallet, the deposit address and the memo", found, got.raw)
	}
	if !slices.Contains(w.Secrets(), kadoCreds.WebhookSecret) {
		t.Error("Secrets does not list the webhook secret")
	}
}
