package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// other is the key of an order of the second account.
func other(id string) events.Key { return events.Key{Provider: "acme", Account: "branch", ID: id} }

// rulesOf makes rules of two accounts, in the first of which "odd" means what is
// given.
func rulesOf(t testing.TB, generation int64, odd events.Status, accounts ...events.Account) order.Rules {
	t.Helper()
	first := vocab
	first.Orders = maps.Clone(vocab.Orders)
	if odd != events.StatusUnknown {
		first.Orders["odd"] = events.Word{Status: odd}
	}
	lanes := map[events.Lane]events.Vocabulary{"acme/shop": first}
	for _, a := range accounts {
		lanes[events.LaneOf("acme", a)] = vocab
	}
	s := order.DefaultSettings()
	s.Generation = generation
	r, err := order.NewRules(s, lanes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// member restarts the world with other rules and works until all is viewed.
func (w *world) member(r order.Rules) error {
	w.rules = r
	if err := w.tryRestart(); err != nil {
		return err
	}
	w.drain()
	return nil
}

// R20: two versions of the rules in one group. The older is refused the
// partitions that the newer one has viewed, until an operator says that it is
// to be gone back to.
func TestEngine_olderRulesAreRefused(t *testing.T) {
	v1, v2 := rulesOf(t, 0, events.StatusPending), rulesOf(t, 0, events.StatusCompleted)
	back := rulesOf(t, 1, events.StatusPending)
	w := newWorld(t)
	w.now = minute(9)
	refused := func(r order.Rules, says string) {
		t.Helper()
		before := len(w.log.All(topics.OrderState))
		err := w.member(r)
		if !errors.Is(err, stream.ErrRefused) || errors.Is(err, stream.ErrLoss) || !strings.Contains(err.Error(), says) {
			t.Errorf("member with other rules: %v; want ErrRefused that says %q", err, says)
		}
		if after := len(w.log.All(topics.OrderState)); after != before {
			t.Errorf("a refused member wrote %d states", after-before)
		}
	}
	taken := func(r order.Rules, want events.Status) {
		t.Helper()
		if err := w.member(r); err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			if st := w.state(fmt.Sprintf("o%d", i)); st.Status != want || st.RulesVersion != r.LaneVersion("acme/shop") {
				t.Fatalf("o%d is %v by rules %s, want %v by %s", i, st.Status, st.RulesVersion, want, r.LaneVersion("acme/shop"))
			}
		}
	}
	w.rules = v1
	w.restart()
	for i := range 12 {
		w.append(w.hook(fmt.Sprintf("o%d", i), "odd", minute(1), events.TrustSigned))
	}
	w.drain()
	taken(v1, events.StatusPending) // restarting is no change
	taken(v2, events.StatusCompleted)
	refused(v1, "superseded")
	refused(v1, "rules.generation to 1")
	taken(v2, events.StatusCompleted)
	taken(back, events.StatusPending) // the operator goes back
	refused(v2, "generation 1.")
	taken(rulesOf(t, 1, events.StatusCompleted), events.StatusCompleted) // and forward again
	refused(back, "rules.generation to 2")
	checkChain(t, w)
	changes := map[string]int{}
	for _, r := range w.log.All(topics.Transition) {
		if tr, err := w.codec.DecodeTransition(context.Background(), r.Value); err == nil && tr.Reason == "rule_change" {
			changes[tr.Key.String()]++
		}
	}
	for k, n := range changes {
		if n != 3 {
			t.Errorf("%s was viewed by other rules %d times, want 3", k, n)
		}
	}
}

// A partition that other rules have begun to view, and nobody has finished, is
// theirs; so is one whose states the newer member took by joining evidence.
func TestEngine_olderRulesAreRefusedHalfway(t *testing.T) {
	v1, v2 := rulesOf(t, 0, events.StatusPending), rulesOf(t, 0, events.StatusCompleted)
	for name, begin := range map[string]func(w *world){
		"viewed again": func(w *world) { w.step(nil, true) },
		"joined": func(w *world) {
			w.append(w.hook("o0", "run", minute(2), events.TrustSigned))
			records := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
			b, err := w.eng.Step(context.Background(), records, false)
			if err != nil {
				t.Fatal(err)
			}
			w.append(b.Out...)
			w.eng.Accept()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.now = minute(9)
			w.rules = v1
			w.restart()
			for i := range 12 {
				w.append(w.hook(fmt.Sprintf("o%d", i), "odd", minute(1), events.TrustSigned))
			}
			w.drain()
			n := stream.PartitionOf([]byte(key("o0").String()), partitions)
			w.rules = v2
			w.newEngine(1)
			for range 2 { // given back before it wrote anything, and given to it again
				if err := w.restore(n); err != nil {
					t.Fatal(err)
				}
				w.eng.Revoke([]int32{n})
			}
			if err := w.restore(n); err != nil {
				t.Fatal(err)
			}
			begin(w)
			w.rules = v1
			w.newEngine(0)
			if err := w.restore(n); !errors.Is(err, stream.ErrRefused) {
				t.Errorf("restore by the older rules = %v, want ErrRefused", err)
			}
			for other := range int32(partitions) { // the partitions that nobody else has viewed are its own still
				if err := w.restore(other); other != n && err != nil {
					t.Errorf("restore of partition %d = %v", other, err)
				}
			}
		})
	}
}

