package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long anything may take that must come: a machine may be busy
// with other things for many seconds, and a group may have to wait until a
// session has timed out. It is reached only by a failure.
const patience = 2 * time.Minute

// eventually polls cond until it holds, or fails with what it last said.
func eventually(t *testing.T, within time.Duration, what string, cond func() (ok bool, said string)) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, said := cond()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s\n%s", within, what, said)
		case <-t.Context().Done():
			t.Fatalf("the test ended while waiting: %s", what)
		}
	}
}

// pause waits for d, or until ctx ends: the gap between two planned faults.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

var ports struct {
	mu    sync.Mutex
	given map[int]bool
}

// freeAddr is a loopback address that nobody listens on and that the kernel
// gives to no outgoing connection: a program can be killed and started on it
// again.
func freeAddr(t *testing.T) string {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 1000 {
		port := 11000 + rand.IntN(8000)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if ports.given[port] {
			continue
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		must(t, ln.Close())
		ports.given[port] = true
		return addr
	}
	t.Fatal("no free port")
	return ""
}

// tail is the end of a text, for a report.
func tail(s string) string {
	const most = 6 << 10
	if len(s) > most {
		return fmt.Sprintf("... %d bytes ...\n%s", len(s)-most, s[len(s)-most:])
	}
	return s
}
