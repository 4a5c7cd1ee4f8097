package reconciler

import (
	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
)

// scratch is memory that an engine's batches use one after the other: there is
// one batch at a time, and what it wrote does not point here.
type scratch struct {
	touched touchedRoom
	rows    rowRoom
	names   map[string]*touched
	list    []*touched
	cause   []coordinate
	records int // of the batch that were read so far
	out     int // records that the last batch wrote
	texts   codec.Texts
	hash    []byte // what is hashed
	value   []byte // of the entry that was read last
	counts  counts

	obs     observation // the record at hand
	webhook events.Webhook
	check   events.StatusCheck
	intent  events.Intent
	reading order.Reading // of the subject at hand
	was     events.State  // of its evidence before the batch
}

// maxScratch bounds the subjects whose memory is kept for the next batch.
const maxScratch = 32_000

// begin makes the memory of the last batch free.
func (s *scratch) begin() {
	if len(s.list) > maxScratch {
		*s = scratch{out: s.out}
	}
	s.touched.used = 0
	s.rows.chunk, s.rows.used = 0, 0
	clear(s.names)
	clear(s.list)
	s.list = s.list[:0]
	s.cause, s.records = s.cause[:0], 0
	s.counts.clear()
	if s.names == nil {
		s.names = map[string]*touched{}
	}
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

// rowRoom hands out room for rows of evidence.
type rowRoom struct {
	chunks [][]events.Evidence
	chunk  int // of chunks, in use
	used   int // rows of it
}

const rowChunk = 512

// room is memory for at least n rows, in which anything may stand. What of it is
// used must be kept before more is asked for.
func (m *rowRoom) room(n int) []events.Evidence {
	if n > rowChunk {
		return make([]events.Evidence, 0, n)
	}
	if len(m.chunks) > m.chunk && rowChunk-m.used < n {
		m.chunk, m.used = m.chunk+1, 0
	}
	if len(m.chunks) == m.chunk {
		m.chunks = append(m.chunks, make([]events.Evidence, rowChunk))
	}
	return m.chunks[m.chunk][m.used:m.used]
}

// keep takes n rows of the room that was given last, for the rows in it.
func (m *rowRoom) keep(rows []events.Evidence, n int) []events.Evidence {
	if len(rows) > 0 && m.chunk < len(m.chunks) && m.used < rowChunk && &rows[0] == &m.chunks[m.chunk][m.used] {
		n = min(max(n, len(rows)), rowChunk-m.used)
		rows = rows[:len(rows):n]
		m.used += n
	}
	return rows
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
