package reconciler

import (
	"errors"
	"sync"

	"rampstream/internal/stream"
)

// busy lists the joiners that a step has something to do for.
func (e *Engine) busy(records []stream.Record, rest bool) (out []*joiner) {
	busy := make([]bool, len(e.joiners))
	for i := range records {
		busy[e.joinerOf(records[i].Partition).number] = true
	}
	for n, p := range e.parts {
		if rest && !p.revoked && (p.outdated > 0 || len(p.stubs) > 0 && p.seen != nil) {
			busy[e.joinerOf(n).number] = true
		}
	}
	for n, j := range e.joiners {
		if busy[n] {
			out = append(out, j)
		}
	}
	return out
}

func (e *Engine) joinerOf(partition int32) *joiner {
	return e.joiners[numberOf(partition, len(e.joiners))]
}

// sideBySide calls do for all joiners at once and waits for all of them.
func sideBySide(joiners []*joiner, do func(*joiner) error) []error {
	errs := make([]error, len(joiners))
	var all sync.WaitGroup
	for i := 1; i < len(joiners); i++ {
		all.Go(func() { errs[i] = do(joiners[i]) })
	}
	if len(joiners) > 0 {
		errs[0] = do(joiners[0])
	}
	all.Wait()
	return errs
}

// worst picks the error of a step: one that waiting or another step does not cure
// before the others.
func worst(errs []error) (out error) {
	for _, err := range errs {
		if err != nil && (out == nil || cures(out) && !cures(err)) {
			out = err
		}
	}
	return out
}

func cures(err error) bool { return errors.Is(err, ErrBegun) || waits(err) }

// given is what joiners that work side by side have given away of a batch.
type given struct {
	give func([]stream.Record) bool // nil gives nothing

	mu   sync.Mutex
	over bool            // nobody takes any more
	out  []stream.Record // what was taken, in its order
	runs []run
}

// by is how a joiner gives outputs away: to whoever takes them, without a lock
// if it is alone.
func (g *given) by(j *joiner, alone bool) func([]stream.Record) bool {
	if alone || g.give == nil {
		return g.give
	}
	return func(part []stream.Record) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.over = g.over || !g.give(part); g.over {
			return false
		}
		g.out, g.runs = append(g.out, part...), append(g.runs, run{j, len(part)})
		return true
	}
}

// all is the whole batch: what was given, then what was not, stage by stage.
func (g *given) all(joiners []*joiner) ([]stream.Record, []run) {
	if len(joiners) == 1 {
		b := joiners[0].batch
		return b.Out, []run{{joiners[0], len(b.Out)}}
	}
	from := make([]int, len(joiners))
	for i, j := range joiners {
		from[i] = j.batch.given
	}
	for stage := range writeStages {
		for i, j := range joiners {
			to := j.batch.stageEnd(stage)
			if to > from[i] {
				g.out, g.runs = append(g.out, j.batch.Out[from[i]:to]...), append(g.runs, run{j, to - from[i]})
				from[i] = to
			}
		}
	}
	return g.out, g.runs
}
