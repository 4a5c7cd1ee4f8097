package poller

import (
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

// task is a CheckTask with what the lane knows about asking it.
type task struct {
	events.CheckTask
	key string

	class    class // which ready queue holds it; classNone when none does
	readyPos int
	readyAt  events.Millis // order within the queue
	timerPos int           // -1 when no timer runs
	timerAt  events.Millis

	lastCall  events.Millis // start of our last call; 0 before the first of this ownership
	heard     events.Millis // start of our last call whose answer is evidence; 0 for none
	attempt   int32         // of the check that is under way
	busy      bool          // asked or answered, and not yet acknowledged
	held      bool          // answered: waits for the reconciler's next word
	gone      bool          // a tombstone came while busy
	reasks    int           // unanswered waits since the last word
	regularAt events.Millis // when a hint's order has its ordinary turn; 0 for never
	doubted   bool          // one answer did not fit what is expected
	gaveUp    bool          // its GAVE_UP is published, or on its way
	cause     events.Cause  // of the call under way
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
	return a.key < b.key
}

func (q *queue) place(i int, t *task) {
	q.tasks[i] = t
	if q.timer {
		t.timerPos = i
	} else {
		t.readyPos = i
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
func (q *queue) remove(i int) {
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
