package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// zombieFor is longer than a broker's session of 4 s: by then the others have
// replaced it.
const zombieFor = 7 * time.Second

// zombieBroker stops the leader of a partition until it was replaced and lets it
// go on. The proof that a client still spoke to it as the leader is a question
// of ours that was on its way all the time: it reads a partition by the leader's
// epoch of before, and the answer must refuse it.
func (r *rig) zombieBroker(ctx context.Context, s step) (string, error) {
	topic, partition := r.ground.Config.Topics.Names().ReconcilerPosition, int32(s.Pick%partitions)
	id, err := r.victim(ctx, s)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	before, err := r.cluster.Admin.Metadata(ctx, topic)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	epoch := before.Topics[topic].Partitions[partition].LeaderEpoch
	node, err := strconv.Atoi(id)
	if err != nil {
		return "", err
	}
	// A client of its own, which waits for long, and asks once before, so that
	// the connection is there.
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.ground.Config.Kafka.Brokers...), kgo.RequestTimeoutOverhead(time.Minute))
	if err != nil {
		return "", err
	}
	defer cl.Close()
	if code, err := askLeader(ctx, cl, node, topic, partition, epoch); code != 0 || err != nil {
		return "", fmt.Errorf("%w: node %s does not lead %s-%d at epoch %d: code %d, %w", errVoid, id, topic, partition, epoch, code, err)
	}
	proof, err := r.cluster.Harm(ctx, "pause", id, "paused")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	type answer struct {
		code int16
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		code, err := askLeader(ctx, cl, node, topic, partition, epoch)
		answered <- answer{code, err}
	}()
	pause(ctx, zombieFor+s.Hold)
	leader, err := r.cluster.Leader(ctx, topic, partition)
	if err != nil || leader == id {
		_, _ = r.cluster.Do(ctx, "resume", id)
		return "", fmt.Errorf("%w: node %s was not replaced as leader of %s-%d: now %q, %w", errVoid, id, topic, partition, leader, err)
	}
	back, err := r.cluster.Harm(ctx, "resume", id, "running")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVoid, err)
	}
	got := <-answered
	switch e := kerr.ErrorForCode(got.code); {
	case got.err != nil:
		return "", fmt.Errorf("%w: the resumed node %s did not answer what it was asked while it was stopped: %w", errVoid, id, got.err)
	case e == nil:
		proof += "; it answered a question of before as if it still led"
	default:
		proof += "; to a question of before it answered " + kerr.TypedErrorForCode(got.code).Message
	}
	return fmt.Sprintf("%s, %s leads %s-%d meanwhile; %s", proof, leader, topic, partition, back), nil
}

// askLeader asks one broker for the end of a partition by the leader's epoch.
func askLeader(ctx context.Context, cl *kgo.Client, node int, topic string, partition, epoch int32) (int16, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
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
