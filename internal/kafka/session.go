package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"rampstream/internal/stream"
)

// session is a member of a group whose table follows the assignment.
//
// From the return of one Poll to the start of the next no rebalance proceeds
// (BlockRebalanceOnPoll), records or not, so that the table is not revoked under
// a batch or a transaction. A rebalance that was let in may still be restoring
// when Poll returns; then nothing is held and no records come. The client ends
// adjust before it revokes; mu is the second fence.
type session struct {
	membership
	cl    *kgo.Client
	log   *Log
	table stream.Table
	pins  *pins
	// beforeRestore, if any, runs when a new assignment begins, while no batch is
	// in flight.
	beforeRestore func(context.Context) error

	// polled and batch belong to the goroutine that polls: Poll returned since the
	// last Commit, and it returned records.
	polled, batch bool
	// loan is what Poll returned since; nil where that is the caller's for good.
	loan *loan

	// blocked: a rebalance waits for the batch. committing: Commit is ending its
	// transaction, and a revocation must not wait for the table. deferred: one did
	// not.
	blocked, committing, deferred atomic.Bool
	unblocked                     func() // called when a rebalance that waits is let in; may be nil

	// stop ends a restore that is running.
	stop    context.Context
	stopNow context.CancelFunc
	unwatch func() bool

	mu   sync.Mutex
	held map[int32]bool // partitions for which Restore was called
	// epochs are the leader epochs of committed offsets, as the group had them at
	// the restore: the client is told to begin without one.
	epochs map[string]map[int32]kgo.EpochOffset

	errMu sync.Mutex
	fatal error
}

// newSession ends its restores when ctx is cancelled, if ctx has no deadline:
// with one it bounds the opening alone.
func newSession(ctx context.Context, cfg Config, m membership, table stream.Table) (*session, error) {
	m.defaults()
	if err := m.validate(); err != nil {
		return nil, err
	}
	log, err := OpenLog(cfg)
	if err != nil {
		return nil, err
	}
	s := &session{membership: m, log: log, table: table, pins: newPins(), held: map[int32]bool{}}
	s.stop, s.stopNow = context.WithCancel(context.WithoutCancel(ctx))
	s.unwatch = func() bool { return true }
	if _, bounded := ctx.Deadline(); !bounded {
		s.unwatch = context.AfterFunc(ctx, s.stopNow)
	}
	return s, nil
}

// prepare checks the topics through the log's client, before the group is
// joined.
func (s *session) prepare(ctx context.Context, outputs, equal []string) error {
	equal = slices.Concat(s.Topics, equal)
	if err := pinTopics(ctx, s.log.cl, s.pins, slices.Concat(equal, outputs)); err != nil {
		return err
	}
	if err := coPartitioned(s.pins, equal); err != nil {
		return err
	}
	if err := mayUse(ctx, s.log.cl, kmsg.ACLOperationRead, slices.Concat(s.Topics, s.Tables)); err != nil {
		return err
	}
	return mayUse(ctx, s.log.cl, kmsg.ACLOperationWrite, outputs)
}

// adjust runs after the stable offset fetch of a new assignment, in the
// goroutine that fetched; heartbeats go on in another, and ctx ends when the
// assignment does. It restores each partition and says where to start. A failure
// ends the session, but for one of class ErrTransient.
func (s *session) adjust(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.stop, cancel)()
	next, err := s.restore(rctx, offsets)
	if err != nil {
		if ctx.Err() != nil { // the assignment ended first; another one follows
			return nil, ctx.Err()
		}
		// Not wrapped: the client takes a cancelled context for its own end and
		// would leave Poll waiting.
		if errors.Is(err, stream.ErrTransient) {
			// Poll says so and goes on, and so does the client: it joins again, after
			// a pause, and restores again.
			return nil, fmt.Errorf("%w: %v", stream.ErrTransient, err)
		}
		s.fail(err)
		return nil, fmt.Errorf("%v", err)
	}
	return next, nil
}

