package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// What is left of a forgotten subject is a stub: a state without facts, whose
// FORGET absorbs what still comes. It must outlive every record about the
// subject that the inputs retain: a replay of what is left would bring it back.
// No clock can say when that is, but the log can:
//
//	A stub is removed only when, in one look at the log, every record about the
//	subject that was ever read stood below the start of its topic, and every
//	record that the log then held had been read.
//
// So no record about it was left in any input. Every record about a forgotten
// subject, whatever it says, moves the mark of its stub behind itself. The marks
// travel in a header of the state: a value never depends on when it was written.
// Without transactions nothing is removed: a crash between the tombstone and
// the position would look like loss.

// HeaderForgotten is the header of a forgotten subject's state that says below
// which offset of each input its records stand, as topic-partition-offset with
// commas between.
const HeaderForgotten = "ramp_forgotten_below"

// marks are one offset for each of Topics.Inputs; nil for unknown ones.
type marks []int64

// maxRemoved is how many stubs one step removes, or marks.
const maxRemoved = 200

// marks are where the inputs of a partition stand after the batch: above every
// record that was read.
func (j *joiner) marks(o *overlay) marks { return append(marks(nil), o.next[:]...) }

func (j *joiner) marksHeader(n int32, m marks) stream.Header {
	return stream.Header{Key: HeaderForgotten, Value: []byte(marksText(j.cfg.Topics.Inputs(), n, m))}
}

func marksText(inputs []string, n int32, m marks) string {
	parts := make([]string, len(m))
	for i, topic := range inputs {
		parts[i] = events.Sighting{Topic: topic, Partition: n, Offset: m[i]}.Coordinates()
	}
	return strings.Join(parts, ",")
}

// readMarks is the inverse of marksText; nil for anything else, such as marks
// of topics that have other names now.
func readMarks(inputs []string, n int32, value string) marks {
	parts := strings.Split(value, ",")
	if len(parts) != len(inputs) {
		return nil
	}
	m := make(marks, len(inputs))
	for i, part := range parts {
		topic, partition, offset, ok := events.ParseCoordinates(part)
		if !ok || topic != inputs[i] || partition != n {
			return nil
		}
		m[i] = offset
	}
	return m
}

// takeStub keeps the marks of a restored record, and forgets those of an older
// one of its key.
func (p *partition) takeStub(inputs []string, rec *stream.Record) {
	v, ok := rec.Header(HeaderForgotten)
	switch {
	case ok && rec.Value != nil:
		if p.stubs == nil {
			p.stubs = map[string]marks{}
		}
		p.stubs[string(rec.Key)] = readMarks(inputs, p.number, string(v))
	case len(p.stubs) > 0:
		delete(p.stubs, string(rec.Key))
	}
}

// stubOutput writes what becomes of a stub that did not change: its end, or the
// same record again with marks behind what was read about it.
func (j *joiner) stubOutput(b *share, t *touched) {
	switch {
	case t.removed:
		o := b.parts[t.partition]
		o.digest = o.digest.sub(t.old.sum)
		o.added--
		topic, _ := j.stateTopic(t.key.Kind)
		b.emit(stream.Record{Topic: topic, Partition: t.partition, Key: b.values.text(t.name)}, t.cause)
	case t.heard && t.had && t.shown.Rule == order.RuleForgotten:
		j.emitState(b, t, b.values.text(t.name), t.old.value, t.old.sum)
	}
}

// Forgotten reports how many stubs wait for the inputs' retention.
func (e *Engine) Forgotten() (n int) {
	for _, p := range e.parts {
		n += len(p.stubs)
	}
	return n
}

// Waiting lists the partitions with stubs whose inputs are worth a look.
func (e *Engine) Waiting() (out []int32) {
	for _, j := range e.joiners {
		out = append(out, j.waiting()...)
	}
	slices.Sort(out)
	return out
}

func (j *joiner) waiting() (out []int32) {
	for n, p := range j.parts {
		if j.mine(n) && len(p.stubs) > 0 && !p.revoked && j.cfg.VerifyDigest {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// Look tells the engine what the inputs of a partition held at one moment. The
// next steps remove the stubs that this proves to be over, once all of it is
// read.
func (e *Engine) Look(n int32, inputs map[string]stream.Range) {
	if p := e.parts[n]; p != nil {
		p.seen = inputs
	}
}

// removeStubs writes tombstones for the stubs that are over.
func (j *joiner) removeStubs(ctx context.Context, b *share) error {
	left := max(maxRemoved/j.cfg.Joiners, 1)
	for _, n := range j.waiting() {
		p := j.parts[n]
		// A stub that waits to be viewed again is a state like others.
		if p.seen == nil || p.outdated > 0 || !j.caughtUp(p, b.parts[n]) {
			continue
		}
		names := j.over(b, p)
		if len(names) == 0 {
			p.seen = nil
			continue
		}
		j.overlayOf(b, p).looked = len(names) <= left
		for _, name := range names[:min(left, len(names))] {
			if err := j.removeStub(ctx, b, p, name); err != nil {
				return err
			}
			left--
		}
	}
	return nil
}

// over lists the stubs below whose marks nothing is retained, and those without
// marks, sorted. What the batch touched waits for the next look.
func (j *joiner) over(b *share, p *partition) (names []string) {
	for name, m := range p.stubs {
		over := b.touched[name] == nil
		for i, topic := range j.cfg.Topics.Inputs() {
			over = over && (m == nil || m[i] <= p.seen[topic].Start)
		}
		if over {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// removeStub removes a stub, or marks one whose marks are not known.
func (j *joiner) removeStub(ctx context.Context, b *share, p *partition, name string) error {
	key, err := events.ParseKey(name)
	if err != nil {
		return fmt.Errorf("key in memory: %w", err)
	}
	t, err := j.touch(ctx, b, p, key, []byte(name))
	if err != nil {
		return err
	}
	if !t.had || t.shown.Rule != order.RuleForgotten {
		return errors.New("a stub that is none: " + name)
	}
	t.removed, t.heard = p.stubs[name] != nil, true
	return nil
}

// caughtUp reports whether all that the look saw is read; o may be nil.
func (j *joiner) caughtUp(p *partition, o *overlay) bool {
	for i, topic := range j.cfg.Topics.Inputs() {
		next := p.next[topic]
		if o != nil {
			next = o.next[i]
		}
		if next < p.seen[topic].End {
			return false
		}
	}
	return true
}

// keepStub brings what a batch did to a forgotten subject into memory.
func (p *partition) keepStub(t *outcome) {
	switch {
	case t.removed:
		delete(p.stubs, t.name)
	case t.marks != nil:
		if p.stubs == nil {
			p.stubs = map[string]marks{}
		}
		p.stubs[strings.Clone(t.name)] = t.marks
	}
}
