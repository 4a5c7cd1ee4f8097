package reconciler

import (
	"context"
	"errors"
	"slices"

	"rampstream/internal/checkpoint"
	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
	"rampstream/internal/table"
	"rampstream/internal/table/slab"
)

// HeaderChain is the header of a state record that carries the digest after
// the subject's latest transition, so that the next one links to it. It is not
// part of the state: two replays may differ in it.
const HeaderChain = "ramp_transition_digest"

// ceSource is the CloudEvents source of everything the reconciler writes.
const ceSource = "/rampstream/reconciler"

// Config is what an Engine works with.
type Config struct {
	Topics     stream.Topics
	Partitions int32 // of every co-partitioned topic and of check-schedule
	Rules      order.Rules
	Codec      *codec.Codec
	// VerifyDigest is off where the platform has no transactions: there a
	// crash may leave states newer than the position.
	VerifyDigest bool
	// BelieveOrigin takes the append time of a copied record from where it was
	// copied, if that was earlier: a redriven record is then no younger than the
	// one that was set aside.
	BelieveOrigin bool
	// RuleChangeBatch is how many restored states are viewed again in one step
	// after the rules changed; 0 means 200.
	RuleChangeBatch int
	// UnknownHints bounds the hints of subjects without a state that wait for
	// an answer, a partition; 0 means 100,000. One lane may have a tenth of them.
	// What comes beyond is observed as "hint_ignored".
	UnknownHints int
	Observer     Observer // nil observes nothing
	// Joiners is how many share the partitions out and join side by side; 0 means 1.
	Joiners int
	// Checkpoints is where partitions are kept for the next start; nil keeps none.
	// Only what a digest verifies is taken from there.
	Checkpoints *checkpoint.Dir
	// Acknowledged is the offset behind what the sessions of this process were
	// acknowledged in a partition; nil knows nothing. It may be called by several
	// goroutines.
	Acknowledged func(topic string, partition int32) int64
	// ReuseOutputs has the memory of a batch's outputs written over after Accept:
	// for sessions that keep nothing of what they have committed.
	ReuseOutputs bool
	// OpenTable makes the empty table of a partition; nil keeps it in memory.
	OpenTable func(partition int32) (table.Table, error)
}

// Observer hears what an engine did, for metrics, when it is committed. Labels are
// from closed sets. NotViewed is called by any joiner, at any time of a step.
type Observer interface {
	Joined(source, verdict string, n int) // n records; verdict: "changed", "unconfigured", "known", "hint", "hint_ignored", "dead_letter"
	DeadLetter(class string)
	Transition(to events.Status, reason string)
	// Restored: source is "memory", "checkpoint" or "topic".
	Restored(partition int32, states int64, source string)
	UnknownStatus(provider events.Provider)
	// CheckpointIgnored: reason is one of a closed set, such as "damaged" or "old".
	CheckpointIgnored(reason string)
	// CheckpointWritten: bytes is the size of the file, 0 for a failure.
	CheckpointWritten(bytes int64)
	NotViewed() // a state that the current rules cannot view stays as it is
}

// Engine holds the states of the owned partitions and turns batches of input
// records into batches of output records. It is not safe for concurrent use: the
// joiners that work side by side within a call are its own affair.
type Engine struct {
	cfg     Config
	parts   map[int32]*partition
	joiners []*joiner
	batch   *Batch
	room    []stream.Record // of the last batch; nil while somebody may look at it
}

// NewEngine makes an engine that owns no partition.
func NewEngine(cfg Config) *Engine {
	if cfg.RuleChangeBatch == 0 {
		cfg.RuleChangeBatch = 200
	}
	if cfg.UnknownHints == 0 {
		cfg.UnknownHints = maxUnknownHints
	}
	if cfg.Observer == nil {
		cfg.Observer = silent{}
	}
	if cfg.OpenTable == nil {
		cfg.OpenTable = func(int32) (table.Table, error) { return slab.New(), nil }
	}
	cfg.Joiners = max(cfg.Joiners, 1)
	e := &Engine{cfg: cfg, parts: map[int32]*partition{}}
	for n := range cfg.Joiners {
		e.joiners = append(e.joiners, &joiner{cfg: cfg, number: n, parts: e.parts, poison: map[coordinate]verdict{}, stuck: map[string]bool{}})
	}
	return e
}

// Batch is what one step wants written, in an order in which a platform
// without transactions may write it: side outputs, then states, then positions.
type Batch struct {
	Out []stream.Record
	// joiners had something to do, and runs say whose the records of Out are.
	joiners []*joiner
	runs    []run
	empty   bool
}

// run is a number of records of one joiner, in its order.
type run struct {
	of *joiner
	n  int
}

// Step joins records into an overlay and returns what is to be written. The
// overlay is kept until Accept or Rollback; a second Step before either is a
// programmer's error. An error means that nothing of the batch was applied:
// errors.Is codec.ErrSchemaUnavailable asks to wait and try again. rest allows
// the step to view outdated states too.
func (e *Engine) Step(ctx context.Context, records []stream.Record, rest bool) (*Batch, error) {
	return e.StepEarly(ctx, records, rest, nil)
}

