package integration_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rampstream/integration"
	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/providers/simulator"
)

// place places orders and customers evenly over a time. It runs until all are
// placed or ctx ends.
func (w *world) place(ctx context.Context, orders, customers int, over time.Duration) error {
	tick := time.NewTicker(over / time.Duration(orders+customers))
	defer tick.Stop()
	for n := range orders + customers {
		if err := w.sim.Place(ctx, n, n >= orders); err != nil {
			return fmt.Errorf("place subject %d: %w", n, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// moving sees to it that orders move: those that were placed may have ended on a
// machine that came late to what was planned meanwhile.
func (w *world) moving() {
	w.t.Helper()
	for w.sim.World.Quiet() {
		must(w.t, w.place(w.t.Context(), 4, 0, 200*time.Millisecond))
	}
}

// load places orders until the returned function is called.
func (w *world) load() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			// What was begun is ended: the checker counts on every receipt.
			if err := w.sim.Place(context.WithoutCancel(ctx), n, n%6 == 5); err != nil {
				done <- fmt.Errorf("place subject %d: %w", n, err)
				return
			}
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		w.t.Helper()
		cancel()
		must(w.t, <-done)
	}
}

// settledFor is how long every state must agree with the truth: one that is
// right by chance moves again.
const settledFor = time.Second

// agree waits until the providers are quiet and every state is what they
// finally say, and stays so when the reconciler has read all that was said by
// then: a delivery that it reads last may be a lie.
func (w *world) agree() map[events.Key]events.State {
	w.t.Helper()
	table := w.table()
	var said map[string][]int64 // where the inputs ended when all agreed
	var since time.Time         // when they were read to there
	eventually(w.t, patience, "every state agrees with its provider", func() (bool, string) {
		wrong, err := w.ground().Disagreements(w.t.Context(), table)
		if err != nil {
			return false, err.Error()
		}
		if len(wrong) > 0 || !w.sim.World.Quiet() {
			said, since = nil, time.Time{}
			return false, fmt.Sprintf("quiet: %t, %d wrong:\n%s", w.sim.World.Quiet(), len(wrong), strings.Join(wrong, "\n"))
		}
		if said == nil {
			if said, err = w.ground().Ends(w.t.Context()); err != nil {
				return false, err.Error()
			}
		}
		if since.IsZero() {
			if unread, err := w.ground().Unread(w.t.Context(), said); err != nil || unread != "" {
				return false, fmt.Sprintf("not read yet: %s, %v", unread, err)
			}
			since = time.Now()
		}
		return time.Since(since) >= settledFor, "they agree for too short a time"
	})
	return table.States()
}

// drained waits until the reconciler has committed everything in its inputs.
// Nothing may be writing to them.
func (w *world) drained() {
	w.t.Helper()
	eventually(w.t, patience, "the reconciler has read its inputs", func() (bool, string) {
		behind, err := w.ground().Behind(w.t.Context())
		if err != nil {
			return false, err.Error()
		}
		return behind == "", behind
	})
}

// finish stops the programs in the order of the data, reads everything and
// checks every invariant.
func (w *world) finish(ingest, poller []*process, reconcilers ...*process) integration.Run {
	w.t.Helper()
	for _, p := range slices.Concat(ingest, poller) {
		p.stop()
	}
	w.drained()
	for _, p := range reconcilers {
		p.stop()
	}
	run := w.record()
	w.check(run)
	return run
}

// record reads what the world has left behind.
func (w *world) record() integration.Run {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*patience)
	defer cancel()
	var output strings.Builder
	for _, p := range w.processes() {
		output.WriteString(p.log.String())
	}
	run, err := w.ground().Record(ctx, output.String())
	must(w.t, err)
	run.AtLeastOnce = w.cfg.Reconciler.Guarantee == config.AtLeastOnce
	if w.counted {
		run.Requests = w.ground().Requests()
	}
	return run
}

// check fails the test with the witnesses.
func (w *world) check(run integration.Run) {
	w.t.Helper()
	start := time.Now()
	found, err := integration.Check(w.t.Context(), run)
	must(w.t, err)
	for i, v := range found {
		if i == 20 {
			w.t.Errorf("... and %d more", len(found)-i)
			break
		}
		w.t.Error(v)
	}
	w.t.Logf("checked %d receipts and %s in %v", len(run.Receipts), run.Summary(w.cfg.Topics.Prefix), time.Since(start).Round(time.Millisecond))
}

// ownership checks how the poller used Kanga's key: nonces increase without an
// exception, and the provider refused at most one call for each change of owner.
func (w *world) ownership(changes int) {
	w.t.Helper()
	st := w.sim.World.Stats()
	if st.NonceViolations > changes || st.Calls[simulator.ClassNonce] > changes {
		w.t.Errorf("%d nonces did not increase and %d calls were refused for it; want at most %d", st.NonceViolations, st.Calls[simulator.ClassNonce], changes)
	}
	last := int64(0)
	for _, c := range w.sim.World.Calls("kanga", demo.Account) {
		if c.Nonce == 0 || c.Class == simulator.ClassNonce {
			continue
		}
		if c.Nonce <= last {
			w.t.Errorf("nonce %d after %d in an accepted call at %s", c.Nonce, last, c.Start.Format(time.StampMilli))
		}
		last = max(last, c.Nonce)
	}
	if changes == 0 {
		w.overlaps()
	}
}

// overlaps fails for a call of Kanga's lane that began while an answer to
// another was still to be read. An answer that was cut, or that the poller
// refused to read to its end, is over for the poller before it is for the
// provider.
func (w *world) overlaps() {
	w.t.Helper()
	calls := w.sim.World.Calls("kanga", demo.Account)
	for _, c := range calls {
		for _, d := range calls {
			if d.Start.Before(c.Start) && c.Start.Before(d.End) && d.Fault == "" {
				w.t.Errorf("a call at %s began while one of %s was in flight", c.Start.Format(time.StampMilli), d.Start.Format(time.StampMilli))
			}
		}
	}
}
