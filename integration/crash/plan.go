package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// kind is a sort of fault.
type kind string

// The faults. A broker is chosen by its role at that moment; a program by the
// seed.
const (
	killLeader         kind = "kill-leader"          // kill -9 of the broker that leads a partition of the positions
	killCoordinator    kind = "kill-coordinator"     // ... that coordinates the reconcilers' group
	killTxnCoordinator kind = "kill-txn-coordinator" // ... that coordinates a reconciler's transactions
	killController     kind = "kill-controller"      // ... the active controller
	killTwo            kind = "kill-two-brokers"     // two at once: nothing can be acknowledged meanwhile
	stopBroker         kind = "stop-broker"          // an orderly restart
	pauseLeader        kind = "pause-leader"         // SIGSTOP until it was replaced, then it goes on as a zombie

	killReconciler  kind = "kill-reconciler" // kill -9; the same instance comes back at once
	killReconcilers kind = "kill-all-reconcilers"
	awayReconciler  kind = "away-reconciler"  // kill -9, and back only after its session
	pauseReconciler kind = "pause-reconciler" // SIGSTOP beyond its session, then it goes on
	stopReconciler  kind = "stop-reconciler"  // SIGTERM and back
	joinReconciler  kind = "join-reconciler"  // a third member joins, and leaves again
	killPoller      kind = "kill-poller"
	pausePoller     kind = "pause-poller" // SIGSTOP beyond its session
	stopPoller      kind = "stop-poller"
	joinPoller      kind = "join-poller"
	killIngest      kind = "kill-ingest"
	pauseIngest     kind = "pause-ingest"
	stopIngest      kind = "stop-ingest"
)

// deck has every kind as often as it comes in a round: kills most, and what
// takes long seldom.
var deck = map[kind]int{
	killLeader: 2, killCoordinator: 2, killTxnCoordinator: 2, killController: 2, killTwo: 1, stopBroker: 1, pauseLeader: 1,
	killReconciler: 6, killReconcilers: 3, awayReconciler: 1, pauseReconciler: 1, stopReconciler: 2, joinReconciler: 1,
	killPoller: 4, pausePoller: 1, stopPoller: 1, joinPoller: 1, killIngest: 4, pauseIngest: 1, stopIngest: 1,
}

// step is one fault of a plan.
type step struct {
	N    int           `json:"n"` // from 1
	Kind kind          `json:"kind"`
	Pick uint64        `json:"pick"`    // which of several
	Hold time.Duration `json:"hold_ns"` // how long it lasts, where it lasts
	Gap  time.Duration `json:"gap_ns"`  // from when traffic flows again to this fault
}

// String is one line of a plan.
func (s step) String() string {
	return fmt.Sprintf("%3d %-20s pick %-2d hold %-6v gap %v", s.N, s.Kind, s.Pick, s.Hold.Round(time.Millisecond), s.Gap.Round(time.Millisecond))
}

// plan deals the kinds in rounds of a shuffled deck, for ever. It is a function
// of the seed and the kinds alone.
type plan struct {
	dice  *rand.Rand
	kinds []kind
	round []kind
	n     int
}

// newPlan is the plan of a seed; no kinds means all. At least once there are no
// transactions, and nobody coordinates them.
func newPlan(seed uint64, kinds []kind, atLeastOnce bool) (*plan, error) {
	for _, k := range kinds {
		if deck[k] == 0 {
			return nil, fmt.Errorf("no fault %q; there are %s", k, strings.Join(words(allKinds()), ", "))
		}
		if atLeastOnce && k == killTxnCoordinator {
			return nil, fmt.Errorf("no fault %q at least once: there is no transaction to coordinate", k)
		}
	}
	if len(kinds) == 0 {
		kinds = slices.DeleteFunc(allKinds(), func(k kind) bool { return atLeastOnce && k == killTxnCoordinator })
	}
	kinds = slices.Clone(kinds)
	slices.Sort(kinds)
	return &plan{dice: rand.New(rand.NewPCG(seed, 7)), kinds: slices.Compact(kinds)}, nil
}

func allKinds() []kind {
	var out []kind
	for k := range deck {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func words(kinds []kind) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return out
}

// next is the next step.
func (p *plan) next() step {
	if len(p.round) == 0 {
		for _, k := range p.kinds {
			p.round = append(p.round, slices.Repeat([]kind{k}, deck[k])...)
		}
		p.dice.Shuffle(len(p.round), func(i, j int) { p.round[i], p.round[j] = p.round[j], p.round[i] })
	}
	k := p.round[0]
	p.round = p.round[1:]
	p.n++
	return step{
		N: p.n, Kind: k, Pick: p.dice.Uint64N(12),
		Hold: time.Duration(200+p.dice.IntN(1800)) * time.Millisecond,
		Gap:  time.Duration(50+p.dice.IntN(700)) * time.Millisecond,
	}
}
