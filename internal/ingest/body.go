package ingest

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// firstBuffer is what a body gets before its bytes are there. Most deliveries
// fit into one or two doublings; a peer that declares much and sends nothing
// holds no more than this.
const firstBuffer = 4 << 10

// bodyMemory bounds the bytes of all bodies being read or held. A buffer is
// counted while it is alive, so that a flood of slow bodies is answered 503
// and not with memory.
type bodyMemory struct {
	limit int64
	used  atomic.Int64
}

var (
	errBodyTooLarge = errors.New("body above the cap")
	errNoMemory     = errors.New("no memory for another body")
)

func (m *bodyMemory) take(n int64) bool {
	if m.used.Add(n) > m.limit {
		m.used.Add(-n)
		return false
	}
	return true
}

func (m *bodyMemory) release(n int64) { m.used.Add(-n) }

// read reads r to its end, at most most bytes. The buffer stays counted until
// release is called; on error nothing is counted and release is nil.
func (m *bodyMemory) read(r io.Reader, most int64) (body []byte, release func(), err error) {
	size := min(firstBuffer, most+1) // +1 to see that there is more
	if !m.take(size) {
		return nil, nil, errNoMemory
	}
	buf := make([]byte, 0, size)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > most:
			m.release(size)
			return nil, nil, errBodyTooLarge
		case errors.Is(err, io.EOF):
			return buf, func() { m.release(size) }, nil
		case err != nil:
			m.release(size)
			return nil, nil, err
		}
		if len(buf) < cap(buf) {
			continue
		}
		next := min(2*size, most+1)
		if !m.take(next) {
			m.release(size)
			return nil, nil, errNoMemory
		}
		buf = append(make([]byte, 0, next), buf...)
		m.release(size)
		size = next
	}
}

// refuseBody maps an error of read to its answer.
func (s *Server) refuseBody(err error) Response {
	switch {
	case errors.Is(err, errBodyTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, reasonTooLarge)
	case errors.Is(err, errNoMemory):
		r := s.unavailable(reasonOverload)
		r.Close = true
		return r
	default: // cut off, timed out or malformed chunks: the connection is of no more use
		r := refuse(http.StatusBadRequest, reasonBody)
		r.Close = true
		return r
	}
}
