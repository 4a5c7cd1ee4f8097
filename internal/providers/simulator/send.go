package simulator

import (
	"bytes"
	"container/heap"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"rampstream/internal/events"
)

// senders is how many webhooks go out at once, and tick how often a clock that
// only a test moves is looked at.
const (
	senders = 32
	tick    = 50 * time.Millisecond
)

// outgoing is a delivery as it goes over the wire. Repeats send the same bytes.
type outgoing struct {
	method string
	url    string
	header http.Header
	body   []byte
}

// Delivery is one attempt to send a webhook: what really went out, and what
// came back.
type Delivery struct {
	Key     events.Key // of the subject it is about; a forged one's id differs
	At      time.Time
	Attempt int // from 1
	Method  string
	URL     string
	Header  http.Header
	Body    []byte
	Word    string // the provider's word that it announces
	Faults  []Fault
	Status  int    // the answer; 0 for none
	Answer  []byte // its body, at most the first 4 KiB
}

// Deliveries is the archive of an account: everything that went out, as much
// as Options.Keep allows. Bodies and headers are shared and must not be changed.
func (w *World) Deliveries(p events.Provider, name events.Account) []Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts[events.LaneOf(p, name)]
	if a == nil {
		return nil
	}
	return append([]Delivery(nil), a.archive...)
}

// item is a notice and when to send it.
type item struct {
	due     time.Time
	seq     int
	subject *subject
	notice  *notice
	attempt int // attempts made
	out     *outgoing
}

// queue is a heap by due time, then by when it was pushed.
type queue []item

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(item)) }
func (q *queue) Pop() any {
	old := *q
	it := old[len(old)-1]
	old[len(old)-1] = item{}
	*q = old[:len(old)-1]
	return it
}

// push queues an item. The world is locked.
func (w *World) push(it item) {
	w.pushed++
	it.seq = w.pushed
	heap.Push(&w.queue, it)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// pop takes the first item that is due, or says how long to wait for one.
func (w *World) pop() (it item, wait time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return item{}, tick, false
	}
	if wait = w.queue[0].due.Sub(w.now()); wait > 0 {
		return item{}, min(wait, tick), false
	}
	w.sending++
	return heap.Pop(&w.queue).(item), 0, true
}

// send sends what is due until ctx ends, several at once.
func (w *World) send(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, senders)
	for ctx.Err() == nil {
		it, wait, ok := w.pop()
		if !ok {
			t := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-w.wake:
			case <-t.C:
			}
			t.Stop()
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			w.deliver(ctx, it)
		})
	}
}

// Deliver sends everything that is due, one after the other, and says how many
// attempts it made. It is for worlds that are not started.
func (w *World) Deliver(ctx context.Context) int {
	n := 0
	for ctx.Err() == nil {
		it, _, ok := w.pop()
		if !ok {
			break
		}
		if w.deliver(ctx, it) {
			n++
		}
	}
	return n
}

// deliver makes one attempt and queues the next where the provider would. It
// reports whether anything went out.
func (w *World) deliver(ctx context.Context, it item) bool {
	if !w.prepare(&it) {
		return false
	}
	at := w.now()
	status, answer := w.post(ctx, it.out)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sending--
	it.attempt++
	a := it.subject.a
	a.archive = keep(append(a.archive, Delivery{
		Key: it.subject.key, At: at, Attempt: it.attempt, Method: it.out.method, URL: it.out.url, Header: it.out.header,
		Body: it.out.body, Word: it.notice.word, Faults: it.notice.faults, Status: status, Answer: answer,
	}), w.opt.Keep)
	w.stats.Sent++
	w.stats.Answers[status]++
	if it.attempt > 1 {
		w.stats.Repeated++
	}
	w.settle(it, status)
	return true
}

// settle counts an answer and repeats what was not acknowledged.
func (w *World) settle(it item, status int) {
	if it.notice.has(FaultBadSignature) {
		switch {
		case status == http.StatusUnauthorized:
			w.stats.ForgeriesRefused++
			return
		case status >= 200 && status < 300:
			w.stats.ForgeriesAccepted++
			return
		}
	}
	if status == http.StatusOK { // exactly: Kanga's document says so, and Kado's
		w.stats.Acknowledged++
		return
	}
	wait, again := it.subject.a.retryAfter(it.attempt)
	if !again {
		w.stats.GivenUp++
		return
	}
	it.due = w.now().Add(wait)
	w.push(it)
}

