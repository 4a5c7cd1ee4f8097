package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

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
	// Checkpoints is where partitions are kept for the next start; nil keeps none.
	// Only what a digest verifies is taken from there.
	Checkpoints *checkpoint.Dir
	// ReuseOutputs has the memory of a batch's outputs written over after Accept:
	// for sessions that keep nothing of what they have committed.
	ReuseOutputs bool
	// OpenTable makes the empty table of a partition; nil keeps it in memory.
	OpenTable func(partition int32) (table.Table, error)
}

// Observer hears what an engine did, for metrics, when it is committed. Labels are
// from closed sets.
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
// records into batches of output records. It is not safe for concurrent use.
type Engine struct {
	cfg   Config
	parts map[int32]*partition
	batch *Batch
	// poison are records that cannot be joined, or whose outputs Kafka refuses; they
	// become dead letters.
	poison map[coordinate]verdict
	// stuck are states that the current rules cannot view; they stay as they are.
	stuck    map[string]bool
	faults   []error
	key, buf []byte // a key and an entry on their way to or from a table
	mem      scratch
	free     *outputs // of the last batch; nil while somebody may look at it
	pack     []byte   // of an entry, half packed
	spoil    func()   // tests have memory written over with it that is released
}

type coordinate struct {
	topic     string
	partition int32
	offset    int64
}

// verdict is why a record is set aside: the class of its dead letter, and what
// that says, "" for the usual.
type verdict struct{ class, message string }

// partition is the memory of one partition number.
type partition struct {
	number int32
	states table.Table      // entries by key
	next   map[string]int64 // next offset of each input
	digest sum
	// hints are the hints not yet answered, by key.
	hints map[string]events.Millis
	// unknown counts those of hints whose subject has no state, and unknownOf
	// by lane.
	unknown   int
	unknownOf map[events.Lane]int
	// superseded names the rules that were left behind here; foreign those of
	// states of the restore under way that are not ours.
	superseded, foreign map[string]bool
	// outdated counts the states that were viewed by other rules; those before
	// viewedTo in the table have had their turn.
	outdated int
	viewedTo table.Pos
	revoked  bool
	// inputs are the ids of the input topics, as in HeaderInputs.
	inputs string
	// goal is where each input ended at the restore, and source where the states
	// came from.
	goal   map[string]int64
	source string
	// half says, without transactions, which records a batch may have been made of
	// that was not written to its end.
	half half
	// saved is the checkpoint that there is of the partition.
	saved saved
	// stubs are the forgotten subjects, and seen what the inputs held at the
	// latest look; nil when it has been made use of.
	stubs map[string]marks
	seen  map[string]stream.Range
}

// Where the states of a restored partition came from.
const (
	sourceMemory     = "memory" // they were still there
	sourceCheckpoint = "checkpoint"
	sourceTopic      = "topic"
)

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
	return &Engine{cfg: cfg, parts: map[int32]*partition{}, poison: map[coordinate]verdict{}, stuck: map[string]bool{}}
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
// them. One that returns false has not taken what it got and is not called again.
// After an error what was given must not be written; errors.Is ErrBegun says that
// the same records can be joined by another step.
func (e *Engine) StepEarly(ctx context.Context, records []stream.Record, rest bool, give func([]stream.Record) bool) (*Batch, error) {
	if e.batch != nil {
		panic("reconciler: Step before Accept or Rollback of the last batch")
	}
	for {
		g := giving{give: give, least: leastGiven}
		b, err := e.step(ctx, records, rest, &g)
		var bad *spoilt
		// The others of the batch are joined again without it.
		if errors.As(err, &bad) && e.leaveOut(bad) {
			if g.n > 0 {
				return nil, fmt.Errorf("%w: %w", ErrBegun, err)
			}
			continue
		}
		return b, err
	}
}

