package poller_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
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
