package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// members: one to five members join and leave a group over topics of 1 to 12
// partitions. At every rest each partition number of all inputs is held by one
// member, and by the same one; every record is copied once.
func members(t *testing.T, p platform) {
	counts := []int32{1, 5, 12}
	if !p.real() {
		counts = nil
		for n := range int32(12) {
			counts = append(counts, n+1)
		}
	}
	var all sync.WaitGroup
	for _, n := range counts {
		all.Go(func() { newParty(t, p, n).play(*seed + uint64(n)) })
	}
	all.Wait()
}

// party is a group over inputs of its own.
type party struct {
	t      *testing.T
	p      platform
	n      int32
	prefix string
	inputs []string
	adm    *kadm.Client
	pub    *kafka.Producer
	here   []*guest
	next   int
	sent   map[string]bool
}

// guest is one member: a table that knows what it holds, and the loop that
// copies what it polls.
type guest struct {
	*party
	id   string
	stop context.CancelFunc
	done chan struct{}
	mu   sync.Mutex
	held map[int32]bool
}

func newParty(t *testing.T, p platform, n int32) *party {
	g := &party{t: t, p: p, n: n, prefix: fmt.Sprintf("it-%08x.", rand.Uint32()), sent: map[string]bool{}}
	g.inputs = []string{g.prefix + "a", g.prefix + "b", g.prefix + "c"}
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...))
	if err != nil {
		t.Error(err)
		return g
	}
	g.adm = kadm.NewClient(cl)
	topics := append(slices.Clone(g.inputs), g.prefix+"out")
	_, err = g.adm.CreateTopics(t.Context(), n, p.replicas, nil, topics...)
	if err == nil {
		g.await("every broker serves the topics", func() (bool, string) { return g.served(cl, topics) })
		g.pub, err = kafka.OpenProducer(t.Context(), kafka.Config{Brokers: p.brokers}, kafka.ProducerOptions{})
	}
	if err != nil {
		t.Errorf("%d partitions: %v", n, err)
	}
	return g
}

// served reports whether each broker knows all topics with all partitions: one
// that was created a moment ago may not have reached every one.
func (g *party) served(cl *kgo.Client, topics []string) (bool, string) {
	md, err := g.adm.BrokerMetadata(g.t.Context())
	if err != nil {
		return false, err.Error()
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	for _, id := range md.Brokers.NodeIDs() {
		resp, err := cl.Broker(int(id)).RetriableRequest(g.t.Context(), req)
		if err != nil {
			return false, err.Error()
		}
		for _, t := range resp.(*kmsg.MetadataResponse).Topics {
			if t.ErrorCode != 0 || len(t.Partitions) != int(g.n) {
				return false, fmt.Sprintf("broker %d: %d partitions, code %d", id, len(t.Partitions), t.ErrorCode)
			}
		}
	}
	return true, ""
}

// play lets members come and go, with records all the while.
func (g *party) play(seed uint64) {
	defer g.adm.Close()
	if g.t.Failed() {
		return
	}
	rng := rand.New(rand.NewPCG(seed, 12))
	// Up to five, down to one and back, each number from both sides.
	for _, want := range []int{1, 2, 3, 4, 5, 4, 3, 2, 1, 3, 5, 1} {
		for len(g.here) < want {
			g.join()
		}
		for len(g.here) > want {
			g.leave(rng.IntN(len(g.here)))
		}
		g.write(rng, 6)
		if !g.rest(want) {
			break
		}
		g.write(rng, 6)
	}
	g.copied()
	for len(g.here) > 0 {
		g.leave(0)
	}
	_ = g.pub.Close(context.WithoutCancel(g.t.Context()))
	_, _ = g.adm.DeleteTopics(context.WithoutCancel(g.t.Context()), append(slices.Clone(g.inputs), g.prefix+"out")...)
}

func (g *party) join() {
	m := &guest{party: g, id: fmt.Sprint("m", g.next), held: map[int32]bool{}, done: make(chan struct{})}
	g.next++
	ctx, stop := context.WithCancel(g.t.Context())
	m.stop = stop
	g.here = append(g.here, m)
	go m.run(ctx)
}

func (g *party) leave(i int) {
	m := g.here[i]
	g.here = slices.Delete(g.here, i, i+1)
	m.stop()
	<-m.done
}

func (m *guest) run(ctx context.Context) {
	defer close(m.done)
	const most = 50
	for lost := 1; ctx.Err() == nil; lost++ {
		err := m.session(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, stream.ErrLoss), errors.Is(err, stream.ErrRefused), lost > most:
			m.t.Errorf("%d partitions: member %s: %v", m.n, m.id, err)
			return
		default: // lost, as a reconciler loses one that is stopped for a while
			m.t.Logf("%d partitions: member %s opens another session: %v", m.n, m.id, err)
		}
	}
}

