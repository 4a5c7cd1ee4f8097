package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// TestEpochs makes so many transactions that the producer's epoch, which brokers
// raise with each of them, runs out (at 32,767) and another producer id takes
// over: each record must come out once and in order. It takes minutes, so it runs
// where it is asked for:
//
//	EPOCHS=70000 go test -run TestEpochs -timeout 20m -v ./integration
func TestEpochs(t *testing.T) {
	want, _ := strconv.Atoi(os.Getenv("EPOCHS"))
	if want == 0 || *realBrokers == "" {
		t.Skip("EPOCHS=70000 and KAFKA_BROKERS ask for it")
	}
	brokers := strings.Split(*realBrokers, ",")
	cfg := kafka.Config{Brokers: brokers}
	in, out := fmt.Sprintf("epochs-%08x.in", rand.Uint32()), fmt.Sprintf("epochs-%08x.out", rand.Uint32())
	var specs []kafka.TopicSpec
	for _, name := range []string{in, out} {
		specs = append(specs, kafka.TopicSpec{Name: name, Partitions: 1, Replication: 1})
	}
	changes, err := kafka.PlanTopics(t.Context(), cfg, specs)
	must(t, err)
	must(t, kafka.ApplyTopics(t.Context(), cfg, changes))
	fillNumbers(t, cfg, in, want)

	s, err := kafka.OpenTxnGroup(t.Context(), cfg, kafka.TxnOptions{Group: in, TransactionalID: in, Inputs: []string{in}, Outputs: []string{out}}, fromCommitted{})
	must(t, err)
	began, done := time.Now(), 0
	for done < want {
		rs, err := s.Poll(t.Context(), 1)
		must(t, err)
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
		if done%5000 == 0 {
			t.Logf("%d transactions after %v", done, time.Since(began).Round(time.Second))
		}
	}
	took := time.Since(began)
	s.Close()
	ids, epochs := readNumbers(t, brokers, out, want)
	t.Logf("%d transactions in %v, %d producer ids, highest epoch %d", want, took.Round(time.Second), ids, epochs)
	if least := 1 + want/32768; ids < least {
		t.Errorf("%d producer ids, want at least %d: the epochs did not run out", ids, least)
	}
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	producers := map[int64]bool{}
	for next := 0; next < n; {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records within a minute", next, n)
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
