package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// fault is one that was made and undone.
type fault struct {
	proof  string        // that it took place
	lasted time.Duration // nobody can commit everywhere before
}

// perform makes one fault and undoes it.
func (r *rig) perform(ctx context.Context, s step) (fault, error) {
	switch s.Kind {
	case killLeader, killCoordinator, killTxnCoordinator, killController, stopBroker:
		return r.breakBroker(ctx, s)
	case killTwo:
		return r.breakTwo(ctx, s)
	case pauseLeader:
		return r.zombieBroker(ctx, s)
	case killReconciler, killPoller, killIngest:
		return r.killOne(ctx, s, s.Hold/4)
	case awayReconciler:
		return r.killOne(ctx, s, r.o.sessionTO+s.Hold)
	case killReconcilers:
		return r.killAll(ctx)
	case stopReconciler, stopPoller, stopIngest:
		return r.stopOne(ctx, s)
	case pauseReconciler, pausePoller, pauseIngest:
		return r.pauseOne(ctx, s)
	case joinReconciler, joinPoller:
		return r.joinAndLeave(ctx, s)
	}
	return fault{}, fmt.Errorf("no fault %q", s.Kind)
}

// inSync is how many replicas a write needs (min.insync.replicas of scripts/kafka
// and of our topics).
const inSync = 2

// healed is a fault of brokers that began then. It lasts until every partition
// can be written to: how fast a broker starts and catches up is the machine's.
func (r *rig) healed(ctx context.Context, begun time.Time, proofs ...string) (fault, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.cluster.Able(ctx, inSync); err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	return fault{strings.Join(proofs, "; "), time.Since(begun)}, nil
}

// victim is the broker that has the role of the step, once there is one.
func (r *rig) victim(ctx context.Context, s step) (id string, err error) {
	for deadline := time.Now().Add(patience); ; pause(ctx, 100*time.Millisecond) {
		if id, err = r.inRole(ctx, s); err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return id, err
		}
	}
}

func (r *rig) inRole(ctx context.Context, s step) (string, error) {
	cfg := r.ground.Config
	switch s.Kind {
	case killCoordinator:
		return r.cluster.Coordinator(ctx, cfg.Reconciler.Group, false)
	case killTxnCoordinator:
		return r.cluster.Coordinator(ctx, r.transactionalID(s.Pick), true)
	case killController:
		return r.cluster.Controller(ctx)
	case stopBroker:
		return strconv.Itoa(1 + int(s.Pick%nodes)), nil
	default:
		return r.cluster.Leader(ctx, cfg.Topics.Names().ReconcilerPosition, int32(s.Pick%partitions))
	}
}

func (r *rig) transactionalID(pick uint64) string {
	return r.ground.Config.Reconciler.Group + "-" + string(rune('a'+pick%reconcilers))
}

func (r *rig) breakBroker(ctx context.Context, s step) (fault, error) {
	id, err := r.victim(ctx, s)
	if err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	word := "kill"
	if s.Kind == stopBroker {
		word = "stop"
	}
	begun := time.Now()
	proof, err := r.cluster.Harm(ctx, word, id, "down")
	if err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	pause(ctx, s.Hold)
	back, err := r.cluster.Harm(ctx, "launch", id, "running")
	if err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	if s.Kind == stopBroker {
		return fault{proof: proof + "; " + back}, nil // it hands over first what it leads
	}
	return r.healed(ctx, begun, proof, back)
}

func (r *rig) breakTwo(ctx context.Context, s step) (fault, error) {
	first, second := strconv.Itoa(1+int(s.Pick%nodes)), strconv.Itoa(1+int((s.Pick+1)%nodes))
	begun := time.Now()
	var proofs []string
	for _, do := range [][3]string{{"kill", first, "down"}, {"kill", second, "down"}, {"", "", ""}, {"launch", first, "running"}, {"launch", second, "running"}} {
		if do[0] == "" {
			pause(ctx, s.Hold)
			continue
		}
		proof, err := r.cluster.Harm(ctx, do[0], do[1], do[2])
		if err != nil {
			return fault{}, fmt.Errorf("%w: %w", errVoid, err)
		}
		proofs = append(proofs, proof)
	}
	return r.healed(ctx, begun, proofs...)
}

// pick is the slot that a step means.
func (r *rig) pick(s step) *slot {
	_, name, _ := strings.Cut(string(s.Kind), "-")
	slots := r.of(name)
	return slots[s.Pick%uint64(len(slots))]
}

// killOne kills a program; the same instance comes back after a while.
func (r *rig) killOne(ctx context.Context, s step, away time.Duration) (fault, error) {
	victim := r.pick(s)
	proof, err := victim.kill(ctx)
	if err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	begun := time.Now()
	proof += r.openTransactions(ctx, victim)
	pause(ctx, away)
	return fault{proof, time.Since(begun)}, victim.start()
}

