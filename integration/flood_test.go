package integration_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

	began := time.Now()
	sent, stop := w.forge(4, known)
	// Many times what the budget of hints lets through, and more unknown ids than a
	// lane keeps, on a machine however busy: one with ten a second needs two minutes.
	// Meanwhile each order has its turns.
	eventually(t, 2*patience, "the flood is one, and the known orders are asked about", func() (bool, string) {
		if time.Since(began) < 8*time.Second {
			return false, "it has begun"
		}
		lane, least := w.lane(asker, kangaLane), math.MaxInt
		if lane.Unknown > 1000 {
			t.Fatalf("lane %+v; want at most 1000 unknown ids kept", lane)
		}
		calls := w.sim.World.Calls("kanga", demo.Account)
		for _, id := range known {
			least = min(least, len(waits(calls, id, began, time.Now()))-1)
		}
		return sent.Load() >= 300 && lane.Dropped > 0 && forgedSince(calls, began) > 0 && least >= 3,
			fmt.Sprintf("%d sent, lane %+v, one order was asked about %d times", sent.Load(), lane, least)
	})
	ended := time.Now()
	stop()

	calls := slices.DeleteFunc(w.sim.World.Calls("kanga", demo.Account), func(c simulator.Call) bool { return c.Start.After(ended) })
	// An order that does not move is asked about every three seconds at least. Where
	// nobody at all was asked about, the machine stood still; not so most of the time.
	limit, longest := w.cfg.Rules.MaxInterval+2*time.Second, time.Duration(0)
	for _, id := range known {
		all := waits(calls, id, began, ended)
		for _, x := range all {
			longest = max(longest, x.to.Sub(x.from))
			if gap := x.to.Sub(x.from) - silence(calls, x); gap > limit {
				t.Errorf("%s was not asked about for %v during the flood while others were; want every %v", id, gap.Round(time.Millisecond), w.cfg.Rules.MaxInterval)
			}
		}
		slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.to.Sub(a.from), b.to.Sub(b.from)) })
		if m := all[len(all)/2]; m.to.Sub(m.from) > limit {
			t.Errorf("%s was not asked about for %v during the flood half of the times; want every %v", id, m.to.Sub(m.from).Round(time.Millisecond), w.cfg.Rules.MaxInterval)
		}
	}
	forged := forgedSince(calls, began)
	if most := hintRate*ended.Sub(began).Seconds() + 2 + 2; float64(forged) > most {
		t.Errorf("%d calls about forged ids in %v; want at most the hint budget's %.0f", forged, ended.Sub(began), most)
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
		sent.Load(), ended.Sub(began).Round(time.Millisecond), forged, w.lane(asker, kangaLane).Dropped, longest.Round(time.Millisecond))
	w.finish([]*process{ingest}, []*process{asker}, reconciler)
	w.ownership(0)
}

// forgedSince counts the calls about forged ids.
func forgedSince(calls []simulator.Call, began time.Time) (n int) {
	for _, c := range calls {
		if c.Start.After(began) && strings.HasPrefix(c.Subject, "FORGED") {
			n++
		}
	}
	return n
}

// span is a stretch of time.
type span struct{ from, to time.Time }

// waits are the stretches between two calls about an order, from the last one
// before began to ended.
func waits(calls []simulator.Call, id string, began, ended time.Time) (out []span) {
	last := began
	for _, c := range calls {
		switch {
		case c.Subject != id:
		case !c.Start.After(began):
			last = c.Start
		default:
			out = append(out, span{last, c.Start})
			last = c.Start
		}
	}
	return append(out, span{last, ended})
}

// silence is how much of a stretch, in pieces of a second at least, nobody was
// asked about.
func silence(calls []simulator.Call, x span) (sum time.Duration) {
	last := x.from
	add := func(at time.Time) {
		if d := at.Sub(last); d >= time.Second {
			sum += d
		}
		last = at
	}
	for _, c := range calls {
		if c.Start.After(x.from) && c.Start.Before(x.to) {
			add(c.Start)
		}
	}
	add(x.to)
	return sum
}

// forge sends unsigned callbacks from some senders until stop is called, and
// counts how many were answered.
func (w *world) forge(senders int, known []string) (sent *atomic.Int64, stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	sent = new(atomic.Int64)
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond) // the broker and the pollers are on this machine too
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("FORGED%d-%d", s, n)
				// Seldom enough that hints about known orders, which have the first turn,
				// leave some of their budget.
				if n%1000 == 0 {
					id = known[(n/1000*senders+s)%len(known)]
				}
				if w.callback(ctx, client, id) == http.StatusOK {
					sent.Add(1)
				}
				<-tick.C
			}
		})
	}
	stop = func() {
		cancel()
		wg.Wait()
		client.CloseIdleConnections()
	}
	w.t.Cleanup(stop)
	return sent, stop
}

// callback is what Kanga, or anybody, sends about an order.
func (w *world) callback(ctx context.Context, client *http.Client, id string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.ingest+"/v1/webhooks/kanga/"+demo.Account+"?transactionKey="+id, nil)
	if err != nil {
		return 0
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
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
