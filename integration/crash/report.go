package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"rampstream/integration"
	"rampstream/internal/codec"
	"rampstream/internal/demo"
	"rampstream/internal/inspect"
	"rampstream/internal/kafka"
	"rampstream/internal/providers/simulator"
)

func newTable(r *rig, cd *codec.Codec, log *kafka.Log) *inspect.Table {
	return inspect.NewTable(inspect.Reader{Log: log, Codec: cd, Topics: r.ground.Config.Topics.Names(), Partitions: partitions})
}

// report writes the table of faults and what was lost and doubled. A violation
// is an error.
func (res *result) report(out io.Writer) error {
	type row struct {
		n, open, over int
		silences      []time.Duration
	}
	rows := map[kind]*row{}
	for _, o := range res.outcomes {
		r := rows[o.Kind]
		if r == nil {
			r = &row{}
			rows[o.Kind] = r
		}
		r.n++
		r.silences = append(r.silences, o.Silence)
		if strings.Contains(o.Proof, "transaction open") {
			r.open++
		}
		if o.Over {
			r.over++
		}
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\tcount\tin a transaction\tmedian silence s\tlongest s\tover the bound\t")
	kills := 0
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		r := rows[k]
		slices.Sort(r.silences)
		if strings.HasPrefix(string(k), "kill") || k == awayReconciler {
			kills += r.n
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%.1f\t%d\t\n", k, r.n, r.open, r.silences[len(r.silences)/2].Seconds(), r.silences[len(r.silences)-1].Seconds(), r.over)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	by := map[string]int{}
	for _, v := range res.found {
		by[v.Invariant]++
	}
	events := 0
	for _, t := range res.run.Topics.Inputs() {
		events += res.run.Count(t)
	}
	fmt.Fprintf(out, "crash: %d faults, %d of them kills; %d subjects, %d events, %d receipts, %d transitions\n",
		len(res.outcomes), kills, res.placed, events, len(res.run.Receipts), res.run.Count(res.run.Topics.Transition))
	fmt.Fprintf(out, "crash: acknowledged and lost %d, told twice %d, unlike their provider at the end %d, all violations %v\n",
		by[integration.Lost], by[integration.Repeated], by[integration.Untrue], by)
	fmt.Fprintf(out, "crash: topics: %s\ncrash: answers: %s; programs that ended by themselves, by code: %v\n", res.run.Summary(prefixOf(res.run)), res.answers, res.exits)
	for _, line := range append(res.ended, res.other...) {
		fmt.Fprintln(out, "crash:", line)
	}
	worst := res.worst()
	fmt.Fprintf(out, "crash: longest silence of a partition %.1f s, at step %v\ncrash: %v in all\n", worst.Silence.Seconds(), worst.step, res.took.Round(time.Second))
	return res.verdict(out)
}

// verdict is nil when nothing was violated.
func (res *result) verdict(out io.Writer) error {
	for i, v := range res.found {
		if i == 20 {
			fmt.Fprintf(out, "crash: ... and %d more\n", len(res.found)-i)
			break
		}
		fmt.Fprintln(out, "crash: VIOLATED", v)
	}
	for _, o := range res.outcomes {
		if o.Over {
			return fmt.Errorf("step %v: a partition was silent for %v, longer than allowed", o.step, o.Silence.Round(time.Millisecond))
		}
	}
	if n := len(res.found); n > 0 {
		return fmt.Errorf("%d violations", n)
	}
	if len(res.outcomes) == 0 {
		return fmt.Errorf("%w: no fault was made", errVoid)
	}
	return nil
}

func prefixOf(run integration.Run) string {
	return strings.TrimSuffix(run.Topics.Webhook, "webhook.v1")
}

// ownership: Kanga's nonces increase over every change of owner, and each fault
// costs at most one call that the provider refuses.
func (r *rig) ownership(changes int) (found []integration.Violation) {
	fail := func(format string, args ...any) {
		found = append(found, integration.Violation{Invariant: "one owner", Witness: fmt.Sprintf(format, args...)})
	}
	st := r.ground.Sim.World.Stats()
	if st.NonceViolations > changes || st.Calls[simulator.ClassNonce] > changes {
		fail("%d nonces did not increase and %d calls were refused for it; want at most %d", st.NonceViolations, st.Calls[simulator.ClassNonce], changes)
	}
	last := int64(0)
	for _, c := range r.ground.Sim.World.Calls("kanga", demo.Account) {
		if c.Nonce == 0 || c.Class == simulator.ClassNonce {
			continue
		}
		if c.Nonce <= last {
			fail("nonce %d after %d in an accepted call at %s", c.Nonce, last, c.Start.Format(time.StampMilli))
		}
		last = max(last, c.Nonce)
	}
	if st.ForgeriesAccepted > 0 {
		fail("%d forged deliveries were accepted", st.ForgeriesAccepted)
	}
	return found
}

func (f *front) summary() string {
	text := ""
	for i := range f.answers {
		if n := f.answers[i].Load(); n > 0 {
			text += fmt.Sprintf("%dxx %d, ", i, n)
		}
	}
	return strings.TrimSuffix(text, ", ")
}

// cleanUp removes what was built and written; keep leaves the history.
func (r *rig) cleanUp(keep bool) {
	if !keep {
		_ = os.RemoveAll(r.dir)
		return
	}
	for _, name := range []string{"bin", "kafka", "config"} {
		_ = os.RemoveAll(filepath.Join(r.dir, name))
	}
}

// save adds the run to the history.
func (r *rig) save(run integration.Run) error {
	r.rec.mu.Lock()
	defer r.rec.mu.Unlock()
	return integration.Save(context.Background(), r.rec.buf, run)
}

// checkAgain checks a recorded run.
func checkAgain(ctx context.Context, path string, out io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { _ = file.Close() }()
	run, err := integration.Load(file)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errUsage, path, err)
	}
	found, err := integration.Check(ctx, run)
	if err != nil {
		return err
	}
	for _, v := range found {
		fmt.Fprintln(out, "crash: VIOLATED", v)
	}
	fmt.Fprintf(out, "crash: %d receipts, %s\n", len(run.Receipts), run.Summary(prefixOf(run)))
	if len(found) > 0 {
		return fmt.Errorf("%d violations", len(found))
	}
	return nil
}
