package simulator_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers/simulator"
)

func timeNow() time.Time { return time.Now() }

// Each fault of answers, alone and always, looks like itself.
func TestAPIFaults_lookLikeThemselves(t *testing.T) {
	for _, tc := range []struct {
		fault  simulator.Fault
		faults simulator.Faults
		check  func(reply) bool
	}{
		{simulator.FaultRateLimited, simulator.Faults{RateLimit: 1}, func(r reply) bool { return r.status == 429 }},
		{simulator.FaultServerError, simulator.Faults{ServerError: 1}, func(r reply) bool { return r.status >= 500 }},
		{simulator.FaultSlow, simulator.Faults{Slow: 1}, func(r reply) bool { return r.status == 200 && r.text("data", "id") != "" }},
		{simulator.FaultReset, simulator.Faults{Reset: 1}, func(r reply) bool { return r.err != nil && r.status == 0 }},
		{simulator.FaultHalfBody, simulator.Faults{HalfBody: 1}, func(r reply) bool { return r.err != nil && r.status == 200 && len(r.raw) > 0 }},
		{simulator.FaultHTML, simulator.Faults{HTML: 1}, func(r reply) bool { return r.status == 200 && strings.HasPrefix(string(r.raw), "<html>") }},
		{simulator.FaultFailInside, simulator.Faults{FailInside: 1}, func(r reply) bool { return r.status == 200 && r.body["success"] == false }},
		{simulator.FaultRedirect, simulator.Faults{Redirect: 1}, func(r reply) bool { return r.status/100 == 3 && r.header.Get("Location") == "/trap" }},
		{simulator.FaultHuge, simulator.Faults{Huge: 1}, func(r reply) bool { return len(r.raw) > 8<<20 }},
		{simulator.FaultSwapped, simulator.Faults{Swap: 1}, func(r reply) bool { return r.text("data", "id") == "other" }},
	} {
		w := newWorld(t, simulator.Options{Seed: 20, Speed: fast, Faults: tc.faults}, nil)
		start(t, w)
		place(t, w, "kado", simulator.OrderSpec{ID: "asked"})
		place(t, w, "kado", simulator.OrderSpec{ID: "other"})
		got := do(t, "GET", w.URL("kado", "a")+"/v2/public/orders/asked", "", nil)
		if !tc.check(got) {
			t.Errorf("%s: %d %v %.200s", tc.fault, got.status, got.err, got.raw)
		}
		calls := w.Calls("kado", "a")
		if len(calls) != 1 || calls[0].Fault != tc.fault || calls[0].Subject != "asked" || w.Stats().Injected[tc.fault] != 1 {
			t.Errorf("%s: log %+v, stats %+v", tc.fault, calls, w.Stats())
		}
	}
}

func TestDrip_lastsUntilTheCallerGoes(t *testing.T) {
	w := newWorld(t, simulator.Options{Faults: simulator.Faults{Drip: 1}}, nil)
	start(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", w.URL("kado", "a")+"/v2/public/orders/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 3)); err != nil {
		t.Fatalf("the first bytes: %v", err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("the rest: %v; want it to last until the caller goes", err)
	}
}

func TestRedirect_countsWhoFollows(t *testing.T) {
	w := newWorld(t, simulator.Options{Faults: simulator.Faults{Redirect: 1}}, nil)
	start(t, w)
	resp, err := http.Get(w.URL("kado", "a") + "/v2/public/orders/x") // follows, as the default client does
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if n := w.Stats().RedirectsFollowed; n != 1 {
		t.Errorf("RedirectsFollowed = %d, want 1", n)
	}
}

