package poller_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

// ledger is a provider that refuses a nonce which is not above every one before
// it, and that knows who calls.
type ledger struct {
	mu       sync.Mutex
	last     int64
	accepted []int64
	refused  map[string]int
	requests map[string]int
}

func newLedger() *ledger { return &ledger{refused: map[string]int{}, requests: map[string]int{}} }

// book is a copy of the record.
type book struct {
	accepted          []int64
	refused, requests map[string]int
}

func (l *ledger) read() book {
	l.mu.Lock()
	defer l.mu.Unlock()
	return book{slices.Clone(l.accepted), maps.Clone(l.refused), maps.Clone(l.requests)}
}

// caller is one process at the provider. held, if not nil, stops it between the
// last check of the lease and the request.
type caller struct {
	*ledger
	name   string
	before chan struct{} // stops it before that check
	held   chan struct{}
}

func (c *caller) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	if c.before != nil {
		<-c.before
	}
	if err := providers.Spend(ctx); err != nil {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited, Err: err}
	}
	if c.held != nil {
		<-c.held
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests[c.name]++
	if q.Nonce <= c.last {
		c.refused[c.name]++
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeUnauthorized, Nonce: true}
	}
	c.last = q.Nonce
	c.accepted = append(c.accepted, q.Nonce)
	return providers.Answer{Key: q.Key, StatusRaw: "NEW"}, nil
}

// owner is a process that has the lane, on the log of another one or its own.
func owner(t *testing.T, k *memKafka, c *caller) *rig {
	t.Helper()
	acct := account(serial, func(a *poller.Account) { a.Capabilities.Orders = c })
	r := newRig(t, acct)
	if k != nil {
		r.k = k
		r.p = poller.New(poller.Config{Settings: poller.Settings{Partitions: partitions}, Accounts: []poller.Account{acct},
			Records: records(t), Publisher: k, Now: time.Now, Rand: rand.New(rand.NewPCG(3, 4))})
		r.m = k.join(r.p)
	}
	return r
}

func (r *rig) lose(lost bool) { r.m.mu.Lock(); r.m.lost = lost; r.m.mu.Unlock() }

func (r *rig) orders(t *testing.T, prefix string, n int) {
	t.Helper()
	for i := range n {
		put(t, r.k, taskRecord(t, r.c, due(key(fmt.Sprintf("%s-%d", prefix, i)))))
	}
}

// The worst moment for a process to be stopped is after it looked at its lease
// and before its request is on the wire. When it goes on, another one has called
// with higher nonces: the late request is refused, and that is all it costs.
func TestPoller_stoppedBetweenCheckAndCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := newLedger()
		stopped := &caller{ledger: seen, name: "a", held: make(chan struct{})}
		a := owner(t, nil, stopped)
		a.m.assign(t, 0, 1, 2, 3)
		a.run(t)
		a.orders(t, "first", 3)
		time.Sleep(5 * time.Second)
		a.lose(true) // stopped for longer than the session
		time.Sleep(time.Minute)

		b := owner(t, a.k, &caller{ledger: seen, name: "b"})
		b.m.assign(t, 0, 1, 2, 3)
		b.run(t)
		time.Sleep(10 * time.Second)
		b.orders(t, "second", 3)
		time.Sleep(10 * time.Second)
		book := seen.read()
		if book.requests["a"] != 0 || book.requests["b"] < 6 {
			t.Fatalf("requests %v; want six of the new owner and none of the stopped one", book.requests)
		}

		states := len(a.k.records(topics.LaneState))
		close(stopped.held) // and on it goes, believing what it knew
		time.Sleep(time.Minute)
		book = seen.read()
		if book.requests["a"] != 1 || book.refused["a"] != 1 {
			t.Errorf("requests %v, refused %v; want the one that was stopped, refused", book.requests, book.refused)
		}
		if n := len(a.k.records(topics.LaneState)); n != states {
			t.Errorf("%d lane states were written over those of the new owner", n-states)
		}
		a.p.Lose([]int32{0, 1, 2, 3})
		b.m.revoke(0, 1, 2, 3)

		c := owner(t, a.k, &caller{ledger: seen, name: "c"})
		c.m.assign(t, 0, 1, 2, 3)
		c.run(t)
		c.orders(t, "third", 3)
		time.Sleep(10 * time.Second)
		book = seen.read()
		if book.requests["c"] == 0 || book.refused["b"]+book.refused["c"] != 0 || !slices.IsSorted(book.accepted) {
			t.Errorf("requests %v, refused %v, accepted %v; want no further refusal", book.requests, book.refused, book.accepted)
		}
		for _, r := range []*rig{a, b, c} {
			r.cancel()
			<-r.done
		}
	})
}

// Who is stopped before that last look sends nothing at all.
func TestPoller_noRequestAfterTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := newLedger()
		who := &caller{ledger: seen, name: "a", before: make(chan struct{})}
		r := owner(t, nil, who)
		r.m.assign(t, 0, 1, 2, 3)
		r.run(t)
		r.orders(t, "o", 1)
		time.Sleep(5 * time.Second) // the call is under way, its request is not
		r.lose(true)
		close(who.before)
		time.Sleep(time.Minute)
		book := seen.read()
		if book.requests["a"] != 0 || len(r.k.records(topics.StatusCheck)) != 0 {
			t.Errorf("requests %v, %d events; want none", book.requests, len(r.k.records(topics.StatusCheck)))
		}
		r.lose(false)
		time.Sleep(10 * time.Second)
		book = seen.read()
		if book.requests["a"] != 1 || book.refused["a"] != 0 {
			t.Errorf("requests %v, refused %v; want the order asked about with the lease", book.requests, book.refused)
		}
		r.cancel()
		<-r.done
	})
}
