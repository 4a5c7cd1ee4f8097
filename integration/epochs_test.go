package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// epochs lets the producer's epoch, which brokers raise with each transaction,
// run out (at 32,767) under a session: another producer id takes over, and each
// record comes out once and in order. Nearly all of the epochs are used up by
// asking for the producer id again and again, which costs a broker less than a
// transaction; the last ones by transactions, and as many are made after them.
// On real Kafka it runs where it is asked for:
//
//	EPOCHS=yes go test -run TestReal/together/epochs -v ./integration
func epochs(t *testing.T, p platform) {
	if p.real() && os.Getenv("EPOCHS") == "" {
		t.Skip("a cluster works half a minute for it: EPOCHS=yes")
	}
	const want = 400
	brokers := p.brokers
	cfg, in, out := epochTopics(t, p)
	fillNumbers(t, cfg, in, want)
	useUp(t, brokers, in, math.MaxInt16-want/2)

	s, err := kafka.OpenTxnGroup(t.Context(), cfg, kafka.TxnOptions{Group: in, TransactionalID: in, Inputs: []string{in}, Outputs: []string{out}}, fromCommitted{})
	must(t, err)
	began, done := time.Now(), 0
	for done < want {
		rs := pollOne(t.Context(), t, s)
		if len(rs) == 0 {
			continue
		}
		ok, err := s.Commit(t.Context(), []stream.Record{{Topic: out, Value: rs[0].Value}})
		if err != nil {
			t.Fatalf("transaction %d: %v", done, err)
		}
		if ok {
			done += len(rs)
		}
	}
	took := time.Since(began)
	s.Close()
	ids, highest := readNumbers(t, brokers, out, want)
	t.Logf("%d transactions in %v, %d producer ids, highest epoch %d", want, took.Round(time.Second), ids, highest)
	if ids < 2 || highest < math.MaxInt16-2 {
		t.Errorf("%d producer ids, highest epoch %d: the epochs did not run out", ids, highest)
	}
}

// epochTopics are two topics of one partition each.
func epochTopics(t *testing.T, p platform) (cfg kafka.Config, in, out string) {
	t.Helper()
	cfg = kafka.Config{Brokers: p.brokers}
	in, out = fmt.Sprintf("epochs-%08x.in", rand.Uint32()), fmt.Sprintf("epochs-%08x.out", rand.Uint32())
	var specs []kafka.TopicSpec
	for _, name := range []string{in, out} {
		specs = append(specs, kafka.TopicSpec{Name: name, Partitions: 1, Replication: p.replicas})
	}
	changes, err := kafka.PlanTopics(t.Context(), cfg, specs)
	must(t, err)
	must(t, kafka.ApplyTopics(t.Context(), cfg, changes))
	return cfg, in, out
}

// epochsKilled: near the end of the epochs a producer dies with an open
// transaction, again and again until they have run out, and a session of the same
// id takes over each time. What the dead ones wrote is seen by nobody, and each
// session writes its record. Four ids begin at neighbouring epochs, so that the
// end comes at every step of it.
func epochsKilled(t *testing.T, p platform) {
	if os.Getenv("EPOCHS") == "" {
		t.Skip("four times what the epochs cost: EPOCHS=yes")
	}
	const rounds = 6
	var all sync.WaitGroup
	for near := range int16(4) {
		all.Go(func() {
			cfg, in, out := epochTopics(t, p)
			fillNumbers(t, cfg, in, rounds)
			useUp(t, p.brokers, in, math.MaxInt16-6-near)
			for n := range rounds {
				abandon(t, p.brokers, in, out)
				takeOver(t, cfg, in, out, n)
			}
			ids, highest := readNumbers(t, p.brokers, out, rounds)
			t.Logf("from %d: %d producer ids, highest epoch %d", math.MaxInt16-6-near, ids, highest)
			if ids < 2 {
				t.Errorf("%d producer ids: the epochs did not run out", ids)
			}
		})
	}
	all.Wait()
}

// abandon leaves a record in a transaction that nobody ends.
func abandon(t *testing.T, brokers []string, id, topic string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID(id), kgo.TransactionTimeout(5*time.Minute))
	must(t, err)
	defer cl.Close()
	must(t, cl.BeginTransaction())
	must(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("abandoned")}).FirstErr())
}

// takeOver opens a session of the id and commits one record.
func takeOver(t *testing.T, cfg kafka.Config, in, out string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := kafka.OpenTxnGroup(ctx, cfg, kafka.TxnOptions{Group: in, TransactionalID: in, Inputs: []string{in}, Outputs: []string{out}}, fromCommitted{})
	must(t, err)
	defer s.Close()
	for committed := false; !committed; {
		rs := pollOne(ctx, t, s)
		if ctx.Err() != nil {
			t.Fatalf("round %d: no record was committed within %v", n, patience)
		}
		if len(rs) == 0 {
			continue
		}
		committed, err = s.Commit(ctx, []stream.Record{{Topic: out, Value: rs[0].Value}})
		if err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
	}
}

// pollOne polls one record, or none.
func pollOne(ctx context.Context, t *testing.T, s *kafka.TxnGroup) []stream.Record {
	t.Helper()
	rs, err := s.Poll(ctx, 1)
	if !errors.Is(err, stream.ErrTransient) { // which the session outlives
		must(t, err)
	}
	return rs
}

// useUp raises the epoch of a transactional id to the given one.
func useUp(t *testing.T, brokers []string, id string, to int16) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	must(t, err)
	defer cl.Close()
	began, asked := time.Now(), 0
	for epoch := int16(-1); epoch < to; asked++ {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis = &id, 30_000
		resp, err := req.RequestWith(t.Context(), cl)
		must(t, err)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			t.Fatalf("epoch after %d: %v", epoch, err)
		}
		epoch = resp.ProducerEpoch
	}
	t.Logf("epoch %d after %d questions in %v", to, asked, time.Since(began).Round(time.Second))
}

// fromCommitted is a table without memory: it goes on where the group stands.
type fromCommitted struct{}

func (fromCommitted) Restore(_ context.Context, _ int32, _ stream.Log, committed map[string]int64) (map[string]int64, error) {
	next := map[string]int64{}
	for topic, o := range committed {
		next[topic] = max(o, 0)
	}
	return next, nil
}
func (fromCommitted) Revoke([]int32) {}

func fillNumbers(t *testing.T, cfg kafka.Config, topic string, n int) {
	t.Helper()
	p, err := kafka.OpenProducer(t.Context(), cfg, kafka.ProducerOptions{Topics: []string{topic}, Linger: 5 * time.Millisecond})
	must(t, err)
	const chunk = 1000
	for i := 0; i < n; i += chunk {
		var rs []stream.Record
		for j := i; j < min(i+chunk, n); j++ {
			rs = append(rs, stream.Record{Topic: topic, Value: strconv.AppendInt(nil, int64(j), 10)})
		}
		_, err := p.Publish(t.Context(), rs...)
		must(t, err)
	}
	must(t, p.Close(t.Context()))
}

// readNumbers wants 0 to n-1 once each and in order, and counts who wrote them.
func readNumbers(t *testing.T, brokers []string, topic string, n int) (ids int, epoch int16) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	must(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	producers := map[int64]bool{}
	for next := 0; next < n; {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records within %v", next, n, patience)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != strconv.Itoa(next) {
				t.Fatalf("record %s where %d belongs", r.Value, next)
			}
			next++
			producers[r.ProducerID], epoch = true, max(epoch, r.ProducerEpoch)
		})
	}
	return len(producers), epoch
}
