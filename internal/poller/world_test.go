package poller_test

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// epoch is where every world begins.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// checker marks a capability as configured; worlds answer in its place.
type checker struct{}

func (checker) Check(context.Context, providers.Question) (providers.Answer, error) {
	return providers.Answer{}, errors.New("not called")
}

type sweeper struct{}

func (sweeper) Sweep(context.Context, string) (providers.Page, error) {
	return providers.Page{}, errors.New("not called")
}
func (sweeper) Ack(context.Context, providers.Answer) error { return errors.New("not called") }

func account(mutate ...func(*poller.Account)) poller.Account {
	a := poller.Account{Provider: "kanga", Account: "acme",
		Poll:         providers.Poll{Rate: 5, Burst: 10},
		Capabilities: providers.Capabilities{Orders: checker{}},
		Vocabulary: events.Vocabulary{Provider: "kanga", Orders: map[string]events.Word{
			"NEW": {Status: events.StatusCreated}, "FINALIZED": {Status: events.StatusCompleted}}},
	}
	for _, m := range mutate {
		m(&a)
	}
	return a
}

func serial(a *poller.Account)   { a.Capabilities.Serial = true }
func sweeping(a *poller.Account) { a.Capabilities.Sweep, a.Capabilities.SweepAcks = sweeper{}, true }

const lane events.Lane = "kanga/acme"

func key(id string) events.Key { return events.Key{Provider: "kanga", Account: "acme", ID: id} }

func at(d time.Duration) events.Millis { return events.At(epoch.Add(d)) }

// known is a scheduled task of an order whose status began at since.
func known(id string, since, due time.Duration) events.CheckTask {
	return events.CheckTask{Key: key(id), DueAt: at(due), Cause: events.CauseSchedule, Known: true,
		Status: events.StatusPending, Since: at(since)}
}

func hinted(id string, hint time.Duration, isKnown bool) events.CheckTask {
	return events.CheckTask{Key: key(id), DueAt: at(hint), Cause: events.CauseHint, HintAt: at(hint), Known: isKnown,
		Status: events.StatusPending, Since: at(-time.Hour)}
}

func schedule(t events.CheckTask) poller.Input { return poller.Scheduled{Key: t.Key, Task: t} }

func gone(id string) poller.Input { return poller.Scheduled{Key: key(id), Gone: true} }

// call is what the provider saw.
type call struct {
	at, done time.Time
	ask      poller.Ask
}

// failer is a test, of the testing package or of rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world runs a Core on virtual time, alone: the driver of a simulation.
type world struct {
	t     failer
	now   time.Time // the wall clock that the core sees
	core  *poller.Core
	queue inbox
	seq   int
	wake  time.Time

	latency  time.Duration
	answer   func(poller.Ask) (providers.Answer, *providers.CallError)
	publish  func(poller.Publish) error
	save     func(poller.SaveLane) error
	page     func(poller.ReadPage) (providers.Page, *providers.CallError)
	mark     func(poller.Mark) *providers.CallError
	lease    func() bool
	onResult func(poller.Publish) []poller.Input // what the reconciler writes back

	calls     []call
	asked     map[poller.OpID]poller.Ask
	grants    []poller.Grant
	extra     []call // granted requests beyond those of calls
	published []events.StatusCheck
	attempts  int // publications tried
	saved     []events.LaneState
	marks     []call
	pages     []call
	trace     []string
}

func newWorld(t failer, s poller.Settings, accounts ...poller.Account) *world {
	w := &world{t: t, now: epoch, latency: 50 * time.Millisecond, asked: map[poller.OpID]poller.Ask{}}
	if s.Partitions == 0 {
		s.Partitions = 1
	}
	w.core = poller.NewCore(s, accounts, rand.New(rand.NewPCG(1, 2)), nil)
	w.answer = func(a poller.Ask) (providers.Answer, *providers.CallError) {
		return providers.Answer{Key: a.Question.Key, StatusRaw: "NEW"}, nil
	}
	w.publish = func(poller.Publish) error { return nil }
	w.save = func(poller.SaveLane) error { return nil }
	w.lease = func() bool { return true }
	w.mark = func(poller.Mark) *providers.CallError { return nil }
	return w
}

// step gives inputs to the core and plans the results of its effects.
func (w *world) step(in ...poller.Input) {
	effects, wake := w.core.Step(w.now, in...)
	w.wake = wake
	missed, wake := w.core.Missed(w.now)
	for _, e := range missed {
		if _, ok := e.(poller.SaveLane); ok { // a reservation in advance may come with the need as well
			effects = append(effects, e)
			continue
		}
		w.t.Fatalf("a lane that was left alone until %s had something to do at %s: %+v", w.wake, w.now, missed)
	}
	if w.wake.IsZero() && !wake.IsZero() {
		w.t.Fatalf("the core wants to be woken at %s; a walk over all lanes says %s", w.wake, wake)
	}
	for _, e := range effects {
		w.trace = append(w.trace, fmt.Sprintf("%s %T %+v", w.now.Format("15:04:05.000"), e, e))
		w.do(e)
	}
}

