package integration_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration/proxy"
)

// lateEnds: requests to end a transaction arrive after the client has given
// their connection up, ended the transaction by another one, and begun the next.
func lateEnds(t *testing.T, p platform)     { late(t, p, kmsg.EndTxn, false) }
func lateProduces(t *testing.T, p platform) { late(t, p, kmsg.Produce, false) }

// lateEndsOld is lateEnds by the protocol before transaction.version 2, in which
// only an epoch that was raised tells an old request from a new one: the session
// is renewed before the next transaction begins.
func lateEndsOld(t *testing.T, p platform) { late(t, p, kmsg.EndTxn, true) }

// lateProducesOld: by that protocol an epoch is not over with its transaction, and
// only sequence numbers tell an old request from a new one.
func lateProducesOld(t *testing.T, p platform) { late(t, p, kmsg.Produce, true) }

func late(t *testing.T, p platform, key kmsg.Key, old bool) {
	x := throughProxy(t, p, through{old: old})
	var count atomic.Int64
	answers := map[string]int{}
	for x.busy() || count.Load() < 8 {
		for _, code := range x.once(key) {
			count.Add(1)
			name := "none"
			if err := kerr.TypedErrorForCode(code); err != nil {
				name = err.Message
			}
			answers[name]++
		}
	}
	renewed := func() (n int) {
		for _, p := range x.reconciler {
			n += strings.Count(p.log.String(), "session renewed")
		}
		return n
	}
	faults := []met{{"a request was let through late", func() int { return int(count.Load()) }, 8}}
	if old && key == kmsg.EndTxn {
		faults = append(faults, met{"a session was renewed", renewed, 1})
	}
	x.end(old, faults...)
	if n := renewed(); !old && n > 0 {
		t.Errorf("%d sessions were renewed, want none: the epoch is another one after every end", n)
	}
	t.Logf("the brokers answered them %v", answers)
	if n := answers["none"]; old && key == kmsg.EndTxn && n > 0 {
		t.Errorf("%d late requests to end a transaction were obeyed, want none", n)
	}
}

// once holds some requests until the next transactions of who sent them are under
// way, and gives what the brokers answered to them.
func (x *proxied) once(key kmsg.Key) []int16 {
	var held, passed owners
	begun := owners{noted: make(chan struct{}, 1)}
	rule := &proxy.Rule{Key: key, Client: reconcilerClient, Hold: true, Times: 1 + int(x.dice()*3), Only: held.note}
	after := &proxy.Rule{Key: key, Client: reconcilerClient, Only: passed.note} // looks on
	x.proxy.Add(rule, after)
	eventually(x.t, patience, "a request is held", func() (bool, string) { return rule.Held() > 0, "" })
	// Until who sent it was heard by another connection, and then until the next
	// transactions are under way.
	eventually(x.t, patience, "who sent what is held sends it again", func() (bool, string) {
		return passed.has(held.all()), fmt.Sprintf("held %v, passed on %v", held.all(), passed.all())
	})
	if key == kmsg.EndTxn {
		next := &proxy.Rule{Key: kmsg.Produce, Client: reconcilerClient, Only: begun.note}
		x.proxy.Add(next)
		begun.wait(x.t, held.all())
		next.Release()
	} else {
		pause(x.t.Context(), time.Duration(100+x.dice()*700)*time.Millisecond)
	}
	after.Release()
	return rule.Release()
}

// owners are the transactional ids of requests.
type owners struct {
	mu    sync.Mutex
	ids   map[string]bool
	noted chan struct{} // one more was, if not nil
}

// note keeps whose a request is; it is a Rule's Only.
func (o *owners) note(req kmsg.Request) bool {
	id := ""
	switch r := req.(type) {
	case *kmsg.EndTxnRequest:
		id = r.TransactionalID
	case *kmsg.ProduceRequest:
		if r.TransactionID != nil {
			id = *r.TransactionID
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = map[string]bool{}
	}
	o.ids[id] = true
	select {
	case o.noted <- struct{}{}:
	default:
	}
	return true
}

// wait returns at once when all of these were noted: transactions do not last for
// long.
func (o *owners) wait(t *testing.T, ids []string) {
	t.Helper()
	deadline := time.After(patience)
	for !o.has(ids) {
		select {
		case <-o.noted:
		case <-deadline:
			t.Fatalf("the next transactions of %v are not under way, only those of %v", ids, o.all())
		case <-t.Context().Done():
			t.Fatal("the test ended")
		}
	}
}

func (o *owners) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.ids))
}

// has reports whether all of these were noted.
func (o *owners) has(ids []string) bool {
	have := o.all()
	return !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(have, id) })
}
