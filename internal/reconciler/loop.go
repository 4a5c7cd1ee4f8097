package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/stream"
)

// A Session is a group membership with transactions, as internal/kafka makes.
type Session interface {
	// Poll waits for at most max records of the inputs. It may return records
	// and an error together: the records count. stream.ErrTransient and the end
	// of ctx leave the session alive. stream.ErrRenew ends it and leaves nothing in
	// doubt.
	Poll(ctx context.Context, max int) ([]stream.Record, error)
	// Commit writes out and the offsets of what Poll returned in one
	// transaction. (false, nil) is an abort: the records will be polled again.
	// An error with a method RecordIndex() int is an abort too, and names the
	// record of out that was not acknowledged. If its method BatchStands() bool says
	// true, a part of the states may be written: the same records are to be committed
	// again before the next Poll. Any other error leaves the outcome
	// unknown, and the session is dead. After (true, nil) the session keeps nothing
	// of out: its memory may be written over. So may that of the records, from the
	// next Poll on.
	Commit(ctx context.Context, out []stream.Record) (committed bool, err error)
	Close()
}

// An EarlySession takes parts of a batch before Commit.
type EarlySession interface {
	Session
	// Send takes the next records of the batch: Commit will be called with those
	// that were sent, as they are, and the others behind them. False: it has taken
	// none of them, and takes no more of this batch. Their memory must stay as it
	// is until Commit or Abort returns.
	Send(out []stream.Record) bool
	// Abort, instead of Commit, drops what was sent: the records of the batch will
	// be polled again. After an error the session is dead.
	Abort(ctx context.Context) error
}

// refusedRecord is how a session names the record that Kafka refused.
type refusedRecord interface {
	error
	RecordIndex() int
}

// standingBatch is how a session says that memory is older than what is written.
type standingBatch interface{ BatchStands() bool }

func stands(err error) bool {
	var b standingBatch
	return errors.As(err, &b) && b.BatchStands()
}

// Loop drives an Engine over sessions. Open makes a session whose table is the
// Loop itself.
type Loop struct {
	Engine   *Engine
	Open     func(ctx context.Context, table stream.Table) (Session, error)
	MaxBatch int           // records a transaction; 0 means 1,000
	MaxBytes int           // of their keys and values, about; 0 means 32 MiB
	Interval time.Duration // between two transactions under load, on average; 0 commits what each poll returns
	// CheckpointEvery is how often what changed is written to the engine's
	// checkpoints; 0 means 5 minutes.
	CheckpointEvery time.Duration
	Idle            time.Duration // how long a poll may wait; 0 means 1 s
	Now             func() time.Time
	Log             *slog.Logger

	// LookEvery is how often the inputs of partitions with forgotten subjects are
	// looked at, to see whether retention has removed all about them; 0 means 1 h.
	LookEvery time.Duration

	// mu keeps Restore and Revoke, which come from the session's goroutines,
	// apart from steps.
	saving  sync.Mutex // of checkpoints
	mu      sync.Mutex
	log     stream.Log   // of the session, for what a restore left open
	settled time.Time    // when the log was last asked
	stood   map[gap]bool // what was behind then; the loop's own
	look    time.Time    // when it may be asked about stubs
	reset   []time.Time
	due     time.Time            // when the next batch may begin without more
	careful bool                 // the last batch was not committed: nothing of the next is sent early
	aside   map[string]time.Time // when a record of a class that was set aside was logged
	// What probes and scrapes ask must not wait for a restore or a commit.
	once             sync.Once
	prog             *progress
	states, outdated atomic.Int64
	live, held       atomic.Int64
	lost, fenced     atomic.Int64 // sessions, ever
	renewed          atomic.Int64
}

// Log events.
const (
	eventRestoring = "restore goes on"
	eventRestored  = "partition restored"
	eventAssigned  = "assignment restored"
	eventReady     = "ready"
	eventIgnored   = "checkpoint ignored"
	eventSaved     = "checkpoint written"
	eventUnsaved   = "checkpoint not written"
	eventRevoked   = "partitions revoked"
	eventPoll      = "poll failed"
	eventAborted   = "transaction aborted"
	eventRefused   = "record refused"
	eventReopen    = "session lost"
	eventRenew     = "session renewed"
	eventWait      = "schema unavailable"
	eventKept      = "memory not given back"
	eventLook      = "inputs not looked at"
	eventStopped   = "session ended amid the stop"
	eventFault     = "fault of this program met"
	eventAside     = "record set aside"
)