// Two accounts: a change of one leaves the other alone, and an account that only
// some members have refuses nobody.
func TestEngine_rulesOfAnotherAccount(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.rules = rulesOf(t, 0, events.StatusPending, "branch")
	w.restart()
	w.append(w.hook("o1", "odd", minute(1), events.TrustSigned), w.hookOf(other("o1"), "odd", minute(1), events.TrustSigned))
	w.drain()
	for _, accounts := range [][]events.Account{nil, {"branch"}, {"branch", "third"}, {"branch"}} {
		if err := w.member(rulesOf(t, 0, events.StatusPending, accounts...)); err != nil {
			t.Fatalf("member with the accounts shop and %v: %v", accounts, err)
		}
	}
	written := len(w.log.All(topics.OrderState))
	if err := w.member(rulesOf(t, 0, events.StatusCompleted, "branch")); err != nil {
		t.Fatal(err)
	}
	if n := len(w.log.All(topics.OrderState)) - written; n != 1 {
		t.Errorf("%d states were viewed again, want the one of the account whose table changed", n)
	}
	if err := w.member(rulesOf(t, 0, events.StatusPending, "branch")); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "acme/shop") {
		t.Errorf("member with the old table of one account = %v, want ErrRefused that names it", err)
	}
}

// The code's generation: a program refuses what a later one wrote, whatever it
// wrote.
func TestEngine_olderCodeIsRefused(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain()
	n := stream.PartitionOf([]byte(key("o1").String()), partitions)
	for _, tc := range []struct {
		operator, code int64
		want           error
	}{{0, order.CodeGeneration - 1, nil}, {0, order.CodeGeneration + 1, stream.ErrRefused}, {1, 0, stream.ErrRefused}, {0, 0, nil}} {
		all := w.log.All(topics.ReconcilerPosition)
		last := all[len(all)-1]
		pos, err := w.codec.DecodePosition(context.Background(), last.Value)
		if err != nil || last.Partition != n {
			t.Fatalf("position %+v, %v", last, err)
		}
		pos.RulesGeneration, pos.RulesCode = tc.operator, tc.code
		value, err := w.codec.EncodePosition(pos)
		if err != nil {
			t.Fatal(err)
		}
		w.log.Change(last.Topic, last.Partition, last.Offset, value)
		if err := w.tryRestart(); !errors.Is(err, tc.want) {
			t.Errorf("written by generation %d.%d: %v, want %v", tc.operator, tc.code, err, tc.want)
		}
	}
}
