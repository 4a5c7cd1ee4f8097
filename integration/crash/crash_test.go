package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rampstream/integration"
)

// Without transactions nobody coordinates them: such a fault could prove nothing.
func TestPlan_atLeastOnce(t *testing.T) {
	p, err := newPlan(1, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if s := p.next(); s.Kind == killTxnCoordinator {
			t.Fatalf("step %v at least once", s)
		}
	}
	if _, err := newPlan(1, []kind{killTxnCoordinator}, true); err == nil {
		t.Error("a plan of kill-txn-coordinator alone at least once; want an error")
	}
}

func deal(t *testing.T, seed uint64, n int, kinds ...kind) []step {
	t.Helper()
	p, err := newPlan(seed, kinds, false)
	if err != nil {
		t.Fatal(err)
	}
	var out []step
	for range n {
		out = append(out, p.next())
	}
	return out
}

func TestPlan_isAFunctionOfTheSeed(t *testing.T) {
	if a, b := deal(t, 7, 100), deal(t, 7, 100); !slices.Equal(a, b) {
		t.Error("one seed gives two plans")
	}
	if a, b := deal(t, 7, 100), deal(t, 8, 100); slices.Equal(a, b) {
		t.Error("two seeds give one plan")
	}
	if a, b := deal(t, 7, 50, killIngest, killLeader), deal(t, 7, 50, killLeader, killIngest, killIngest); !slices.Equal(a, b) {
		t.Error("the order in which kinds are named changes the plan")
	}
}

func TestPlan_everyRoundHasEveryFault(t *testing.T) {
	size := 0
	for _, n := range deck {
		size += n
	}
	have := map[kind]int{}
	for _, s := range deal(t, 3, size) {
		have[s.Kind]++
	}
	for k, n := range deck {
		if have[k] != n {
			t.Errorf("%s comes %d times in a round, want %d", k, have[k], n)
		}
	}
}

func TestRunMain(t *testing.T) {
	var out strings.Builder
	if err := runMain(t.Context(), []string{"-plan", "3", "-seed", "5"}, &out); err != nil || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("-plan 3: %v\n%s", err, out.String())
	}
	for _, args := range [][]string{{"-kinds", "earthquake"}, {"-nonsense"}, {"-recheck", filepath.Join(t.TempDir(), "none")}} {
		if err := runMain(t.Context(), args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v, want errUsage", args, err)
		}
	}
}

func TestVerdict(t *testing.T) {
	calm := outcome{step: step{Kind: killIngest}, Silence: time.Second}
	for _, tc := range []struct {
		name string
		res  result
		void bool
		fine bool
	}{
		{"all well", result{outcomes: []outcome{calm}}, false, true},
		{"nothing was done", result{}, true, false},
		{"a violation", result{outcomes: []outcome{calm}, found: []integration.Violation{{Invariant: integration.Lost}}}, false, false},
		{"too long a silence", result{outcomes: []outcome{calm, {Over: true}}}, false, false},
	} {
		err := tc.res.verdict(io.Discard)
		if (err == nil) != tc.fine || errors.Is(err, errVoid) != tc.void {
			t.Errorf("%s: %v; want fine %t, void %t", tc.name, err, tc.fine, tc.void)
		}
	}
}

func record(t *testing.T) *recorder {
	t.Helper()
	rec, err := newRecorder(filepath.Join(t.TempDir(), "history"))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestFront: what ingest says is passed on and written down with its receipt; an
// ingest that is gone is a 503 that may be repeated, one that dies within its
// answer a broken connection. Neither is ever a 200.
func TestFront(t *testing.T) {
	for _, tc := range []struct {
		name    string
		backend http.HandlerFunc
		status  int // 0: the connection breaks
		wrote   string
	}{
		{"receipt", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"event_id":"e1"}`) }, 200, `"receipt":{"event_id":"e1"}`},
		{"refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, 401, `"status":401`},
		{"gone", nil, 503, `"status":503`},
		{"dies", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			panic(http.ErrAbortHandler)
		}, 503, `"status":503`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			backend := httptest.NewServer(tc.backend)
			addr := backend.Listener.Addr().String()
			defer backend.Close()
			if tc.backend == nil {
				backend.Close()
			}
			rec := record(t)
			f, err := newFront(rec, []string{addr})
			if err != nil {
				t.Fatal(err)
			}
			defer f.close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/v1/x", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != tc.status || tc.status == 503 && resp.Header.Get("Retry-After") == "" {
				t.Errorf("status %d, Retry-After %q; want %d", resp.StatusCode, resp.Header.Get("Retry-After"), tc.status)
			}
			if err := rec.close(); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(rec.file.Name())
			if err != nil || !strings.Contains(string(text), tc.wrote) {
				t.Errorf("the history is %s, %v; want %s in it", text, err, tc.wrote)
			}
		})
	}
}

// TestProcess_proofs: what was not killed or stopped is not proven to be.
func TestProcess_proofs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	script := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec sleep 3600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := integration.StartProcess(script, "a", "none", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer p.End()
	if err := p.Resume(); err == nil {
		t.Error("Resume of a process that was never stopped gives no error")
	}
	if err := p.Pause(); err != nil {
		t.Errorf("Pause: %v", err)
	}
	if err := p.Resume(); err != nil {
		t.Errorf("Resume: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("Kill: %v", err)
	}
	if code, err := p.Wait(t.Context()); code != -1 || err != nil {
		t.Errorf("Wait after Kill: code %d, %v; want -1", code, err)
	}
	if err := p.Kill(); err == nil {
		t.Error("Kill of a process that is gone gives no error")
	}
}