// A session that dies more often than this ends the process: a supervisor's
// restart says more than a silent spin.
const (
	maxResets   = 5
	resetWindow = 10 * time.Minute
)

// restoreParallel bounds how many partitions are restored at once: each has
// fetches of some megabytes under way, and two a processor keep it busy.
const restoreParallel = 8

// Assigned implements stream.Assignee.
func (l *Loop) Assigned(partitions []int32) (parallel int) {
	l.progress().assigned(partitions)
	return min(restoreParallel, 2*runtime.GOMAXPROCS(0))
}

// Restore implements stream.Table. Several calls may run at once: what they read
// is theirs alone until it is installed.
func (l *Loop) Restore(ctx context.Context, n int32, log stream.Log, committed map[string]int64) (map[string]int64, error) {
	began := l.now()
	l.mu.Lock()
	r, old := l.Engine.restorer(n, log), l.Engine.parts[n]
	l.mu.Unlock()
	r.progress, r.now = l.progress(), l.now
	p, err := r.load(ctx, old, committed, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.Engine.forget(n)
	})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.Engine.install(p)
	l.log = log
	l.count()
	took := l.now().Sub(began)
	l.Log.Info(eventRestored, "partition", n, "states", p.states.Len(), "source", p.source, "took", took.Round(time.Millisecond))
	l.progress().restored(n, int64(p.states.Len()))
	l.progress().caught(l.Engine.CaughtUp())
	return next, nil
}

// Revoke implements stream.Table.
func (l *Loop) Revoke(partitions []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Engine.Revoke(partitions)
	l.progress().revoked(partitions)
	l.Log.Info(eventRevoked, "partitions", partitions)
}

// Ready reports whether every assigned partition is restored and has caught up
// with where its inputs ended at the restore. A member that stands by without a
// partition is ready.
func (l *Loop) Ready() bool { return l.progress().ready.Load() }

// Progress reports how far the restore of the assignment is.
func (l *Loop) Progress() Progress { return l.progress().Snapshot() }

// progress is made on first use: a Loop is written as a literal.
func (l *Loop) progress() *progress {
	l.once.Do(func() { l.prog = &progress{now: l.now, log: l.Log} })
	return l.prog
}

func (l *Loop) now() time.Time {
	if l.Now == nil {
		return time.Time{}
	}
	return l.Now()
}

// Snapshot reports how many states are held and how many wait for new rules.
func (l *Loop) Snapshot() (states, outdated int) {
	return int(l.states.Load()), int(l.outdated.Load())
}

// Memory reports the bytes of live keys and states, and those of memory that are
// held for them.
func (l *Loop) Memory() (live, held int64) { return l.live.Load(), l.held.Load() }

// count publishes how much is held; l.mu is held.
func (l *Loop) count() {
	l.states.Store(int64(l.Engine.States()))
	l.outdated.Store(int64(l.Engine.Outdated()))
	live, held := l.Engine.Memory()
	l.live.Store(live)
	l.held.Store(held)
}

// Run opens sessions and steps until ctx is done, which is no error, unless a loss
// was found just then. Loss, a refusing platform and too many lost sessions end it.
func (l *Loop) Run(ctx context.Context) error {
	for {
		err := l.session(ctx)
		renew := errors.Is(err, stream.ErrRenew) && !fatal(err)
		l.mu.Lock()
		l.progress().lost()
		l.log = nil
		if !renew { // else memory is what was committed, as over a rebalance
			l.gaveBack(l.Engine.Reset())
		}
		l.mu.Unlock()
		switch {
		case errors.Is(err, stream.ErrLoss): // the next start may not find it again
			return err
		case ctx.Err() != nil:
			if err != nil { // no checkpoint was written then
				l.Log.Info(eventStopped, "error", err)
			}
			return nil
		case errors.Is(err, stream.ErrRefused):
			return err
		case renew: // it came after an end that was answered, so the loop does not spin
			l.renewed.Add(1)
			l.Log.Warn(eventRenew, "error", err)
			continue
		}
		l.lost.Add(1)
		if errors.Is(err, stream.ErrFenced) {
			l.fenced.Add(1)
		}
		now := l.Now()
		l.reset = slices.DeleteFunc(append(l.reset, now), func(t time.Time) bool { return now.Sub(t) > resetWindow })
		if len(l.reset) >= maxResets {
			return fmt.Errorf("%d sessions lost in %v: %w", len(l.reset), resetWindow, err)
		}
		l.Log.Warn(eventReopen, "error", err)
	}
}