func (s *session) restore(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deferred.Store(false)
	s.dropHeld(s.lose) // a revocation that the client did not announce, or that was put off
	if s.beforeRestore != nil {
		if err := s.beforeRestore(ctx); err != nil {
			return nil, err
		}
	}
	partitions, err := s.assigned(ctx, offsets)
	if err != nil {
		return nil, err
	}
	nexts, err := s.restoreAll(ctx, partitions, offsets)
	if err != nil {
		return nil, err
	}
	out := make(map[string]map[int32]kgo.Offset, len(offsets))
	s.epochs = make(map[string]map[int32]kgo.EpochOffset, len(offsets))
	for _, t := range s.Topics {
		out[t] = make(map[int32]kgo.Offset, len(partitions))
		s.epochs[t] = make(map[int32]kgo.EpochOffset, len(partitions))
		for i, p := range partitions {
			// No epoch: the position is ours, and the broker must not compare it
			// with one that it never gave us.
			out[t][p] = kgo.NewOffset().At(nexts[i][t]).WithEpoch(-1)
			s.epochs[t][p] = offsets[t][p].EpochOffset()
		}
	}
	return out, nil
}

// restoreAll restores the partitions, as many at once as the table allows. The
// first failure ends the others.
func (s *session) restoreAll(ctx context.Context, partitions []int32, offsets map[string]map[int32]kgo.Offset) ([]map[string]int64, error) {
	parallel := 1
	if a, ok := s.table.(stream.Assignee); ok {
		parallel = max(a.Assigned(partitions), 1)
	}
	nexts, begun := make([]map[string]int64, len(partitions)), make([]bool, len(partitions))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, p := range partitions {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			begun[i] = true
			nexts[i], err = s.restoreOne(ctx, p, offsets)
			return err
		})
	}
	err := g.Wait()
	for i, p := range partitions {
		if begun[i] {
			s.held[p] = true
		}
	}
	return nexts, err
}

// assigned gives the partition numbers of a co-partitioned assignment, sorted.
func (s *session) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) ([]int32, error) {
	if err := pinTopics(ctx, s.log.cl, s.pins, s.Topics); err != nil {
		return nil, err
	}
	first := partitionsOf(offsets[s.Topics[0]])
	for _, t := range s.Topics[1:] {
		if other := partitionsOf(offsets[t]); !slices.Equal(first, other) {
			return nil, fmt.Errorf("group %s: not co-partitioned: %s has partitions %v but %s has %v; every member must subscribe to the same topics with the range balancer: %w",
				s.Group, s.Topics[0], first, t, other, stream.ErrRefused)
		}
	}
	return first, nil
}

func partitionsOf(m map[int32]kgo.Offset) []int32 {
	ps := make([]int32, 0, len(m))
	for p := range m {
		ps = append(ps, p)
	}
	slices.Sort(ps)
	return ps
}

func (s *session) restoreOne(ctx context.Context, p int32, offsets map[string]map[int32]kgo.Offset) (map[string]int64, error) {
	committed := make(map[string]int64, len(s.Topics))
	for _, t := range s.Topics {
		// The client writes the start offset (-2) where the group has none.
		committed[t] = max(offsets[t][p].EpochOffset().Offset, -1)
	}
	next, err := s.table.Restore(ctx, p, s.log, committed)
	if err != nil {
		return nil, fmt.Errorf("restore partition %d: %w", p, Classify(err))
	}
	ranges, err := s.log.Ends(ctx, p, s.Topics...)
	if err != nil {
		return nil, err
	}
	for _, t := range s.Topics {
		o, ok := next[t]
		if !ok {
			return nil, fmt.Errorf("restore partition %d: no offset for %s", p, t)
		}
		if r := ranges[t]; o < r.Start || o > r.End {
			return nil, fmt.Errorf("%s-%d: the restored position %d is outside of the log [%d,%d): %w", t, p, o, r.Start, r.End, stream.ErrLoss)
		}
		// The group remembers the epoch of what was read last, and all before is
		// of no later one.
		c := offsets[t][p].EpochOffset()
		if err := s.log.cut(ctx, t, p, min(o, c.Offset), c.Epoch); err != nil {
			return nil, err
		}
	}
	if len(next) != len(s.Topics) {
		return nil, fmt.Errorf("restore partition %d: offsets for %v, want %v", p, sortedKeys(next), s.Topics)
	}
	return next, nil
}

// standBy tells the table of an assignment of nothing, which is never restored.
func (s *session) standBy() {
	if a, ok := s.table.(stream.Assignee); ok {
		a.Assigned(nil)
	}
}

