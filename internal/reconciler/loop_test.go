package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/sim"
	"rampstream/internal/stream"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// script is a session that answers as it is told.
type script struct {
	polls   []polled
	commits []committed
	wrote   [][]stream.Record
}

type polled struct {
	records []stream.Record
	err     error
}

type committed struct {
	ok  bool
	err error
}

func (s *script) Poll(ctx context.Context, _ int) ([]stream.Record, error) {
	if len(s.polls) == 0 {
		<-ctx.Done()
		return nil, nil
	}
	p := s.polls[0]
	s.polls = s.polls[1:]
	return p.records, p.err
}

func (s *script) Commit(_ context.Context, out []stream.Record) (bool, error) {
	wrote := make([]stream.Record, 0, len(out))
	for _, r := range out {
		wrote = append(wrote, sim.Own(r))
	}
	s.wrote = append(s.wrote, wrote)
	if len(s.commits) == 0 {
		return true, nil
	}
	c := s.commits[0]
	s.commits = s.commits[1:]
	return c.ok, c.err
}

func (*script) Close() {}

type tooLarge struct{ index int }

func (e tooLarge) Error() string    { return "too large" }
func (e tooLarge) Unwrap() error    { return stream.ErrTooLarge }
func (e tooLarge) RecordIndex() int { return e.index }

// late is a session whose error comes just when the wait for records ends.
type late struct {
	script
	err error
}

func (s *late) Poll(ctx context.Context, _ int) ([]stream.Record, error) {
	<-ctx.Done()
	return nil, s.err
}

// An error is not taken for the end of the wait that it came with: a session says
// it once.
func TestLoop_errorAtTheEndOfAWait(t *testing.T) {
	odd := errors.New("a partition is not in the answer")
	for _, tc := range []struct{ err, want error }{
		{nil, nil}, {context.DeadlineExceeded, nil}, {stream.ErrTransient, nil}, {odd, odd}, {stream.ErrLoss, stream.ErrLoss},
	} {
		l := &reconciler.Loop{Engine: newWorld(t).eng, Log: quiet, Idle: time.Millisecond}
		if err := l.Step(t.Context(), &late{err: tc.err}); !errors.Is(err, tc.want) {
			t.Errorf("Step beside %v = %v, want %v", tc.err, err, tc.want)
		}
	}
}

