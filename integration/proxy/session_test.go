package proxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration/proxy"
	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// plain is a table without claims.
type plain struct{}

func (plain) Restore(_ context.Context, _ int32, _ stream.Log, committed map[string]int64) (map[string]int64, error) {
	next := map[string]int64{}
	for topic, o := range committed {
		next[topic] = max(o, 0)
	}
	return next, nil
}

func (plain) Revoke([]int32) {}

// TestTxnGroup_answersLostOnNewConnections: the answer to a request to end is
// lost three times, each time on a connection that is new because the one before
// broke. The client takes an end of such a connection for a missing login, and
// would give up; the session asked all brokers before, so it knows better.
func TestTxnGroup_answersLostOnNewConnections(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a", "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p, err := proxy.Open(c.ListenAddrs())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	cfg := kafka.Config{Brokers: p.Brokers(), MetadataMinAge: 20 * time.Millisecond}
	in, err := kafka.OpenProducer(within(t), cfg, kafka.ProducerOptions{Topics: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(within(t)) }()
	if _, err := in.Publish(within(t), stream.Record{Topic: "a", Partition: 0, Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	g, err := kafka.OpenTxnGroup(t.Context(), cfg, kafka.TxnOptions{Group: "g", InstanceID: "1", TransactionalID: "g-1", Inputs: []string{"a"}, Outputs: []string{"out"}}, plain{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	records, err := g.Poll(within(t), 10)
	for err == nil && len(records) == 0 {
		records, err = g.Poll(within(t), 10)
	}
	if err != nil {
		t.Fatal(err)
	}
	rule := &proxy.Rule{Key: kmsg.EndTxn, Times: 3, Drop: true}
	p.Add(rule)
	committed, err := g.Commit(within(t), []stream.Record{{Topic: "out", Partition: 0, Value: []byte("x")}})
	if !committed || err != nil {
		t.Errorf("Commit = %t, %v; want true: the broker ended the transaction and says so when it is asked again", committed, err)
	}
	if rule.Hits() != 3 {
		t.Errorf("%d answers were lost, want 3", rule.Hits())
	}
}