// openTransactions says which of the slots died with a transaction open.
func (r *rig) openTransactions(ctx context.Context, slots ...*slot) string {
	text := ""
	for _, s := range slots {
		if s.name != "reconciler" || r.o.atLeast {
			continue
		}
		id := r.ground.Config.Reconciler.Group + "-" + s.instance
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		found, err := r.cluster.Admin.DescribeTransactions(ctx, id)
		cancel()
		if err == nil && found[id].State == "Ongoing" {
			text += ", with a transaction open in " + strconv.Itoa(len(found[id].Topics)) + " topics"
		}
	}
	return text
}

// killAll kills all reconcilers at once.
func (r *rig) killAll(ctx context.Context) (fault, error) {
	begun := time.Now()
	var proofs []string
	for _, s := range r.of("reconciler") {
		proof, err := s.kill(ctx)
		if err != nil {
			return fault{}, fmt.Errorf("%w: %w", errVoid, err)
		}
		proofs = append(proofs, proof)
	}
	text := strings.Join(proofs, "; ") + r.openTransactions(ctx, r.of("reconciler")...)
	for _, s := range r.of("reconciler") {
		if err := s.start(); err != nil {
			return fault{}, err
		}
	}
	return fault{text, time.Since(begun)}, nil
}

// stopOne is an orderly restart.
func (r *rig) stopOne(ctx context.Context, s step) (fault, error) {
	victim := r.pick(s)
	proof, err := victim.stop(ctx)
	if err != nil {
		return fault{}, err
	}
	return fault{proof: proof}, victim.start()
}

// pauseOne stops a program beyond its session, so that another one owns what it
// had, and lets it go on where it was.
func (r *rig) pauseOne(ctx context.Context, s step) (fault, error) {
	victim := r.pick(s)
	p, err := victim.pause(ctx)
	if err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	start := time.Now()
	pause(ctx, r.o.sessionTO+s.Hold)
	if err := r.expelled(ctx, victim); err != nil {
		return fault{}, fmt.Errorf("%w: %s: %w", errVoid, p, err)
	}
	said := len(p.Log.String())
	if err := p.Resume(); err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	lasted := time.Since(start)
	proof := fmt.Sprintf("%s was stopped for %v and resumed", p, lasted.Round(time.Millisecond))
	if s.Kind != pauseReconciler {
		return fault{proof: proof}, nil // who commits was not stopped
	}
	// It lost what it had only if it is told so, whatever it was about to commit.
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && ctx.Err() == nil; pause(ctx, 50*time.Millisecond) {
		for _, word := range []string{"partitions revoked", "transaction aborted", "session lost"} {
			if strings.Contains(p.Log.String()[said:], word) {
				return fault{proof + "; then it said: " + word, lasted}, nil
			}
		}
	}
	return fault{}, fmt.Errorf("%w: %s was never told that its partitions were gone", errVoid, p)
}

// expelled waits until a program that stands still is no member of its group any
// more: the coordinator's clock for it starts at its last heartbeat, and ends
// late on a busy machine. An ingest has no group.
func (r *rig) expelled(ctx context.Context, s *slot) error {
	group := r.group(s.name)
	if group == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		groups, err := r.cluster.Admin.DescribeGroups(ctx, group)
		if err == nil {
			err = groups.Error()
		}
		if err == nil && !slices.ContainsFunc(groups[group].Members, func(m kadm.DescribedGroupMember) bool {
			return m.InstanceID != nil && *m.InstanceID == s.instance
		}) {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("still a member of %s %v after its session", group, patience), err)
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// group is the consumer group of a program; "" for one without.
func (r *rig) group(program string) string {
	switch program {
	case "poller":
		return r.ground.Config.Poller.Group
	case "reconciler":
		return r.ground.Config.Reconciler.Group
	}
	return ""
}

// joinAndLeave lets a third member join, do its part, and leave for good.
func (r *rig) joinAndLeave(ctx context.Context, s step) (fault, error) {
	_, name, _ := strings.Cut(string(s.Kind), "-")
	guest, err := r.addSlot(name, "guest-"+strconv.Itoa(s.N))
	if err != nil {
		return fault{}, err
	}
	defer func() { guest.end(); r.slots = r.slots[:len(r.slots)-1] }()
	if err := guest.start(); err != nil {
		return fault{}, err
	}
	if err := r.allReady(ctx, patience); err != nil {
		return fault{}, err
	}
	pause(ctx, s.Hold)
	proof, err := guest.stop(ctx)
	if err != nil {
		return fault{}, err
	}
	left, err := r.cluster.Admin.LeaveGroup(ctx, kadm.LeaveGroup(r.group(name)).InstanceIDs(guest.instance))
	if err == nil {
		err = left.Error()
	}
	if err != nil && !errors.Is(err, kerr.UnknownMemberID) { // its session was over first
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	return fault{proof: "a third member joined and was ready; " + proof}, nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
