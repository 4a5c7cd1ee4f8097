package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
	"rampstream/internal/providers/simulator"
)

const kangaLane events.Lane = "kanga/demo"

// pollers: one poller becomes four and then two, while orders move. One leaves
// right after a provider asked for a pause, one stands still for longer than its
// session and goes on, one is killed for good. The providers' own records say
// whether anybody called too often, too early, twice at once or with an old nonce.
func pollers(t *testing.T, p platform) {
	w := newWorld(t, p, options{faults: simulator.DefaultFaults(), token: 3 * time.Second, change: func(c *config.Config) {
		c.Poller.SessionTimeout, c.Poller.CallTimeout, c.Poller.LeaveOnStop = 9*time.Second, 3*time.Second, true
		for i := range c.Accounts {
			c.Accounts[i].Poll = providers.Poll{Rate: 20, Burst: 5, HintRate: 4, SweepEvery: time.Second}
		}
	}})
	w.counted = true
	ingest, a, reconciler := w.startAll()
	stopLoad := w.load() // for as long as it takes: each of the owners must have something to ask
	members := []*process{a, w.start("poller", "b"), w.start("poller", "c"), w.start("poller", "d")}
	for _, m := range members {
		m.ready()
	}
	changes := 3

	const pause = 6 * time.Second
	must(t, w.sim.World.Refuse("kado", demo.Account, 1, "6"))
	w.saw("kado", "an answer that asks for a pause", func(c simulator.Call) bool { return c.RetryAfter == pause && !c.End.IsZero() })
	leaver := w.owner(members, "kado/demo")
	leaver.stop()
	members = slices.DeleteFunc(members, func(m *process) bool { return m == leaver })
	changes++

	w.owner(members, "kado/demo") // the leave is over: who has Kanga's lane now keeps it
	still := w.owner(members, kangaLane)
	must(t, still.Pause())
	since := time.Now()
	others := slices.DeleteFunc(slices.Clone(members), func(m *process) bool { return m == still })
	w.owner(others, kangaLane)
	w.saw("kanga", "a call of the lane's next owner", func(c simulator.Call) bool {
		return c.Start.After(since.Add(w.cfg.Poller.SessionTimeout / 2))
	})
	must(t, still.Resume())
	changes += 2 // taken over, and moved once more when it comes back

	victim := w.owner(others, kangaLane)
	victim.kill()
	members = slices.DeleteFunc(members, func(m *process) bool { return m == victim })
	changes++

	stopLoad()
	w.agree()
	w.finish([]*process{ingest}, members, reconciler)
	w.ownership(changes)
	w.overlaps()
	w.oneLogin("zumo")
	w.oneLogin("kuna")
}

// lanes asks a poller for its lanes; nil while it does not answer.
func (p *process) lanes() (out []poller.LaneSnapshot) {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get(p.Admin + "/lanes")
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	_ = json.NewDecoder(resp.Body).Decode(&out)
	return out
}

// lane is one of a poller's lanes, once it has it.
func (w *world) lane(p *process, lane events.Lane) (out poller.LaneSnapshot) {
	w.t.Helper()
	eventually(w.t, patience, p.String()+" owns "+string(lane), func() (bool, string) {
		lanes := p.lanes()
		i := slices.IndexFunc(lanes, func(l poller.LaneSnapshot) bool { return l.Lane == lane })
		if i >= 0 {
			out = lanes[i]
		}
		return i >= 0, fmt.Sprintf("it has %d others", len(lanes))
	})
	return out
}

// owner waits until one of some pollers has a lane.
func (w *world) owner(among []*process, lane events.Lane) (owner *process) {
	w.t.Helper()
	eventually(w.t, patience, "somebody owns "+string(lane), func() (bool, string) {
		for _, p := range among {
			if slices.ContainsFunc(p.lanes(), func(l poller.LaneSnapshot) bool { return l.Lane == lane }) {
				owner = p
				return true, ""
			}
		}
		return false, "nobody does"
	})
	return owner
}

// saw waits until a provider's record has a call.
func (w *world) saw(provider events.Provider, what string, ok func(simulator.Call) bool) {
	w.t.Helper()
	eventually(w.t, patience, string(provider)+" sees "+what, func() (bool, string) {
		return slices.ContainsFunc(w.sim.World.Calls(provider, demo.Account), ok), "not yet"
	})
}

// oneLogin fails when two calls for an access token ran at once, or none was
// renewed. A call whose answer was harmed may have ended for its caller earlier.
func (w *world) oneLogin(provider events.Provider) {
	w.t.Helper()
	calls := slices.DeleteFunc(w.sim.World.Calls(provider, demo.Account), func(c simulator.Call) bool { return c.Op != "login" && c.Op != "refresh" })
	for i, c := range calls {
		for _, d := range calls[:i] {
			if c.Start.Before(d.End) && d.Start.Before(c.End) && c.Fault == "" && d.Fault == "" {
				w.t.Errorf("%s: two calls for a token at once, %s and %s", provider, d.Start.Format(time.StampMilli), c.Start.Format(time.StampMilli))
			}
		}
	}
	if len(calls) < 3 {
		w.t.Errorf("%s: %d calls for a token: none ran out", provider, len(calls))
	}
}
