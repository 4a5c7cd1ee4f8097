package reconciler

import (
	"strings"

	"rampstream/internal/events"
)

// Hints of subjects without a state cost memory here, and a task in the
// schedule, for nothing that was ever proven: anybody who finds the route of an
// unsigned callback can send them.
const (
	// maxUnknownHints bounds them in one partition.
	maxUnknownHints = 100_000
	// One lane may fill a tenth: a flood of one account's forged ids takes no
	// other account's hints away.
	laneShare = 10
)

// admitHint reports whether one more hint of t's subject may wait for its
// answer. Those of subjects with a state, or with a hint that waits already,
// always may: they are bounded by what is known.
func (j *joiner) admitHint(b *share, p *partition, t *touched) bool {
	if t.had || t.changed || t.hint != 0 {
		return true
	}
	o, lane := j.overlayOf(b, p), t.key.Lane()
	if p.unknown+o.unknown >= j.cfg.UnknownHints || p.unknownOf[lane]+o.unknownOf[lane] >= max(j.cfg.UnknownHints/laneShare, 1) {
		return false
	}
	if o.unknownOf == nil {
		o.unknownOf = map[events.Lane]int{}
	}
	// A count too high, should the batch answer the hint or make a state: it
	// ends with the batch.
	o.unknown++
	o.unknownOf[lane]++
	return true
}

// keepHint brings the pending hint of a subject into memory.
func (p *partition) keepHint(t *outcome) {
	name := t.name
	_, pending := p.hints[name]
	change := 0
	if pending && !t.had {
		change--
	}
	if t.hint != 0 && !t.had && !t.changed {
		change++
	}
	if t.hint == 0 {
		delete(p.hints, name)
	} else {
		p.hints[strings.Clone(name)] = t.hint // its memory is the batch's
	}
	if change == 0 {
		return
	}
	if p.unknownOf == nil {
		p.unknownOf = map[events.Lane]int{}
	}
	lane := laneIn(name)
	p.unknown += change
	if p.unknownOf[lane] += change; p.unknownOf[lane] == 0 {
		delete(p.unknownOf, lane)
	}
}

// laneIn is the lane of the subject whose key is name.
func laneIn(name string) events.Lane {
	at := strings.IndexByte(name, '/') + 1
	return events.Lane(strings.Clone(name[:at+strings.IndexByte(name[at:], '/')])) // the name's memory is the batch's
}

// PendingHints reports how many hints wait for their answer.
func (e *Engine) PendingHints() (n int) {
	for _, p := range e.parts {
		n += len(p.hints)
	}
	return n
}