// onRevoked is for partitions whose next owner waits for us. An eager member
// gives all up.
func (s *session) onRevoked(context.Context, *kgo.Client, map[string][]int32) {
	s.taken(s.table.Revoke)
}

// onLost is for the end of the membership.
func (s *session) onLost(context.Context, *kgo.Client, map[string][]int32) { s.taken(s.lose) }

func (s *session) lose(partitions []int32) {
	if l, ok := s.table.(stream.Loser); ok {
		l.Lose(partitions)
		return
	}
	s.table.Revoke(partitions)
}

func (s *session) taken(tell func([]int32)) {
	if s.committing.Load() {
		s.deferred.Store(true)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropHeld(tell)
}

func (s *session) dropHeld(tell func([]int32)) {
	if len(s.held) == 0 {
		return
	}
	ps := make([]int32, 0, len(s.held))
	for p := range s.held {
		ps = append(ps, p)
	}
	slices.Sort(ps)
	s.held = map[int32]bool{}
	tell(ps)
}

// fail ends the session with its first error. Poll gives it from then on, and
// must not say that the session goes on.
func (s *session) fail(err error) {
	if errors.Is(err, stream.ErrTransient) {
		err = fmt.Errorf("the session ended: %v", err)
	}
	s.errMu.Lock()
	defer s.errMu.Unlock()
	if s.fatal == nil {
		s.fatal = err
	}
}

func (s *session) err() error {
	s.errMu.Lock()
	defer s.errMu.Unlock()
	return s.fatal
}

// poll returns records, an error, or both; nothing at all when ctx ends first.
func (s *session) poll(ctx context.Context, n int) ([]stream.Record, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	s.revokeLate()
	if !s.batch {
		if s.loan != nil {
			s.loan.take()
		}
		s.allow()
	}
	fetches := s.cl.PollRecords(ctx, n) // returns with rebalances blocked
	s.polled = true
	rs := fromFetches(fetches)
	if s.loan != nil {
		s.loan.lend(fetches)
	}
	s.batch = s.batch || len(rs) > 0
	if err := s.err(); err != nil {
		return rs, err
	}
	return rs, s.pollError(ctx, fetches)
}

// allow lets a rebalance in.
func (s *session) allow() {
	if s.blocked.Swap(false) && s.unblocked != nil {
		s.unblocked()
	}
	s.cl.AllowRebalance()
}

// revokeLate makes up for a revocation during Commit. A restore that is running
// has done so already.
func (s *session) revokeLate() {
	if !s.deferred.Load() || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if s.deferred.Swap(false) {
		s.dropHeld(s.lose)
	}
}

// pollError joins the errors of a poll; one that ends the session is kept.
func (s *session) pollError(ctx context.Context, fetches kgo.Fetches) error {
	var errs []error
	for _, fe := range fetches.Errors() {
		if ctx.Err() != nil && errors.Is(fe.Err, ctx.Err()) {
			continue
		}
		op := "group " + s.Group
		if fe.Topic != "" {
			op = fmt.Sprintf("fetch %s-%d", fe.Topic, fe.Partition)
		}
		err := wrap(op, fe.Err)
		if errors.Is(err, kerr.InconsistentGroupProtocol) {
			err = fmt.Errorf("%w; another client is in the group and balances by other rules: stop it, or give it a group of its own", err)
		}
		if errors.Is(err, stream.ErrLoss) || errors.Is(err, stream.ErrFenced) || errors.Is(err, stream.ErrRefused) {
			err = s.named(err)
			s.fail(err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// close leaves the table revoked. A static member stays in the group, so that
// its successor gets the same partitions back, unless it was told to leave.
func (s *session) close() {
	s.unwatch()
	s.stopNow()
	member := ""
	if s.cl != nil {
		member, _ = s.cl.GroupMetadata()
		s.cl.CloseAllowingRebalance()
	}
	if s.LeaveOnClose && s.InstanceID != "" && member != "" {
		s.leave(member)
	}
	s.log.Close()
	s.taken(s.lose)
}

// leave takes a static member out of its group, by both of its names: by the
// instance's alone it would throw out a successor of the same name, whose lease
// would still run.
func (s *session) leave(member string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = member, &s.InstanceID
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID, req.Members = s.Group, member, append(req.Members, m)
	// If it fails the session timeout does the same, later.
	_, _ = req.RequestWith(ctx, s.log.cl)
}