// StepEarly is Step that gives its outputs away while it goes on: give gets the
// next of Batch.Out, in their order, and whatever it was not given is the rest of
// them. It is called by one goroutine at a time, any of the engine's. One that
// returns false has not taken what it got and is not called again.
// After an error what was given must not be written; errors.Is ErrBegun says that
// the same records can be joined by another step.
func (e *Engine) StepEarly(ctx context.Context, records []stream.Record, rest bool, give func([]stream.Record) bool) (*Batch, error) {
	if e.batch != nil {
		panic("reconciler: Step before Accept or Rollback of the last batch")
	}
	b := &Batch{joiners: e.busy(records, rest)}
	g := &given{give: give, out: e.room[:0]}
	e.room = nil
	errs := sideBySide(b.joiners, func(j *joiner) error {
		return j.step(ctx, records, rest, g.by(j, len(b.joiners) == 1))
	})
	if err := worst(errs); err != nil {
		for _, j := range b.joiners {
			j.batch = nil
		}
		return nil, err
	}
	b.Out, b.runs = g.all(b.joiners)
	b.empty = len(b.Out) == 0 && !slices.ContainsFunc(b.joiners, func(j *joiner) bool { return len(j.batch.parts) > 0 })
	e.batch = b
	return b, nil
}

// Empty reports whether there is nothing to commit.
func (b *Batch) Empty() bool { return b.empty }

// Accept moves the overlay into memory: the transaction is known committed.
// After an error memory is not what was committed; Reset it and restore.
func (e *Engine) Accept() error {
	b := e.batch
	e.batch = nil
	if b == nil {
		return nil
	}
	if e.cfg.ReuseOutputs && len(b.joiners) > 1 {
		e.room = b.Out
	}
	for _, j := range b.joiners {
		j.mem.counts.tell(e.cfg.Observer)
	}
	return errors.Join(sideBySide(b.joiners, (*joiner).accept)...)
}

// Rollback forgets the overlay: the transaction was aborted. Without transactions
// a part of the batch may have been written.
func (e *Engine) Rollback() {
	if e.batch == nil {
		return
	}
	for _, j := range e.batch.joiners {
		j.rollback()
	}
	e.batch = nil
}

// drop forgets the overlay as if it had not been.
func (e *Engine) drop() {
	e.batch = nil
	for _, j := range e.joiners {
		j.batch = nil
	}
}

// Reset forgets all memory: the outcome of a transaction is unknown. An error
// says that not all of it was given back.
func (e *Engine) Reset() error {
	e.drop()
	e.room = nil
	for _, j := range e.joiners {
		j.mem = scratch{}
		clear(j.stuck)
	}
	var errs []error
	for n := range e.parts {
		errs = append(errs, e.forget(n))
	}
	return errors.Join(errs...)
}

// Poison marks the input record behind output i of the last batch, which Kafka
// refuses for ever, so that the next step sets it aside; or the state that the
// output is of and that changed rules alone made, so that it stays as it was. It
// reports whether there is such a record or state. It is false
// too when the record was marked before and what is left of it is still refused.
// Call it before Rollback.
func (e *Engine) Poison(i int, class string) bool {
	if e.batch == nil || i < 0 {
		return false
	}
	before := map[*joiner]int{}
	for _, r := range e.batch.runs {
		if i < r.n {
			return r.of.refused(before[r.of]+i, class)
		}
		before[r.of] += r.n
		i -= r.n
	}
	return false
}

// SetAsideUnknown makes the record behind err, which has a schema that the
// registry does not have, a dead letter of the next step. It reports false when
// err is something else.
func (e *Engine) SetAsideUnknown(err error) bool {
	var u *unknownSchema
	if !errors.As(err, &u) {
		return false
	}
	e.joinerOf(u.at.partition).poison[u.at] = verdict{class: ClassUnknownSchema}
	return true
}

// Faults gives, once, the faults of this program that steps met: panics, and
// states that the current rules cannot view. The records behind them are set
// aside, and the engine goes on.
func (e *Engine) Faults() (out []error) {
	for _, j := range e.joiners {
		out = append(out, j.faults...)
		j.faults = nil
	}
	return out
}

// Outdated reports how many states still wait to be viewed by the current rules.
func (e *Engine) Outdated() (n int) {
	for _, p := range e.parts {
		if !p.revoked {
			n += p.outdated
		}
	}
	return n
}

// States reports how many states are in memory.
func (e *Engine) States() (n int) {
	for _, p := range e.parts {
		n += p.states.Len()
	}
	return n
}

type silent struct{}

func (silent) Joined(string, string, int)       {}
func (silent) DeadLetter(string)                {}
func (silent) Transition(events.Status, string) {}
func (silent) Restored(int32, int64, string)    {}
func (silent) UnknownStatus(events.Provider)    {}
func (silent) CheckpointIgnored(string)         {}
func (silent) CheckpointWritten(int64)          {}
func (silent) NotViewed()                       {}
