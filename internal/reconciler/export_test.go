package reconciler

import (
	"context"
	"errors"
	"fmt"
	"math"

	"rampstream/internal/stream"
)

// EntryRoundTrip writes and reads an entry of a table.
func EntryRoundTrip(value []byte, chain string, clean, open bool) (size int, gotValue []byte, gotChain string, gotClean bool, err error) {
	raw, _ := appendEntry(nil, nil, entry{value: value, chain: chain, clean: clean, open: open})
	_, _, e, err := parseEntry(nil, nil, raw)
	return len(raw), e.value, e.chain, e.clean, err
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
			out[string(key)] = fmt.Sprintf("%x %v %s %v", en.value, en.sum, en.chain, en.outdated)
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
	b := e.emptyBatch()
	p, obs := e.parts[r.Partition], &e.mem.obs
	e.mem.records = 1
	if _, err := e.tryRead(ctx, obs, r); err != nil {
		return "", stream.Coordinate{}, err
	}
	e.cfg.Codec = nil
	_, err = e.tryJoin(ctx, b, p, obs, r)
	return laidTo(err)
}

// FinishTorn joins records and finishes their batch without the overlays of the
// partitions, so that writing a state panics. It returns what that is laid to.
func (e *Engine) FinishTorn(ctx context.Context, records []stream.Record) (class string, at stream.Coordinate, err error) {
	b := e.emptyBatch()
	for i := range records {
		if err := e.apply(ctx, b, &records[i]); err != nil {
			return "", stream.Coordinate{}, err
		}
	}
	clear(b.parts)
	return laidTo(e.finish(b))
}

func (e *Engine) emptyBatch() *Batch {
	e.mem.begin()
	return &Batch{touched: e.mem.names, order: e.mem.list, cause: e.mem.cause, parts: map[int32]*overlay{}, outputs: e.outputs()}
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
