package reconciler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
	"rampstream/internal/table"
)

// joiner joins the records of some of an engine's partitions. The invariant:
//
//	What two joiners touch within a step or Accept is never the same: each has
//	the partitions of its number, modulo how many they are, a subject is in one
//	partition, and all else that they write to is their own.
//
// So what a batch makes of a partition does not depend on how many join.
type joiner struct {
	cfg    Config
	number int
	parts  map[int32]*partition // the engine's, of which only those that are mine are touched
	batch  *share
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

// numberOf is the joiner that has a partition, of so many.
func numberOf(partition int32, joiners int) int { return int(partition) % joiners }

// mine reports whether the joiner has a partition.
func (j *joiner) mine(partition int32) bool { return numberOf(partition, j.cfg.Joiners) == j.number }

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
	// held is where the states stood when they were read.
	held held
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

// step joins the joiner's records of a batch, and begins again without what cannot
// be joined, unless something of its own was given away.
func (j *joiner) step(ctx context.Context, records []stream.Record, rest bool, give func([]stream.Record) bool) error {
	for {
		g := giving{give: give, least: leastGiven}
		err := j.try(ctx, records, rest, &g)
		give = g.give // nobody who has refused is asked again
		var bad *spoilt
		// The others of the batch are joined again without it.
		if errors.As(err, &bad) && j.leaveOut(bad) {
			if g.n > 0 {
				return fmt.Errorf("%w: %w", ErrBegun, err)
			}
			continue
		}
		return err
	}
}

func (j *joiner) try(ctx context.Context, records []stream.Record, rest bool, g *giving) error {
	j.mem.begin(maxScratch / j.cfg.Joiners)
	if j.spoil != nil {
		j.spoil()
	}
	b := j.mem.batch(j.outputs())
	b.Out = b.records[:0]
	if cap(b.Out) < j.mem.out {
		b.Out = make([]stream.Record, 0, j.mem.out+j.mem.out/8)
	}
	defer func() { j.mem.keep(b) }()
	if g.give != nil {
		if err := j.joinByKey(ctx, b, records, g); err != nil {
			return err
		}
	} else if err := j.joinInTurn(ctx, b, records); err != nil {
		return err
	}
	if rest {
		if err := errors.Join(j.viewOutdated(ctx, b), j.removeStubs(ctx, b)); err != nil {
			return err
		}
	}
	if err := j.finish(b); err != nil {
		return err
	}
	j.batch, b.given = b, g.n
	return nil
}

// joinInTurn joins the records as they come; all subjects are held for the end of
// the batch.
func (j *joiner) joinInTurn(ctx context.Context, b *share, records []stream.Record) error {
	for i := range records {
		if !j.mine(records[i].Partition) {
			continue
		}
		if err := j.apply(ctx, b, &records[i]); err != nil {
			return err
		}
	}
	return nil
}

// outputs gives memory for what a batch writes: that of the last one, if it was
// accepted. What was not is the session's, for all that is known.
func (j *joiner) outputs() *outputs {
	o := j.free
	if j.free = nil; o == nil {
		return new(outputs)
	}
	o.begin()
	return o
}

func (j *joiner) accept() error {
	b := j.batch
	j.batch = nil
	if b == nil {
		return nil
	}
	if j.cfg.ReuseOutputs && len(b.values.chunks) <= maxOutputs/j.cfg.Joiners {
		b.records, j.free = b.Out, b.outputs
	}
	for n, o := range b.parts {
		p := j.parts[n]
		if p == nil {
			continue
		}
		for i, topic := range j.cfg.Topics.Inputs() {
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
		p := j.parts[t.partition]
		if p == nil {
			continue
		}
		switch {
		case t.removed:
			if err := p.states.Delete([]byte(t.name)); err != nil {
				return err
			}
		case t.changed:
			if err := j.keep(p, t.name, t.entry); err != nil {
				return err
			}
			if t.outdated {
				p.outdated = max(p.outdated-1, 0)
			}
		}
		p.keepStub(t)
		p.keepHint(t)
	}
	for at := range j.poison {
		if p := j.parts[at.partition]; p == nil || p.next[at.topic] > at.offset {
			delete(j.poison, at)
		}
	}
	return nil
}

func (j *joiner) rollback() {
	if b := j.batch; b != nil && !j.cfg.VerifyDigest {
		for n, o := range b.parts {
			if p := j.parts[n]; p != nil {
				p.half.failed(o)
			}
		}
	}
	j.batch = nil
}

// refused is Poison of output i of the share. A state that changed rules made is
// left as it was.
func (j *joiner) refused(i int, class string) bool {
	at := j.batch.cause[i]
	if t := j.ruledBehind(&j.batch.Out[i]); t != nil {
		return j.leaveOut(t.spoilt(class, errors.New("an output of it is refused, "+class)))
	}
	if at.topic == "" || j.poison[at].class == class { // set aside already, and still refused
		return false
	}
	j.poison[at] = verdict{class: class}
	return true
}

// ruledBehind is the subject that changed rules made an output of; nil for others.
func (j *joiner) ruledBehind(r *stream.Record) *touched {
	name := r.Key
	switch r.Topic {
	case j.cfg.Topics.DeadLetter: // of a record that changed nothing of it
		return nil
	case j.cfg.Topics.Discrepancy:
		name = name[:max(bytes.LastIndexByte(name, '/'), 0)]
	}
	if t := j.batch.touched[string(name)]; t != nil && t.ruled {
		return t
	}
	return nil
}

// overlayOf is the overlay of a partition, made on first use.
func (j *joiner) overlayOf(b *share, p *partition) *overlay {
	o := b.parts[p.number]
	if o == nil {
		o = &overlay{digest: p.digest, viewedTo: p.viewedTo}
		for i, topic := range j.cfg.Topics.Inputs() {
			o.next[i] = p.next[topic]
		}
		b.parts[p.number] = o
	}
	return o
}

// touch brings a subject into the batch.
func (j *joiner) touch(ctx context.Context, b *share, p *partition, key events.Key, name []byte) (*touched, error) {
	if j.mem.byKey {
		if j.mem.subject != nil {
			return j.mem.subject, nil
		}
		j.mem.remember()
	} else if t := b.touched[string(name)]; t != nil {
		return t, nil
	}
	j.overlayOf(b, p)
	j.mem.subjects++
	t := j.mem.touched.next()
	t.key, t.name, t.partition = key, j.mem.texts.Text(name), p.number
	if len(p.hints) > 0 {
		t.hint = p.hints[t.name]
	}
	old, ok, err := j.entry(p, t.name)
	if err == nil && ok {
		t.state.Evidence = j.mem.rows.room(usualRows)
		var known *codec.Rows
		if old.written {
			t.known = j.mem.encoded.room(usualRows)
			known = &t.known
		}
		if err = j.cfg.Codec.RereadState(ctx, &j.mem.passing, key.Kind, old.value, &t.state, known); err != nil {
			err = ownRecord(err) // a restore that can trust the digest does not decode every state
		}
		t.state.Evidence = j.mem.rows.keep(t.state.Evidence, 0)
		t.known = j.mem.encoded.keep(t.known, len(t.known)+1)
	}
	if err != nil {
		return nil, fmt.Errorf("state %s in memory: %w", t.name, err)
	}
	if ok {
		j.mem.hash = old.link.append(j.mem.hash[:0])
		old.chain = j.mem.texts.Text(j.mem.hash)
		t.had, t.old, t.outdated, t.chain, t.shown = true, old, old.outdated, old.chain, order.Announced(&t.state)
		t.rows, t.version = t.state.Evidence, t.state.RulesVersion
		if t.old.value, t.old.link = nil, (link{}); t.shown.Rule == order.RuleForgotten { // a stub is written again as it is
			t.old.value = b.values.keep(append(b.values.room(len(old.value)), old.value...))
		}
	}
	if j.mem.subject = t; !j.mem.byKey { // else at the end of its records, if then
		b.hold(t)
	}
	return t, nil
}

// usualRows is more rows than nearly every state has.
const usualRows = 16

// usualValue is more bytes than nearly every output has.
const usualValue = 4 << 10

// encode gives the record of the touched state, made once.
func (j *joiner) encode(b *share, t *touched) (framed, error) {
	if t.encoded.bytes != nil {
		return t.encoded, nil
	}
	room := frame(b.values.room(usualValue), t.name)
	record, err := j.cfg.Codec.AppendState(room, &t.state, t.known)
	if err != nil {
		return framed{}, err
	}
	t.encoded = framed{b.values.keep(record), len(room)}
	return t.encoded, nil
}

// finish writes what the batch changed of each subject whose outputs are not
// written yet, in the order in which they were first touched, then the positions.
func (j *joiner) finish(b *share) error {
	for _, t := range b.order {
		if t.done {
			continue
		}
		if err := guarded(t, func(t *touched) error { return j.sideOutputs(b, t) }); err != nil {
			return err
		}
	}
	b.sides = len(b.Out)
	for _, t := range b.order {
		if t.done {
			continue
		}
		if err := guarded(t, func(t *touched) error { return j.stateOutput(b, t) }); err != nil {
			return err
		}
	}
	b.states = len(b.Out)
	for _, t := range b.order {
		b.outcomes = append(b.outcomes, t.outcome())
	}
	numbers := make([]int32, 0, len(b.parts))
	for n := range b.parts {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if err := j.positionOutput(b, n); err != nil {
			return err
		}
	}
	return nil
}

func (j *joiner) stateOutput(b *share, t *touched) error {
	if !t.changed {
		j.stubOutput(b, t)
		return nil
	}
	state, err := j.encode(b, t)
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
	j.emitState(b, t, state.key(), state.value(), sum)
	return nil
}

// readSoon is how long after what was last said of a subject a check may be due
// for it to be read again soon: the first confirmations of what has settled are.
const readSoon = events.Millis(time.Hour / time.Millisecond)

// open is that of entry.
func (t *touched) open() bool {
	return !t.state.Terminal || t.hasTask && t.task.DueAt-t.state.LastSeenAt <= readSoon
}

func (j *joiner) emitState(b *share, t *touched, key, value []byte, s sum) {
	topic, typ := j.stateTopic(t.key.Kind)
	h := append(b.summed(s, typ), stream.Header{Key: HeaderChain, Value: b.values.text(t.chain)})
	if t.shown.Rule == order.RuleForgotten {
		t.marks = j.marks(b.parts[t.partition])
		h = append(h, j.marksHeader(t.partition, t.marks))
	}
	b.emit(stream.Record{Topic: topic, Partition: t.partition, Key: key, Value: value, Headers: h}, t.cause)
}

func (j *joiner) stateTopic(kind events.SubjectKind) (topic string, typ []byte) {
	if kind == events.Customer {
		return j.cfg.Topics.CustomerState, typeCustomerState
	}
	return j.cfg.Topics.OrderState, typeOrderState
}

func (j *joiner) positionOutput(b *share, n int32) error {
	p, o := j.parts[n], b.parts[n]
	pos := events.Position{
		Partition: n, States: int64(p.states.Len()) + o.added, Digest: o.digest.String(),
	}
	j.describe(p, &pos)
	for i, topic := range j.cfg.Topics.Inputs() {
		pos.Next = append(pos.Next, events.InputOffset{Topic: topic, Offset: o.next[i]})
	}
	slices.SortFunc(pos.Next, func(a, b events.InputOffset) int {
		if a.Topic < b.Topic {
			return -1
		}
		return 1
	})
	value, err := j.cfg.Codec.EncodePosition(pos)
	if err != nil {
		return fmt.Errorf("encode position of partition %d: %w", n, err)
	}
	key := positionKey(n)
	headers := b.summed(hashRecord(key, value), typePosition)
	if p.inputs != "" {
		headers = append(headers, stream.Header{Key: HeaderInputs, Value: b.values.text(p.inputs)})
	}
	b.emit(stream.Record{
		Topic: j.cfg.Topics.ReconcilerPosition, Partition: n, Key: []byte(key), Value: value, Headers: headers,
	}, coordinate{})
	return nil
}

func positionKey(n int32) string { return strconv.Itoa(int(n)) }
