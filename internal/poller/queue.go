package poller

import (
	"strings"

	"rampstream/internal/events"
)

// class is the turn in which a due task is asked.
type class uint8

const (
	classNone    class = iota
	classRetry         // a fresh nonce, or a second look at a doubtful answer
	classHint          // a hint on a known order
	classUnknown       // an id that only a hint named
	classFresh         // a young order not asked about since its status began
	classYoung         // a young order, asked before
	classOld           // the rest, oldest first
	classGiveUp        // published without a call
	classParked        // cannot be asked: no such account, or no such call
	classes
)

// task is a CheckTask with what the lane knows about asking it. An installation
// has as many as it has open orders, so it is kept small: the lane's part of
// the key is not repeated, and the fields stand by size.
type task struct {
	name string // the key's part below the lane, see nameOf

	DueAt, HintAt, Since events.Millis // as in CheckTask

	readyAt   events.Millis // order within the ready queue
	timerAt   events.Millis
	lastCall  events.Millis // start of our last call; 0 before the first of this ownership
	heard     events.Millis // start of our last call whose answer is evidence; 0 for none
	regularAt events.Millis // when a hint's order has its ordinary turn; 0 for never
	expected  *expectation  // nil for none
	readyPos  int32
	timerPos  int32 // -1 when no timer runs

	Kind          events.SubjectKind
	Cause         events.Cause
	Status        events.Status
	Known, GiveUp bool

	class   class        // which ready queue holds it; classNone when none does
	cause   events.Cause // of the call under way
	attempt uint8        // of the check that is under way
	reasks  uint8        // unanswered waits since the last word
	busy    bool         // asked or answered, and not yet acknowledged
	held    bool         // answered: waits for the reconciler's next word
	gone    bool         // a tombstone came while busy
	doubted bool         // one answer did not fit what is expected
	gaveUp  bool         // its GAVE_UP is published, or on its way
}

// expectation is what binds an answer that does not echo its id.
type expectation struct {
	amount   events.Amount
	currency string
	doubt    string // what the check's first answer said instead
}

// nameOf is the part of a key that tells it from the others of its lane, in
// the same order.
func nameOf(k events.Key) string {
	if k.Kind == events.Customer {
		return "customer/" + k.ID // no id has a slash
	}
	return strings.Clone(k.ID) // not a part of a longer string, which it would keep alive
}

// id is the subject's id.
func (t *task) id() string {
	if t.Kind == events.Customer {
		return strings.TrimPrefix(t.name, "customer/")
	}
	return t.name
}

// set takes the reconciler's word. Only serial lanes look at what is expected.
func (t *task) set(ct events.CheckTask, serial bool) {
	t.Kind, t.DueAt, t.HintAt, t.Since = ct.Key.Kind, ct.DueAt, ct.HintAt, ct.Since
	t.Cause, t.Status, t.Known, t.GiveUp = ct.Cause, ct.Status, ct.Known, ct.GiveUp
	was := t.expected
	t.expected = nil
	if serial && ct.ExpectedAmount != "" {
		t.expected = &expectation{amount: ct.ExpectedAmount, currency: ct.ExpectedCurrency}
		if was != nil { // between two looks
			t.expected.doubt = was.doubt
		}
	}
}

// answered reports whether our last call began after what the task asks for:
// the reconciler wrote it before it knew of that call's answer. Asking again
// would tell nothing new. A failed answer to a hint is no evidence: it ends the
// hint and leaves what else was due as it was.
func (t *task) answered() bool {
	switch {
	case t.GiveUp:
		return t.gaveUp
	case t.Cause == events.CauseHint:
		return t.lastCall != 0 && t.lastCall >= t.HintAt
	}
	return t.heard != 0 && t.heard >= t.DueAt
}

// queue is a binary heap of tasks. Two kinds exist: by readyAt and by timerAt;
// ties break by key, so that equal inputs give equal orders.
type queue struct {
	tasks []*task
	timer bool
}

func (q *queue) len() int { return len(q.tasks) }

func (q *queue) at(t *task) events.Millis {
	if q.timer {
		return t.timerAt
	}
	return t.readyAt
}

func (q *queue) less(i, j int) bool {
	a, b := q.tasks[i], q.tasks[j]
	if x, y := q.at(a), q.at(b); x != y {
		return x < y
	}
	return a.name < b.name
}

func (q *queue) place(i int, t *task) {
	q.tasks[i] = t
	if q.timer {
		t.timerPos = int32(i)
	} else {
		t.readyPos = int32(i)
	}
}

func (q *queue) swap(i, j int) {
	a, b := q.tasks[i], q.tasks[j]
	q.place(i, b)
	q.place(j, a)
}

func (q *queue) push(t *task) {
	q.tasks = append(q.tasks, t)
	q.place(len(q.tasks)-1, t)
	q.up(len(q.tasks) - 1)
}

func (q *queue) first() *task {
	if len(q.tasks) == 0 {
		return nil
	}
	return q.tasks[0]
}

// remove takes the task at position i out.
func (q *queue) remove(at int32) {
	i := int(at)
	last := len(q.tasks) - 1
	if i != last {
		q.swap(i, last)
	}
	t := q.tasks[last]
	q.tasks[last] = nil
	q.tasks = q.tasks[:last]
	if q.timer {
		t.timerPos = -1
	} else {
		t.readyPos = -1
	}
	if i != last {
		q.down(i)
		q.up(i)
	}
}

func (q *queue) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !q.less(i, parent) {
			return
		}
		q.swap(i, parent)
		i = parent
	}
}

func (q *queue) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(q.tasks) {
			return
		}
		if r := child + 1; r < len(q.tasks) && q.less(r, child) {
			child = r
		}
		if !q.less(child, i) {
			return
		}
		q.swap(i, child)
		i = child
	}
}

// before counts the tasks below position i, itself included, whose time is
// earlier than at: in a heap none of them stands below a later one.
func (q *queue) before(at events.Millis, i int) int {
	if i >= len(q.tasks) || q.at(q.tasks[i]) >= at {
		return 0
	}
	return 1 + q.before(at, 2*i+1) + q.before(at, 2*i+2)
}
