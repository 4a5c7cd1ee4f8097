package ingest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// The memory never holds more than its bound and remembers at least the most
// recent half of it.
func TestMemory_isBounded(t *testing.T) {
	const size = 100
	m := newMemory[int](size)
	for i := range 10_000 {
		m.update(fmt.Sprint(i), func(int, bool) (int, bool) { return i, true })
		if n := m.len(); n > size {
			t.Fatalf("holds %d keys after %d; want at most %d", n, i+1, size)
		}
		for _, back := range []int{0, size/2 - 1} {
			if i < back {
				continue
			}
			if v, ok := m.get(fmt.Sprint(i - back)); !ok || v != i-back {
				t.Fatalf("key %d is forgotten after %d others", i-back, back)
			}
		}
	}
	m.update("9999", func(v int, found bool) (int, bool) { return 0, false })
	if _, ok := m.get("9999"); ok {
		t.Error("a key that was given back is remembered")
	}
}

// A clock that stepped back does not silence an order until it has caught up.
func TestBudget_clockStepsBack(t *testing.T) {
	l := DefaultLimits()
	b := newBudget(l, []Route{{Provider: "kanga", Account: "acme"}})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if over := b.take("kanga/acme", "k", now); over != "" {
		t.Fatalf("first hint is over %q", over)
	}
	if over := b.take("kanga/acme", "k", now.Add(-time.Hour)); over != "" {
		t.Errorf("a hint after the clock stepped back an hour is over %q", over)
	}
	if over := b.take("kanga/other", "k2", now); over != overAccount {
		t.Errorf("a lane without a route is over %q; want %q", over, overAccount)
	}
}

// Every way out of a read gives its memory back.
func TestBodyMemory_isGivenBack(t *testing.T) {
	const limit = 64 << 10
	for _, tc := range []struct {
		name string
		size int
		most int64
		want error
	}{
		{"empty", 0, 100, nil},
		{"one buffer", 100, 100, nil},
		{"grown", 20 << 10, 30 << 10, nil},
		{"exactly the cap", 9000, 9000, nil},
		{"above the cap", 9001, 9000, errBodyTooLarge},
		{"above the memory", 60 << 10, 100 << 10, errNoMemory},
	} {
		m := &bodyMemory{limit: limit}
		for _, r := range []string{"whole", "one byte at a time"} {
			src := strings.NewReader(strings.Repeat("x", tc.size))
			body, release, err := m.read(src, tc.most)
			if r != "whole" {
				src.Reset(strings.Repeat("x", tc.size))
				if release != nil {
					release()
				}
				body, release, err = m.read(iotest.OneByteReader(src), tc.most)
			}
			if !errors.Is(err, tc.want) || err == nil && len(body) != tc.size || int64(cap(body)) > m.used.Load() && err == nil {
				t.Errorf("%s, %s: %d bytes, %v; want %d, %v", tc.name, r, len(body), err, tc.size, tc.want)
			}
			if release != nil {
				release()
			}
			if n := m.used.Load(); n != 0 {
				t.Errorf("%s, %s: %d bytes stay counted", tc.name, r, n)
			}
		}
	}
	m := &bodyMemory{limit: limit}
	if _, _, err := m.read(iotest.TimeoutReader(strings.NewReader("xy")), 10); err == nil || m.used.Load() != 0 {
		t.Errorf("a failing reader: %v, %d bytes stay counted", err, m.used.Load())
	}
}
