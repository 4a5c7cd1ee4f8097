package poller

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// Core is the poller without its surroundings: what to ask next, within which
// budget, and what to do with an answer. It is not safe for concurrent use and
// neither reads a clock nor starts a goroutine.
type Core struct {
	cfg      Settings
	rng      *rand.Rand
	obs      Observer
	accounts map[events.Lane]Account
	owned    map[int32]bool
	lanes    map[events.Lane]*lane
	order    []*lane // owned, by name
	leaving  []*lane // lost, with work in flight
	ops      map[OpID]*op
	lastID   OpID
	draining bool
	seen     events.Millis // the wall clock at the last step
	out      []Effect      // of the step under way
}

// op is an effect whose result is awaited.
type op struct {
	id      OpID
	lane    *lane
	task    *task               // nil for sweeps and saves
	check   *events.StatusCheck // of an Ask
	started time.Time
	before  events.Millis // the task's call before this one

	publish *publication
	mark    *entry
	state   *events.LaneState
}

// NewCore makes a Core without lanes. rng gives the jitter; obs may be nil.
func NewCore(s Settings, accounts []Account, rng *rand.Rand, obs Observer) *Core {
	if obs == nil {
		obs = noObserver{}
	}
	c := &Core{cfg: s.withDefaults(), rng: rng, obs: obs, accounts: map[events.Lane]Account{},
		owned: map[int32]bool{}, lanes: map[events.Lane]*lane{}, ops: map[OpID]*op{}}
	for _, a := range accounts {
		a.Poll = pollDefaults(a.Poll)
		c.accounts[a.Lane()] = a
	}
	return c
}

// Step applies inputs in order and returns what is to be done now, and when to
// step again without an input; a zero wake means never. now is the wall clock;
// it may step back.
func (c *Core) Step(now time.Time, in ...Input) (effects []Effect, wake time.Time) {
	c.look(now)
	for _, i := range in {
		c.apply(now, i)
	}
	w := waker{now: now}
	nanos := now.UnixNano()
	var next *lane
	for _, l := range c.order {
		// Nothing becomes possible for a lane but by an input of its own or by
		// time, and it said when.
		if l.touched || l.wakeNanos != 0 && l.wakeNanos <= nanos {
			own := waker{now: now}
			l.touched = false
			l.pump(now, &own)
			l.wakeAt(own.at)
		}
		if l.wakeNanos != 0 && (next == nil || l.wakeNanos < next.wakeNanos) {
			next = l
		}
	}
	if next != nil {
		w.by(next.wake)
	}
	for _, l := range c.leaving {
		l.pumpLeaving(now, &w)
	}
	c.leaving = slices.DeleteFunc(c.leaving, func(l *lane) bool { return l.quiet() && len(l.publications) == 0 })
	effects, c.out = c.out, nil
	return effects, w.at
}

// Idle reports whether nothing is in flight: no call, no publication, no save.
func (c *Core) Idle() bool { return len(c.ops) == 0 && !c.unpublished() }

func (c *Core) unpublished() bool {
	for _, l := range append(slices.Clone(c.order), c.leaving...) {
		if len(l.publications) > 0 {
			return true
		}
	}
	return false
}

// Quiet reports whether no lane that was taken away has a call in flight or a
// state to save, so that its next owner may begin.
func (c *Core) Quiet() bool {
	return !slices.ContainsFunc(c.leaving, func(l *lane) bool { return !l.quiet() })
}

// PartitionOf is the partition whose owner owns a lane.
func (c *Core) PartitionOf(l events.Lane) int32 {
	return stream.PartitionOf([]byte(l), c.cfg.Partitions)
}

func (c *Core) apply(now time.Time, in Input) {
	switch in := in.(type) {
	case Assigned:
		c.assign(now, in)
	case Revoked:
		c.revoke(in.Partitions, in.Lost)
	case Scheduled:
		c.scheduled(now, in)
	case Answered:
		if o := c.end(in.ID); o != nil {
			o.lane.answered(now, o, in)
		}
	case PageRead:
		if o := c.end(in.ID); o != nil {
			o.lane.pageRead(now, o, in)
		}
	case Marked:
		if o := c.end(in.ID); o != nil {
			o.lane.marked(now, o, in)
		}
	case Published:
		if o := c.end(in.ID); o != nil {
			o.lane.published(now, o.publish, in.Err)
		}
	case LaneSaved:
		if o := c.end(in.ID); o != nil {
			o.lane.saved(now, *o.state, in.Err)
		}
	case More:
		if o := c.ops[in.ID]; o != nil {
			o.lane.touched = true
			o.lane.more(o)
		} else {
			c.emit(Grant{ID: in.ID})
		}
	case Drain:
		c.draining = true
	}
}

