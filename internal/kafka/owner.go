package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// GroupOptions are those of a session that owns partitions and commits nothing.
type GroupOptions struct {
	Group      string
	InstanceID string // static member when not empty
	Topics     []string
	// Tables are what the table's Restore reads: a right to them that is missing
	// refuses the opening, not the first record that is there.
	Tables []string
	// Committed hides aborted records and waits for open transactions.
	Committed bool
	// SessionTimeout (45s), HeartbeatInterval (3s), RebalanceTimeout (60s).
	SessionTimeout, HeartbeatInterval, RebalanceTimeout time.Duration
	LeaveOnClose                                        bool
}

// Group owns partitions through membership alone: no offset is ever committed,
// every assignment starts where the table's Restore says. Lease may be called
// concurrently; the other methods are for one goroutine.
type Group struct {
	*session
	lease lease
}

// OpenGroup checks the topics and joins the group. If ctx has no deadline,
// cancelling it ends a restore that is running.
func OpenGroup(ctx context.Context, cfg Config, opts GroupOptions, table stream.Table) (*Group, error) {
	s, err := newSession(ctx, cfg, membership{
		Group: opts.Group, InstanceID: opts.InstanceID, Topics: opts.Topics, Tables: opts.Tables, Committed: opts.Committed,
		SessionTimeout: opts.SessionTimeout, Heartbeat: opts.HeartbeatInterval, Rebalance: opts.RebalanceTimeout,
		LeaveOnClose: opts.LeaveOnClose,
	}, table)
	if err != nil {
		return nil, err
	}
	g := &Group{session: s}
	if err := g.open(ctx, cfg); err != nil {
		s.close()
		return nil, err
	}
	return g, nil
}

func (g *Group) open(ctx context.Context, cfg Config) error {
	if err := g.prepare(ctx, nil, nil); err != nil {
		return err
	}
	return g.join(cfg, &g.lease, "group")
}

// join starts the client of a session that has a lease.
func (s *session) join(cfg Config, l *lease, role string, more ...kgo.Opt) error {
	opts := append(s.membership.options(s), l.options(s)...)
	s.mu.Lock() // the client may call back before newClient returns
	defer s.mu.Unlock()
	var err error
	s.cl, err = cfg.newClient(role, append(opts, more...)...)
	return err
}

// Poll waits for records, at most n, until ctx is done. It may return records
// and an error together. After records, call Allow when they are applied: until
// then no rebalance proceeds and Lease is about to end. An error of class
// ErrLoss, ErrFenced or ErrRefused ends the session; ErrTransient does not. When
// ctx ends first, and after a heartbeat interval without records, it returns
// nothing and no error: a rebalance that was announced when it was over is waited
// for no longer than that.
func (g *Group) Poll(ctx context.Context, n int) ([]stream.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, g.Heartbeat)
	defer cancel()
	return g.poll(ctx, n)
}

// Allow lets a rebalance proceed that waits for the records of Poll.
func (g *Group) Allow() {
	g.batch = false
	g.allow()
}

// Lease reports whether this member certainly still owns its partitions: it is
// assigned, no rebalance waits for it, and the last heartbeat that the
// coordinator answered was sent less than two thirds of the session timeout
// ago. Check it right before an act that only the owner may do. A lease that ran
// out comes back once the coordinator says that the membership outlived it.
func (g *Group) Lease() bool { return g.leaseHolds(&g.lease) }

// leaseHolds is Lease.
func (s *session) leaseHolds(l *lease) bool {
	return l.valid(time.Now()) && !s.blocked.Load() && s.err() == nil
}

// Close leaves the table revoked. A static member keeps its place in the group
// until the session timeout, unless LeaveOnClose.
func (g *Group) Close() {
	g.lease.end()
	g.close()
	g.lease.asking.Wait()
}

// lease is the time until which the coordinator cannot have given our
// partitions to somebody else, but to one who comes with our instance id: that one
// has them at once.
type lease struct {
	mu      sync.Mutex
	term    time.Duration
	joined  bool      // assigned and restored, not revoked since
	renewed time.Time // when the last answered request of the group was sent
	before  time.Time // and the one before it
	doubted bool      // ask is under way
	// While a rebalance waits for us the coordinator waits too, for rebalance. It
	// began after the latest answer that did not tell of it, which was asked for
	// at waitsSince.
	rebalance  time.Duration
	waitsSince time.Time

	// ask asks the coordinator whether we are a member still; waiting takes a yes
	// from one that waits for us.
	ask    func(waiting bool) bool
	asking sync.WaitGroup
}

