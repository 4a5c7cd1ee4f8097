package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

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
	// OpenTable makes the empty table of a partition; nil keeps it in memory.
	OpenTable func(partition int32) (table.Table, error)
}

// Observer hears what an engine did, for metrics. Labels are from closed sets.
type Observer interface {
	Joined(source, verdict string) // verdict: "changed", "known", "hint", "hint_ignored", "dead_letter"
	DeadLetter(class string)
	Transition(to events.Status, reason string)
	// Restored: source is "memory" or "topic".
	Restored(partition int32, states int64, source string)
	UnknownStatus(provider events.Provider)
}

// Engine holds the states of the owned partitions and turns batches of input
// records into batches of output records. It is not safe for concurrent use.
type Engine struct {
	cfg   Config
	parts map[int32]*partition
	batch *Batch
	// recent holds decoded states of subjects that changed lately: a webhook is
	// mostly followed by a poll.
	recent recent
	// poison are records whose outputs Kafka refuses; they become dead letters.
	poison   map[coordinate]string
	key, buf []byte // a key and an entry on their way to or from a table
}

type coordinate struct {
	topic     string
	partition int32
	offset    int64
}

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
	// goal is where each input ended at the restore, and source where the states
	// came from.
	goal   map[string]int64
	source string
}

// Where the states of a restored partition came from.
const (
	sourceMemory = "memory" // they were still there
	sourceTopic  = "topic"
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
	return &Engine{cfg: cfg, parts: map[int32]*partition{}, poison: map[coordinate]string{}}
}

// Batch is what one step wants written, in an order in which a platform
// without transactions may write it: side outputs, then states, then positions.
type Batch struct {
	Out []stream.Record
	// cause is, for each of Out, the input record that asked for it; its topic
	// is empty where none did.
	cause   []coordinate
	touched map[string]*touched
	parts   map[int32]*overlay
	room    []byte // what was read from the tables
}

// overlay is what a batch changes of a partition.
type overlay struct {
	next   map[string]int64
	digest sum
	added  int64
	// viewedTo and viewedAll say how far the batch viewed outdated states again.
	viewedTo  table.Pos
	viewedAll bool

	unknown   int // hints of subjects without a state that the batch added
	unknownOf map[events.Lane]int
}

// touched is one subject in a batch.
type touched struct {
	key       events.Key
	partition int32
	had       bool  // a state existed before the batch
	old       entry // as in memory
	outdated  bool  // it was
	was       events.State
	state     events.State
	encoded   []byte // of state, where a transition needed it
	chain     string
	renew     []events.Discrepancy // of other rules, to be written again or tombstoned
	after     []events.Discrepancy
	schedule  bool          // write the schedule even if it did not change
	hint      events.Millis // pending hint, 0 for none
	asked     events.Millis // latest question answered in the batch, 0 for none
	changed   bool          // the evidence changed, or the rules
	unviewed  bool          // the account is not configured: only evidence was taken
	at        int64         // timestamp of the latest cause
	cause     coordinate
}

// Step joins records into an overlay and returns what is to be written. The
// overlay is kept until Accept or Rollback; a second Step before either is a
// programmer's error. An error means that nothing of the batch was applied:
// errors.Is codec.ErrSchemaUnavailable asks to wait and try again. rest allows
// the step to view outdated states too.
func (e *Engine) Step(ctx context.Context, records []stream.Record, rest bool) (*Batch, error) {
	if e.batch != nil {
		panic("reconciler: Step before Accept or Rollback of the last batch")
	}
	for {
		b, err := e.step(ctx, records, rest)
		var bad *unwritable
		// A record whose outputs break the contract is set aside; the others of
		// the batch are joined again without it.
		if errors.As(err, &bad) && bad.cause.topic != "" && e.poison[bad.cause] == "" {
			e.poison[bad.cause] = ClassUnwritable
			continue
		}
		return b, err
	}
}

// unwritable is an output that the contract forbids, and the record behind it.
type unwritable struct {
	cause coordinate
	err   error
}

func (u *unwritable) Error() string { return u.err.Error() }
func (u *unwritable) Unwrap() error { return u.err }

func (e *Engine) step(ctx context.Context, records []stream.Record, rest bool) (*Batch, error) {
	b := &Batch{touched: map[string]*touched{}, parts: map[int32]*overlay{}}
	for _, r := range records {
		if err := e.apply(ctx, b, r); err != nil {
			return nil, err
		}
	}
	if rest {
		if err := e.viewOutdated(ctx, b); err != nil {
			return nil, err
		}
	}
	if err := e.finish(ctx, b); err != nil {
		return nil, err
	}
	e.batch = b
	return b, nil
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
	for n, o := range b.parts {
		p := e.parts[n]
		if p == nil {
			continue
		}
		for topic, next := range o.next {
			p.next[topic] = next
		}
		p.digest = o.digest
		p.viewedTo = o.viewedTo
		if o.viewedAll {
			p.outdated = 0
		}
	}
	for key, t := range b.touched {
		p := e.parts[t.partition]
		if p == nil {
			continue
		}
		if t.changed {
			if err := e.keep(p, key, t.old); err != nil {
				return err
			}
			if t.outdated {
				p.outdated = max(p.outdated-1, 0)
			}
			e.recent.put(key, t.state)
		}
		p.keepHint(key, t)
	}
	for at := range e.poison {
		if p := e.parts[at.partition]; p == nil || p.next[at.topic] > at.offset {
			delete(e.poison, at)
		}
	}
	return nil
}

// Rollback forgets the overlay: the transaction was aborted.
func (e *Engine) Rollback() { e.batch = nil }

