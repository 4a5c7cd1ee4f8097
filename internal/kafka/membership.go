package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/stream"
)

// membership is what all group sessions have in common.
type membership struct {
	Group          string
	InstanceID     string
	Topics         []string
	Tables         []string // read while restoring; a missing right shows at the open
	Committed      bool
	SessionTimeout time.Duration
	Heartbeat      time.Duration
	Rebalance      time.Duration
	LeaveOnClose   bool
}

func (m *membership) defaults() {
	if m.SessionTimeout == 0 {
		m.SessionTimeout = 45 * time.Second
	}
	if m.Heartbeat == 0 {
		m.Heartbeat = min(3*time.Second, m.SessionTimeout/3)
	}
	if m.Rebalance == 0 {
		m.Rebalance = 60 * time.Second
	}
}

func (m *membership) validate() error {
	switch {
	case m.Group == "":
		return fmt.Errorf("group: name is required: %w", stream.ErrRefused)
	case len(m.Topics) == 0:
		return fmt.Errorf("group %s: no topics: %w", m.Group, stream.ErrRefused)
	}
	return nil
}

// options of a classic group with exactly one balancer. RangeBalancer gives
// partition n of every topic to the same member when all members subscribe to
// the same topics and counts are equal; the default balancer does not. Two
// balancers, or the broker-side protocol, would change that under us.
func (m *membership) options(s *session) []kgo.Opt {
	level := kgo.ReadUncommitted()
	if m.Committed {
		level = kgo.ReadCommitted()
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(m.Group),
		kgo.ConsumeTopics(m.Topics...),
		kgo.Balancers(balancer{kgo.RangeBalancer(), s.standBy}),
		kgo.SessionTimeout(m.SessionTimeout),
		kgo.HeartbeatInterval(m.Heartbeat),
		kgo.RebalanceTimeout(m.Rebalance),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchIsolationLevel(level),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		// Some ten thousand records: more than a batch, less than a container.
		kgo.FetchMaxBytes(8 << 20),
		// Little of each, so that a batch has records of many partitions: they are joined side by side.
		kgo.FetchMaxPartitionBytes(192 << 10),
		kgo.AdjustFetchOffsetsFn(s.adjust),
		kgo.OnPartitionsRevoked(s.onRevoked),
		kgo.OnPartitionsLost(s.onLost),
		// The client takes the end of a connection at its first request for a
		// missing login and does not try again, so that a coordinator that dies
		// there leaves a commit in doubt. Another client has asked the brokers
		// before (prepare): the login is right.
		kgo.AlwaysRetryEOF(),
		kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) { s.blocked.Store(true) }),
	}
	if m.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(m.InstanceID))
	}
	return opts
}

// balancer is the range balancer, and tells of an assignment of nothing. The
// client's own callback of an assignment would wait for the batch in flight.
type balancer struct {
	kgo.GroupBalancer
	nothing func()
}

// ParseSyncAssignment implements kgo.GroupBalancer.
func (b balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	got, err := b.GroupBalancer.ParseSyncAssignment(assignment)
	if err == nil && len(got) == 0 {
		b.nothing()
	}
	return got, err
}