func TestCalls_overlap(t *testing.T) {
	w := newWorld(t, simulator.Options{Faults: simulator.Faults{Drip: 1}}, nil)
	start(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	hang := func(calls int) {
		req, err := http.NewRequestWithContext(ctx, "GET", w.URL("kado", "a")+"/v2/public/orders/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
		until(t, func() bool { return len(w.Calls("kado", "a")) == calls })
	}
	hang(1)
	hang(2)
	cancel()
	wg.Wait()
	until(t, func() bool {
		calls := w.Calls("kado", "a")
		return !calls[0].End.IsZero() && !calls[1].End.IsZero()
	})
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	hang(3)
	cancel()
	wg.Wait()
	calls := w.Calls("kado", "a")
	if calls[0].Overlap != 0 || calls[1].Overlap != 1 || calls[2].Overlap != 0 || w.Stats().Overlaps != 1 {
		t.Errorf("calls %+v", calls)
	}
}

// until polls a condition that another goroutine brings about.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal("condition did not come true")
		case <-tick.C:
		}
	}
}

// Each fault of webhooks and orders, alone and always, happens and is counted.
func TestWebhookFaults_happenAndAreCounted(t *testing.T) {
	for _, tc := range []struct {
		fault    simulator.Fault
		provider events.Provider
		faults   simulator.Faults
		fate     simulator.Fate
		injected int
		acks     int
	}{
		{simulator.FaultLost, "kado", simulator.Faults{Lose: 1}, simulator.FateCompleted, 3, 0},
		{simulator.FaultDuplicate, "kado", simulator.Faults{Duplicate: 1}, simulator.FateCompleted, 3, 6},
		{simulator.FaultDelayed, "kado", simulator.Faults{Delay: 1}, simulator.FateCompleted, 3, 3},
		{simulator.FaultStale, "kado", simulator.Faults{Stale: 1}, simulator.FateCompleted, 3, 3},
		{simulator.FaultTypeConflict, "kado", simulator.Faults{TypeConflict: 1}, simulator.FateCompleted, 3, 3},
		{simulator.FaultBadSignature, "kado", simulator.Faults{BadSignature: 1}, simulator.FateCompleted, 3, 3},
		{simulator.FaultBadSignature, "koinal", simulator.Faults{BadSignature: 1}, simulator.FateCompleted, 1, 1},
		{simulator.FaultBadSignature, "kuna", simulator.Faults{BadSignature: 1}, simulator.FateCompleted, 0, 2},
		{simulator.FaultContradict, "kado", simulator.Faults{Contradict: 1}, simulator.FateCompleted, 1, 4},
		{simulator.FaultContradict, "koinal", simulator.Faults{Contradict: 1}, simulator.FateCompleted, 1, 2},
		{simulator.FaultDeny, "kado", simulator.Faults{Deny: 1}, simulator.FateFailed, 1, 2},
		{simulator.FaultDeny, "koinal", simulator.Faults{Deny: 1}, simulator.FateExpired, 1, 1},
		{simulator.FaultForged, "kanga", simulator.Faults{Forge: 1}, simulator.FateAbsent, 1, 1},
		{simulator.FaultForged, "kuna", simulator.Faults{Forge: 1}, simulator.FateCompleted, 1, 3},
		{simulator.FaultUnknownWord, "kado", simulator.Faults{UnknownWord: 1}, simulator.FateCompleted, 1, 4},
		{simulator.FaultUnknownWord, "kuna", simulator.Faults{UnknownWord: 1}, simulator.FateCompleted, 1, 3},
	} {
		clk := newClock()
		verify := map[events.Provider]func(*http.Request, []byte) bool{"kado": verifyKado, "koinal": verifyKoinal}[tc.provider]
		in := newInbox(t, 0, verify)
		w := newWorld(t, simulator.Options{Seed: 21, Now: clk.now, Faults: tc.faults}, map[events.Provider]string{tc.provider: in.URL + "/h"})
		tr := place(t, w, tc.provider, simulator.OrderSpec{Fate: tc.fate})
		for range 60 {
			clk.add(50 * time.Millisecond)
			w.Deliver(t.Context())
		}
		s := w.Stats()
		if s.Injected[tc.fault] != tc.injected || s.Acknowledged != tc.acks || s.ForgeriesAccepted != 0 {
			t.Errorf("%s at %s: %+v, want %d injected and %d acknowledged", tc.fault, tc.provider, s, tc.injected, tc.acks)
		}
		if tc.fault == simulator.FaultBadSignature && s.ForgeriesRefused != tc.injected {
			t.Errorf("%s at %s: %d refused, want %d", tc.fault, tc.provider, s.ForgeriesRefused, tc.injected)
		}
		if (tc.fault == simulator.FaultDeny) != (tr.Denied != "") || (tc.fault == simulator.FaultContradict) != tr.Contradicted {
			t.Errorf("%s at %s: truth %+v", tc.fault, tc.provider, tr)
		}
	}
}