// Reset forgets all memory: the outcome of a transaction is unknown. An error
// says that not all of it was given back.
func (e *Engine) Reset() error {
	e.batch = nil
	e.recent = recent{}
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
	if e.poison[at] == class {
		return false // set aside already, and still refused
	}
	e.poison[at] = class
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
		o = &overlay{next: map[string]int64{}, digest: p.digest, viewedTo: p.viewedTo}
		b.parts[p.number] = o
	}
	return o
}

// touch brings a subject into the batch.
func (e *Engine) touch(ctx context.Context, b *Batch, p *partition, key events.Key) (*touched, error) {
	name := key.String()
	if t := b.touched[name]; t != nil {
		return t, nil
	}
	e.overlayOf(b, p)
	t := &touched{key: key, partition: p.number, hint: p.hints[name]}
	old, ok, err := e.entry(b, p, name)
	if err != nil {
		return nil, fmt.Errorf("state %s in memory: %w", name, err)
	}
	if ok {
		st, cached := e.recent.get(name)
		if !cached {
			if st, err = e.decodeState(ctx, key, old.value); err != nil {
				// A restore that can trust the digest does not decode every state.
				return nil, fmt.Errorf("state %s in memory: %w", name, ownRecord(err))
			}
		}
		t.had, t.old, t.outdated, t.chain, t.was, t.state = true, old, old.outdated, old.chain, st, st
	}
	b.touched[name] = t
	return t, nil
}

func (e *Engine) decodeState(ctx context.Context, key events.Key, value []byte) (events.State, error) {
	if key.Kind == events.Customer {
		return e.cfg.Codec.DecodeCustomerState(ctx, value)
	}
	return e.cfg.Codec.DecodeOrderState(ctx, value)
}

// encode gives the record value of the touched state, made once.
func (t *touched) encode(c *codec.Codec) ([]byte, error) {
	if t.encoded != nil {
		return t.encoded, nil
	}
	value, err := c.EncodeState(t.state)
	if err == nil {
		t.encoded = value
	}
	return value, err
}

// emit adds an output record.
func (b *Batch) emit(r stream.Record, cause coordinate) {
	b.Out = append(b.Out, r)
	b.cause = append(b.cause, cause)
}

// finish writes what the batch changed of each subject, in key order, then the
// positions.
func (e *Engine) finish(ctx context.Context, b *Batch) error {
	keys := make([]string, 0, len(b.touched))
	for k := range b.touched {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := guarded(b.touched[k], func(t *touched) error { return e.sideOutputs(b, t) }); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if err := guarded(b.touched[k], func(t *touched) error { return e.stateOutput(b, k, t) }); err != nil {
			return err
		}
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

// guarded turns a failure or a panic of a subject's outputs into one of the
// record behind them.
func guarded(t *touched, write func(*touched) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &unwritable{t.cause, errors.New("writing panicked")}
		}
	}()
	if err := write(t); err != nil {
		return &unwritable{t.cause, err}
	}
	return nil
}

func (e *Engine) stateOutput(b *Batch, name string, t *touched) error {
	if !t.changed {
		return nil
	}
	value, err := t.encode(e.cfg.Codec)
	if err != nil {
		return fmt.Errorf("encode state %s: %w", name, err)
	}
	o := b.parts[t.partition]
	if t.had {
		o.digest = o.digest.sub(t.old.sum)
	} else {
		o.added++
	}
	sum := hashRecord(name, value)
	o.digest = o.digest.add(sum)
	t.old = entry{value: value, sum: sum, chain: t.chain, clean: len(t.after) == 0}
	topic, typ := e.cfg.Topics.OrderState, "rampstream.v1.OrderState"
	if t.key.Kind == events.Customer {
		topic, typ = e.cfg.Topics.CustomerState, "rampstream.v1.CustomerState"
	}
	h := append(cloudEvent(sum.String(), typ), stream.Header{Key: HeaderChain, Value: []byte(t.chain)})
	b.emit(stream.Record{Topic: topic, Partition: t.partition, Key: []byte(name), Value: value, Headers: h}, t.cause)
	return nil
}

func (e *Engine) positionOutput(b *Batch, n int32) error {
	p, o := e.parts[n], b.parts[n]
	pos := events.Position{
		Partition: n, States: int64(p.states.Len()) + o.added, Digest: o.digest.String(),
	}
	e.describe(p, &pos)
	for _, topic := range e.cfg.Topics.Inputs() {
		next, ok := o.next[topic]
		if !ok {
			next = p.next[topic]
		}
		pos.Next = append(pos.Next, events.InputOffset{Topic: topic, Offset: next})
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
	b.emit(stream.Record{
		Topic: e.cfg.Topics.ReconcilerPosition, Partition: n, Key: []byte(key), Value: value,
		Headers: cloudEvent(hashRecord(key, value).String(), "rampstream.v1.ReconcilerPosition"),
	}, coordinate{})
	return nil
}

func positionKey(n int32) string { return strconv.Itoa(int(n)) }

// cloudEvent are the headers that every record of ours carries and no consumer
// needs.
func cloudEvent(id, typ string) []stream.Header {
	return []stream.Header{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(id)},
		{Key: "ce_source", Value: []byte(ceSource)}, {Key: "ce_type", Value: []byte(typ)},
		{Key: "content-type", Value: []byte("application/avro")},
	}
}

type silent struct{}

func (silent) Joined(string, string)            {}
func (silent) DeadLetter(string)                {}
func (silent) Transition(events.Status, string) {}
func (silent) Restored(int32, int64, string)    {}
func (silent) UnknownStatus(events.Provider)    {}
