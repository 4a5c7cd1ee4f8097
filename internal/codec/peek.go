package codec

import (
	"context"
	"encoding/binary"
	"fmt"

	"rampstream/internal/events"
)

// StateHead is what a state's record value says before its evidence. Key and
// RulesVersion are parts of the value that was peeked at.
type StateHead struct {
	Key, RulesVersion []byte
	// Newer is WrittenNewer of the value.
	Newer bool
}

// PeekState reads the head of a record value of either state topic, without
// allocation. It does not look at the rest: what it accepts may still be
// ErrCorrupt to DecodeState. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) PeekState(ctx context.Context, value []byte) (StateHead, error) {
	w, err := c.writerOf(ctx, value)
	switch {
	case err != nil:
		return StateHead{}, fmt.Errorf("codec: peek at state: %w", err)
	case w.name != stateRecord(events.Order) && w.name != stateRecord(events.Customer):
		return StateHead{}, fmt.Errorf("codec: peek at state: written as %q: %w", w.name, ErrWrongRecord)
	case !w.ours:
		st, err := c.DecodeState(ctx, value)
		if err != nil {
			return StateHead{}, err
		}
		return StateHead{[]byte(st.Key.String()), []byte(st.RulesVersion), w.extra}, nil
	}
	s := skim{b: value[frameSize:]}
	h := StateHead{Key: s.text(), Newer: w.extra}
	for range 5 { // provider, account, subject, subject_id, status
		s.text()
	}
	s.optText() // status_raw
	s.text()    // decided_by
	s.optText() // decided_source
	s.skip(1)   // terminal
	s.optLong() // since_at
	s.long()    // first_seen_at
	s.long()    // last_seen_at
	s.optLong() // stale_since_at
	s.texts()   // open_discrepancies
	h.RulesVersion = s.text()
	if s.bad {
		return StateHead{}, fmt.Errorf("codec: peek at state: cut off: %w", ErrCorrupt)
	}
	return h, nil
}

// skim walks over Avro's binary encoding without making values of it. After a
// fault it is at the end.
type skim struct {
	b   []byte
	bad bool
}

func (s *skim) long() int64 {
	n, size := binary.Varint(s.b)
	if size <= 0 {
		s.b, s.bad = nil, true
		return 0
	}
	s.b = s.b[size:]
	return n
}

func (s *skim) skip(n int64) []byte {
	if n < 0 || n > int64(len(s.b)) {
		s.b, s.bad = nil, true
		return nil
	}
	skipped := s.b[:n:n]
	s.b = s.b[n:]
	return skipped
}

func (s *skim) text() []byte { return s.skip(s.long()) }

func (s *skim) optText() {
	if s.long() != 0 {
		s.text()
	}
}

func (s *skim) optLong() {
	if s.long() != 0 {
		s.long()
	}
}

func (s *skim) texts() {
	for n := s.long(); n != 0 && !s.bad; n = s.long() {
		if n < 0 { // the block states its size in bytes
			n = -n
			s.long()
		}
		for ; n > 0 && !s.bad; n-- {
			s.text()
		}
	}
}