func (l *Loop) session(ctx context.Context) error {
	s, err := l.Open(ctx, l)
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	defer s.Close()
	defer l.keepCheckpoints(ctx)()
	for ctx.Err() == nil {
		if err := l.Step(ctx, s); err != nil {
			return err
		}
	}
	l.lastCheckpoints(ctx)
	return nil
}

// Step polls, joins and commits one batch. An error means that the session is
// dead.
func (l *Loop) Step(ctx context.Context, s Session) error {
	idle := l.Idle
	if idle == 0 {
		idle = time.Second
	}
	l.mu.Lock()
	outdated := l.Engine.Outdated()
	l.mu.Unlock()
	if outdated > 0 {
		idle = time.Millisecond
	}
	records, idled, pollErr := l.gather(ctx, s, idle)
	// The records count even beside an error: a loop that skips them loses
	// them at the next commit.
	if err := l.commit(ctx, s, records); err != nil {
		return err
	}
	l.tellFaults()
	if !l.Ready() {
		l.settle(ctx, len(records) == 0)
	}
	l.lookAtInputs(ctx)
	switch {
	case pollErr == nil, fatal(pollErr):
		return pollErr
	case idled && (errors.Is(pollErr, context.DeadlineExceeded) || errors.Is(pollErr, context.Canceled)):
		return nil
	case errors.Is(pollErr, stream.ErrTransient):
		l.Log.Warn(eventPoll, "error", pollErr)
		return nil
	}
	return pollErr // also one that came when the wait ended: it is told once
}

// lookAtInputs sees, now and then, what retention has left of the inputs where
// forgotten subjects wait for it. Its clock says when to look and reaches no
// value.
func (l *Loop) lookAtInputs(ctx context.Context) {
	l.mu.Lock()
	log, waiting, now := l.log, l.Engine.Waiting(), l.now()
	due := log != nil && len(waiting) > 0 && !now.Before(l.look)
	l.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	for _, n := range waiting {
		ends, err := log.Ends(ctx, n, l.Engine.cfg.Topics.Inputs()...)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				l.Log.Warn(eventLook, "partition", n, "error", err)
			}
			break
		}
		l.mu.Lock()
		l.Engine.Look(n, ends)
		l.mu.Unlock()
	}
	every := l.LookEvery
	if every == 0 {
		every = time.Hour
	}
	l.look = now.Add(every)
}

// maxSchemaWait is how long a schema that the registry does not have may still
// appear.
const maxSchemaWait = 30 * time.Second

// waits reports an error that a registry may cure by itself. One that refuses us
// does not.
func waits(err error) bool {
	return !errors.Is(err, stream.ErrRefused) && (errors.Is(err, codec.ErrSchemaUnavailable) || errors.Is(err, codec.ErrUnknownSchema))
}

// fatal reports an error after which the session cannot go on, whatever else
// it wraps.
func fatal(err error) bool {
	return errors.Is(err, stream.ErrLoss) || errors.Is(err, stream.ErrFenced) || errors.Is(err, stream.ErrRefused)
}

// commit joins records and commits what follows, waiting while a schema cannot
// be had.
func (l *Loop) commit(ctx context.Context, s Session, records []stream.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(records) > 0 {
		// Records flow, so every partition that came back is restored; what is
		// still marked as revoked belongs to others now.
		l.gaveBack(l.Engine.Drop())
	}
	for {
		if again, err := l.commitOnce(ctx, s, records); err != nil || !again {
			return err
		}
	}
}

