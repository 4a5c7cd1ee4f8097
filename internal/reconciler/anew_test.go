package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"rampstream/internal/sim"
	"rampstream/internal/stream"
)

// identifying is a described log that tells topics apart at a restore too.
type identifying struct{ *described }

func (d identifying) Identify(_ context.Context, names ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, n := range names {
		out[n] = d.about[n].ID
	}
	return out, nil
}

// again restores all partitions by a loop.
func (k *keeper) again() error {
	k.loop.Assigned([]int32{0, 1, 2, 3})
	for n := range int32(partitions) {
		if _, err := k.loop.Restore(k.t.Context(), n, identifying{k.log}, nil); err != nil {
			return err
		}
	}
	return nil
}

// anew makes the topic of order states anew, empty.
func (k *keeper) anew() {
	fresh := sim.NewLog(partitions, func() int64 { return int64(k.now.UnixMilli()) }, topics.All()...)
	for _, topic := range topics.All() {
		if topic == topics.OrderState {
			continue
		}
		if _, err := fresh.Append(k.world.log.All(topic)...); err != nil {
			k.t.Fatal(err)
		}
	}
	k.world.log, k.log.Log = fresh, fresh
	a := k.log.about[topics.OrderState]
	a.ID = "id2"
	k.log.about = map[string]stream.About{topics.OrderState: a, topics.CustomerState: k.log.about[topics.CustomerState]}
}

// K24 with checkpoints: a checkpoint of states that the topic of this id never held
// must not hide that they are gone from it.
func TestLoop_checkpointAfterAStateTopicWasMadeAnew(t *testing.T) {
	k := newKeeper(t)
	if err := k.again(); err != nil {
		t.Fatal(err)
	}
	k.live("wait", 0, 60, 1)
	k.anew()
	k.loop.Checkpoint(t.Context(), 0) // as at SIGTERM
	k.started()
	err := k.again()
	if !errors.Is(err, stream.ErrLoss) {
		t.Errorf("Restore = %v from %v, %d states; the topic of order states has none: want ErrLoss", err, k.told.sources, k.eng.States())
	}
}

// The same where memory outlives a rebalance.
func TestLoop_memoryOfAStateTopicThatWasMadeAnew(t *testing.T) {
	k := newKeeper(t)
	if err := k.again(); err != nil {
		t.Fatal(err)
	}
	k.live("wait", 0, 60, 1)
	k.loop.Revoke([]int32{0, 1, 2, 3})
	k.anew()
	if err := k.again(); !errors.Is(err, stream.ErrLoss) {
		t.Errorf("Restore = %v from %v; the topic of order states is empty: want ErrLoss", err, k.told.sources)
	}
}

// K24: nor does a checkpoint hide that all was deleted from a state topic.
func TestLoop_checkpointOfAStateTopicThatWasEmptied(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			k := newKeeper(t)
			if err := k.again(); err != nil {
				t.Fatal(err)
			}
			k.live("wait", 0, 60, 1)
			empty := func() {
				for n := range int32(partitions) {
					ends, err := k.world.log.Ends(t.Context(), n, topics.OrderState)
					if err != nil {
						t.Fatal(err)
					}
					k.world.log.Truncate(topics.OrderState, n, ends[topics.OrderState].End)
				}
			}
			if when == "before" {
				empty()
			}
			k.loop.Checkpoint(t.Context(), 0)
			if when == "after" {
				empty()
			}
			k.started()
			if err := k.again(); !errors.Is(err, stream.ErrLoss) {
				t.Errorf("Restore = %v from %v, %d states; the topic of order states has none: want ErrLoss", err, k.told.sources, k.eng.States())
			}
		})
	}
}

// cutTail has the topic of order states lose the last records of each partition, as
// by an unclean election, or when all brokers lose their page cache. Ids and starts
// are as before.
func (k *keeper) cutTail(n int) {
	k.wrote = map[string]int64{}
	for _, r := range k.world.log.All(topics.OrderState) { // as the session's tide has it
		k.wrote[fmt.Sprint(r.Topic, r.Partition)] = r.Offset + 1
	}
	fresh := sim.NewLog(partitions, func() int64 { return int64(k.now.UnixMilli()) }, topics.All()...)
	for _, topic := range topics.All() {
		all := k.world.log.All(topic)
		if topic == topics.OrderState {
			ends := map[int32]int64{}
			for _, r := range all {
				ends[r.Partition] = max(ends[r.Partition], r.Offset+1)
			}
			kept := all[:0:0]
			for _, r := range all {
				if r.Offset < ends[r.Partition]-int64(n) {
					kept = append(kept, r)
				}
			}
			all = kept
		}
		if _, err := fresh.Append(all...); err != nil {
			k.t.Fatal(err)
		}
	}
	k.world.log, k.log.Log = fresh, fresh
}

func (k *keeper) acknowledged(topic string, n int32) int64 { return k.wrote[fmt.Sprint(topic, n)] }

// K18, K19: a checkpoint of states that their topic has lost meanwhile must not hide
// that they are gone from it.
func TestLoop_checkpointAfterAStateTopicLostItsTail(t *testing.T) {
	k := newKeeper(t)
	if err := k.again(); err != nil {
		t.Fatal(err)
	}
	k.live("wait", 0, 60, 1)
	k.cutTail(3)
	k.loop.Checkpoint(t.Context(), 0) // as at SIGTERM
	k.wrote = nil                     // another process
	k.started()
	if err := k.again(); !errors.Is(err, stream.ErrLoss) {
		t.Errorf("Restore = %v from %v, %d states; the topic has lost some of them: want ErrLoss", err, k.told.sources, k.eng.States())
	}
}

// The same where memory outlives a rebalance.
func TestLoop_memoryOfAStateTopicThatLostItsTail(t *testing.T) {
	k := newKeeper(t)
	if err := k.again(); err != nil {
		t.Fatal(err)
	}
	k.live("wait", 0, 60, 1)
	k.loop.Revoke([]int32{0, 1, 2, 3})
	k.cutTail(3)
	if err := k.again(); !errors.Is(err, stream.ErrLoss) {
		t.Errorf("Restore = %v from %v; the topic of order states has lost some of them: want ErrLoss", err, k.told.sources)
	}
}

// The control: without a copy of ours the loss is found.
func TestLoop_lostTailIsFoundWithoutACopy(t *testing.T) {
	k := newKeeper(t)
	if err := k.again(); err != nil {
		t.Fatal(err)
	}
	k.live("wait", 0, 60, 1)
	k.cutTail(3)
	k.started()
	if err := k.again(); !errors.Is(err, stream.ErrLoss) {
		t.Errorf("Restore = %v; want ErrLoss", err)
	}
}