func (e *Engine) step(ctx context.Context, records []stream.Record, rest bool, g *giving) (*Batch, error) {
	e.mem.begin()
	if g.give != nil {
		e.mem.ends.find(records)
	}
	b := e.mem.batch(e.outputs())
	b.Out = b.records[:0]
	if cap(b.Out) < e.mem.out {
		b.Out = make([]stream.Record, 0, e.mem.out+e.mem.out/8)
	}
	defer func() { e.mem.keep(b) }()
	early := g.give != nil
	for i := range records {
		if early {
			end := e.mem.ends.of[i]
			e.mem.ended, e.mem.alone = end.last, end.alone
		}
		if err := e.apply(ctx, b, &records[i]); err != nil {
			return nil, err
		}
		if err := e.early(b, g); err != nil {
			return nil, err
		}
	}
	e.mem.ended, e.mem.alone = false, false
	if rest {
		if err := errors.Join(e.viewOutdated(ctx, b), e.removeStubs(ctx, b)); err != nil {
			return nil, err
		}
	}
	if err := e.finish(b); err != nil {
		return nil, err
	}
	e.batch = b
	return b, nil
}

// outputs gives memory for what a batch writes: that of the last one, if it was
// accepted. What was not is the session's, for all that is known.
func (e *Engine) outputs() *outputs {
	o := e.free
	if e.free = nil; o == nil {
		return new(outputs)
	}
	o.begin()
	return o
}

// Empty reports whether there is nothing to commit.
func (b *Batch) Empty() bool { return len(b.Out) == 0 && len(b.parts) == 0 }

// Accept moves the overlay into memory: the transaction is known committed.
// After an error memory is not what was committed; Reset it and restore.
func (e *Engine) Accept() error {
	b := e.batch
	e.batch = nil
	if b == nil {
		return nil
	}
	if e.cfg.ReuseOutputs && len(b.values.chunks) <= maxOutputs {
		b.records, e.free = b.Out, b.outputs
	}
	e.mem.counts.tell(e.cfg.Observer)
	for n, o := range b.parts {
		p := e.parts[n]
		if p == nil {
			continue
		}
		for i, topic := range e.cfg.Topics.Inputs() {
			p.next[topic] = o.next[i]
		}
		p.half.passed(o)
		p.digest = o.digest
		p.viewedTo = o.viewedTo
		if o.viewedAll {
			p.outdated = 0
		}
		if o.looked {
			p.seen = nil
		}
	}
	for i := range b.outcomes {
		t := &b.outcomes[i]
		p := e.parts[t.partition]
		if p == nil {
			continue
		}
		switch {
		case t.removed:
			if err := p.states.Delete([]byte(t.name)); err != nil {
				return err
			}
		case t.changed:
			if err := e.keep(p, t.name, t.entry); err != nil {
				return err
			}
			if t.outdated {
				p.outdated = max(p.outdated-1, 0)
			}
		}
		p.keepStub(t)
		p.keepHint(t)
	}
	for at := range e.poison {
		if p := e.parts[at.partition]; p == nil || p.next[at.topic] > at.offset {
			delete(e.poison, at)
		}
	}
	return nil
}

// Rollback forgets the overlay: the transaction was aborted. Without transactions
// a part of the batch may have been written.
func (e *Engine) Rollback() {
	if b := e.batch; b != nil && !e.cfg.VerifyDigest {
		for n, o := range b.parts {
			if p := e.parts[n]; p != nil {
				p.half.failed(o)
			}
		}
	}
	e.batch = nil
}

// Reset forgets all memory: the outcome of a transaction is unknown. An error
// says that not all of it was given back.
func (e *Engine) Reset() error {
	e.batch = nil
	e.mem = scratch{}
	clear(e.stuck)
	var errs []error
	for n := range e.parts {
		errs = append(errs, e.forget(n))
	}
	return errors.Join(errs...)
}

