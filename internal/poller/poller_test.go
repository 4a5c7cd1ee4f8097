package poller_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// provider answers after a while and remembers what overlapped.
type provider struct {
	latency time.Duration
	mu      sync.Mutex
	calls   int
	now     int
	most    int
	last    int64
	reused  bool
}

func (p *provider) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	p.mu.Lock()
	p.calls, p.now = p.calls+1, p.now+1
	p.most = max(p.most, p.now)
	p.reused = p.reused || q.Nonce != 0 && q.Nonce <= p.last
	p.last = q.Nonce
	p.mu.Unlock()
	defer func() { p.mu.Lock(); p.now--; p.mu.Unlock() }()
	select {
	case <-time.After(p.latency):
		return providers.Answer{Key: q.Key, StatusRaw: "FINALIZED"}, nil
	case <-ctx.Done():
		return providers.Answer{}, ctx.Err()
	}
}

func (p *provider) seen() (calls, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls, p.most
}

// rig is a Poller on a log in memory.
type rig struct {
	k      *memKafka
	c      *codec.Codec
	p      *poller.Poller
	m      *member
	reg    *prometheus.Registry
	cancel context.CancelFunc
	done   chan error
}

func newRig(t testing.TB, accounts ...poller.Account) *rig {
	t.Helper()
	records, c := newRecords(t)
	r := &rig{k: newMemKafka(), c: c, reg: prometheus.NewRegistry(), done: make(chan error, 1)}
	metrics, err := poller.NewMetrics(r.reg)
	if err != nil {
		t.Fatal(err)
	}
	r.p = poller.New(poller.Config{Settings: poller.Settings{Partitions: partitions}, Accounts: accounts, Records: records,
		Publisher: r.k, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)), Metrics: metrics})
	r.reg.MustRegister(r.p.Gauges())
	r.m = r.k.join(r.p)
	return r
}

func (r *rig) run(t testing.TB) {
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.done <- r.p.Run(ctx, r.m) }()
}

// due is a task that is due at once, on the bubble's clock.
func due(k events.Key) events.CheckTask {
	now := events.At(time.Now())
	return events.CheckTask{Key: k, DueAt: now, Cause: events.CauseSchedule, Known: true, Status: events.StatusPending, Since: now.Add(-time.Minute)}
}

func TestPoller_asksAndPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &provider{latency: time.Second}
		r := newRig(t, account(serial, func(a *poller.Account) { a.Capabilities.Orders = api }))
		put(t, r.k, taskRecord(t, r.c, due(key("restored"))))
		r.m.assign(t, 0, 1, 2, 3) // the group may assign before Run begins
		r.run(t)
		put(t, r.k, taskRecord(t, r.c, due(key("tailed"))))
		time.Sleep(10 * time.Second)

		checks := r.k.records(topics.StatusCheck)
		if len(checks) != 2 {
			t.Fatalf("status checks = %d; want one for each task", len(checks))
		}
		for _, rec := range checks {
			c, err := r.c.DecodeStatusCheck(t.Context(), rec.Value)
			if err != nil || c.Status != events.StatusCompleted || c.AnsweredAt.Sub(c.ObservedAt) != time.Second {
				t.Errorf("check = %+v, %v; want COMPLETED after a second", c, err)
			}
			if rec.Partition != stream.PartitionOf(rec.Key, partitions) {
				t.Errorf("check of %s in partition %d", rec.Key, rec.Partition)
			}
		}
		for _, rec := range r.k.records(topics.LaneState) {
			if string(rec.Key) != string(lane) || rec.Partition != stream.PartitionOf([]byte(lane), partitions) {
				t.Errorf("lane state of %s in partition %d; want the lane's own", rec.Key, rec.Partition)
			}
		}
		if err := r.p.Ready(); err != nil {
			t.Errorf("Ready = %v", err)
		}
		if s := r.p.Snapshot(); len(s) != 1 || s[0].Held != 2 {
			t.Errorf("Snapshot = %+v; want two held tasks", s)
		}
		families, err := r.reg.Gather()
		if err != nil || len(families) < 12 {
			t.Errorf("metrics = %d families, %v", len(families), err)
		}
		r.cancel()
		if err := <-r.done; err != nil {
			t.Errorf("Run = %v after its context ended; want nil", err)
		}
	})
}

