package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rampstream/integration"
)

// outcome is one fault that was made.
type outcome struct {
	step
	Proof   string        `json:"proof"`
	Took    time.Duration `json:"took_ns"`    // to make and to undo it
	Lasted  time.Duration `json:"lasted_ns"`  // for which it kept everybody from committing
	Silence time.Duration `json:"silence_ns"` // the longest of any partition, around it
	Over    bool          `json:"over"`       // longer than allowed
}

// result is what a run ended with.
type result struct {
	seed     uint64
	commit   string
	outcomes []outcome
	placed   int64
	run      integration.Run
	found    []integration.Violation
	exits    map[int]int
	ended    []string
	answers  string
	other    []string // what the other clients found
	took     time.Duration
}

// storm is the whole of a run.
func storm(ctx context.Context, o options, p *plan, out io.Writer) (err error) {
	start := time.Now()
	res := &result{seed: o.seed, commit: commit(ctx)}
	fmt.Fprintf(out, "crash: seed %d, commit %s, %v of faults; again: %s\n", o.seed, res.commit, o.duration, again(o))
	r, err := newRig(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = r.conclude(err, out) }()
	load := r.load(ctx)
	if err := r.faults(ctx, p, res, out); err != nil {
		return errors.Join(err, r.failed())
	}
	res.placed = load()
	// A run that does not settle is recorded and checked all the same: that says
	// where it stopped.
	unsettled := r.settle(ctx)
	if err := r.finish(ctx, res); err != nil {
		return errors.Join(unsettled, err, r.failed())
	}
	res.took = time.Since(start)
	return errors.Join(unsettled, res.report(out), r.failed())
}

// commit is what is checked out here.
func commit(ctx context.Context) string {
	text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// again is the command that makes the same plan.
func again(o options) string {
	text := fmt.Sprintf("go run ./integration/crash -seed %d -for %v -rate %v", o.seed, o.duration, o.rate)
	if len(o.kinds) > 0 {
		text += " -kinds " + strings.Join(words(o.kinds), ",")
	}
	if o.atLeast {
		text += " -at-least-once"
	}
	return text
}

// load places orders until the function that it returns is called, which waits
// for those on their way and says how many there were.
func (r *rig) load(ctx context.Context) (stop func() int64) {
	var placed atomic.Int64
	quit := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(time.Duration(float64(time.Second) / r.o.rate))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			all.Go(func() {
				if err := r.ground.Sim.Place(ctx, n, n%11 == 10); err != nil && ctx.Err() == nil {
					r.fail(fmt.Errorf("place subject %d: %w", n, err))
				}
				placed.Add(1)
			})
		}
	})
	return func() int64 {
		close(quit)
		all.Wait()
		return placed.Load()
	}
}

// leastFaults are made however long they take: on a slow machine a minute is over
// after two, which prove little.
const leastFaults = 5

// faults makes one fault after the other until the time is over. It waits
// before each until traffic flows in every partition.
func (r *rig) faults(ctx context.Context, p *plan, res *result, out io.Writer) error {
	if err := r.watch.flows(ctx, time.Now(), patience); err != nil {
		return fmt.Errorf("before the first fault: %w", err)
	}
	for deadline := time.Now().Add(r.o.duration); time.Now().Before(deadline) || len(res.outcomes) < leastFaults; {
		s := p.next()
		pause(ctx, s.Gap)
		if err := r.watch.flows(ctx, time.Time{}, 4*r.o.within); err != nil {
			return fmt.Errorf("%w: before step %v: %w", errVoid, s, err)
		}
		o := outcome{step: s}
		begun := time.Now()
		r.rec.write("fault begins", map[string]any{"step": s})
		f, err := r.perform(ctx, s)
		if err != nil {
			return fmt.Errorf("step %v: %w", s, err)
		}
		o.Proof, o.Lasted, o.Took = f.proof, f.lasted, time.Since(begun)
		if err := r.watch.flows(ctx, time.Now(), 4*r.o.within); err != nil {
			return fmt.Errorf("step %v: %w", s, err)
		}
		o.Silence = r.watch.silence(begun)
		o.Over = o.Silence > r.o.within+o.Lasted
		r.rec.write("fault ended", map[string]any{"outcome": o})
		res.outcomes = append(res.outcomes, o)
		fmt.Fprintf(out, "crash: %v: lasted %5.1f s, silent for %5.1f s: %s\n", s, o.Lasted.Seconds(), o.Silence.Seconds(), o.Proof)
		if err := r.failed(); err != nil {
			return err
		}
	}
	return nil
}

