package reconciler

import (
	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
	"rampstream/internal/table"
)

// share is what one joiner has of a batch, in an order in which a platform
// without transactions may write it: side outputs, then states, then positions.
type share struct {
	Out []stream.Record
	// given is how many of Out were given away, and sides and states where the
	// writeStages end.
	given, sides, states int
	// cause is, for each of Out, the input record that asked for it; its topic
	// is empty where none did.
	cause []coordinate
	// touched are the subjects that more records may be about, and order is that in
	// which they were first touched.
	touched map[string]*touched
	order   []*touched
	// outcomes are what becomes of memory, in no order.
	outcomes []outcome
	parts    map[int32]*overlay

	*outputs
}

// writeStages is in how many steps a batch is written.
const writeStages = 3

// stageEnd is where a stage ends in Out.
func (b *share) stageEnd(stage int) int {
	return [writeStages]int{b.sides, b.states, len(b.Out)}[stage]
}

// outputs is memory of what a batch writes.
type outputs struct {
	records []stream.Record
	values  byteRoom // of keys, values and ids
	headers roomOf[stream.Header]
}

// maxOutputs bounds the chunks of values that are kept for the next batch, of all
// joiners: 64 MiB.
const maxOutputs = 256

// begin makes the memory free; what was written in it is written over.
func (o *outputs) begin() {
	o.values.begin()
	o.headers.begin()
}

// inputs is how many topics are joined.
const inputs = 3

// overlay is what a batch changes of a partition.
type overlay struct {
	next   [inputs]int64 // of stream.Topics.Inputs
	read   [inputs]int   // records of them
	digest sum
	added  int64
	// viewedTo and viewedAll say how far the batch viewed outdated states again.
	viewedTo  table.Pos
	viewedAll bool
	looked    bool // the look at the inputs was made use of

	unknown   int // hints of subjects without a state that the batch added
	unknownOf map[events.Lane]int
}

// touched is one subject in a batch.
type touched struct {
	key       events.Key
	name      string // of key
	partition int32
	had       bool              // a state existed before the batch
	changed   bool              // the evidence changed, or the rules
	viewed    bool              // state shows its evidence; else only state.Evidence is up to date
	unviewed  bool              // the account is not configured: only evidence was taken
	schedule  bool              // write the schedule even if it did not change
	hasTask   bool              // task is what the schedule says of state
	hadTask   bool              // wasTask is what it said before the batch
	heard     bool              // of a forgotten subject: something was read about it
	removed   bool              // a stub that is over
	done      bool              // its outputs are written
	marks     marks             // of a forgotten subject, as written
	outdated  bool              // the state in memory was
	ruled     bool              // changed rules view it, no record
	old       entry             // as in memory, a stub alone with its value; from finish on as it will be
	state     events.State      // as in memory at first, then as the batch leaves it
	rows      []events.Evidence // of the state in memory
	known     codec.Rows        // encodings of the rows of state that are as in memory
	version   string            // its RulesVersion
	spare     []events.Evidence
	shown     order.Announcement // of the last state, whether it is viewed or not
	encoded   framed             // record of state, where a transition needed it
	chain     string
	renew     []events.Discrepancy // of other rules, to be written again or tombstoned
	after     []events.Discrepancy // of a viewed state
	task      events.CheckTask     // of a viewed state
	wasTask   events.CheckTask     // known where something changed and schedule is false
	hint      events.Millis        // pending hint, 0 for none
	asked     events.Millis        // latest question answered in the batch, 0 for none
	at        int64                // timestamp of the latest cause
	cause     coordinate
}

// outcome is what a batch makes of one subject in memory.
type outcome struct {
	name      string
	partition int32
	had       bool // as of touched, like all that follow
	changed   bool
	removed   bool
	outdated  bool
	entry     entry // as it will be, where it changed
	marks     marks
	hint      events.Millis
}

// outcome is that of a subject whose outputs are written. Nobody is asked about
// what was forgotten, so that a hint about it would wait for ever, and longer than
// its state.
func (t *touched) outcome() outcome {
	o := outcome{t.name, t.partition, t.had, t.changed, t.removed, t.outdated, t.old, t.marks, t.hint}
	if t.shown.Rule == order.RuleForgotten {
		o.hint = 0
	}
	return o
}

// hold keeps a subject for further records of the batch, and for its end.
func (b *share) hold(t *touched) {
	b.touched[t.name] = t
	b.order = append(b.order, t)
}

// emit adds an output record.
func (b *share) emit(r stream.Record, cause coordinate) {
	b.Out = append(b.Out, r)
	b.cause = append(b.cause, cause)
}

// The headers that every record of ours carries and no consumer needs are
// CloudEvents; all but the id are the same bytes in every record.
var (
	headerSpec    = stream.Header{Key: "ce_specversion", Value: []byte("1.0")}
	headerSource  = stream.Header{Key: "ce_source", Value: []byte(ceSource)}
	headerContent = stream.Header{Key: "content-type", Value: []byte("application/avro")}

	typeOrderState    = []byte("rampstream.v1.OrderState")
	typeCustomerState = []byte("rampstream.v1.CustomerState")
	typeTransition    = []byte("rampstream.v1.Transition")
	typeDiscrepancy   = []byte("rampstream.v1.Discrepancy")
	typeCheckTask     = []byte("rampstream.v1.CheckTask")
	typePosition      = []byte("rampstream.v1.ReconcilerPosition")
)

// maxHeaders is how many headers a record of ours has at most.
const maxHeaders = 7

// cloudEvent are the headers of a record, with room for one more.
func (b *share) cloudEvent(id, typ []byte) []stream.Header {
	h := append(b.headers.room(maxHeaders), headerSpec, stream.Header{Key: "ce_id", Value: id}, headerSource,
		stream.Header{Key: "ce_type", Value: typ}, headerContent)
	return b.headers.keep(h, maxHeaders)
}

// summed is cloudEvent with the hash of the record as its id.
func (b *share) summed(s sum, typ []byte) []stream.Header {
	raw := s.bytes()
	return b.cloudEvent(b.values.keep(appendHex(b.values.room(2*len(raw)), raw[:])), typ)
}

// byteRoom is memory for many small values: one allocation for some hundreds of
// them. What is kept is not moved, and not written again before begin.
type byteRoom struct {
	free   []byte
	chunks [][]byte // of the usual size
	used   int      // of chunks
}

// begin makes all that was kept free.
func (m *byteRoom) begin() { m.free, m.used = nil, 0 }

// room is at least n bytes of room to append to.
func (m *byteRoom) room(n int) []byte {
	const chunk = 256 << 10
	switch {
	case cap(m.free) >= n:
	case n > chunk:
		m.free = make([]byte, 0, n)
	default:
		if m.used == len(m.chunks) {
			m.chunks = append(m.chunks, make([]byte, 0, chunk))
		}
		m.free = m.chunks[m.used]
		m.used++
	}
	return m.free
}

// keep takes what was appended to room out of it.
func (m *byteRoom) keep(b []byte) []byte {
	if len(b) <= cap(m.free) { // else append has moved it to memory of its own
		m.free = m.free[len(b):cap(m.free)][:0]
	}
	return b[:len(b):len(b)]
}

// text is s as bytes in m.
func (m *byteRoom) text(s string) []byte { return m.keep(append(m.room(len(s)), s...)) }
