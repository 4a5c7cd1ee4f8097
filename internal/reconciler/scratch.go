package reconciler

import (
	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
)

// scratch is memory that an engine's batches use one after the other: there is
// one batch at a time, and what it wrote does not point here.
type scratch struct {
	touched  touchedRoom
	rows     roomOf[events.Evidence]
	encoded  roomOf[string] // encodings of rows
	names    map[string]*touched
	list     []*touched
	after    []outcome
	cause    []coordinate
	records  int         // of the batch that were read so far
	subjects int         // that they were about
	out      int         // records that the last batch wrote
	texts    codec.Texts // names, and what else outlives its subject
	passing  codec.Texts // of records and states: nobody has them once their subject is left
	hash     []byte      // what is hashed
	value    []byte      // of the entry that was read last
	counts   counts

	chains  chains      // of the batch, where outputs are given early
	byKey   bool        // all records of a key are joined one after the other
	ended   bool        // the record at hand is the last one of its key, if so
	level   level       // before its subject
	subject *touched    // of the key at hand; nil where all was set aside so far
	obs     observation // the record at hand
	webhook events.Webhook
	check   events.StatusCheck
	intent  events.Intent
	reading order.Reading // of the subject at hand
	was     events.State  // of its evidence before the batch
}

// maxScratch bounds the subjects whose memory is kept for the next batch, of all
// joiners.
const maxScratch = 32_000

// begin makes the memory of the last batch free, of at most so many subjects.
func (s *scratch) begin(most int) {
	if s.subjects > most {
		*s = scratch{out: s.out}
	}
	s.touched.used = 0
	s.rows.begin()
	s.encoded.begin()
	clear(s.names)
	clear(s.list)
	s.list = s.list[:0]
	s.after = s.after[:0]
	s.cause, s.records, s.subjects = s.cause[:0], 0, 0
	s.byKey, s.ended, s.subject = false, false, nil
	s.passing.Reset()
	s.counts.clear()
	if s.names == nil {
		s.names = map[string]*touched{}
	}
}

// batch is an empty batch in this memory, and in that of its outputs.
func (s *scratch) batch(o *outputs) *share {
	return &share{touched: s.names, order: s.list, outcomes: s.after, cause: s.cause, parts: map[int32]*overlay{}, outputs: o}
}

// keep takes what a batch grew back for the next one, however this one ended.
func (s *scratch) keep(b *share) {
	s.list, s.after, s.cause, s.out = b.order, b.outcomes, b.cause, len(b.Out)
}

// level is how much of the memory of subjects was in use at one moment.
type level struct{ touched, rowsChunk, rows, encodedChunk, encoded int }

func (s *scratch) remember() {
	s.level = level{s.touched.used, s.rows.chunk, s.rows.used, s.encoded.chunk, s.encoded.used}
}

// release makes free what was taken since, and the texts of the subject and its
// records.
func (s *scratch) release() {
	m := &s.level
	s.passing.Release()
	s.touched.used = m.touched
	s.rows.chunk, s.rows.used = m.rowsChunk, m.rows
	s.encoded.chunk, s.encoded.used = m.encodedChunk, m.encoded
}

// touchedRoom hands out zero subjects.
type touchedRoom struct {
	chunks [][]touched
	used   int
}

const touchedChunk = 128

func (m *touchedRoom) next() *touched {
	c := m.used / touchedChunk
	if c == len(m.chunks) {
		m.chunks = append(m.chunks, make([]touched, touchedChunk))
	}
	t := &m.chunks[c][m.used%touchedChunk]
	*t = touched{} // now, and not all at once before: it is about to be written
	m.used++
	return t
}

// roomOf hands out room for short lists: of rows of evidence, and of what goes
// with them.
type roomOf[T any] struct {
	chunks [][]T
	chunk  int // of chunks, in use
	used   int // items of it
}

const roomChunk = 512

func (m *roomOf[T]) begin() { m.chunk, m.used = 0, 0 }

// room is memory for at least n items, in which anything may stand. What of it is
// used must be kept before more is asked for.
func (m *roomOf[T]) room(n int) []T {
	if n > roomChunk {
		return make([]T, 0, n)
	}
	if len(m.chunks) > m.chunk && roomChunk-m.used < n {
		m.chunk, m.used = m.chunk+1, 0
	}
	if len(m.chunks) == m.chunk {
		m.chunks = append(m.chunks, make([]T, roomChunk))
	}
	return m.chunks[m.chunk][m.used:m.used]
}

// keep takes n items of the room that was given last, for the items in it.
func (m *roomOf[T]) keep(items []T, n int) []T {
	if len(items) > 0 && m.chunk < len(m.chunks) && m.used < roomChunk && &items[0] == &m.chunks[m.chunk][m.used] {
		n = min(max(n, len(items)), roomChunk-m.used)
		items = items[:len(items):n]
		m.used += n
	}
	return items
}

// counts is what a batch did, for the observer. It hears of a batch when that is
// committed: a batch may be tried many times, while a schema cannot be had or
// because its transaction was aborted, and a record is joined or set aside once.
type counts struct {
	joined  tally[joinedAs]
	dead    tally[string] // by class
	moved   tally[move]
	unknown tally[events.Provider]
}

type joinedAs struct{ source, verdict string }

type move struct {
	to     events.Status
	reason string
}

func (c *counts) clear() {
	c.joined, c.dead, c.moved, c.unknown = c.joined[:0], c.dead[:0], c.moved[:0], c.unknown[:0]
}

// tell reports and forgets the counts.
func (c *counts) tell(o Observer) {
	for _, t := range c.joined {
		o.Joined(t.what.source, t.what.verdict, t.n)
	}
	c.dead.each(o.DeadLetter)
	c.moved.each(func(m move) { o.Transition(m.to, m.reason) })
	c.unknown.each(o.UnknownStatus)
	c.clear()
}

// tally counts few different things: a counter with labels costs more than many
// a record.
type tally[K comparable] []struct {
	what K
	n    int
}

func (t *tally[K]) add(what K) {
	for i := range *t {
		if c := &(*t)[i]; c.what == what {
			c.n++
			return
		}
	}
	*t = append(*t, struct {
		what K
		n    int
	}{what, 1})
}

func (t tally[K]) each(tell func(K)) {
	for _, c := range t {
		for range c.n {
			tell(c.what)
		}
	}
}
