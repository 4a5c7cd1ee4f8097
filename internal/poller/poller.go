package poller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"rampstream/internal/stream"
)

// Session is the membership in the pollers' group, whose only input is the
// schedule topic, read uncommitted. It drives Poller's Restore and Revoke.
type Session interface {
	// Poll returns up to max records of the assigned partitions. Records and
	// an error may come together; the records count.
	Poll(ctx context.Context, max int) ([]stream.Record, error)
	// Allow lets a rebalance proceed that waits for the records of Poll.
	Allow()
	// Lease reports whether this member certainly still owns what it was
	// assigned: the group has heard of it recently enough.
	Lease() bool
}

// Publisher writes records and waits for the acknowledgement of every in-sync
// replica.
type Publisher interface {
	// Publish returns the acknowledged records, with partition and offset. An
	// error means that at least one is not acknowledged; it may still land.
	Publish(ctx context.Context, rs ...stream.Record) ([]stream.Record, error)
}

// Config is what a Poller needs from outside.
type Config struct {
	Settings  Settings
	Accounts  []Account
	Records   Records
	Publisher Publisher
	Now       func() time.Time
	Rand      *rand.Rand // the jitter's; owned by the Poller from now on
	Metrics   *Metrics   // nil for none
	Log       *slog.Logger
	// Drain is how long a stop waits for calls and acknowledgements; 20s.
	Drain time.Duration
	// Margin is how far the clock may be off before the program is not ready; 5s.
	Margin time.Duration
}

// Poller drives a Core with goroutines. It is the stream.Table of its session.
type Poller struct {
	cfg      Config
	accounts map[string]Account

	mu      sync.Mutex
	core    *Core
	next    time.Time     // of the next step without an input
	asleep  time.Time     // until when the clock's goroutine sleeps; zero before it first does
	changed chan struct{} // closed by the next step; nil while nobody waits for one
	running bool
	ending  bool // idle workers are dismissed
	stopped bool // Run has returned: nothing is performed any more
	idle    []chan Effect
	// unused is the least that were idle at once since released, when workers
	// were let go last.
	unused   int
	released time.Time
	backlog  []Input // until Run
	offset   time.Duration
	group    assignment

	session Session
	wishes  map[OpID][]chan bool // of calls for one more request
	calls   context.Context      // ends when a drain is over
	kick    chan struct{}
	fatal   chan error
	work    sync.WaitGroup
}

// New makes a Poller. It does no I/O; Restore may be called before Run.
func New(cfg Config) *Poller {
	setDefault(&cfg.Drain, 20*time.Second)
	setDefault(&cfg.Margin, 5*time.Second)
	cfg.Settings = cfg.Settings.withDefaults()
	cfg.Records.Partitions, cfg.Records.vain = cfg.Settings.Partitions, new(sync.Map)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	var obs Observer
	if cfg.Metrics != nil {
		obs = cfg.Metrics
	}
	p := &Poller{cfg: cfg, accounts: map[string]Account{}, wishes: map[OpID][]chan bool{}, core: NewCore(cfg.Settings, cfg.Accounts, cfg.Rand, obs),
		kick: make(chan struct{}, 1), fatal: make(chan error, 1)}
	for _, a := range cfg.Accounts {
		p.accounts[string(a.Lane())] = a
	}
	return p
}

// Restore implements stream.Table.
func (p *Poller) Restore(ctx context.Context, partition int32, log stream.Log, _ map[string]int64) (map[string]int64, error) {
	r, err := p.cfg.Records.Restore(ctx, log, partition)
	if err != nil {
		return nil, fmt.Errorf("poller: %w", err)
	}
	if r.Refused > 0 {
		p.cfg.Metrics.undecodable(r.Refused)
		p.cfg.Log.Warn("schedule records ignored", "partition", partition, "count", r.Refused)
	}
	p.cfg.Log.Info("partition restored", "partition", partition, "tasks", len(r.Tasks), "lane_states", len(r.Lanes))
	p.step(r.Assigned)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.group.restored(partition)
	return r.Next, nil
}

// Assigned implements stream.Assignee: reading, decoding and sorting tasks is
// work for every processor, and every lane of the assignment rests until it is done.
func (p *Poller) Assigned(partitions []int32) (parallel int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.group.assigned(partitions)
	return runtime.GOMAXPROCS(0)
}

// Revoke implements stream.Table. It returns when no lane that was taken away
// has a call in flight or a state to save, or when such a call must have ended:
// the next owner's first call must not overlap with our last, and must know
// what that one learned.
func (p *Poller) Revoke(partitions []int32) { p.revoke(partitions, false) }

