package integration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rampstream/integration"
	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

// rollout: members with two sets of rules in one group. What the newer has
// viewed the older is refused, with exit code 4, until the operator goes back.
func rollout(t *testing.T, p platform) {
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	rules := []events.Lane{} // a lane, to name the rules by
	for _, a := range w.cfg.Accounts {
		rules = append(rules, events.LaneOf(a.Provider, a.Account))
	}
	old, oldCfg := w.file, w.cfg
	newer := w.variant("newer.yaml", func(c *config.Config) { c.Rules.Stuck /= 2 })
	back := w.variant("back.yaml", func(c *config.Config) { c.Rules.Generation = 1 })
	versions := []map[events.Lane]string{w.versions(rules, oldCfg)}
	newerCfg, backCfg := oldCfg, oldCfg
	newerCfg.Rules.Stuck, backCfg.Rules.Generation = oldCfg.Rules.Stuck/2, 1
	versions = append(versions, w.versions(rules, newerCfg), w.versions(rules, backCfg))

	ingest, poller, a := w.startAll()
	must(t, w.place(t.Context(), 20, 2, time.Second))
	w.agree()
	w.audited(old)

	// A rebalance that brings the newer member half of the partitions leaves the
	// other half to the older one.
	w.file = newer
	b := w.start("reconciler", "b")
	b.ready()
	table := w.table()
	eventually(t, patience, "the newer member views a state", func() (bool, string) {
		n, _ := w.viewed(table, versions[1])
		return n > 0, "none yet"
	})
	must(t, w.place(t.Context(), 6, 0, 500*time.Millisecond))
	w.agree()

	// It goes, and the older is given what it has viewed.
	b.stop()
	w.removeFrom(w.cfg.Reconciler.Group, "b")
	if code := a.wait(); code != run.Refused || !strings.Contains(a.log.String(), "superseded") {
		t.Errorf("the older member ended with %d, want %d and a word of what is superseded\n%s", code, run.Refused, tail(a.log.String()))
	}
	w.removeFrom(w.cfg.Reconciler.Group, "a")
	c := w.start("reconciler", "c")
	c.restored()
	w.agree()
	w.allViewed(versions[1])
	w.audited(newer)

	// The operator goes back to the old rules, and nothing by mistake.
	c.stop()
	w.removeFrom(w.cfg.Reconciler.Group, "c")
	w.file, w.cfg = back, backCfg
	d := w.start("reconciler", "d")
	d.restored()
	w.allViewed(versions[2])
	w.audited(back)
	w.file = newer
	e := w.start("reconciler", "e")
	if code := e.wait(); code != run.Refused || !strings.Contains(e.log.String(), "generation 1.") {
		t.Errorf("the member of the lower generation ended with %d, want %d and both generations\n%s", code, run.Refused, tail(e.log.String()))
	}
	w.removeFrom(w.cfg.Reconciler.Group, "e")
	w.file = old
	must(t, w.place(t.Context(), 4, 0, 300*time.Millisecond))
	w.agree()
	w.neverBack(w.finish([]*process{ingest}, []*process{poller}, d).Committed[w.topics().OrderState], versions)
}

// versions are the rules of each lane under a configuration.
func (w *world) versions(lanes []events.Lane, cfg config.Config) map[events.Lane]string {
	w.t.Helper()
	r, err := app.Rules(cfg, integration.Known())
	must(w.t, err)
	out := map[events.Lane]string{}
	for _, l := range lanes {
		out[l] = r.LaneVersion(l)
	}
	return out
}

// viewed counts the states that were viewed by the rules of version, and all.
func (w *world) viewed(table *inspect.Table, version map[events.Lane]string) (n, all int) {
	w.t.Helper()
	_, err := table.Refresh(w.t.Context())
	must(w.t, err)
	for key, st := range table.States() {
		if st.RulesVersion == version[key.Lane()] {
			n++
		}
	}
	return n, len(table.States())
}

func (w *world) allViewed(version map[events.Lane]string) {
	w.t.Helper()
	table := w.table()
	eventually(w.t, patience, "every state is viewed again", func() (bool, string) {
		n, all := w.viewed(table, version)
		return n == all && n > 0, fmt.Sprintf("%d of %d", n, all)
	})
}

// audited wants every state to be what the inputs say by the rules of a
// configuration, and none by others.
func (w *world) audited(file string) {
	w.t.Helper()
	code, out := w.command("rampctl", "-c", file, "audit")
	if code != run.OK || !strings.Contains(out, " 0 viewed by other rules") || !strings.Contains(out, " 0 different") {
		w.t.Errorf("audit: exit code %d\n%s", code, out)
	}
}

// neverBack wants each order to have gone from one set of rules to the next,
// and never back to one that it had left.
func (w *world) neverBack(partitions [][]stream.Record, versions []map[events.Lane]string) {
	w.t.Helper()
	cd, _ := w.reading()
	at := map[string]int{}
	met := map[int]int{}
	for _, records := range partitions {
		for _, r := range records {
			st, err := cd.DecodeOrderState(w.t.Context(), r.Value)
			must(w.t, err)
			i := slices.IndexFunc(versions, func(v map[events.Lane]string) bool { return v[st.Key.Lane()] == st.RulesVersion })
			if i < at[string(r.Key)] {
				w.t.Errorf("%s at %s-%d-%d is viewed by rules %d, after rules %d", r.Key, r.Topic, r.Partition, r.Offset, i, at[string(r.Key)])
			}
			at[string(r.Key)] = i
			met[i]++
		}
	}
	if met[0] == 0 || met[1] == 0 || met[2] == 0 {
		w.t.Errorf("states by set of rules: %v; want some of each", met)
	}
}