// settleWithin is long: providers must end, and be asked a last time, by a
// machine that may be busy with other things.
const settleWithin = 4 * time.Minute

// settle heals everything and waits until every state is what its provider
// finally says and stays so when the reconcilers have read all that was said by
// then.
func (r *rig) settle(ctx context.Context) error {
	healing, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	if err := r.cluster.Heal(healing); err != nil {
		return err
	}
	if err := r.allReady(ctx, patience); err != nil {
		return err
	}
	cd, log, err := r.ground.Open(ctx)
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, cancel = context.WithTimeout(ctx, settleWithin)
	defer cancel()
	table := newTable(r, cd, log)
	var said map[string][]int64 // where the inputs ended when all agreed
	var since time.Time         // when they were read to there
	for {
		unread := ""
		wrong, err := r.ground.Disagreements(ctx, table)
		quiet := r.ground.Sim.World.Quiet()
		switch {
		case err != nil:
		case len(wrong) > 0 || !quiet:
			said, since = nil, time.Time{}
		case said == nil:
			said, err = r.ground.Ends(ctx)
		case since.IsZero():
			if unread, err = r.ground.Unread(ctx, said); err == nil && unread == "" {
				since = time.Now()
			}
		case time.Since(since) > time.Second:
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("not settled within %v: providers quiet: %t, not read: %q, %d subjects wrong\n%s",
				settleWithin, quiet, unread, len(wrong), tail(strings.Join(wrong, "\n"), 2000)))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// finish stops the programs in the order of the data, reads everything, checks
// it, and records it.
func (r *rig) finish(ctx context.Context, res *result) error {
	r.scrape(ctx)
	for _, name := range []string{"ingest", "poller", "reconciler"} {
		if name == "reconciler" {
			if err := r.drained(ctx); err != nil {
				return err
			}
		}
		for _, s := range r.of(name) {
			if _, err := s.stop(ctx); err != nil {
				return err
			}
		}
	}
	r.noted.Wait() // of every process that ever ran
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	r.mu.Lock()
	output := r.output.String()
	res.exits, res.ended = r.exits, r.ended
	r.mu.Unlock()
	var err error
	if res.run, err = r.ground.Record(ctx, output); err != nil {
		return err
	}
	res.run.AtLeastOnce = r.o.atLeast
	if res.found, err = integration.Check(ctx, res.run); err != nil {
		return err
	}
	res.found = append(res.found, r.ownership(len(res.outcomes))...)
	res.answers = r.front.summary()
	if r.o.readers {
		res.other, err = r.others(ctx, res)
	}
	if serr := r.save(res.run); err == nil {
		err = serr
	}
	return err
}

func (r *rig) drained(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		behind, err := r.ground.Behind(ctx)
		if err == nil && behind == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the reconcilers have not read their inputs: %s, %w", behind, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// scrape adds the metrics pages to what no secret may stand in.
func (r *rig) scrape(ctx context.Context) {
	for _, s := range r.slots {
		text := s.process().Metrics(ctx)
		r.mu.Lock()
		r.output.WriteString(text)
		r.mu.Unlock()
	}
}

// conclude ends the run: it keeps logs and history of one that failed.
func (r *rig) conclude(err error, out io.Writer) error {
	if err != nil {
		for _, s := range r.slots {
			if p := s.process(); p != nil {
				fmt.Fprintf(out, "---- %s\n%s\n", p, tail(p.Log.String(), 2500))
			}
		}
	}
	r.close()
	if rerr := r.rec.close(); err == nil && rerr != nil {
		err = rerr
	}
	switch {
	case err != nil:
		fmt.Fprintf(out, "crash: history in %s; the same plan: %s\n", r.o.history, again(r.o))
	case r.o.keep:
		fmt.Fprintf(out, "crash: history in %s\n", r.o.history)
	}
	r.cleanUp(err != nil || r.o.keep)
	return err
}

func (res *result) worst() (o outcome) {
	if len(res.outcomes) == 0 {
		return o
	}
	return slices.MaxFunc(res.outcomes, func(a, b outcome) int { return int(a.Silence - b.Silence) })
}