// Lose implements stream.Loser.
func (p *Poller) Lose(partitions []int32) { p.revoke(partitions, true) }

func (p *Poller) revoke(partitions []int32, lost bool) {
	p.mu.Lock()
	p.group.revoked(partitions)
	p.mu.Unlock()
	p.step(Revoked{Partitions: partitions, Lost: lost})
	wait, cancel := context.WithTimeout(context.Background(), p.cfg.Settings.CallTimeout+5*time.Second)
	defer cancel()
	if !p.await(wait, p.core.Quiet) {
		p.cfg.Log.Warn("lanes left with work in flight", "partitions", partitions)
		p.step(Revoked{Partitions: partitions, Lost: true}) // what is not saved by now comes too late
	}
}

// Run polls until ctx ends, then starts no call, waits for what is in flight,
// and returns nil. Any other return is an error; stream.ErrRefused and
// stream.ErrLoss are not cured by a restart. The session stays open: close it
// after Run.
func (p *Poller) Run(ctx context.Context, session Session) error {
	calls, endCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer endCalls()
	loops, endLoops := context.WithCancel(ctx)
	defer endLoops()
	clock, endClock := context.WithCancel(calls)
	defer endClock()

	p.begin(session, calls)
	read := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { read <- p.read(loops) })
	wg.Go(func() { p.tick(clock) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-read:
	case err = <-p.fatal:
	}
	endLoops()
	p.drain(ctx, err)
	endCalls()
	wg.Wait()
	p.dismiss()
	p.work.Wait()
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("poller: %w", err)
	}
	return nil
}

// begin lets effects happen from here on, those of earlier restores first.
func (p *Poller) begin(session Session, calls context.Context) {
	p.mu.Lock()
	p.session, p.calls, p.running = session, calls, true
	backlog := p.backlog
	p.backlog = nil
	p.mu.Unlock()
	p.step(backlog...)
}

// drain ends new calls and waits for the old ones and their publication.
func (p *Poller) drain(ctx context.Context, err error) {
	p.step(Drain{})
	if err != nil {
		return // Kafka refuses or the group is lost: waiting publishes nothing
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.Drain)
	defer cancel()
	if !p.await(wait, p.core.Idle) {
		p.cfg.Log.Warn("stopped with unpublished answers; their tasks are asked again")
	}
}

// step gives inputs to the core and has somebody do what it asks for.
func (p *Poller) step(in ...Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.stepLocked(in...); e != nil {
		p.dispatch(e)
	}
}

// stepLocked is step for who holds p.mu. It returns the first effect, for the
// caller to see to; nil for none.
func (p *Poller) stepLocked(in ...Input) (first Effect) {
	if !p.running {
		p.backlog = append(p.backlog, in...)
		return nil
	}
	effects, next := p.core.Step(p.cfg.Now(), in...)
	p.next = next
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
	if p.stopped {
		return nil
	}
	for _, e := range effects {
		g, ok := e.(Grant)
		switch {
		case ok:
			p.granted(g)
		case first == nil:
			first = e
		default:
			p.dispatch(e)
		}
	}
	if !next.IsZero() && next.Before(p.asleep) {
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
	return first
}

// await waits until cond holds of the core, or ctx ends.
func (p *Poller) await(ctx context.Context, cond func() bool) bool {
	for {
		p.mu.Lock()
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		ok, changed := !p.running || p.stopped || cond(), p.changed
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// Snapshot describes the lanes as they are now, by name.
func (p *Poller) Snapshot() []LaneSnapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.Snapshot(p.cfg.Now())
}

// leased reports whether the lanes, if there are any, may be asked about. The
// caller holds p.mu.
func (p *Poller) leased() bool {
	return p.session == nil || len(p.core.owned) == 0 || p.session.Lease()
}

// Ready reports why the poller must not be counted on: not running yet, no
// assignment or one that is not restored, lanes without a lease, or a clock that
// is off by more than the margin. It is nil otherwise.
func (p *Poller) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	missing := p.group.err()
	switch {
	case !p.running:
		return errors.New("poller: not running")
	case missing != nil:
		return missing
	case !p.leased():
		return errors.New("poller: no lease: the group's coordinator has not confirmed lately that our partitions are ours; nothing is asked until it does")
	case p.offset.Abs() > p.cfg.Margin:
		return fmt.Errorf("poller: clock is off by at least %s: the margin is %s", p.offset, p.cfg.Margin)
	}
	return nil
}