// kangaRepeats are documented: after 15 minutes, then 1 hour, then 6 hours.
var kangaRepeats = [...]time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour}

// retryAfter is how long after attempt n the next one comes. Only Kanga
// documents its repeats; the others' are a placeholder.
func (a *account) retryAfter(n int) (time.Duration, bool) {
	if a.provider == "kanga" {
		if n > len(kangaRepeats) {
			return 0, false
		}
		return time.Duration(float64(kangaRepeats[n-1]) * a.w.speed.KangaRetry), true
	}
	if n > a.w.speed.Retries {
		return 0, false
	}
	return a.w.speed.Retry << (n - 1), true
}

// prepare builds the request of a first attempt and counts its faults; false
// when nothing is to be sent.
func (w *World) prepare(it *item) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, n := it.subject, it.notice
	if it.out != nil {
		return true
	}
	if n.has(FaultLost) {
		w.stats.Injected[FaultLost]++
		w.sending--
		return false
	}
	if s.a.hookURL != "" {
		it.out = s.compose(n)
	}
	if it.out == nil {
		w.sending--
		return false
	}
	w.countNotice(s, n)
	return true
}

// compose builds the request of n. Half of the duplicates are the very bytes
// of the first delivery, the others are signed anew.
func (s *subject) compose(n *notice) *outgoing {
	if n.has(FaultDuplicate) && s.sent[n.stage] != nil && s.dice().chance("same bytes", n.n, 0.5) {
		return s.sent[n.stage]
	}
	out := s.a.dialect.compose(s, n, s.a.w.now())
	if out != nil && n.claim == n.stage && !n.has(FaultBadSignature) {
		if s.sent == nil {
			s.sent = map[int]*outgoing{}
		}
		s.sent[n.stage] = out
	}
	return out
}

// countNotice counts the faults of a notice that goes out now.
func (w *World) countNotice(s *subject, n *notice) {
	if n.has(FaultDuplicate) {
		w.stats.Injected[FaultDuplicate]++
		return
	}
	for _, f := range n.faults {
		switch f {
		case FaultReordered: // counted below, when it came true
		case FaultContradict:
			if s.current(w.now()) != n.claim {
				w.stats.Injected[f]++
			}
		default:
			w.stats.Injected[f]++
		}
	}
	if n.has(FaultContradict) || n.has(FaultDeny) || n.has(FaultForged) || n.has(FaultBadSignature) {
		return
	}
	if s.announcedStage > n.stage {
		w.stats.Injected[FaultReordered]++
	}
	s.announcedStage = max(s.announcedStage, n.stage)
	if s.stages[n.stage].weird {
		s.countWeird()
	}
}

func (s *subject) countWeird() {
	if !s.weirdSeen {
		s.weirdSeen = true
		s.a.w.stats.Injected[FaultUnknownWord]++
	}
}

// keptAnswer is how much of an answer's body the archive keeps: enough for
// whatever receipt a receiver may give.
const keptAnswer = 4 << 10

// post sends one request and gives the answer's status, 0 for none, and the
// beginning of its body. One that breaks off is none: what it said is not known.
func (w *World) post(ctx context.Context, out *outgoing) (int, []byte) {
	var body io.Reader
	if out.body != nil {
		body = bytes.NewReader(out.body)
	}
	req, err := http.NewRequestWithContext(ctx, out.method, out.url, body)
	if err != nil {
		return 0, nil
	}
	req.Header = out.header.Clone()
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, keptAnswer))
	if err != nil {
		return 0, nil
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is used again
	return resp.StatusCode, answer
}

// keep drops the oldest half of a log that has grown over its bound.
func keep[T any](log []T, bound int) []T {
	if len(log) <= bound {
		return log
	}
	return append([]T(nil), log[len(log)-bound/2:]...)
}