// A poll that carries an error and records: the records are committed before
// the error ends the session.
func TestLoop_recordsBesideAnErrorCount(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	boom := errors.New("broker gone")
	s := &script{polls: []polled{{w.poll(rand.New(rand.NewPCG(1, 1)), 9), boom}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	if err := l.Step(context.Background(), s); !errors.Is(err, boom) {
		t.Errorf("Step = %v, want the poll's error", err)
	}
	if len(s.wrote) != 1 || len(s.wrote[0]) == 0 {
		t.Fatalf("%d commits; the records beside the error were skipped", len(s.wrote))
	}
}

// A silent abort drops the overlay: the next batch announces the transition again.
func TestLoop_silentAbortRollsBack(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	recs := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
	s := &script{polls: []polled{{recs, nil}, {recs, nil}}, commits: []committed{{false, nil}, {true, nil}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	for range 2 {
		if err := l.Step(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	count := func(rs []stream.Record) (n int) {
		for _, r := range rs {
			if r.Topic == topics.Transition {
				n++
			}
		}
		return n
	}
	if a, b := count(s.wrote[0]), count(s.wrote[1]); a != 1 || b != 1 {
		t.Errorf("%d transitions in the aborted batch, %d in the retried one; want 1 and 1", a, b)
	}
}

// An output that Kafka refuses for its size sets its input aside; the next try
// commits.
func TestLoop_refusedOutputBecomesADeadLetter(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	recs := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
	s := &script{polls: []polled{{recs, nil}, {recs, nil}}, commits: []committed{{false, tooLarge{0}}, {true, nil}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	for range 2 {
		if err := l.Step(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	if out := s.wrote[1]; len(out) != 2 || out[0].Topic != topics.DeadLetter || out[1].Topic != topics.ReconcilerPosition {
		t.Errorf("the second try wrote %d records, want a dead letter and a position", len(out))
	}
}

func TestLoop_unknownOutcomeKillsTheSession(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	s := &script{polls: []polled{{w.poll(rand.New(rand.NewPCG(1, 1)), 9), nil}}, commits: []committed{{false, stream.ErrFenced}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	if err := l.Step(context.Background(), s); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("Step = %v, want ErrFenced", err)
	}
}

// probing is a session whose commit is when probes and scrapes come.
type probing struct {
	script
	loop *reconciler.Loop
}

func (p *probing) Commit(ctx context.Context, out []stream.Record) (bool, error) {
	p.loop.Snapshot()
	p.loop.Ready()
	return p.script.Commit(ctx, out)
}

// A commit may take as long as Kafka likes; what probes and scrapes ask must
// not wait for it.
func TestLoop_probesDoNotWaitForACommit(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	s := &probing{script{polls: []polled{{w.poll(rand.New(rand.NewPCG(1, 1)), 9), nil}}}, l}
	done := make(chan error, 1)
	go func() { done <- l.Step(t.Context(), s) }()
	select {
	case err := <-done:
		if states, _ := l.Snapshot(); err != nil || states != 1 {
			t.Errorf("Step = %v with %d states; want one", err, states)
		}
	case <-time.After(time.Minute):
		t.Fatal("a probe waits for the commit")
	}
}

// appending is a session that polls nothing and writes to the world's log.
type appending struct{ w *world }

func (appending) Poll(context.Context, int) ([]stream.Record, error) { return nil, nil }
func (s appending) Commit(_ context.Context, out []stream.Record) (bool, error) {
	s.w.append(out...)
	return true, nil
}
func (appending) Close() {}

// The loop looks at the inputs now and then, and only where a stub waits.
func TestLoop_looksAtTheInputs(t *testing.T) {
	w := newWorld(t)
	w.now = minute(60)
	w.append(w.hook("o1", "done", minute(2), events.TrustSigned), w.forget("o1", minute(30)))
	w.drain()
	w.newEngine(0)
	now := time.UnixMilli(0)
	l := &reconciler.Loop{Engine: w.eng, Log: quiet, Now: func() time.Time { return now }, LookEvery: time.Minute}
	for n := range int32(partitions) {
		if _, err := l.Restore(context.Background(), n, w.log, nil); err != nil {
			t.Fatal(err)
		}
	}
	steps := func(what string, gone bool) {
		t.Helper()
		for range 3 {
			if err := l.Step(context.Background(), appending{w}); err != nil {
				t.Fatal(err)
			}
		}
		if w.tombstoned("o1") != gone {
			t.Fatalf("%s: tombstone %v, want %v", what, !gone, gone)
		}
	}
	steps("inputs retained", false)
	w.expire(0)
	steps("inputs gone, not looked at again", false)
	now = now.Add(time.Minute)
	steps("looked at again", true)
}

// renewing is a session that has to be renewed when it is polled.
type renewing struct{ appending }

func (renewing) Poll(context.Context, int) ([]stream.Record, error) {
	return nil, fmt.Errorf("poll: %w", stream.ErrRenew)
}

// A session that is renewed is none that was lost: however many there are, the
// process goes on, and what was committed is not read again.
func TestLoop_renewedSessionsKeepMemory(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	w.drain()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := 0
	l := &reconciler.Loop{Engine: w.eng, Log: quiet, Now: func() time.Time { return time.Unix(0, 0) }}
	l.Open = func(ctx context.Context, table stream.Table) (reconciler.Session, error) {
		if opened++; opened == 10 {
			cancel()
		}
		if n := w.eng.States(); n != 1 {
			t.Errorf("%d states in memory when session %d is opened, want 1", n, opened)
		}
		for n := range int32(partitions) {
			if _, err := table.Restore(ctx, n, w.log, nil); err != nil {
				return nil, err
			}
		}
		return renewing{appending{w}}, nil
	}
	reg := prometheus.NewRegistry()
	metrics, err := reconciler.NewMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	metrics.Watch(l)
	if err := l.Run(ctx); err != nil || opened != 10 {
		t.Errorf("Run = %v after %d sessions; want none, after 10", err, opened)
	}
	if n, lost := gathered(t, reg, "ramp_reconciler_sessions_renewed_total"), gathered(t, reg, "ramp_reconciler_sessions_lost_total"); n != 9 || lost != 0 {
		t.Errorf("%v sessions are counted as renewed and %v as lost, want 9 and 0", n, lost)
	}
}

// A commit that the session refuses because it has to be renewed leaves nothing in
// doubt: memory is kept, as it is when a poll says so.
func TestLoop_renewalAtACommitKeepsMemory(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	w.drain()
	w.append(w.hook("o2", "done", minute(2), events.TrustSigned))
	s := &script{polls: []polled{{w.poll(rand.New(rand.NewPCG(1, 1)), 9), nil}}, commits: []committed{{false, fmt.Errorf("commit: %w", stream.ErrRenew)}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	if err := l.Step(t.Context(), s); !errors.Is(err, stream.ErrRenew) {
		t.Fatalf("Step = %v, want ErrRenew", err)
	}
	if n := w.eng.States(); n != 1 {
		t.Errorf("%d states in memory, want the one that was committed", n)
	}
}