// Poison marks the input record behind output i of the last batch, which Kafka
// refuses for ever, so that the next step sets it aside. It reports whether
// there is such a record. It is false
// too when the record was marked before and what is left of it is still refused.
// Call it before Rollback.
func (e *Engine) Poison(i int, class string) bool {
	if e.batch == nil || i < 0 || i >= len(e.batch.cause) || e.batch.cause[i].topic == "" {
		return false
	}
	at := e.batch.cause[i]
	if e.poison[at].class == class {
		return false // set aside already, and still refused
	}
	e.poison[at] = verdict{class: class}
	return true
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

// overlayOf is the overlay of a partition, made on first use.
func (e *Engine) overlayOf(b *Batch, p *partition) *overlay {
	o := b.parts[p.number]
	if o == nil {
		o = &overlay{digest: p.digest, viewedTo: p.viewedTo}
		for i, topic := range e.cfg.Topics.Inputs() {
			o.next[i] = p.next[topic]
		}
		b.parts[p.number] = o
	}
	return o
}

// touch brings a subject into the batch.
func (e *Engine) touch(ctx context.Context, b *Batch, p *partition, key events.Key, name []byte) (*touched, error) {
	if e.mem.alone {
		e.mem.remember()
	} else if t := b.touched[string(name)]; t != nil {
		return t, nil
	}
	e.overlayOf(b, p)
	e.mem.subjects++
	t := e.mem.touched.next()
	t.key, t.name, t.partition = key, e.mem.texts.Text(name), p.number
	if len(p.hints) > 0 {
		t.hint = p.hints[t.name]
	}
	old, ok, err := e.entry(p, t.name)
	if err == nil && ok {
		t.state.Evidence = e.mem.rows.room(usualRows)
		var known *codec.Rows
		if old.written {
			t.known = e.mem.encoded.room(usualRows)
			known = &t.known
		}
		if err = e.cfg.Codec.RereadState(ctx, &e.mem.texts, key.Kind, old.value, &t.state, known); err != nil {
			err = ownRecord(err) // a restore that can trust the digest does not decode every state
		}
		t.state.Evidence = e.mem.rows.keep(t.state.Evidence, 0)
		t.known = e.mem.encoded.keep(t.known, len(t.known)+1)
	}
	if err != nil {
		return nil, fmt.Errorf("state %s in memory: %w", t.name, err)
	}
	if ok {
		e.mem.hash = old.link.append(e.mem.hash[:0])
		old.chain = e.mem.texts.Text(e.mem.hash)
		t.had, t.old, t.outdated, t.chain, t.shown = true, old, old.outdated, old.chain, order.Announced(&t.state)
		t.rows, t.version = t.state.Evidence, t.state.RulesVersion
		if t.old.value, t.old.link = nil, (link{}); t.shown.Rule == order.RuleForgotten { // a stub is written again as it is
			t.old.value = b.values.keep(append(b.values.room(len(old.value)), old.value...))
		}
	}
	if !e.mem.alone { // else at the end of its record, if then
		b.hold(t)
	}
	return t, nil
}

// usualRows is more rows than nearly every state has.
const usualRows = 16

// usualValue is more bytes than nearly every output has.
const usualValue = 4 << 10

// encode gives the record of the touched state, made once.
func (e *Engine) encode(b *Batch, t *touched) (framed, error) {
	if t.encoded.bytes != nil {
		return t.encoded, nil
	}
	room := frame(b.values.room(usualValue), t.name)
	record, err := e.cfg.Codec.AppendState(room, &t.state, t.known)
	if err != nil {
		return framed{}, err
	}
	t.encoded = framed{b.values.keep(record), len(room)}
	return t.encoded, nil
}

// finish writes what the batch changed of each subject whose outputs are not
// written yet, in the order in which they were first touched, then the positions.
func (e *Engine) finish(b *Batch) error {
	for _, t := range b.order {
		if t.done {
			continue
		}
		if err := guarded(t, func(t *touched) error { return e.sideOutputs(b, t) }); err != nil {
			return err
		}
	}
	for _, t := range b.order {
		if t.done {
			continue
		}
		if err := guarded(t, func(t *touched) error { return e.stateOutput(b, t) }); err != nil {
			return err
		}
	}
	for _, t := range b.order {
		b.outcomes = append(b.outcomes, t.outcome())
	}
	numbers := make([]int32, 0, len(b.parts))
	for n := range b.parts {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if err := e.positionOutput(b, n); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) stateOutput(b *Batch, t *touched) error {
	if !t.changed {
		e.stubOutput(b, t)
		return nil
	}
	state, err := e.encode(b, t)
	if err != nil {
		return fmt.Errorf("encode state %s: %w", t.name, err)
	}
	o := b.parts[t.partition]
	if t.had {
		o.digest = o.digest.sub(t.old.sum)
	} else {
		o.added++
	}
	sum := state.sum()
	o.digest = o.digest.add(sum)
	t.old = entry{value: state.value(), sum: sum, chain: t.chain, clean: len(t.after) == 0, written: true, open: t.open()}
	e.emitState(b, t, state.key(), state.value(), sum)
	return nil
}

// readSoon is how long after what was last said of a subject a check may be due
// for it to be read again soon: the first confirmations of what has settled are.
const readSoon = events.Millis(time.Hour / time.Millisecond)

// open is that of entry.
func (t *touched) open() bool {
	return !t.state.Terminal || t.hasTask && t.task.DueAt-t.state.LastSeenAt <= readSoon
}

func (e *Engine) emitState(b *Batch, t *touched, key, value []byte, s sum) {
	topic, typ := e.stateTopic(t.key.Kind)
	h := append(b.summed(s, typ), stream.Header{Key: HeaderChain, Value: b.values.text(t.chain)})
	if t.shown.Rule == order.RuleForgotten {
		t.marks = e.marks(b.parts[t.partition])
		h = append(h, e.marksHeader(t.partition, t.marks))
	}
	b.emit(stream.Record{Topic: topic, Partition: t.partition, Key: key, Value: value, Headers: h}, t.cause)
}

func (e *Engine) stateTopic(kind events.SubjectKind) (topic string, typ []byte) {
	if kind == events.Customer {
		return e.cfg.Topics.CustomerState, typeCustomerState
	}
	return e.cfg.Topics.OrderState, typeOrderState
}

func (e *Engine) positionOutput(b *Batch, n int32) error {
	p, o := e.parts[n], b.parts[n]
	pos := events.Position{
		Partition: n, States: int64(p.states.Len()) + o.added, Digest: o.digest.String(),
	}
	e.describe(p, &pos)
	for i, topic := range e.cfg.Topics.Inputs() {
		pos.Next = append(pos.Next, events.InputOffset{Topic: topic, Offset: o.next[i]})
	}
	slices.SortFunc(pos.Next, func(a, b events.InputOffset) int {
		if a.Topic < b.Topic {
			return -1
		}
		return 1
	})
	value, err := e.cfg.Codec.EncodePosition(pos)
	if err != nil {
		return fmt.Errorf("encode position of partition %d: %w", n, err)
	}
	key := positionKey(n)
	headers := b.summed(hashRecord(key, value), typePosition)
	if p.inputs != "" {
		headers = append(headers, stream.Header{Key: HeaderInputs, Value: b.values.text(p.inputs)})
	}
	b.emit(stream.Record{
		Topic: e.cfg.Topics.ReconcilerPosition, Partition: n, Key: []byte(key), Value: value, Headers: headers,
	}, coordinate{})
	return nil
}

func positionKey(n int32) string { return strconv.Itoa(int(n)) }

type silent struct{}

func (silent) Joined(string, string, int)       {}
func (silent) DeadLetter(string)                {}
func (silent) Transition(events.Status, string) {}
func (silent) Restored(int32, int64, string)    {}
func (silent) UnknownStatus(events.Provider)    {}
func (silent) CheckpointIgnored(string)         {}
func (silent) CheckpointWritten(int64)          {}
func (silent) NotViewed()                       {}