func (c *Core) touchAll() {
	for _, l := range c.order {
		l.touched = true
	}
}

// begin gives an effect its id and remembers what its result belongs to.
func (c *Core) begin(o *op) OpID {
	c.lastID++
	o.id = c.lastID
	c.ops[o.id] = o
	return o.id
}

// end takes an op off the list; nil for an id that is not on it.
func (c *Core) end(id OpID) *op {
	o := c.ops[id]
	delete(c.ops, id)
	if o != nil {
		o.lane.touched = true
		// The lane may have come back, and waits for what its former self did.
		if l := c.lanes[o.lane.name]; l != nil {
			l.touched = true
		}
	}
	return o
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

// jitter is a share of d, between 0 and part.
func (c *Core) jitter(d time.Duration, part float64) time.Duration {
	return time.Duration(float64(d) * part * c.rng.Float64())
}

// assign makes the lanes of a partition ours: the configured ones, with or
// without tasks, and those that only tasks name.
func (c *Core) assign(now time.Time, in Assigned) {
	c.revoke([]int32{in.Partition}, true) // an assignment replaces what was there
	c.owned[in.Partition] = true
	states := map[events.Lane]events.LaneState{}
	for _, s := range in.Lanes {
		states[s.Lane] = s
	}
	for _, name := range c.configured(in.Partition) {
		c.open(now, name, in.Partition, states[name])
	}
	for _, t := range in.Tasks {
		c.laneOf(now, t.Key, in.Partition).schedule(now, t)
	}
}

// configured lists the configured lanes of a partition, by name.
func (c *Core) configured(partition int32) []events.Lane {
	var out []events.Lane
	for name := range c.accounts {
		if c.PartitionOf(name) == partition {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// laneOf is the lane of a key, opened when only its tasks name it.
func (c *Core) laneOf(now time.Time, key events.Key, partition int32) *lane {
	name := key.Lane()
	if l := c.lanes[name]; l != nil {
		return l
	}
	return c.open(now, name, partition, events.LaneState{})
}

func (c *Core) open(now time.Time, name events.Lane, partition int32, state events.LaneState) *lane {
	l := newLane(c, now, name, partition, state)
	c.lanes[name] = l
	i, _ := slices.BinarySearchFunc(c.order, name, func(l *lane, n events.Lane) int { return strings.Compare(string(l.name), string(n)) })
	c.order = slices.Insert(c.order, i, l)
	return l
}

func (c *Core) revoke(partitions []int32, lost bool) {
	for _, p := range partitions {
		delete(c.owned, p)
	}
	for _, l := range c.leaving {
		l.lost = l.lost || lost && slices.Contains(partitions, l.partition)
	}
	c.order = slices.DeleteFunc(c.order, func(l *lane) bool {
		if !slices.Contains(partitions, l.partition) {
			return false
		}
		l.leave()
		l.lost = lost
		delete(c.lanes, l.name)
		c.leaving = append(c.leaving, l)
		return true
	})
}

// busyElsewhere reports whether a former incarnation of a lane in this process
// still has a call in flight, and the highest nonce it used.
func (c *Core) busyElsewhere(name events.Lane) (busy bool, last int64) {
	for _, l := range c.leaving {
		if l.name == name {
			busy = busy || l.inFlight > 0
			last = max(last, l.nonces.last)
		}
	}
	return busy, last
}

func (c *Core) scheduled(now time.Time, in Scheduled) {
	partition := c.PartitionOf(in.Key.Lane())
	switch l := c.lanes[in.Key.Lane()]; {
	case !c.owned[partition]: // a record read before the revocation
	case in.Gone && l != nil:
		l.touched = true
		l.unschedule(in.Key)
	case !in.Gone:
		l = c.laneOf(now, in.Key, partition)
		l.touched = true
		l.schedule(now, in.Task)
	}
}

// waker collects the earliest instant at which something may be due.
type waker struct{ now, at time.Time }

// by asks to be woken at t; an instant that passed counts as the next millisecond.
func (w *waker) by(t time.Time) {
	if !t.After(w.now) {
		t = w.now.Add(time.Millisecond)
	}
	if w.at.IsZero() || t.Before(w.at) {
		w.at = t
	}
}

// byMillis is by for an instant on the wall clock alone: the monotonic reading
// of now is kept by adding the difference.
func (w *waker) byMillis(m events.Millis) {
	const far = events.Millis(24 * time.Hour / time.Millisecond) // a duration overflows after 292 years
	w.by(w.now.Add(min(m, events.At(w.now)+far).Sub(events.At(w.now))))
}
