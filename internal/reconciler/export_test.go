package reconciler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// EntryRoundTrip writes and reads an entry of a table.
func EntryRoundTrip(value []byte, chain string, clean, open bool) (size int, gotValue []byte, gotChain string, gotClean bool, err error) {
	raw, _ := appendEntry(nil, nil, entry{value: value, chain: chain, clean: clean, open: open})
	_, _, e, err := parseEntry(nil, nil, raw)
	return len(raw), e.value, string(e.link.append(nil)), e.clean, err
}

// ParseEntry reads any bytes as an entry.
func ParseEntry(raw []byte) error {
	_, _, _, err := parseEntry(nil, nil, raw)
	return err
}

// RecordDigest is the digest of one state.
func RecordDigest(key string, value []byte) string { return hashRecord(key, value).String() }

// Dump gives every entry in memory: value, sum, link and marks of it.
func (e *Engine) Dump() map[string]string {
	out := map[string]string{}
	for _, p := range e.parts {
		_, _, err := p.states.Walk("", math.MaxInt, func(key, raw []byte) error {
			_, _, en, err := parseEntry(nil, nil, raw)
			out[string(key)] = fmt.Sprintf("%x %v %s %v", en.value, en.sum, en.link.append(nil), en.outdated)
			return err
		})
		if err != nil {
			panic(err)
		}
	}
	return out
}

// JoinTorn joins a record with a codec that is taken away once it was read: the
// evidence is in the overlay by then, and writing the transition panics. It
// returns what that is laid to.
func (e *Engine) JoinTorn(ctx context.Context, r *stream.Record) (class string, at stream.Coordinate, err error) {
	j := e.joinerOf(r.Partition)
	b := j.emptyShare()
	p, obs := j.parts[r.Partition], &j.mem.obs
	j.mem.records = 1
	if _, err := j.tryRead(ctx, obs, r); err != nil {
		return "", stream.Coordinate{}, err
	}
	j.cfg.Codec = nil
	_, err = j.tryJoin(ctx, b, p, obs, r)
	return laidTo(err)
}

// FinishTorn joins records and finishes their batch without the overlays of the
// partitions, so that writing a state panics. It returns what that is laid to.
func (e *Engine) FinishTorn(ctx context.Context, records []stream.Record) (class string, at stream.Coordinate, err error) {
	j := e.joiners[0]
	b := j.emptyShare()
	for i := range records {
		if err := j.apply(ctx, b, &records[i]); err != nil {
			return "", stream.Coordinate{}, err
		}
	}
	clear(b.parts)
	return laidTo(j.finish(b))
}

// Spoil has the memory of a subject written over with what no state says before
// it is used for the next one, and that of a batch's texts before the next batch.
func (e *Engine) Spoil() {
	for _, j := range e.joiners {
		j.spoil = j.spoiling()
	}
}

// junk is more than the texts of nearly every subject, and no UTF-8.
var junk = bytes.Repeat([]byte{0xff}, 16<<10)

func (j *joiner) spoiling() func() {
	return func() {
		m, from := &j.mem, j.mem.level
		m.passing.Release()
		m.passing.Text(junk[:min(m.passing.Left(), len(junk))])
		m.passing.Release()
		row := events.Evidence{Kind: events.EvidenceForget, Word: "spoilt", Facts: events.Facts{FiatAmount: "spoilt"}}
		eachSince(&m.rows, from.rowsChunk, from.rows, func(r *events.Evidence) { *r = row })
		eachSince(&m.encoded, from.encodedChunk, from.encoded, func(s *string) { *s = "spoilt" })
		for n := from.touched; n < m.touched.used; n++ {
			m.touched.chunks[n/touchedChunk][n%touchedChunk] = touched{
				name: "spoilt", partition: -1, changed: true, removed: true, hint: 1,
				old: entry{value: []byte("spoilt"), chain: "spoilt"}, chain: "spoilt", encoded: framed{[]byte("spoilt"), 0},
				state: events.State{Evidence: []events.Evidence{row}},
			}
		}
	}
}

// eachSince calls fn for what was taken of a room since it was in use up to here.
func eachSince[T any](m *roomOf[T], chunk, used int, fn func(*T)) {
	for c := chunk; c <= m.chunk && c < len(m.chunks); c++ {
		end := len(m.chunks[c])
		if c == m.chunk {
			end = m.used
		}
		for i := used; i < end; i++ {
			fn(&m.chunks[c][i])
		}
		used = 0
	}
}

func (j *joiner) emptyShare() *share {
	j.mem.begin(maxScratch)
	return j.mem.batch(j.outputs())
}

func laidTo(err error) (class string, at stream.Coordinate, _ error) {
	var s *spoilt
	if errors.As(err, &s) {
		class, at = s.class, stream.Coordinate{Topic: s.cause.topic, Partition: s.cause.partition, Offset: s.cause.offset}
	}
	return class, at, err
}

// Marks gives the marks of forgotten subjects.
func (e *Engine) Marks() map[string]string {
	out := map[string]string{}
	for _, p := range e.parts {
		for name, m := range p.stubs {
			out[name] = fmt.Sprint(m)
		}
	}
	return out
}

// Hex writes raw as the packing of entries does, and Unhex reads it.
func Hex(raw []byte) []byte { return appendHex(nil, raw) }

// Unhex is the inverse of Hex for 16 bytes; ok is false for any other text.
func Unhex(text []byte) (raw [16]byte, ok bool) {
	ok = unhex(&raw, text)
	return raw, ok
}