func (w *world) do(e poller.Effect) {
	const kafka = 5 * time.Millisecond
	done := w.now.Add(w.latency)
	switch e := e.(type) {
	case poller.Ask:
		if !w.lease() {
			w.in(0, poller.Answered{ID: e.ID, NotCalled: true})
			return
		}
		w.calls = append(w.calls, call{w.now, done, e})
		w.asked[e.ID] = e
		a, err := w.answer(e)
		w.in(w.latency, poller.Answered{ID: e.ID, Answer: a, Err: err})
	case poller.Grant:
		w.grants = append(w.grants, e)
		if e.OK { // one more request of a call that was made
			w.extra = append(w.extra, call{at: w.now, ask: w.asked[e.ID]})
		}
	case poller.ReadPage:
		w.pages = append(w.pages, call{at: w.now, done: done})
		p, err := w.page(e)
		w.in(w.latency, poller.PageRead{ID: e.ID, Page: p, Err: err})
	case poller.Mark:
		w.marks = append(w.marks, call{at: w.now, done: done})
		w.in(w.latency, poller.Marked{ID: e.ID, Err: w.mark(e)})
	case poller.Publish:
		w.attempts++
		err := w.publish(e)
		if err == nil {
			w.published = append(w.published, e.Checks...)
		}
		w.in(kafka, poller.Published{ID: e.ID, Err: err})
		if err == nil && w.onResult != nil {
			w.in(20*time.Millisecond, w.onResult(e)...)
		}
	case poller.SaveLane:
		err := w.save(e)
		if err == nil {
			w.saved = append(w.saved, e.State)
		}
		w.in(kafka, poller.LaneSaved{ID: e.ID, Err: err})
	}
}

// in delivers inputs after d.
func (w *world) in(d time.Duration, in ...poller.Input) {
	if len(in) == 0 {
		return
	}
	w.seq++
	heap.Push(&w.queue, item{w.now.Add(d), w.seq, in})
}

// run lets virtual time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for steps := 0; ; steps++ {
		if steps > 2_000_000 {
			w.t.Fatalf("no progress at %s", w.now)
		}
		next, ok := w.wake, !w.wake.IsZero()
		if len(w.queue) > 0 && (!ok || w.queue[0].at.Before(next)) {
			it := heap.Pop(&w.queue).(item)
			if it.at.After(end) {
				heap.Push(&w.queue, it)
				break
			}
			w.now = it.at
			w.step(it.in...)
			continue
		}
		if !ok || next.After(end) {
			break
		}
		w.now = next
		w.step()
	}
	w.now = end
	w.step()
}

func (w *world) assign(tasks []events.CheckTask, lanes ...events.LaneState) {
	w.step(poller.Assigned{Partition: 0, Tasks: tasks, Lanes: lanes})
}

// callsOf lists when a subject was asked about.
func (w *world) callsOf(id string) []call {
	var out []call
	for _, c := range w.calls {
		if c.ask.Question.Key.ID == id {
			out = append(out, c)
		}
	}
	return out
}

func (w *world) lane(name events.Lane) poller.LaneSnapshot {
	w.t.Helper()
	for _, s := range w.core.Snapshot(w.now) {
		if s.Lane == name {
			return s
		}
	}
	w.t.Fatalf("Snapshot has no lane %s", name)
	return poller.LaneSnapshot{}
}

// reschedule is a reconciler that writes one next task for every answer.
func reschedule(after time.Duration) func(poller.Publish) []poller.Input {
	return func(p poller.Publish) []poller.Input {
		var in []poller.Input
		for _, c := range p.Checks {
			in = append(in, schedule(events.CheckTask{Key: c.Key, DueAt: c.ObservedAt.Add(after), Cause: events.CauseSchedule,
				Known: true, Status: events.StatusPending, Since: c.ObservedAt.Add(-24 * time.Hour)}))
		}
		return in
	}
}

type item struct {
	at  time.Time
	seq int
	in  []poller.Input
}

type inbox []item

func (q inbox) Len() int { return len(q) }
func (q inbox) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q inbox) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *inbox) Push(x any)   { *q = append(*q, x.(item)) }
func (q *inbox) Pop() any {
	old := *q
	it := old[len(old)-1]
	*q = old[:len(old)-1]
	return it
}

var errDown = fmt.Errorf("produce: %w", stream.ErrTransient)