func TestPoller_stopsAfterWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &provider{latency: 10 * time.Second}
		r := newRig(t, account(func(a *poller.Account) { a.Capabilities.Orders = api }))
		r.m.assign(t, 0, 1, 2, 3)
		r.run(t)
		put(t, r.k, taskRecord(t, r.c, due(key("a"))), taskRecord(t, r.c, due(key("b"))))
		time.Sleep(time.Second)
		r.cancel()
		began := time.Now()
		if err := <-r.done; err != nil {
			t.Fatalf("Run = %v", err)
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("Run stopped after %s; want when the calls ended", d)
		}
		published := r.k.records(topics.StatusCheck)
		if calls, _ := api.seen(); len(published) != calls || calls == 0 {
			t.Errorf("published %d of %d calls", len(published), calls)
		}
		for _, rec := range published {
			if c, err := r.c.DecodeStatusCheck(t.Context(), rec.Value); err != nil || c.Outcome != events.OutcomeOK {
				t.Errorf("published %s, %v; want the answer that was waited for", c.Word(), err)
			}
		}
		r.m.revoke(0, 1, 2, 3) // the session closes after Run
	})
}

func TestPoller_revokeWaitsForTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &provider{latency: 10 * time.Second}
		acct := account(serial, func(a *poller.Account) { a.Capabilities.Orders = api })
		a := newRig(t, acct)
		put(t, a.k, taskRecord(t, a.c, due(key("o"))))
		a.m.assign(t, 0, 1, 2, 3)
		a.run(t)
		time.Sleep(2 * time.Second)
		a.m.revoke(0, 1, 2, 3)
		if _, now := api.seen(); now != 1 {
			t.Fatalf("calls = %d; want one under way at the revocation", now)
		}
		b := newRig(t, acct)
		b.k = a.k
		b.p = poller.New(poller.Config{Settings: poller.Settings{Partitions: partitions}, Accounts: []poller.Account{acct},
			Records: records(t), Publisher: a.k, Now: time.Now, Rand: rand.New(rand.NewPCG(3, 4))})
		b.m = a.k.join(b.p)
		b.m.assign(t, 0, 1, 2, 3)
		b.run(t)
		time.Sleep(20 * time.Second)
		if calls, most := api.seen(); most != 1 || calls < 2 || api.reused {
			t.Errorf("calls %d, at once %d, nonce reused %v; want the next owner to begin after the last one ended", calls, most, api.reused)
		}
		a.cancel()
		b.cancel()
		<-a.done
		<-b.done
	})
}

// leases is the gauge of the lease.
func leases(t *testing.T, r *rig) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "ramp_poller_lease" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no ramp_poller_lease")
	return 0
}

func TestPoller_callsOnlyWithALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, list := &provider{}, &listing{}
		r := newRig(t, account(func(a *poller.Account) { a.Capabilities.Orders, a.Capabilities.Sweep = api, list }))
		r.m.lost = true
		put(t, r.k, taskRecord(t, r.c, due(key("o"))))
		r.m.assign(t, 0, 1, 2, 3)
		r.run(t)
		time.Sleep(10 * time.Minute)
		if calls, _ := api.seen(); calls != 0 || list.pages.Load() != 0 {
			t.Errorf("calls = %d, pages = %d without a lease; want none", calls, list.pages.Load())
		}
		if err := r.p.Ready(); err == nil || leases(t, r) != 0 {
			t.Errorf("Ready = %v, lease gauge %v; want a poller that says why it calls nobody", err, leases(t, r))
		}
		r.m.mu.Lock()
		r.m.lost = false
		r.m.mu.Unlock()
		time.Sleep(10 * time.Second)
		if err := r.p.Ready(); err != nil || leases(t, r) != 1 {
			t.Errorf("Ready = %v, lease gauge %v with it", err, leases(t, r))
		}
		if calls, _ := api.seen(); calls != 1 || list.pages.Load() != 1 {
			t.Errorf("calls = %d, pages = %d with it; want 1 and 1", calls, list.pages.Load())
		}
		r.cancel()
		<-r.done
	})
}

// listing is a provider's empty list.
type listing struct{ pages atomic.Int32 }

func (l *listing) Sweep(context.Context, string) (providers.Page, error) {
	l.pages.Add(1)
	return providers.Page{}, nil
}
func (*listing) Ack(context.Context, providers.Answer) error { return nil }

func records(t testing.TB) poller.Records { r, _ := newRecords(t); return r }

func TestPoller_setsAsideWhatIsNoTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &provider{}
		r := newRig(t, account(func(a *poller.Account) { a.Capabilities.Orders = api }))
		r.m.assign(t, 0, 1, 2, 3)
		failures := 2
		r.k.fail = func(rec stream.Record) error {
			if rec.Topic == topics.DeadLetter && failures > 0 {
				failures--
				return errDown
			}
			return nil
		}
		r.run(t)
		bad := taskRecord(t, r.c, due(key("bad")))
		bad.Value = []byte("garbage")
		put(t, r.k, bad, taskRecord(t, r.c, due(key("good"))))
		time.Sleep(10 * time.Second)
		dead := r.k.records(topics.DeadLetter)
		if len(dead) != 1 || header(dead[0], stream.HeaderErrClass) != "UNDECODABLE" || string(dead[0].Value) != "garbage" {
			t.Errorf("dead letters = %+v; want the record with its bytes", dead)
		}
		if n := len(r.k.records(topics.StatusCheck)); n != 1 {
			t.Errorf("status checks = %d; want the good task's", n)
		}
		r.cancel()
		<-r.done
	})
}

func TestPoller_endsWhenThePlatformRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		corrupt func(*rig)
	}{
		{"to write", func(r *rig) {
			r.k.fail = func(rec stream.Record) error {
				if rec.Topic == topics.StatusCheck {
					return errRefused
				}
				return nil
			}
		}},
		{"to read", func(r *rig) { r.m.end = errRefused }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, account(func(a *poller.Account) { a.Capabilities.Orders = &provider{} }))
				r.m.assign(t, 0, 1, 2, 3)
				tc.corrupt(r)
				r.run(t)
				put(t, r.k, taskRecord(t, r.c, due(key("o"))))
				if err := <-r.done; !errors.Is(err, stream.ErrRefused) {
					t.Errorf("Run = %v; want stream.ErrRefused", err)
				}
				r.cancel()
			})
		})
	}
}

// Kafka is out of reach for a while, in both directions; then all is published.
func TestPoller_survivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, account(func(a *poller.Account) { a.Capabilities.Orders = &provider{latency: 100 * time.Millisecond} }))
		r.m.assign(t, 0, 1, 2, 3)
		for i := range 20 {
			put(t, r.k, taskRecord(t, r.c, due(key(fmt.Sprintf("o-%d", i)))))
		}
		began := time.Now()
		r.k.fail = func(rec stream.Record) error {
			if time.Since(began) < time.Minute {
				return errDown
			}
			return nil
		}
		r.m.end = errDown
		r.run(t)
		time.Sleep(30 * time.Second)
		r.m.mu.Lock()
		r.m.end = nil
		r.m.mu.Unlock()
		time.Sleep(90 * time.Second)
		seen := map[string]bool{}
		for _, rec := range r.k.records(topics.StatusCheck) {
			seen[string(rec.Key)] = true
		}
		if len(seen) != 20 {
			t.Errorf("subjects published = %d; want 20", len(seen))
		}
		r.cancel()
		<-r.done
	})
}

// Partitions come and go while calls, publications and timers run: for -race.
func TestPoller_concurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accounts []poller.Account
		api := &provider{latency: 30 * time.Millisecond}
		for i := range 6 {
			accounts = append(accounts, account(func(a *poller.Account) {
				a.Account, a.Poll.Rate, a.Capabilities.Orders = events.Account(fmt.Sprintf("a%d", i)), 100, api
				a.Capabilities.Serial = i%2 == 0
			}))
		}
		r := newRig(t, accounts...)
		r.m.assign(t, 0, 1, 2, 3)
		r.run(t)
		var writers sync.WaitGroup
		for i := range 6 {
			writers.Go(func() {
				for j := range 50 {
					k := events.Key{Provider: "kanga", Account: events.Account(fmt.Sprintf("a%d", i)), ID: fmt.Sprint(j)}
					put(t, r.k, taskRecord(t, r.c, due(k)))
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		for i := range 10 {
			n := int32(i % partitions)
			r.m.revoke(n)
			_ = r.p.Snapshot()
			_ = r.p.Ready()
			r.m.assign(t, n)
			time.Sleep(50 * time.Millisecond)
		}
		writers.Wait()
		time.Sleep(time.Minute)
		seen := map[string]bool{}
		for _, rec := range r.k.records(topics.StatusCheck) {
			seen[string(rec.Key)] = true
		}
		if len(seen) != 300 {
			t.Errorf("subjects asked about = %d; want 300", len(seen))
		}
		r.cancel()
		if err := <-r.done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}