func TestReorder_isCountedWhenItCameTrue(t *testing.T) {
	clk := newClock()
	in := newInbox(t, 0, verifyKado)
	w := newWorld(t, simulator.Options{Seed: 22, Now: clk.now, Faults: simulator.Faults{Reorder: 0.5}}, map[events.Provider]string{"kado": in.URL + "/h"})
	for range 10 {
		place(t, w, "kado", simulator.OrderSpec{Fate: simulator.FateCompleted})
	}
	for range 60 {
		clk.add(50 * time.Millisecond)
		w.Deliver(t.Context())
	}
	last, turned := map[string]int{}, 0
	rank := map[string]int{"order_pending": 1, "order_processing": 2, "order_completed": 3}
	for _, r := range in.received() {
		body := reply{body: parse(t, r.body)}
		id, n := body.text("data", "id"), rank[body.text("type")]
		if n < last[id] {
			turned++
		}
		last[id] = max(last[id], n)
	}
	if got := w.Stats().Injected[simulator.FaultReordered]; got == 0 || got != turned {
		t.Errorf("counted %d reordered, the inbox saw %d", got, turned)
	}
}

// A bad night ends: what the API says is the truth, every webhook that was to
// arrive is acknowledged, and each fault of the default happened.
func TestDefaultFaults_allHappen(t *testing.T) {
	if testing.Short() {
		t.Skip("asks a thousand times")
	}
	hooks := map[events.Provider]string{}
	for p, verify := range map[events.Provider]func(*http.Request, []byte) bool{
		"kado": verifyKado, "kanga": nil, "koinal": verifyKoinal, "kuna": nil, "zumo": verifyZumo,
	} {
		hooks[p] = newInbox(t, 2, verify).URL + "/hooks"
	}
	clk := newClock()
	w := newWorld(t, simulator.Options{Seed: 23, Now: clk.now, Speed: fast, Faults: simulator.DefaultFaults()}, hooks)
	for range 60 {
		for p := range hooks {
			place(t, w, p, simulator.OrderSpec{})
		}
	}
	for i := 0; !w.Quiet() && i < 1000; i++ {
		clk.add(500 * time.Microsecond) // by hand, so that a slow machine changes nothing
		w.Deliver(t.Context())
	}
	start(t, w)
	nonce := int64(0)
	for _, tr := range w.Truth() {
		got := "?"
		for try := 0; try < 20 && (try < 3 || got != tr.Raw); try++ {
			nonce++
			got = ask(t, w, tr.Key, nonce)
		}
		if got != tr.Raw {
			t.Errorf("%s: API ends with %q, truth is %q", tr.Key, got, tr.Raw)
		}
	}
	s := w.Stats()
	for _, f := range simulator.FaultNames() {
		if f != simulator.FaultDeny && f != simulator.FaultDrip && f != simulator.FaultHuge && s.Injected[f] == 0 {
			t.Errorf("%s did not happen: %+v", f, s)
		}
	}
	if s.ForgeriesRefused != s.Injected[simulator.FaultBadSignature] || s.ForgeriesAccepted != 0 || s.GivenUp != 0 {
		t.Errorf("stats %+v", s)
	}
}
