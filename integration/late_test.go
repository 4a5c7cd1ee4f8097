package integration_test

import (
	"fmt"
	"maps"
	"slices"
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
// nothing tells an old request from a new one.
// On real Kafka one run of it ended with a position without its state, and code 5.
// That a late end ended the next transaction amid its writes is likely, and not
// proven: until it is, the scenario is open there (K4 in docs/faults.md).
func lateEndsOld(t *testing.T, p platform) {
	if p.real() {
		t.Skip("open: a position without its state, once; see K4 in docs/faults.md")
	}
	late(t, p, kmsg.EndTxn, true)
}

func late(t *testing.T, p platform, key kmsg.Key, old bool) {
	x := throughProxy(t, p, old)
	var count atomic.Int64
	refused := map[string]int{}
	for x.busy() || count.Load() < 8 {
		var held, passed owners
		rule := &proxy.Rule{Key: key, Client: reconcilerClient, Hold: true, Times: 1 + int(x.dice()*3), Only: held.note}
		after := &proxy.Rule{Key: key, Client: reconcilerClient, Only: passed.note} // looks on
		x.proxy.Add(rule, after)
		eventually(t, patience, "a request is held", func() (bool, string) { return rule.Held() > 0, "" })
		// Until who sent it was heard by another connection, and then until the next
		// transactions are under way.
		eventually(t, patience, "who sent what is held sends it again", func() (bool, string) {
			return passed.has(held.all()), fmt.Sprintf("held %v, passed on %v", held.all(), passed.all())
		})
		pause(t.Context(), time.Duration(100+x.dice()*700)*time.Millisecond)
		after.Release()
		for _, code := range rule.Release() {
			count.Add(1)
			name := "none"
			if err := kerr.TypedErrorForCode(code); err != nil {
				name = err.Message
			}
			refused[name]++
		}
	}
	x.end(old, met{"a request was let through late", func() int { return int(count.Load()) }, 8})
	t.Logf("the brokers answered them %v", refused)
}

// owners are the transactional ids of requests.
type owners struct {
	mu  sync.Mutex
	ids map[string]bool
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
	return true
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