// commitOnce is commit, once: again says that the batch stands and has to be
// committed before another one is polled. l.mu is held.
func (l *Loop) commitOnce(ctx context.Context, s Session, records []stream.Record) (again bool, err error) {
	b, sent, err := l.stepEarly(ctx, s, records)
	if sent != nil && err != nil {
		return false, l.abort(ctx, sent, err)
	}
	if b, err = l.waitForSchema(ctx, records, b, err); err != nil {
		return false, err
	}
	if b.Empty() {
		l.Engine.Rollback()
		return false, nil
	}
	committed, err := s.Commit(ctx, b.Out)
	l.careful = err != nil || !committed
	var refused refusedRecord
	switch {
	case errors.As(err, &refused) && errors.Is(err, stream.ErrTooLarge) && l.Engine.Poison(refused.RecordIndex(), ClassTooLarge):
		l.Log.Error(eventRefused, "error", err)
		l.Engine.Rollback()
		return stands(err), nil
	case errors.As(err, &refused) && errors.Is(err, stream.ErrTransient) && !fatal(err) && !stands(err):
		l.Log.Warn(eventAborted, "records", len(records), "error", err)
		l.Engine.Rollback()
		return false, nil
	case errors.Is(err, stream.ErrRenew) && !fatal(err): // nothing was written
		l.Engine.Rollback()
		return false, fmt.Errorf("commit: %w", err)
	case err != nil:
		// It may have been committed: what is in memory is kept no longer, also not in
		// a checkpoint that is due before the session is closed.
		l.gaveBack(l.Engine.Reset())
		return false, fmt.Errorf("commit: %w", err)
	case !committed:
		l.Log.Warn(eventAborted, "records", len(records))
		l.Engine.Rollback()
		return false, nil
	}
	l.tellAside(b.Out)
	if err := l.Engine.Accept(); err != nil {
		return false, fmt.Errorf("accept: %w", err)
	}
	l.count()
	if !l.Ready() {
		l.progress().caught(l.Engine.CaughtUp())
	}
	return false, nil
}

// waitForSchema steps until err, and what comes after it, is none that a registry
// cures.
func (l *Loop) waitForSchema(ctx context.Context, records []stream.Record, b *Batch, err error) (*Batch, error) {
	for wait, waited := 100*time.Millisecond, time.Duration(0); waits(err); wait = min(2*wait, 5*time.Second) {
		// A registry may lag behind a producer, but not for ever: after that the
		// record is one that nobody can read.
		if waited += wait; waited > maxSchemaWait && l.Engine.SetAsideUnknown(err) {
			b, err = l.Engine.Step(ctx, records, true)
			continue
		}
		l.Log.Warn(eventWait, "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		b, err = l.Engine.Step(ctx, records, true)
	}
	if err != nil {
		return nil, fmt.Errorf("step: %w", err)
	}
	return b, nil
}

// stepEarly joins records, and gives what is complete to a session that takes it:
// sent is that session, if it has taken something.
func (l *Loop) stepEarly(ctx context.Context, s Session, records []stream.Record) (b *Batch, sent EarlySession, err error) {
	early, ok := s.(EarlySession)
	if !ok || l.careful {
		b, err = l.Engine.Step(ctx, records, true)
		return b, nil, err
	}
	b, err = l.Engine.StepEarly(ctx, records, true, func(out []stream.Record) bool {
		if !early.Send(out) {
			return false
		}
		sent = early
		return true
	})
	return b, sent, err
}

// abort drops a batch that was sent in part. What can be cured is left to the
// next step, of the same records: nothing of that is sent before all is joined,
// so it may wait for as long as it likes.
func (l *Loop) abort(ctx context.Context, s EarlySession, why error) error {
	l.careful = true
	if err := s.Abort(ctx); err != nil {
		return fmt.Errorf("abort: %w", errors.Join(err, why))
	}
	if !errors.Is(why, ErrBegun) && !waits(why) {
		return fmt.Errorf("step: %w", why)
	}
	l.Log.Warn(eventAborted, "error", why)
	return nil
}

// tellFaults logs what the batch had to go on without.
func (l *Loop) tellFaults() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fault := range l.Engine.Faults() {
		l.Log.Error(eventFault, "error", fault)
	}
}

// asideEvery is how often a class of records that are set aside is logged: a
// producer of garbage must not fill a disk. The metric counts all.
const asideEvery = time.Minute

// tellAside logs which records a batch set aside, the first of each class in a while:
// where it stands and by which rule, nothing of what it says.
func (l *Loop) tellAside(out []stream.Record) {
	for i := range out {
		if out[i].Topic != l.Engine.cfg.Topics.DeadLetter {
			continue
		}
		letter, err := stream.ParseDeadLetter(out[i])
		if now := l.now(); err == nil && now.Sub(l.aside[letter.Class]) >= asideEvery {
			if l.aside == nil {
				l.aside = map[string]time.Time{}
			}
			l.aside[letter.Class] = now
			l.Log.Warn(eventAside, "class", letter.Class, "record", letter.Source.At().String(), "error", letter.Message)
		}
	}
}

// gaveBack logs that memory could not be given back: the process is larger than
// it should be, and nothing else is wrong.
func (l *Loop) gaveBack(err error) {
	if err != nil {
		l.Log.Warn(eventKept, "error", err)
	}
}
