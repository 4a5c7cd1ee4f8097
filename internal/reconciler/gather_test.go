package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

// feed is a session to which records come at their times.
type feed struct {
	script
	w       *world
	arrive  []time.Duration // since began, of records not yet polled
	began   time.Time
	batches []int           // records between two commits
	at      []time.Duration // of the commits, since began
	polled  int
	value   int // bytes that a record is filled up to

	believing bool // no transactions
}

func (f *feed) Poll(ctx context.Context, most int) (out []stream.Record, err error) {
	for len(f.arrive) > 0 {
		if wait := time.Until(f.began.Add(f.arrive[0])); wait > 0 && len(out) == 0 {
			select {
			case <-ctx.Done():
				return nil, nil
			case <-time.After(wait):
			}
		} else if wait > 0 || len(out) == most {
			break
		}
		r := f.w.hook(fmt.Sprintf("o%d", len(f.arrive)), "wait", minute(1), events.TrustSigned)
		r.Partition, r.Value = stream.PartitionOf(r.Key, partitions), append(r.Value, make([]byte, f.value)...)
		out, f.arrive = append(out, r), f.arrive[1:]
		f.polled++
	}
	if len(out) == 0 {
		<-ctx.Done()
	}
	return out, nil
}

func (f *feed) Commit(context.Context, []stream.Record) (bool, error) {
	f.batches, f.at, f.polled = append(f.batches, f.polled), append(f.at, time.Since(f.began)), 0
	return true, nil
}

// run steps until everything was committed.
func (f *feed) run(t *testing.T, l *reconciler.Loop) {
	t.Helper()
	f.w = newWorld(t)
	f.w.now = minute(9)
	if f.believing {
		f.w.believing()
	}
	f.began = time.Now()
	l.Engine, l.Log, l.Now, l.Interval = f.w.eng, quiet, time.Now, 200*time.Millisecond
	for len(f.arrive) > 0 || f.polled > 0 {
		if err := l.Step(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
}

func every(n int, d time.Duration) (out []time.Duration) {
	for i := range n {
		out = append(out, time.Duration(i)*d)
	}
	return out
}

// After a quiet time a record is committed at once.
func TestLoop_gather_atOnceAfterAQuietTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{arrive: every(3, time.Second)}
		f.run(t, &reconciler.Loop{})
		for i, at := range f.at {
			if at != time.Duration(i)*time.Second {
				t.Errorf("commit %d came after %v", i, at)
			}
		}
	})
}

// A steady stream makes no more commits than Interval allows once what was saved
// up is spent, and waits no longer than that.
func TestLoop_gather_spacesCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{arrive: every(6000, time.Millisecond)}
		f.run(t, &reconciler.Loop{})
		// 25 that were saved up, and five a second.
		if n := len(f.at); n < 50 || n > 58 {
			t.Errorf("%d commits in six seconds of records, batches %v", n, f.batches)
		}
		for i := 1; i < len(f.at); i++ {
			switch d := f.at[i] - f.at[i-1]; {
			case d > 201*time.Millisecond, i > 30 && i < len(f.at)-1 && d < 199*time.Millisecond:
				t.Errorf("%v between commits %d and %d", d, i-1, i)
			}
		}
	})
}

// What is behind fills batches, in records and in bytes.
func TestLoop_gather_fillsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{arrive: make([]time.Duration, 1000)}
		f.run(t, &reconciler.Loop{MaxBatch: 300})
		if got := fmt.Sprint(f.batches); got != "[300 300 300 100]" {
			t.Errorf("batches %s", got)
		}
		f = &feed{arrive: every(100, time.Microsecond), value: 1000}
		f.run(t, &reconciler.Loop{MaxBytes: 20_000})
		for _, n := range f.batches {
			if n > 20 {
				t.Errorf("a batch of %d records of more than 1,000 bytes each", n)
			}
		}
	})
}

// Without transactions a batch is never larger than what a start takes for half
// written.
func TestLoop_gather_boundsBatchesWithoutTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{arrive: make([]time.Duration, 6000), believing: true}
		f.run(t, &reconciler.Loop{MaxBatch: 50_000})
		if got := fmt.Sprint(f.batches); got != "[5000 1000]" {
			t.Errorf("batches %s", got)
		}
	})
}

// What comes after a long way behind waits for Interval and no longer, however
// many full batches were made in no time.
func TestLoop_gather_fullBatchesAreNotPaidForLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{arrive: append(make([]time.Duration, 10_000), 50*time.Millisecond)}
		f.run(t, &reconciler.Loop{MaxBatch: 100})
		if n, last := len(f.at), f.at[len(f.at)-1]; n != 101 || last > 250*time.Millisecond {
			t.Errorf("%d commits, the last after %v; want 101, and a lone record within 200 ms", n, last)
		}
	})
}

// An error of any poll ends the gathering, and the records count.
func TestLoop_gather_recordsBesideALaterErrorCount(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o2", "wait", minute(1), events.TrustSigned))
	rs := w.log.All(topics.Webhook)
	boom := errors.New("broker gone")
	s := &script{polls: []polled{{rs[:1], nil}, {rs[1:], boom}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet, Interval: time.Second, Now: time.Now}
	if err := l.Step(t.Context(), s); !errors.Is(err, boom) {
		t.Errorf("Step = %v, want the poll's error", err)
	}
	if len(s.wrote) != 1 || w.eng.States() != 2 {
		t.Errorf("%d commits, %d states; want one of both records", len(s.wrote), w.eng.States())
	}
}
