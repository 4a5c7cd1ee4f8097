package poller_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// laggingRegistry does not have the schema yet.
type laggingRegistry struct {
	poller.Codec
	until   time.Time
	refuses bool
	asked   *atomic.Int32
}

func (l laggingRegistry) late() error {
	if time.Now().Before(l.until) {
		l.asked.Add(1)
		if l.refuses {
			return fmt.Errorf("schema id 99: registry answered 401: %w: %w", stream.ErrRefused, codec.ErrSchemaUnavailable)
		}
		return fmt.Errorf("schema id 99: %w", codec.ErrUnknownSchema)
	}
	return nil
}

func (l laggingRegistry) DecodeCheckTask(ctx context.Context, v []byte) (events.CheckTask, error) {
	if err := l.late(); err != nil {
		return events.CheckTask{}, err
	}
	return l.Codec.DecodeCheckTask(ctx, v)
}

func (l laggingRegistry) DecodeLaneState(ctx context.Context, v []byte) (events.LaneState, error) {
	if err := l.late(); err != nil {
		return events.LaneState{}, err
	}
	return l.Codec.DecodeLaneState(ctx, v)
}

func lagging(t *testing.T, k *memKafka, api providers.Checker, lag time.Duration, refuses bool) *rig {
	t.Helper()
	rs, c := newRecords(t)
	rs.Codec = laggingRegistry{Codec: c, until: time.Now().Add(lag), refuses: refuses, asked: &atomic.Int32{}}
	r := &rig{k: k, c: c, done: make(chan error, 1)}
	r.p = poller.New(poller.Config{Settings: poller.Settings{Partitions: partitions}, Records: rs,
		Accounts: []poller.Account{account(func(a *poller.Account) { a.Capabilities.Orders = api })}, Publisher: k, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2))})
	r.m = k.join(r.p)
	return r
}

// docs/faults.md K27: an id that the registry answers not to have waits half a
// minute. The reconciler's next version writes the schedule, and the registry
// that we ask lags five seconds behind.
func TestPoller_schemaThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &provider{}
		r := lagging(t, newMemKafka(), api, 5*time.Second, false)
		r.m.assign(t, 0, 1, 2, 3)
		r.run(t)
		put(t, r.k, taskRecord(t, r.c, due(key("o"))))
		time.Sleep(time.Minute)
		if calls, _ := api.seen(); calls == 0 {
			t.Errorf("the order was never asked about; dead letters: %d", len(r.k.records(topics.DeadLetter)))
		}
		r.cancel()
		<-r.done
	})
}

// The same while a partition is restored.
func TestPoller_schemaThatComesLateAtARestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &provider{}
		k := newMemKafka()
		r := lagging(t, k, api, 5*time.Second, false)
		put(t, k, taskRecord(t, r.c, due(key("o"))))
		for n := range int32(partitions) {
			var err error
			for range 20 { // the session restores again after an error of class ErrTransient
				var next map[string]int64
				if next, err = r.p.Restore(t.Context(), n, k, nil); err == nil {
					r.m.next[n] = next[topics.CheckSchedule]
					break
				}
				if !errors.Is(err, stream.ErrTransient) {
					t.Fatalf("Restore = %v; want success or ErrTransient", err)
				}
				time.Sleep(time.Second)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		r.run(t)
		time.Sleep(time.Minute)
		if calls, _ := api.seen(); calls == 0 {
			t.Error("the order was never asked about")
		}
		r.cancel()
		<-r.done
	})
}

// The schema of a lane's state comes late: nothing is lost.
func TestPoller_laneSchemaThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newMemKafka()
		r := lagging(t, k, &provider{}, 5*time.Second, false)
		rs, _ := newRecords(t)
		put(t, k, laneRecord(t, rs, events.LaneState{Lane: lane, NonceReserved: 5, UpdatedAt: events.At(time.Now())}))
		for n := range int32(partitions) {
			if _, err := r.p.Restore(t.Context(), n, k, nil); errors.Is(err, stream.ErrLoss) {
				t.Errorf("Restore = %v; want no loss: the registry may lag", err)
			}
		}
	})
}

// docs/faults.md K27: a registry that refuses us is exit 4.
func TestPoller_registryThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := lagging(t, newMemKafka(), &provider{}, 24*time.Hour, true)
		r.m.assign(t, 0, 1, 2, 3)
		r.run(t)
		put(t, r.k, taskRecord(t, r.c, due(key("o"))))
		select {
		case err := <-r.done:
			if !errors.Is(err, stream.ErrRefused) {
				t.Errorf("Run = %v; want ErrRefused", err)
			}
		case <-time.After(time.Hour):
			t.Error("an hour later the poller still asks a registry that refuses it, and reads no schedule")
		}
		r.cancel()
	})
}

// A schema that was waited for in vain is not waited for again at each restore.
func TestPoller_schemaThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newMemKafka()
		r := lagging(t, k, &provider{}, 24*time.Hour, false)
		put(t, k, taskRecord(t, r.c, due(key("o"))))
		for i, most := range []time.Duration{31 * time.Second, 0} {
			began := time.Now()
			for n := range int32(partitions) {
				if _, err := r.p.Restore(t.Context(), n, k, nil); err != nil {
					t.Fatal(err)
				}
			}
			if d := time.Since(began); d > most {
				t.Errorf("restore %d took %s; want at most %s", i, d, most)
			}
		}
	})
}

// Who was waited for in vain is remembered, and not whoever came after: the next
// restore waits for that one.
func TestPoller_anotherSchemaThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newMemKafka()
		r := lagging(t, k, &provider{}, 24*time.Hour, false)
		first, second := taskRecord(t, r.c, due(key("o"))), taskRecord(t, r.c, due(key("p")))
		first.Value[4], second.Value[4] = 201, 202
		put(t, k, first, second)
		restore := func() (took time.Duration) {
			began := time.Now()
			for n := range int32(partitions) {
				if _, err := r.p.Restore(t.Context(), n, k, nil); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(began)
		}
		for i, want := range []time.Duration{30 * time.Second, 30 * time.Second, 0} {
			if took := restore(); took < want || took > want+2*time.Second {
				t.Errorf("restore %d took %s; want %s", i, took, want)
			}
		}
	})
}
