package integration_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/simulator"
)

// flood: forged callbacks, thousands of them, about orders that nobody has and
// now and then about one that somebody has, while real orders wait. Calls about
// the real ones go on in their time, and the forged ones cost the hint budget.
func flood(t *testing.T, p platform) {
	const hintRate = 2.0
	w := newWorld(t, p, options{stage: time.Minute, change: func(c *config.Config) {
		c.Ingest.Hint = config.Hint{PerOrder: 200 * time.Millisecond, Rate: 500, Burst: 500}
		for i := range c.Accounts {
			c.Accounts[i].Poll = providers.Poll{Rate: 40, Burst: 5, HintRate: hintRate, SweepEvery: time.Second}
		}
	}})
	w.counted = true
	ingest, asker, reconciler := w.startAll()
	var known []string
	for range 20 {
		tr, err := w.sim.World.PlaceOrder("kanga", demo.Account, simulator.OrderSpec{})
		must(t, err)
		must(t, w.sim.Announce(t.Context(), tr))
		known = append(known, tr.Key.ID)
	}
	for _, id := range known {
		w.saw("kanga", "a question about each order", func(c simulator.Call) bool { return c.Subject == id })
	}

	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	began := time.Now()
	sent := w.forge(ctx, 4, known)
	ended := time.Now()
	// Many times what the budget of hints lets through meanwhile, on a machine
	// however busy.
	if sent < 300 {
		t.Fatalf("%d forged callbacks in %v: no flood", sent, ended.Sub(began))
	}

	last, gaps, forged := map[string]time.Time{}, map[string]time.Duration{}, 0
	for _, c := range w.sim.World.Calls("kanga", demo.Account) {
		switch {
		case c.Start.Before(began) || c.Start.After(ended):
		case strings.HasPrefix(c.Subject, "FORGED"):
			forged++
		}
		if slices.Contains(known, c.Subject) {
			if at, ok := last[c.Subject]; ok && c.Start.After(began) {
				gaps[c.Subject] = max(gaps[c.Subject], c.Start.Sub(at))
			}
			last[c.Subject] = c.Start
		}
	}
	// An order that does not move is asked about every three seconds at least.
	limit := w.cfg.Rules.MaxInterval + 2*time.Second
	for _, id := range known {
		if gap := max(gaps[id], ended.Sub(last[id])); gap > limit {
			t.Errorf("%s was not asked about for %v during the flood; want every %v", id, gap.Round(time.Millisecond), w.cfg.Rules.MaxInterval)
		}
	}
	if most := hintRate*ended.Sub(began).Seconds() + 2 + 2; float64(forged) > most || forged == 0 {
		t.Errorf("%d calls about forged ids in %v; want at most the hint budget's %.0f", forged, ended.Sub(began), most)
	}
	lane := w.lane(asker, kangaLane)
	if lane.Dropped == 0 || lane.Unknown > 1000 {
		t.Errorf("lane %+v; want at most 1000 unknown ids kept and the others dropped", lane)
	}
	states := w.table()
	_, err := states.Refresh(t.Context())
	must(t, err)
	for k := range maps.Keys(states.States()) {
		if strings.HasPrefix(k.ID, "FORGED") {
			t.Errorf("%s has a state", k)
		}
	}
	t.Logf("%d callbacks in %v, %d calls for them, %d ids dropped; longest wait of a known order %v",
		sent, ended.Sub(began).Round(time.Millisecond), forged, lane.Dropped, slices.Max(slices.Collect(maps.Values(gaps))).Round(time.Millisecond))
	w.finish([]*process{ingest}, []*process{asker}, reconciler)
	w.ownership(0)
}

// forge sends unsigned callbacks from some senders until ctx ends, and says how
// many were answered.
func (w *world) forge(ctx context.Context, senders int, known []string) (sent int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond) // the broker and the pollers are on this machine too
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("FORGED%d-%d", s, n)
				if n%50 == 0 {
					id = known[n/50%len(known)]
				}
				if w.callback(ctx, id) == http.StatusOK {
					mu.Lock()
					sent++
					mu.Unlock()
				}
				<-tick.C
			}
		})
	}
	wg.Wait()
	return sent
}

// callback is what Kanga, or anybody, sends about an order.
func (w *world) callback(ctx context.Context, id string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.ingest+"/v1/webhooks/kanga/"+demo.Account+"?transactionKey="+id, nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

// unheard: orders that nobody announced and whose every webhook is lost. The
// schedule is empty when the poller starts; only a sweep can find them.
func unheard(t *testing.T, p platform) {
	w := newWorld(t, p, options{faults: simulator.Faults{Lose: 1}})
	w.counted = true
	ingest, asker, reconciler := w.startAll()
	if n := w.lane(asker, "kuna/demo").Tasks; n != 0 {
		t.Fatalf("%d tasks before there is an order", n)
	}
	var keys []events.Key
	for _, provider := range []events.Provider{"kuna", "zumo", "kuna", "zumo"} {
		tr, err := w.sim.World.PlaceOrder(provider, demo.Account, simulator.OrderSpec{Unannounced: true})
		must(t, err)
		keys = append(keys, tr.Key)
	}
	states := w.agree()
	for _, k := range keys {
		if st := states[k]; st.DecidedSource != "poll" {
			t.Errorf("%s is %s, decided by %q; want by a poll", k, st.Status, st.DecidedSource)
		}
	}
	run := w.finish([]*process{ingest}, []*process{asker}, reconciler)
	found := map[events.Key]bool{}
	for _, parts := range run.Committed[w.topics().StatusCheck] {
		for _, r := range parts {
			c, err := run.Codec.DecodeStatusCheck(t.Context(), r.Value)
			must(t, err)
			found[c.Key] = found[c.Key] || c.Cause == events.CauseSweep
		}
	}
	for _, k := range keys {
		if !found[k] {
			t.Errorf("%s was found by no sweep", k)
		}
	}
	if n := run.Count(w.topics().Webhook) + run.Count(w.topics().Intent); n != 0 {
		t.Errorf("%d webhooks and intents; the scenario wants none", n)
	}
}
