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
)

// perform makes one fault, undoes it, and returns the proof that it took place.
func (r *rig) perform(ctx context.Context, s step) (proof string, err error) {
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
	return "", fmt.Errorf("no fault %q", s.Kind)
}

// lasts is how long a fault itself lasts: nobody can commit everywhere before.
func (r *rig) lasts(s step) time.Duration {
	switch s.Kind {
	case pauseReconciler:
		return r.o.sessionTO + s.Hold
	case awayReconciler:
		return r.o.sessionTO + s.Hold
	case killTwo, killLeader, killCoordinator, killTxnCoordinator, killController:
		return s.Hold
	case pauseLeader:
		return zombieFor + s.Hold
	}
	return 0
}

// victim is the broker that has the role of the step.
func (r *rig) victim(ctx context.Context, s step) (string, error) {
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

func (r *rig) breakBroker(ctx context.Context, s step) (string, error) {
	id, err := r.victim(ctx, s)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	word := "kill"
	if s.Kind == stopBroker {
		word = "stop"
	}
	proof, err := r.cluster.Harm(ctx, word, id, "down")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	pause(ctx, s.Hold)
	back, err := r.cluster.Harm(ctx, "launch", id, "running")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	return proof + "; " + back, nil
}

func (r *rig) breakTwo(ctx context.Context, s step) (string, error) {
	first, second := strconv.Itoa(1+int(s.Pick%nodes)), strconv.Itoa(1+int((s.Pick+1)%nodes))
	var proofs []string
	for _, do := range [][3]string{{"kill", first, "down"}, {"kill", second, "down"}, {"", "", ""}, {"launch", first, "running"}, {"launch", second, "running"}} {
		if do[0] == "" {
			pause(ctx, s.Hold)
			continue
		}
		proof, err := r.cluster.Harm(ctx, do[0], do[1], do[2])
		if err != nil {
			return "", fmt.Errorf("%w: %w", errVoid, err)
		}
		proofs = append(proofs, proof)
	}
	return strings.Join(proofs, "; "), nil
}

// pick is the slot that a step means.
func (r *rig) pick(s step) *slot {
	_, name, _ := strings.Cut(string(s.Kind), "-")
	slots := r.of(name)
	return slots[s.Pick%uint64(len(slots))]
}

// killOne kills a program; the same instance comes back after a while.
func (r *rig) killOne(ctx context.Context, s step, away time.Duration) (string, error) {
	victim := r.pick(s)
	proof, err := victim.kill()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	proof += r.openTransactions(ctx, victim)
	pause(ctx, away)
	return proof, victim.start()
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
func (r *rig) killAll(ctx context.Context) (string, error) {
	var proofs []string
	for _, s := range r.of("reconciler") {
		proof, err := s.kill()
		if err != nil {
			return "", fmt.Errorf("%w: %w", errVoid, err)
		}
		proofs = append(proofs, proof)
	}
	text := strings.Join(proofs, "; ") + r.openTransactions(ctx, r.of("reconciler")...)
	for _, s := range r.of("reconciler") {
		if err := s.start(); err != nil {
			return "", err
		}
	}
	return text, nil
}

// stopOne is an orderly restart.
func (r *rig) stopOne(ctx context.Context, s step) (string, error) {
	victim := r.pick(s)
	proof, err := victim.stop(ctx)
	if err != nil {
		return "", err
	}
	return proof, victim.start()
}

// pauseOne stops a program beyond its session, so that another one owns what it
// had, and lets it go on where it was.
func (r *rig) pauseOne(ctx context.Context, s step) (string, error) {
	victim := r.pick(s)
	p := victim.process()
	if err := p.Pause(); err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	start := time.Now()
	pause(ctx, r.o.sessionTO+s.Hold)
	if err := r.expelled(ctx, victim); err != nil {
		return "", fmt.Errorf("%w: %s: %w", errVoid, p, err)
	}
	said := len(p.Log.String())
	if err := p.Resume(); err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	proof := fmt.Sprintf("%s was stopped for %v and resumed", p, time.Since(start).Round(time.Millisecond))
	if s.Kind != pauseReconciler {
		return proof, nil
	}
	// It lost what it had only if it is told so, whatever it was about to commit.
	for range 300 {
		for _, word := range []string{"partitions revoked", "transaction aborted", "session lost"} {
			if strings.Contains(p.Log.String()[said:], word) {
				return proof + "; then it said: " + word, nil
			}
		}
		pause(ctx, 50*time.Millisecond)
	}
	return "", fmt.Errorf("%w: %s was never told that its partitions were gone", errVoid, p)
}

// expelled waits until a program that stands still is no member of its group any
// more: the coordinator's clock for it starts at its last heartbeat, and ends
// late on a busy machine. An ingest has no group.
func (r *rig) expelled(ctx context.Context, s *slot) error {
	group := r.group(s.name)
	if group == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.o.sessionTO)
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
			return errors.Join(fmt.Errorf("still a member of %s after twice its session", group), err)
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
func (r *rig) joinAndLeave(ctx context.Context, s step) (string, error) {
	_, name, _ := strings.Cut(string(s.Kind), "-")
	guest, err := r.addSlot(name, "guest-"+strconv.Itoa(s.N))
	if err != nil {
		return "", err
	}
	defer func() { r.slots = r.slots[:len(r.slots)-1] }()
	if err := guest.start(); err != nil {
		return "", err
	}
	if err := r.allReady(ctx, 60*time.Second); err != nil {
		return "", err
	}
	pause(ctx, s.Hold)
	proof, err := guest.stop(ctx)
	if err != nil {
		return "", err
	}
	left, err := r.cluster.Admin.LeaveGroup(ctx, kadm.LeaveGroup(r.group(name)).InstanceIDs(guest.instance))
	if err == nil {
		err = left.Error()
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	return "a third member joined and was ready; " + proof, nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
