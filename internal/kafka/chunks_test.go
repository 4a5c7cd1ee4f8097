package kafka_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// A topic that takes less than a batch of the client's refuses records that are
// not too large for their company. None of them may be set aside for it; the one
// that is too large by itself must be named.
func TestCommit_topicTakesLessThanABatch(t *testing.T) {
	noise := rand.NewChaCha8([32]byte{})
	record := func(n int) stream.Record {
		v := make([]byte, n)
		_, _ = noise.Read(v) // never fails, and nothing compresses it
		return stream.Record{Topic: "out", Partition: 0, Value: v}
	}
	limits := map[string]string{"max.message.bytes": "40000"}
	for name, open := range map[string]func(*testing.T, kafka.Config) committer{
		"txn":   func(t *testing.T, cfg kafka.Config) committer { return openTxn(t, cfg, txnOptions("0"), newTable(t)) },
		"plain": func(t *testing.T, cfg kafka.Config) committer { return openPlain(t, cfg) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg, kc := start(t, 1, "a", "b", "state", "position")
			if err := kc.CreateTopic("out", 1, limits); err != nil {
				t.Fatal(err)
			}
			put(t, cfg, "a", 0, "1")
			g := open(t, cfg)
			var out []stream.Record
			for range 30 {
				out = append(out, record(10_000))
			}
			commit := func() error {
				for {
					pollN(t, g.Poll, 1)
					if ok, err := g.Commit(patient(t), out); ok || err != nil {
						return err
					}
				}
			}
			if err := commit(); err != nil {
				t.Errorf("Commit of 30 records that fit = %v", err)
			}
			out = append(out[:20:20], record(50_000))
			put(t, cfg, "a", 0, "2")
			var re *kafka.RecordError
			if err := commit(); !errors.Is(err, stream.ErrTooLarge) || !errors.As(err, &re) || re.Index != 20 {
				t.Errorf("Commit with one that does not = %v, want it named", err)
			}
		})
	}
}

// The same of single records that many publish at once.
func TestProducer_Publish_topicTakesLessThanABatch(t *testing.T) {
	cfg, kc := start(t, 1)
	if err := kc.CreateTopic("out", 1, map[string]string{"max.message.bytes": "40000"}); err != nil {
		t.Fatal(err)
	}
	p := openProducer(t, cfg, kafka.ProducerOptions{Topics: []string{"out"}, Linger: 20 * time.Millisecond})
	record := func(n int) stream.Record {
		v := make([]byte, n)
		_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(v) // never fails
		return stream.Record{Topic: "out", Partition: 0, Value: v}
	}
	const fit = 20
	var all sync.WaitGroup
	for range fit {
		all.Go(func() {
			if _, err := p.Publish(patient(t), record(10_000)); err != nil {
				t.Errorf("Publish of a record that fits = %v", err)
			}
		})
	}
	all.Go(func() {
		if _, err := p.Publish(patient(t), record(50_000)); !errors.Is(err, stream.ErrTooLarge) {
			t.Errorf("Publish of one that does not = %v, want ErrTooLarge", err)
		}
	})
	all.Wait()
	if n := len(values(t, cfg, "out", 0, true)); n != fit {
		t.Errorf("%d records are there, want %d", n, fit)
	}
}

type committer interface {
	Poll(ctx context.Context, n int) ([]stream.Record, error)
	Commit(ctx context.Context, out []stream.Record) (bool, error)
}