// options make the client keep the lease. They wrap the session's callbacks.
func (l *lease) options(s *session) []kgo.Opt {
	l.term, l.rebalance = s.SessionTimeout*2/3, s.Rebalance
	s.unblocked = l.lapse
	var cl atomic.Pointer[kgo.Client]
	l.ask = func(waiting bool) bool { return s.isMember(cl.Load(), l.term, waiting) }
	return []kgo.Opt{
		kgo.WithHooks(l, newClientHook(cl.Store)),
		kgo.OnPartitionsRevoked(func(ctx context.Context, cl *kgo.Client, m map[string][]int32) {
			l.end()
			s.onRevoked(ctx, cl, m)
		}),
		kgo.OnPartitionsLost(func(ctx context.Context, cl *kgo.Client, m map[string][]int32) {
			l.end()
			s.onLost(ctx, cl, m)
		}),
		// A rebalance waits for our batch: from here the coordinator's patience,
		// not our heartbeat, decides. The client says so in a goroutine of its own,
		// which may come when all is over.
		kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) {
			l.wait()
			s.blocked.Store(true)
		}),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, o map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			o, err := s.adjust(ctx, o)
			if err == nil && ctx.Err() == nil {
				l.begin()
			}
			return o, err
		}),
	}
}

// OnBrokerE2E is the client's hook. It counts a request from when it was sent:
// the coordinator's clock for us starts no earlier than that.
func (l *lease) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if e2e.Err() != nil {
		return
	}
	sent := time.Now().Add(-e2e.DurationE2E())
	switch kmsg.Key(key) {
	case kmsg.SyncGroup:
		l.mu.Lock()
		l.before, l.renewed = sent, sent
		l.mu.Unlock()
	case kmsg.Heartbeat:
		l.renew(sent)
	default:
	}
}

// OnGroupManageError is the client's hook for the end of a membership.
func (l *lease) OnGroupManageError(error) { l.end() }

// newClientHook hands out the client before it does anything.
type newClientHook func(*kgo.Client)

// OnNewClient is the client's hook.
func (h newClientHook) OnNewClient(cl *kgo.Client) { h(cl) }

// renew extends a lease that has not run out. The hook does not see the code in
// an answer: one that came after the term may say that we are no member any
// more. A new join then starts a new lease. But a coordinator that took over
// gives every member it knows a whole session again, and no join follows when we
// were out of its reach for less than that: so it is asked.
func (l *lease) renew(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case sent.Sub(l.renewed) < l.term:
		l.before, l.renewed = l.renewed, sent
	case l.joined && !l.doubted:
		l.doubted = true
		l.asking.Go(l.doubt)
	}
}

// doubt asks once. Without a yes the next answered heartbeat asks again.
func (l *lease) doubt() {
	asked := time.Now()
	yes := l.ask(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubted = false
	if yes && asked.After(l.renewed) {
		l.before, l.renewed = asked, asked
	}
}

// isMember asks the coordinator by a heartbeat of our own, whose code we see. A
// yes to this generation says that nobody was given our partitions meanwhile:
// that would have made a new one. One that waits for us to join again has not
// made it yet.
func (s *session) isMember(cl *kgo.Client, within time.Duration, waiting bool) bool {
	ctx, cancel := context.WithTimeout(s.stop, within)
	defer cancel()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group = s.Group
	req.MemberID, req.Generation = cl.GroupMetadata()
	if s.InstanceID != "" {
		req.InstanceID = &s.InstanceID
	}
	resp, err := req.RequestWith(ctx, s.log.cl)
	return err == nil && (resp.ErrorCode == 0 || waiting && resp.ErrorCode == kerr.RebalanceInProgress.Code)
}

// wait notes that a rebalance waits for us. The answer that told of it is the
// latest, or was a moment ago.
func (l *lease) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waitsSince = l.before
}

// lapse ends the lease of who lets a rebalance in that was said to wait. A new
// assignment begins one; if none comes, because the rebalance was over, the next
// heartbeat has the coordinator asked.
func (l *lease) lapse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = time.Time{}
}

// until is when the coordinator may give our partitions to somebody else, if it
// hears nothing more of us, and whether that is far enough away to begin to
// write. waiting: a rebalance waits for us.
func (l *lease) until(now time.Time, waiting bool) (end time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, ok = l.renewed.Add(l.term*3/2), l.joined && now.Sub(l.renewed) < l.term
	if waiting {
		if e := l.waitsSince.Add(l.rebalance); e.Before(end) {
			end = e
		}
		ok = ok && now.Sub(l.waitsSince) < l.rebalance*2/3
	}
	return end, ok
}

func (l *lease) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joined = true
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joined = false
}

func (l *lease) valid(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joined && now.Sub(l.renewed) < l.term
}
