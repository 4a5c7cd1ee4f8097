package proxy_test

import (
	"context"
	"errors"
	"slices"
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

// TestTxnGroup_lateEnd: a request to end a transaction is held back until the next
// one is under way, whose first record stands. By the protocol before
// transaction.version 2 the coordinator would take it for an end of that one, and
// what stands would be committed without the rest.
func TestTxnGroup_lateEnd(t *testing.T) {
	for _, tc := range []struct {
		name string
		old  bool
	}{{"old protocol", true}, {"transaction.version 2", false}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newLate(t, tc.old)
			s.put("1")
			s.poll()
			end := &proxy.Rule{Key: kmsg.EndTxn, Hold: true, Times: 1}
			s.p.Add(end)
			if ok, err := s.g.Commit(within(t), outs("1a", "1b")); !ok || err != nil || end.Held() != 1 {
				t.Fatalf("Commit = %t, %v with %d requests held; want true: the client asked again", ok, err, end.Held())
			}
			s.put("2")
			records, err := s.g.Poll(within(t), 10)
			if errors.Is(err, stream.ErrRenew) != tc.old {
				t.Errorf("Poll after an end without an answer = %v; want ErrRenew is %t", err, tc.old)
			}
			if errors.Is(err, stream.ErrRenew) {
				s.g.Close()
				s.open()
			}
			if len(records) == 0 {
				s.poll()
			}
			first := &proxy.Rule{Key: kmsg.Produce}
			s.p.Add(first)
			if !s.g.Send(outs("2a")) {
				t.Fatal("Send takes nothing")
			}
			<-first.Reached()
			if codes := end.Release(); len(codes) != 1 || codes[0] <= 0 {
				t.Errorf("the late end was answered %v, want an error", codes)
			}
			if got := committed(t, s.p); !slices.Equal(got, []string{"1a", "1b"}) {
				t.Errorf("read %v amid the second transaction, want what the first one wrote", got)
			}
			if ok, err := s.g.Commit(within(t), outs("2a", "2b")); !ok || err != nil {
				t.Errorf("Commit of the second = %t, %v", ok, err)
			}
			if got := committed(t, s.p); !slices.Equal(got, []string{"1a", "1b", "2a", "2b"}) {
				t.Errorf("read %v, want both", got)
			}
		})
	}
}

// late is a TxnGroup behind a proxy, whose requests to end may be held back.
type late struct {
	t   *testing.T
	p   *proxy.Proxy
	cfg kafka.Config
	in  *kafka.Producer
	g   *kafka.TxnGroup
}

func newLate(t *testing.T, old bool) *late {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a", "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p, err := proxy.Open(c.ListenAddrs())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if old {
		p.Add(proxy.OldTransactions(""))
	}
	s := &late{t: t, p: p, cfg: kafka.Config{Brokers: p.Brokers(), MetadataMinAge: 20 * time.Millisecond}}
	direct := kafka.Config{Brokers: c.ListenAddrs()}
	if s.in, err = kafka.OpenProducer(within(t), direct, kafka.ProducerOptions{Topics: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.in.Close(context.Background()) })
	s.open()
	t.Cleanup(func() { s.g.Close() })
	return s
}

func (s *late) open() {
	s.t.Helper()
	var err error
	o := kafka.TxnOptions{Group: "g", InstanceID: "1", TransactionalID: "g-1", Inputs: []string{"a"}, Outputs: []string{"t"}}
	if s.g, err = kafka.OpenTxnGroup(context.WithoutCancel(s.t.Context()), s.cfg, o, plain{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *late) put(value string) {
	s.t.Helper()
	if _, err := s.in.Publish(within(s.t), stream.Record{Topic: "a", Partition: 0, Value: []byte(value)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *late) poll() {
	s.t.Helper()
	for {
		records, err := s.g.Poll(within(s.t), 10)
		if err != nil && !errors.Is(err, stream.ErrTransient) {
			s.t.Fatal(err)
		}
		if len(records) > 0 {
			return
		}
	}
}

func outs(values ...string) (out []stream.Record) {
	for _, v := range values {
		out = append(out, stream.Record{Topic: "t", Partition: 0, Value: []byte(v)})
	}
	return out
}
