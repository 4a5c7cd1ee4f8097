package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// zombieBroker stops the leader of a partition until it was replaced and lets it
// go on. The proof that a client still spoke to it as the leader is a question
// of ours that was on its way all the time: it reads a partition by the leader's
// epoch of before, and the answer must refuse it.
func (r *rig) zombieBroker(ctx context.Context, s step) (fault, error) {
	topic, partition := r.ground.Config.Topics.Names().ReconcilerPosition, int32(s.Pick%partitions)
	// A client of its own, which waits for long, and asks once before, so that
	// the connection is there.
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.ground.Config.Kafka.Brokers...), kgo.RequestTimeoutOverhead(2*patience), kgo.ConnIdleTimeout(2*patience))
	if err != nil {
		return fault{}, err
	}
	defer cl.Close()
	node, epoch, err := r.leads(ctx, cl, topic, partition)
	if err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	id := strconv.Itoa(int(node))
	begun := time.Now()
	proof, err := r.cluster.Harm(ctx, "pause", id, "paused")
	if err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	type answer struct {
		code int16
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		code, err := askLeader(ctx, cl, int(node), topic, partition, epoch)
		answered <- answer{code, err}
	}()
	leader, err := r.replaced(ctx, node, topic, partition)
	if err != nil {
		_, _ = r.cluster.Do(ctx, "resume", id)
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	pause(ctx, s.Hold)
	back, err := r.cluster.Harm(ctx, "resume", id, "running")
	if err != nil {
		return fault{}, fmt.Errorf("%w: %w", errVoid, err)
	}
	f, err := r.healed(ctx, begun, proof, fmt.Sprintf("node %d leads %s-%d meanwhile", leader, topic, partition), back)
	if err != nil {
		return fault{}, err
	}
	got := <-answered
	switch e := kerr.ErrorForCode(got.code); {
	case got.err != nil:
		return fault{}, fmt.Errorf("%w: the resumed node %s did not answer what it was asked while it was stopped: %w", errVoid, id, got.err)
	case e == nil:
		f.proof += "; it answered a question of before as if it still led"
	default:
		f.proof += "; to a question of before it answered " + kerr.TypedErrorForCode(got.code).Message
	}
	return f, nil
}

// leads is the broker that leads a partition and says so itself, and its epoch.
func (r *rig) leads(ctx context.Context, cl *kgo.Client, topic string, partition int32) (node, epoch int32, err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		m, merr := r.cluster.Admin.Metadata(ctx, topic)
		if err = merr; err != nil {
			continue
		}
		p := m.Topics[topic].Partitions[partition]
		code, aerr := askLeader(ctx, cl, int(p.Leader), topic, partition, p.LeaderEpoch)
		if err = aerr; err == nil && code == 0 {
			return p.Leader, p.LeaderEpoch, nil
		}
	}
	return 0, 0, errors.Join(err, fmt.Errorf("nobody says that it leads %s-%d", topic, partition))
}

// replaced waits until the others have given a broker up and another one leads
// the partition: its session must end, and they choose a controller first if it
// was that.
func (r *rig) replaced(ctx context.Context, node int32, topic string, partition int32) (leader int32, err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		m, merr := r.cluster.Admin.Metadata(ctx, topic)
		if err = merr; err != nil {
			continue
		}
		leader = m.Topics[topic].Partitions[partition].Leader
		if leader > 0 && leader != node && !slices.Contains(m.Brokers.NodeIDs(), node) {
			return leader, nil
		}
	}
	return 0, errors.Join(err, fmt.Errorf("node %d was not replaced as leader of %s-%d: now %d", node, topic, partition, leader))
}

// askLeader asks one broker for the end of a partition by the leader's epoch.
func askLeader(ctx context.Context, cl *kgo.Client, node int, topic string, partition, epoch int32) (int16, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	req := kmsg.NewPtrListOffsetsRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = partition, epoch, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := cl.Broker(node).Request(ctx, req)
	if err != nil {
		return 0, err
	}
	lo, ok := resp.(*kmsg.ListOffsetsResponse)
	if !ok || len(lo.Topics) != 1 || len(lo.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("an answer of another shape: %T", resp)
	}
	return lo.Topics[0].Partitions[0].ErrorCode, nil
}
