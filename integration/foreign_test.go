package integration_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/run"
)

// foreignMembers: clients that balance by other rules join the reconciler's
// group. While it runs, one with another balancer is turned away by the broker;
// where such a one is there first, the reconciler ends with code 4 and names the
// group. A member of the newer group protocol makes the broker assign: by range
// the reconciler works on with its part, by the broker's own default it ends
// with code 4 and names what was torn apart. Nothing is joined or told twice.
func foreignMembers(t *testing.T, p platform) {
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 8, 1, 500*time.Millisecond))
	w.agree()

	c := w.joins(kgo.Balancers(kgo.CooperativeStickyBalancer()))
	c.refused(kerr.InconsistentGroupProtocol)
	c.Close()
	must(t, w.place(t.Context(), 4, 0, 300*time.Millisecond))
	w.agree()

	if p.real() {
		c = w.joins(kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
		c.owns(partitions / 2)
		placed := w.placed(16)
		eventually(t, patience, "the foreign member reads its part", func() (bool, string) { return c.polled.Load() > 0, "" })
		c.Close()
		must(t, <-placed)
		w.agree()
		select {
		case <-reconciler.Done():
			t.Fatalf("the reconciler ended with %d beside a range of the newer protocol\n%s", reconciler.Code(), tail(reconciler.log.String()))
		default:
		}

		c = w.joins(kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
		w.refused(reconciler, "not co-partitioned")
		c.Close()
	} else {
		reconciler.stop()
	}
	w.removeFrom(w.cfg.Reconciler.Group, "a")

	c = w.joins(kgo.Balancers(kgo.CooperativeStickyBalancer()))
	c.owns(3 * partitions)
	reconciler = w.start("reconciler", "a")
	w.refused(reconciler, "group "+w.cfg.Reconciler.Group)
	if said := reconciler.log.String(); !strings.Contains(said, "balances by other rules") {
		t.Errorf("no word of another client in the group\n%s", tail(said))
	}
	c.Close()

	reconciler = w.start("reconciler", "a")
	reconciler.ready()
	must(t, w.place(t.Context(), 4, 0, 300*time.Millisecond))
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, reconciler)
}

// stranger is a client in the reconciler's group that is none of ours. It
// commits nothing.
type stranger struct {
	*kgo.Client
	w    *world
	errs chan error
	held chan int // how many partitions of all topics it has, with each change
	stop context.CancelFunc
	done chan struct{}

	polled atomic.Int64 // records
}

func (w *world) joins(opts ...kgo.Opt) *stranger {
	w.t.Helper()
	s := &stranger{w: w, errs: make(chan error, 100), held: make(chan int, 100), done: make(chan struct{})}
	n := 0
	count := func(sign int) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			for _, ps := range m {
				n += sign * len(ps)
			}
			s.held <- n
		}
	}
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(w.p.brokers...), kgo.ConsumerGroup(w.cfg.Reconciler.Group), kgo.ConsumeTopics(w.topics().Inputs()...),
		kgo.DisableAutoCommit(), kgo.SessionTimeout(10*time.Second), kgo.OnPartitionsAssigned(count(1)), kgo.OnPartitionsRevoked(count(-1)), kgo.OnPartitionsLost(count(-1)))...)
	must(w.t, err)
	s.Client = cl
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	go func() {
		defer close(s.done)
		for ctx.Err() == nil {
			fs := cl.PollFetches(ctx)
			s.polled.Add(int64(fs.NumRecords()))
			for _, e := range fs.Errors() {
				select {
				case s.errs <- e.Err:
				default:
				}
			}
		}
	}()
	w.t.Cleanup(s.Close)
	return s
}

// Close leaves the group. It may be called twice.
func (s *stranger) Close() {
	s.stop()
	<-s.done
	s.Client.Close()
}

// refused waits until it meets an error.
func (s *stranger) refused(want error) {
	s.w.t.Helper()
	deadline := time.After(patience)
	var last error
	for {
		select {
		case last = <-s.errs:
			if errors.Is(last, want) {
				return
			}
		case got := <-s.held:
			if got > 0 {
				s.w.t.Fatalf("the foreign member was given %d partitions, want %v", got, want)
			}
		case <-deadline:
			s.w.t.Fatalf("the foreign member met %v, want %v", last, want)
		}
	}
}

// owns waits until it has so many partitions at least.
func (s *stranger) owns(n int) {
	s.w.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got := <-s.held:
			if got >= n {
				return
			}
		case err := <-s.errs:
			s.w.t.Fatalf("the foreign member: %v", err)
		case <-deadline:
			s.w.t.Fatalf("the foreign member has not got %d partitions", n)
		}
	}
}

// placed places orders beside the test.
func (w *world) placed(n int) chan error {
	done := make(chan error, 1)
	go func() { done <- w.place(w.t.Context(), n, 0, time.Second) }()
	return done
}

// refused wants a reconciler to end because the platform is not as it must be.
func (w *world) refused(p *process, word string) {
	w.t.Helper()
	code := p.wait()
	said := p.log.String()
	last := said[strings.LastIndex(strings.TrimSpace(said), "\n")+1:]
	w.t.Logf("%s", last)
	if code != run.Refused || !strings.Contains(last, word) {
		w.t.Errorf("exit code %d, want %d with %q\n%s", code, run.Refused, word, tail(said))
	}
}
