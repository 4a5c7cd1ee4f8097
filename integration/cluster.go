package integration

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Cluster is a real cluster under control of scripts/kafka, or of another
// program that knows the same words.
type Cluster struct {
	Script string
	Admin  *kadm.Client
	Client *kgo.Client // of Admin
}

// Node is one line of the script's status.
type Node struct {
	ID    string
	State string // running, paused, down
	PID   int
}

// Do runs the script with some words.
func (c Cluster) Do(ctx context.Context, words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, c.Script, words...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", c.Script, strings.Join(words, " "), err, out)
	}
	return string(out), nil
}

// Nodes lists the brokers, the registry left out.
func (c Cluster) Nodes(ctx context.Context) ([]Node, error) {
	out, err := c.Do(ctx, "status")
	if err != nil {
		return nil, err
	}
	var nodes []Node
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] == "registry" {
			continue
		}
		n := Node{ID: f[0], State: f[1]}
		if len(f) > 2 {
			n.PID, _ = strconv.Atoi(strings.TrimPrefix(f[2], "pid="))
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// Node is the status of one broker.
func (c Cluster) Node(ctx context.Context, id string) (Node, error) {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return Node{}, err
	}
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return Node{}, fmt.Errorf("the cluster has no node %s", id)
	}
	return nodes[i], nil
}

// Harm does what the word says to a node and returns the proof: what the status
// said before and after. want is the state that proves it.
func (c Cluster) Harm(ctx context.Context, word, id, want string) (string, error) {
	before, err := c.Node(ctx, id)
	if err != nil {
		return "", err
	}
	if _, err := c.Do(ctx, word, id); err != nil {
		return "", err
	}
	if err := c.becomes(ctx, id, want); err != nil {
		return "", fmt.Errorf("after %s: %w", word, err)
	}
	return fmt.Sprintf("node %s: %s pid %d, then %s", id, before.State, before.PID, want), nil
}

// becomes waits until the status says so of a node: a signal is obeyed, and a
// process is there, when the machine comes to it.
func (c Cluster) becomes(ctx context.Context, id, want string) error {
	ctx, cancel := context.WithTimeout(ctx, statesWithin)
	defer cancel()
	for {
		n, err := c.Node(ctx, id)
		if err == nil && n.State == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("node %s is %s, want %s", id, n.State, want))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Heal starts and resumes whatever does not run, and waits until the brokers
// are all there and every replica is in sync.
func (c Cluster) Heal(ctx context.Context) error {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		switch n.State {
		case "down":
			_, err = c.Do(ctx, "launch", n.ID)
		case "paused":
			_, err = c.Do(ctx, "resume", n.ID)
		}
		if err != nil {
			return err
		}
	}
	return c.Whole(ctx, len(nodes))
}

// Whole waits until that many brokers are there and every replica is in sync.
func (c Cluster) Whole(ctx context.Context, brokers int) error {
	return c.until(ctx, brokers, brokers)
}

// Able waits until every partition has a leader and as many replicas in sync, up
// to insync of its own, as a write wants that all must acknowledge.
func (c Cluster) Able(ctx context.Context, insync int) error { return c.until(ctx, insync, insync) }

func (c Cluster) until(ctx context.Context, brokers, insync int) error {
	for {
		missing, err := c.missing(ctx, brokers, insync)
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("the cluster lacks something: %s: %w", missing, ctx.Err()))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c Cluster) missing(ctx context.Context, brokers, insync int) (string, error) {
	m, err := c.Admin.Metadata(ctx)
	if err != nil {
		return "no metadata", err
	}
	if len(m.Brokers) < brokers {
		return fmt.Sprintf("%d of %d brokers", len(m.Brokers), brokers), nil
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.Leader < 0 || len(p.ISR) < min(insync, len(p.Replicas)) {
				return fmt.Sprintf("%s-%d has leader %d and %d of %d replicas in sync", t.Topic, p.Partition, p.Leader, len(p.ISR), len(p.Replicas)), nil
			}
		}
	}
	return "", nil
}

// Leader is the broker that leads a partition.
func (c Cluster) Leader(ctx context.Context, topic string, partition int32) (string, error) {
	m, err := c.Admin.Metadata(ctx, topic)
	if err != nil {
		return "", err
	}
	p, ok := m.Topics[topic].Partitions[partition]
	if !ok || p.Leader < 0 {
		return "", fmt.Errorf("%s-%d has no leader", topic, partition)
	}
	return strconv.Itoa(int(p.Leader)), nil
}

// Coordinator is the broker that coordinates a group, or a transactional id.
func (c Cluster) Coordinator(ctx context.Context, name string, transactions bool) (string, error) {
	find := c.Admin.FindGroupCoordinators
	if transactions {
		find = c.Admin.FindTxnCoordinators
	}
	found := find(ctx, name)
	if err := found.Error(); err != nil {
		return "", err
	}
	return strconv.Itoa(int(found[name].NodeID)), nil
}

// Controller is the active controller.
func (c Cluster) Controller(ctx context.Context) (string, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, c.Client)
	if err != nil {
		return "", err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 || resp.Topics[0].Partitions[0].LeaderID < 1 {
		return "", fmt.Errorf("no controller: error code %d", resp.ErrorCode)
	}
	return strconv.Itoa(int(resp.Topics[0].Partitions[0].LeaderID)), nil
}
