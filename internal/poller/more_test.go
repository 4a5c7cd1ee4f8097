package poller_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
)

func TestStep_moreRequests(t *testing.T) {
	slow := func(a *poller.Account) { a.Poll = providers.Poll{Rate: 1, Burst: 2, HintRate: 0.1} }
	start := func(t *testing.T, task events.CheckTask) (*world, poller.OpID) {
		w := newWorld(t, poller.Settings{}, account(slow))
		w.latency = time.Minute
		w.assign([]events.CheckTask{task})
		w.run(11 * time.Second)
		if len(w.calls) != 1 {
			t.Fatalf("calls = %d, want 1", len(w.calls))
		}
		return w, w.calls[0].ask.ID
	}
	t.Run("wait for their token", func(t *testing.T) {
		w, id := start(t, known("o", -time.Minute, 10*time.Second))
		for range 5 {
			w.step(poller.More{ID: id})
		}
		w.run(2500 * time.Millisecond)
		if n := len(w.extra); n < 3 || n > 4 {
			t.Errorf("granted = %d within 2.5 s at 1/s and a burst of 2; want 3 or 4", n)
		}
		w.run(5 * time.Second)
		if len(w.extra) != 5 {
			t.Errorf("granted = %d in the end, want 5", len(w.extra))
		}
	})
	t.Run("come before new calls", func(t *testing.T) {
		w, id := start(t, known("o", -time.Minute, 10*time.Second))
		for i := range 5 {
			w.step(schedule(known(string(rune('a'+i)), -time.Minute, 0)))
		}
		w.step(poller.More{ID: id})
		w.run(1100 * time.Millisecond)
		if len(w.extra) != 1 {
			t.Errorf("granted = %d beside a backlog, want the next token", len(w.extra))
		}
	})
	t.Run("of a hint count as the hint's", func(t *testing.T) {
		w, id := start(t, hinted("o", 0, false))
		w.step(poller.More{ID: id})
		w.run(5 * time.Second)
		if len(w.extra) != 0 {
			t.Error("granted before the hint budget had a token")
		}
		w.run(10 * time.Second)
		if len(w.extra) != 1 {
			t.Errorf("granted = %d, want 1", len(w.extra))
		}
	})
	denied := func(t *testing.T, w *world) {
		t.Helper()
		if len(w.grants) != 1 || w.grants[0].OK {
			t.Errorf("grants = %+v, want one refusal", w.grants)
		}
	}
	t.Run("are denied before a Retry-After ends", func(t *testing.T) {
		w, id := start(t, known("o", -time.Minute, 10*time.Second))
		w.answer = func(poller.Ask) (providers.Answer, *providers.CallError) {
			return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRateLimited, RetryAfter: time.Hour}
		}
		w.latency = time.Millisecond
		w.step(schedule(known("p", -time.Minute, 0)))
		w.run(2 * time.Second)
		w.step(poller.More{ID: id})
		denied(t, w)
	})
	t.Run("are denied when the lane is lost", func(t *testing.T) {
		w, id := start(t, known("o", -time.Minute, 10*time.Second))
		w.step(poller.More{ID: id}, poller.Revoked{Partitions: []int32{0}})
		denied(t, w)
	})
	t.Run("are denied after the lane was lost", func(t *testing.T) {
		w, id := start(t, known("o", -time.Minute, 10*time.Second))
		w.step(poller.Revoked{Partitions: []int32{0}})
		w.step(poller.More{ID: id})
		denied(t, w)
	})
	t.Run("are denied when the call is over", func(t *testing.T) {
		w, id := start(t, known("o", -time.Minute, 10*time.Second))
		w.run(2 * time.Minute)
		w.step(poller.More{ID: id})
		denied(t, w)
	})
}

// wire is a provider's server that fails and counts.
type wire struct {
	mu   sync.Mutex
	at   []time.Time
	fail func(n int) int // the n-th request's HTTP status
}

func (s *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.at = append(s.at, time.Now())
	code := s.fail(len(s.at))
	s.mu.Unlock()
	rec := httptest.NewRecorder()
	rec.WriteHeader(code)
	return rec.Result(), nil
}

// Check retries as the providers' clients do.
func (s *wire) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	err := httpx.Retry(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://provider.invalid/", nil)
		if err != nil {
			return err
		}
		status, header, _, err := httpx.Do(ctx, &http.Client{Transport: s}, "acme check", req, 0)
		if err != nil {
			return err
		}
		return httpx.StatusError("acme check", status, header, time.Now())
	})
	return providers.Answer{Key: q.Key, StatusRaw: "NEW"}, err
}

// Invariant 21 on the wire: what the provider's server counts, retries
// included, is within the budget in every window.
func TestPoller_budgetOnTheWire(t *testing.T) {
	for _, tc := range []struct {
		name string
		fail func(int) int
	}{
		{"every request fails", func(int) int { return http.StatusBadGateway }},
		{"every other request fails", func(n int) int { return []int{http.StatusOK, http.StatusServiceUnavailable}[n%2] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rate, burst = 20, 5
				server := &wire{fail: tc.fail}
				r := newRig(t, account(func(a *poller.Account) {
					a.Capabilities.Orders, a.Poll = server, providers.Poll{Rate: rate, Burst: burst}
				}))
				for i := range 2000 {
					put(t, r.k, taskRecord(t, r.c, due(key(fmt.Sprintf("o-%d", i)))))
				}
				r.m.assign(t, 0, 1, 2, 3)
				r.run(t)
				time.Sleep(time.Minute)
				r.cancel()
				if err := <-r.done; err != nil {
					t.Fatal(err)
				}
				server.mu.Lock()
				defer server.mu.Unlock()
				within(t, "requests", server.at, rate, burst)
				if n := len(server.at); n < 60 {
					t.Errorf("%d requests in a minute: the lane stands still", n)
				}
			})
		})
	}
}

// A call that our own budget ends says nothing about the provider: no event,
// and the task is asked again.
func TestPoller_budgetRefusesTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		server := &wire{fail: func(int) int { return http.StatusOK }}
		r := newRig(t, account(func(a *poller.Account) {
			a.Poll = providers.Poll{Rate: 0.05, Burst: 1} // one token in 20 s: too long to wait for
			a.Capabilities.Orders = checkFunc(func(ctx context.Context, q providers.Question) (providers.Answer, error) {
				if tries.Add(1) == 1 { // the first call needs a token of its own first
					if _, err := server.Check(ctx, q); err != nil {
						return providers.Answer{}, err
					}
				}
				return server.Check(ctx, q)
			})
		}))
		put(t, r.k, taskRecord(t, r.c, due(key("o"))))
		r.m.assign(t, 0, 1, 2, 3)
		r.run(t)
		time.Sleep(35 * time.Second)
		if n := len(r.k.records(topics.StatusCheck)); n != 0 || tries.Load() != 1 {
			t.Errorf("%d events after %d tries; want none: nothing was asked", n, tries.Load())
		}
		time.Sleep(20 * time.Second)
		if n := len(r.k.records(topics.StatusCheck)); n != 1 || tries.Load() != 2 {
			t.Errorf("%d events after %d tries; want the answer of the second", n, tries.Load())
		}
		r.cancel()
		<-r.done
	})
}

type checkFunc func(context.Context, providers.Question) (providers.Answer, error)

func (f checkFunc) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	return f(ctx, q)
}