func (m *guest) session(ctx context.Context) error {
	s, err := kafka.OpenTxnGroup(ctx, kafka.Config{Brokers: m.p.brokers}, kafka.TxnOptions{
		Group: m.prefix + "g", InstanceID: m.id, TransactionalID: m.prefix + m.id, Inputs: m.inputs, Outputs: []string{m.prefix + "out"},
		TxnTimeout: 5 * time.Second, SessionTimeout: 10 * time.Second, HeartbeatInterval: 200 * time.Millisecond, RebalanceTimeout: 10 * time.Second,
		LeaveOnClose: true,
	}, m)
	if err != nil {
		return err
	}
	defer s.Close()
	for ctx.Err() == nil {
		pctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		rs, perr := s.Poll(pctx, 5)
		cancel()
		if perr != nil && !errors.Is(perr, stream.ErrTransient) {
			return perr
		}
		if len(rs) == 0 {
			continue
		}
		if _, err := s.Commit(ctx, m.copies(rs)); err != nil {
			if re, ok := err.(interface{ RecordIndex() int }); ok && re.RecordIndex() >= 0 {
				continue // aborted: the batch comes again
			}
			return err
		}
	}
	return nil
}

// copies checks that a batch is of what is held.
func (m *guest) copies(rs []stream.Record) []stream.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []stream.Record
	for _, r := range rs {
		if !m.held[r.Partition] {
			m.t.Errorf("%d partitions: member %s polled %s, which it does not hold", m.n, m.id, r.At())
		}
		out = append(out, stream.Record{Topic: m.prefix + "out", Partition: r.Partition, Key: r.Key, Value: r.Value})
	}
	return out
}

// Restore implements stream.Table.
func (m *guest) Restore(_ context.Context, n int32, _ stream.Log, committed map[string]int64) (map[string]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[n] = true
	next := map[string]int64{}
	for topic, o := range committed {
		next[topic] = max(o, 0)
	}
	return next, nil
}

// Revoke implements stream.Table.
func (m *guest) Revoke(ps []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range ps {
		delete(m.held, p)
	}
}

func (m *guest) holds() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []int32
	for p := range m.held {
		out = append(out, p)
	}
	return out
}

// await is eventually for goroutines that are not the test's: it fails the test
// and goes on.
func (g *party) await(what string, cond func() (ok bool, said string)) bool {
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, said := cond()
		if ok {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline:
			g.t.Errorf("%d partitions: not within %v: %s\n%s", g.n, patience, what, said)
			return false
		case <-g.t.Context().Done():
			return false
		}
	}
}

// rest waits until every partition is held once. A member that holds more than
// its share, or none where there is one for each, means that it is not over.
func (g *party) rest(want int) bool {
	return g.await(fmt.Sprintf("rest on %d members", want), func() (bool, string) {
		held := map[int32]int{}
		var shares []int
		for _, m := range g.here {
			ps := m.holds()
			shares = append(shares, len(ps))
			for _, p := range ps {
				held[p]++
			}
		}
		for p := range g.n {
			if held[p] != 1 {
				return false, fmt.Sprintf("partition %d is held %d times; shares %v", p, held[p], shares)
			}
		}
		return slices.Max(shares)-slices.Min(shares) <= 1, fmt.Sprintf("shares %v", shares)
	})
}

// write puts records into partitions of the inputs.
func (g *party) write(rng *rand.Rand, n int) {
	for range n {
		v := fmt.Sprint(len(g.sent))
		g.sent[v] = true
		ctx, cancel := context.WithTimeout(g.t.Context(), patience)
		_, err := g.pub.Publish(ctx, stream.Record{Topic: g.inputs[rng.IntN(len(g.inputs))], Partition: rng.Int32N(g.n), Key: []byte(v), Value: []byte(v)})
		cancel()
		if err != nil {
			g.t.Errorf("%d partitions: %v", g.n, err)
		}
	}
}

// copied waits until every record was copied, and finds none twice.
func (g *party) copied() {
	log, err := kafka.OpenLog(kafka.Config{Brokers: g.p.brokers})
	if err != nil {
		g.t.Error(err)
		return
	}
	defer log.Close()
	got := map[string]int{}
	g.await("every record is copied", func() (bool, string) {
		clear(got)
		for p := range g.n {
			ends, err := log.Ends(g.t.Context(), p, g.prefix+"out")
			if err == nil {
				r := ends[g.prefix+"out"]
				err = log.Read(g.t.Context(), g.prefix+"out", p, r.Start, r.End, true, func(rec stream.Record) error { got[string(rec.Value)]++; return nil })
			}
			if err != nil {
				return false, err.Error()
			}
		}
		return len(got) == len(g.sent), fmt.Sprintf("%d of %d", len(got), len(g.sent))
	})
	for v, n := range got {
		if n != 1 {
			g.t.Errorf("%d partitions: record %s was copied %d times", g.n, v, n)
		}
	}
}
