package poller_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

// Partitions are restored side by side: none of their lanes is lost or mixed up.
func TestPoller_restoresSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &provider{}
		var accounts []poller.Account
		for i := range 12 {
			accounts = append(accounts, account(func(a *poller.Account) {
				a.Account, a.Capabilities.Orders = events.Account(fmt.Sprintf("shop%02d", i)), api
			}))
		}
		r := newRig(t, accounts...)
		const orders = 7
		for _, a := range accounts {
			for n := range orders {
				put(t, r.k, taskRecord(t, r.c, due(events.Key{Provider: a.Provider, Account: a.Account, ID: fmt.Sprint(n)})))
			}
		}
		if n := r.p.Assigned([]int32{0, 1, 2, 3}); n < 1 {
			t.Fatalf("Assigned = %d restores at once", n)
		}
		var wg sync.WaitGroup
		for n := range int32(partitions) {
			wg.Go(func() { r.m.assign(t, n) })
		}
		wg.Wait()
		r.run(t)
		time.Sleep(time.Minute)
		if calls, _ := api.seen(); calls != orders*len(accounts) {
			t.Errorf("calls = %d; want each of %d orders of %d lanes asked about once", calls, orders, len(accounts))
		}
		r.cancel()
		<-r.done
	})
}

// What a burst called for is let go when nobody needs it any more.
func TestPoller_letsWorkersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := checkFunc(func(_ context.Context, q providers.Question) (providers.Answer, error) {
			time.Sleep(time.Second)
			return providers.Answer{Key: q.Key, StatusRaw: "NEW"}, nil
		})
		var accounts []poller.Account
		for i := range 12 {
			accounts = append(accounts, account(func(a *poller.Account) {
				a.Account, a.Capabilities.Orders, a.Poll = events.Account(fmt.Sprintf("shop%02d", i)), slow, providers.Poll{Rate: 100, Burst: 10}
			}))
		}
		r := newRig(t, accounts...)
		for _, a := range accounts {
			for n := range 40 {
				put(t, r.k, taskRecord(t, r.c, due(events.Key{Provider: a.Provider, Account: a.Account, ID: fmt.Sprint(n)})))
			}
		}
		r.m.assign(t, 0, 1, 2, 3)
		r.run(t)
		time.Sleep(9 * time.Second)
		if n := r.p.Idle(); n < 50 {
			t.Errorf("%d workers wait after a burst: the test proves nothing", n)
		}
		time.Sleep(25 * time.Second)
		if n := r.p.Idle(); n > 0 {
			t.Errorf("%d workers wait with nothing to do", n)
		}
		r.cancel()
		<-r.done
	})
}

// A poller that could not restore owns nothing and asks nobody: it must not say
// that all is well. One that stands by is.
func TestPoller_readyWithAnAssignment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, account())
		r.run(t)
		time.Sleep(time.Second)
		ready := func(want bool, when string) {
			t.Helper()
			if err := r.p.Ready(); (err == nil) != want {
				t.Errorf("Ready %s = %v", when, err)
			}
		}
		ready(false, "before any assignment")
		r.p.Assigned(nil)
		ready(true, "standing by")
		r.p.Assigned([]int32{0, 1})
		ready(false, "before the restore")
		r.m.assign(t, 0)
		ready(false, "with half of it restored")
		r.m.assign(t, 1)
		ready(true, "restored")
		r.p.Lose([]int32{0})
		ready(true, "with a half lost")
		r.p.Lose([]int32{1})
		ready(false, "with all lost")
		r.p.Assigned([]int32{0, 1}) // restored no further than this
		r.p.Lose([]int32{0})
		ready(false, "when the restore failed")
		r.cancel()
		<-r.done
	})
}
