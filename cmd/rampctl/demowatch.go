package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/providers/simulator"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

const (
	refreshEvery = 250 * time.Millisecond
	placeWithin  = 5 * time.Second // all orders of a finite demo are placed in this time
	placeEvery   = 250 * time.Millisecond
	// settledFor is how long every state must agree with the truth before the
	// demo ends: a state that is right by chance would move again.
	settledFor = time.Second
)

// watcher follows the states and prints what changes.
type watcher struct {
	d      *running
	table  *inspect.Table
	shown  map[events.Key]events.Status
	first  time.Duration // of the first settled order, since the process started
	screen *os.File      // nil: plain lines
}

// watch places orders and follows the states until all agree with the
// providers, the time is over, or ctx ends.
func (d *running) watch(ctx context.Context) (summary, error) {
	placing := make(chan error, 1)
	go func() { placing <- d.placeAll(ctx) }()
	w := &watcher{d: d, table: inspect.NewTable(d.view), shown: map[events.Key]events.Status{}}
	if !d.c.json() {
		if f, ok := terminal(d.c.out); ok {
			w.screen = f
		}
	}
	var deadline <-chan time.Time
	if d.o.limit > 0 {
		deadline = time.After(d.o.limit - time.Since(d.began))
	}
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	var agreed time.Time
	placed := false
	for {
		select {
		case err := <-placing:
			if err != nil && ctx.Err() == nil {
				return summary{}, fmt.Errorf("place orders: %w", err)
			}
			placed = true
			continue
		case <-deadline:
			return d.summarise(w)
		case <-ctx.Done():
			return d.summarise(w)
		case <-tick.C:
		}
		if _, err := w.table.Refresh(ctx); err != nil {
			if ctx.Err() != nil {
				continue
			}
			return summary{}, err
		}
		w.show()
		if d.o.orders == 0 || !placed || !d.sim.World.Quiet() || !w.agrees() {
			agreed = time.Time{}
			continue
		}
		if agreed.IsZero() {
			agreed = time.Now()
		}
		if time.Since(agreed) >= settledFor {
			return d.summarise(w)
		}
	}
}

// placeAll places the orders of the demo, or one after the other without end.
func (d *running) placeAll(ctx context.Context) error {
	customers := d.o.orders / 10
	every := placeEvery
	if d.o.orders > 0 {
		every = placeWithin / time.Duration(d.o.orders+customers)
	}
	tick := time.NewTicker(max(every, time.Millisecond))
	defer tick.Stop()
	for n := 0; d.o.orders == 0 || n < d.o.orders+customers; n++ {
		customer := n >= d.o.orders
		if d.o.orders == 0 {
			customer = n%11 == 10
		}
		if err := d.sim.Place(ctx, n, customer); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// agrees reports whether every state is what its provider finally says.
func (w *watcher) agrees() bool {
	for _, t := range w.d.sim.World.Truth() {
		if st, ok := w.table.States()[t.Key]; !ok || st.Status != demo.Expected(t) {
			return false
		}
	}
	return true
}

// show prints what changed since the last time.
func (w *watcher) show() {
	var changed []events.State
	for k, st := range w.table.States() {
		if w.shown[k] != st.Status {
			changed = append(changed, st)
		}
		if st.Terminal && w.first == 0 {
			w.first = time.Since(processStart)
		}
	}
	slices.SortFunc(changed, func(a, b events.State) int { return int(a.LastSeenAt - b.LastSeenAt) })
	if w.screen != nil {
		for _, st := range changed {
			w.shown[st.Key] = st.Status
		}
		w.draw()
		return
	}
	out := w.d.c.out
	if w.d.c.json() {
		out = w.d.c.errw
	}
	for _, st := range changed {
		was := "-"
		if old, ok := w.shown[st.Key]; ok {
			was = old.String()
		}
		fmt.Fprintf(out, "%7.2fs  %-44s %-10s -> %-10s by %-8s %s\n", time.Since(processStart).Seconds(), st.Key, was, st.Status, dash(st.DecidedSource), st.DecidedBy)
		w.shown[st.Key] = st.Status
	}
}

// draw shows the orders that moved last, and the counts, on one screen.
func (w *watcher) draw() {
	cols, rows, err := term.GetSize(int(w.screen.Fd()))
	if err != nil || cols < 60 || rows < 10 {
		cols, rows = 100, 30
	}
	states := slices.Collect(maps.Values(w.table.States()))
	slices.SortFunc(states, func(a, b events.State) int {
		if a.LastSeenAt != b.LastSeenAt {
			return int(b.LastSeenAt - a.LastSeenAt)
		}
		return strings.Compare(a.Key.String(), b.Key.String())
	})
	count := map[events.Status]int{}
	by := map[string]int{}
	for _, st := range states {
		count[st.Status]++
		if st.Terminal {
			by[st.DecidedSource]++
		}
	}
	var b strings.Builder
	b.WriteString("\x1b[H\x1b[J")
	fmt.Fprintf(&b, "rampstream demo  %.1fs  %d subjects  settled by webhook %d, by poll %d\n", time.Since(processStart).Seconds(), len(states), by["webhook"], by["poll"])
	for _, s := range events.Statuses() {
		if count[s] > 0 {
			fmt.Fprintf(&b, "%s %d  ", s, count[s])
		}
	}
	fmt.Fprintf(&b, "\n\n%-46s %-11s %-8s %-20s %s\n", "KEY", "STATUS", "BY", "RULE", "OPEN")
	for _, st := range states[:min(len(states), rows-7)] {
		line := fmt.Sprintf("%-46s %-11s %-8s %-20s %s", st.Key, st.Status, dash(st.DecidedSource), st.DecidedBy, strings.Join(st.Open, ","))
		b.WriteString(line[:min(len(line), cols-1)] + "\n")
	}
	_, _ = w.screen.WriteString(b.String())
}

// summarise compares every state with the provider's last word.
func (d *running) summarise(w *watcher) (summary, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := w.table.Refresh(ctx); err != nil {
		return summary{}, err
	}
	all, err := d.view.Discrepancies(ctx)
	if err != nil {
		return summary{}, err
	}
	s := summary{Discrepancies: len(all), FirstSettledMS: w.first.Milliseconds(), Seconds: time.Since(processStart).Seconds()}
	for _, t := range d.sim.World.Truth() {
		s.Orders++
		want := demo.Expected(t)
		if !t.Settled { // cut short: the provider has not said its last word
			want = t.Now
		}
		st, ok := w.table.States()[t.Key]
		switch {
		case !ok:
			s.Missing++
			s.wrong = append(s.wrong, fmt.Sprintf("%s: no state; the provider says %s", t.Key, want))
		case st.Status != want && (t.Settled || d.o.orders > 0):
			s.Wrong++
			s.wrong = append(s.wrong, fmt.Sprintf("%s: %s by %s; the provider says %s (%s)", t.Key, st.Status, st.DecidedBy, want, t.Raw))
		}
		switch st.DecidedSource {
		case "webhook":
			s.ByWebhook++
		case "poll":
			s.ByPoll++
		}
		if st.Status == events.StatusDisputed {
			s.Disputed++
		}
	}
	s.faults = injected(d.sim.World.Stats())
	return s, nil
}

func injected(st simulator.Stats) []string {
	var out []string
	for _, f := range simulator.FaultNames() {
		if n := st.Injected[f]; n > 0 {
			out = append(out, fmt.Sprintf("%s %d", f, n))
		}
	}
	return out
}
