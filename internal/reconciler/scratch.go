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
	out     int // records that the last batch wrote
	texts   codec.Texts
	hash    []byte // what is hashed

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
	s.touched.reset()
	s.rows.reset()
	clear(s.names)
	clear(s.list)
	s.list = s.list[:0]
	s.cause = s.cause[:0]
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
	m.used++
	return t
}

func (m *touchedRoom) reset() {
	for c := 0; c*touchedChunk < m.used; c++ {
		clear(m.chunks[c][:min(m.used-c*touchedChunk, touchedChunk)])
	}
	m.used = 0
}

// rowRoom hands out room for rows of evidence.
type rowRoom struct {
	chunks [][]events.Evidence
	chunk  int // of chunks, in use
	used   int // rows of it
}

const rowChunk = 512

// room is zero memory for at least n rows. What of it is used must be kept
// before more is asked for.
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

// abandon leaves the rest of the chunk alone, in which something may have been
// written that was not kept.
func (m *rowRoom) abandon() {
	if m.chunk < len(m.chunks) {
		m.used = rowChunk
	}
}

func (m *rowRoom) reset() {
	for c := range m.chunks[:min(m.chunk+1, len(m.chunks))] {
		clear(m.chunks[c])
	}
	m.chunk, m.used = 0, 0
}
