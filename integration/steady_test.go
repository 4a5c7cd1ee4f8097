package integration_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"rampstream/internal/providers/simulator"
)

// asked is the time that an environment variable asks for, 0 if it is not set.
func asked(t *testing.T, name string) time.Duration {
	t.Helper()
	if os.Getenv(name) == "" {
		return 0
	}
	d, err := time.ParseDuration(os.Getenv(name))
	must(t, err)
	return d
}

// steadily places so many subjects a second for d.
func (w *world) steadily(ctx context.Context, rate int, d time.Duration) error {
	n := rate * int(d/time.Second)
	return w.place(ctx, n-n/11, n/11, d)
}

// night is a night that lasts for long, 0 for a short one. In a long one no
// provider says that it is asked too often: by chance, of one call in a hundred,
// that teaches a poller to ask ever less, and then tasks pile up.
func night(long time.Duration) simulator.Faults {
	f := simulator.DefaultFaults()
	if long > 0 {
		f.RateLimit = 0
	}
	return f
}

// A holding is the memory of a process at one moment, in KiB.
type holding struct {
	live     int // of the heap, at the last collection
	taken    int // by the Go runtime from the system: the heap and what it needs
	resident int // all of it
	states   int // live ones of a reconciler, outside of the heap
	held     int // for them
	tasks    int // of a poller, and no memory
}

func (p *process) holding() (h holding) {
	p.w.t.Helper()
	page := p.metrics()
	of := func(name string) int {
		v, ok := gauge(page, name)
		if !ok {
			p.w.t.Fatalf("%s has no metric %s", p, name)
		}
		return v >> 10
	}
	h.live, h.resident = of("go_gc_heap_live_bytes"), of("process_resident_memory_bytes")
	h.taken = of("go_memstats_sys_bytes") - of("go_memstats_heap_released_bytes")
	h.tasks = sum(page, "ramp_poller_tasks{")
	if p.name == "reconciler" {
		h.states, h.held = of("ramp_reconciler_state_bytes"), of("ramp_reconciler_state_held_bytes")
	}
	return h
}

// What the memory of a process may grow by from the second third of a steady load
// to its last one, in KiB. What is held for states and not used yet is resident as
// soon as it is used.
const (
	liveGrowth     = 2 << 10
	takenGrowth    = 8 << 10
	residentGrowth = 8 << 10
)

// steady places subjects evenly for d and looks at the memory of the programs
// meanwhile. It may grow by nothing but states. A reconciler keeps the memory of
// its largest batch for the next ones, so a full one comes first.
func (w *world) steady(procs []*process, d time.Duration) {
	w.t.Helper()
	const rate, looks = 5, 90
	placed := make(chan error, 1)
	go func() { placed <- w.steadily(w.t.Context(), rate, d) }()
	w.fill(procs[len(procs)-1])
	all := make([][]holding, len(procs))
	for range looks {
		pause(w.t.Context(), d/looks)
		for i, p := range procs {
			all[i] = append(all[i], p.holding())
		}
	}
	must(w.t, <-placed)
	w.agree()
	for i, p := range procs {
		flat(w.t, p.name, all[i])
	}
}

// fill has a reconciler read full batches.
func (w *world) fill(reconciler *process) {
	w.t.Helper()
	must(w.t, reconciler.Pause())
	eventually(w.t, patience, "more than two batches wait", func() (bool, string) {
		n, err := w.ground().Waiting(w.t.Context())
		return err == nil && n > 2*w.cfg.Reconciler.MaxBatch, fmt.Sprintf("%d records, %v", n, err)
	})
	must(w.t, reconciler.Resume())
}

// flat wants the memory of a program to grow by nothing but states.
func flat(t *testing.T, name string, all []holding) {
	t.Helper()
	for _, m := range measures {
		t.Logf("%s, %s: %s KiB", name, m.what, told(column(all, m.of)))
	}
	for _, said := range risen(all) {
		t.Errorf("%s, under a steady load: %s", name, said)
	}
}

// measures are what is told of a process, and by how much it may grow.
var measures = []struct {
	what string
	of   func(holding) int
	most func(room int) int // nil where it may grow without an end
}{
	{"live heap", func(h holding) int { return h.live }, func(int) int { return liveGrowth }},
	{"memory that the Go runtime has", func(h holding) int { return h.taken }, func(int) int { return takenGrowth }},
	{"resident memory", func(h holding) int { return h.resident }, func(room int) int { return residentGrowth + room }},
	{"states", func(h holding) int { return h.states }, nil},
	{"held for states", func(h holding) int { return h.held }, nil},
	{"tasks, not", func(h holding) int { return h.tasks }, nil},
}

// risen says what grew by more than it may.
func risen(all []holding) (out []string) {
	held, states := column(all, func(h holding) int { return h.held }), column(all, func(h holding) int { return h.states })
	room := max(0, median(last(held))-median(second(states)))
	for _, m := range measures {
		s := column(all, m.of)
		if by := median(last(s)) - median(second(s)); m.most != nil && by > m.most(room) {
			out = append(out, fmt.Sprintf("%s grew by %d KiB, want at most %d: %v", m.what, by, m.most(room), s))
		}
	}
	return out
}

func column(all []holding, of func(holding) int) (s []int) {
	for _, h := range all {
		s = append(s, of(h))
	}
	return s
}

// second and last are thirds of a series; the first one is for warming up.
func second(s []int) []int { return s[len(s)/3 : len(s)/3*2] }
func last(s []int) []int   { return s[len(s)-len(s)/3:] }

func median(s []int) int {
	s = slices.Sorted(slices.Values(s))
	return s[len(s)/2]
}

// told is a series in ten medians.
func told(s []int) string {
	var out []string
	for part := range slices.Chunk(s, max(1, len(s)/10)) {
		out = append(out, fmt.Sprint(median(part)))
	}
	return strings.Join(out, " ")
}

// TestFlat: what grows for ever is seen, and what warms up, is noise, or is held
// for states is not.
func TestFlat(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   func(n int) holding
		want bool
	}{
		{"noise", func(n int) holding {
			return holding{live: 5000 + 997*n%1000, taken: 20000, resident: 30000 + 997*n%1000}
		}, true},
		{"warming up", func(n int) holding { return holding{live: 1000 * min(n, 30), taken: 1000 * min(n, 30)} }, true},
		{"one moment", func(n int) holding { return holding{live: n / 89 << 20} }, true},
		{"states", func(n int) holding { return holding{states: 150 * n, held: 16 << 10, resident: 30000 + 150*n} }, true},
		{"the live heap grows", func(n int) holding { return holding{live: 100 * n} }, false},
		{"the runtime takes ever more", func(n int) holding { return holding{taken: 300 * n} }, false},
		{"something else grows", func(n int) holding { return holding{resident: 300 * n} }, false},
		{"more than states", func(n int) holding { return holding{states: 150 * n, held: 16 << 10, resident: 30000 + 800*n} }, false},
		{"it grows late", func(n int) holding { return holding{live: 1000 * max(0, n-60)} }, false},
	} {
		var all []holding
		for n := range 90 {
			all = append(all, tc.at(n))
		}
		if got := len(risen(all)) == 0; got != tc.want {
			t.Errorf("%s: flat is %t, want %t", tc.name, got, tc.want)
		}
	}
}
