package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"rampstream/internal/checkpoint"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// A checkpoint of a partition is its entries, and from where on the state topics
// have to be read to bring them up to date. It is never trusted:
//
//   - It is read only if its head names this cluster, these topics by their ids,
//     this partition, these rules and this format, and if no tombstone can have
//     been removed since.
//   - Every value is unpacked and hashed again, as if it came from the topic.
//   - With the tail of the topics put over it, it must come to the count and the
//     digest of the position.
//
// Whatever is off: it is ignored, with a reason, and the topic is read in full.
//
// It need not be of one moment. Entries are copied while others change, from
// after a moment at which everything below the noted offsets was in the table;
// what changed since is in the tail, and the tail is put over them.

// checkpointFormat is the version of entries and head.
const checkpointFormat = 1

// head is the first block of a checkpoint.
type head struct {
	Format    int               `json:"format"`
	Cluster   string            `json:"cluster"`
	Topics    map[string]string `json:"topics"` // ids of the state topics by name
	Partition int32             `json:"partition"`
	From      map[string]int64  `json:"from"`  // where the tail of each begins
	Start     map[string]int64  `json:"start"` // of each
	Rules     string            `json:"rules"`
	WrittenAt int64             `json:"written_at"` // ms, when From was read
	States    int64             `json:"states"`     // then
	Digest    string            `json:"digest"`     // then
}

// saved is what is known of the checkpoint of a partition in memory.
type saved struct {
	digest sum
	states int
	at     time.Time // zero: there is none
	// next is where the inputs went on, while it is written.
	next map[string]int64
}

// Reasons why a checkpoint is not used.
const (
	ignoredAbsent    = "absent"
	ignoredDamaged   = "damaged"
	ignoredFormat    = "format"
	ignoredCluster   = "cluster"
	ignoredTopic     = "topic" // deleted and made anew
	ignoredPartition = "partition"
	ignoredRules     = "rules"
	ignoredOld       = "old"    // tombstones may be gone since
	ignoredRange     = "range"  // the log does not hold what follows it
	ignoredDigest    = "digest" // with the tail it is not what the position says
	ignoredUnknown   = "unknown_topic"
)

// stubPrefix is before the key of a forgotten subject's marks; no state has a key
// with a zero byte.
const stubPrefix = "\x00stub\x00"

func checkpointName(n int32) string { return fmt.Sprintf("partition-%d", n) }

// ignored says why a checkpoint is not used. It is no failure.
type ignored struct {
	reason string
	err    error // details, may be nil
}

func (i *ignored) Error() string { return fmt.Sprintf("checkpoint ignored: %s: %v", i.reason, i.err) }
func (i *ignored) Unwrap() error { return i.err }

// fromCheckpoint restores from the checkpoint and the tail; nil beside no error
// means that the topic has to be read in full.
func (r *restorer) fromCheckpoint(ctx context.Context, ends map[string]stream.Range, pos events.Position, found bool) (*partition, error) {
	if r.cfg.Checkpoints == nil || !found || !r.cfg.VerifyDigest {
		return nil, nil
	}
	p, err := r.tryCheckpoint(ctx, ends, pos)
	var i *ignored
	if !errors.As(err, &i) {
		return p, err
	}
	r.cfg.Observer.CheckpointIgnored(i.reason)
	r.progress.ignored(r.n, i)
	if i.reason != ignoredAbsent && i.reason != ignoredUnknown {
		// It will not get better. If it cannot be removed it is ignored again.
		_ = r.cfg.Checkpoints.Remove(checkpointName(r.n))
	}
	return nil, nil
}

func (r *restorer) tryCheckpoint(ctx context.Context, ends map[string]stream.Range, pos events.Position) (*partition, error) {
	in, err := r.cfg.Checkpoints.Open(checkpointName(r.n))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &ignored{ignoredAbsent, nil}
	case err != nil:
		return nil, &ignored{ignoredDamaged, err}
	}
	defer func() { _ = in.Close() }()
	var h head
	if err := json.Unmarshal(in.Head(), &h); err != nil {
		return nil, &ignored{ignoredDamaged, err}
	}
	if err := r.judgeHead(ctx, h, ends); err != nil {
		return nil, err
	}
	states, err := r.cfg.OpenTable(r.n)
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	p := &partition{number: r.n, states: states, hints: map[string]events.Millis{}, source: sourceCheckpoint}
	if err := r.loadCheckpoint(ctx, p, in, h, ends, pos); err != nil {
		return nil, errors.Join(err, states.Close())
	}
	return p, nil
}

// judgeHead says whether a checkpoint may be used at all.
func (r *restorer) judgeHead(ctx context.Context, h head, ends map[string]stream.Range) error {
	switch {
	case h.Format != checkpointFormat:
		return &ignored{ignoredFormat, nil}
	case h.Partition != r.n:
		return &ignored{ignoredPartition, nil}
	case h.Rules != r.cfg.Rules.Version():
		return &ignored{ignoredRules, nil}
	}
	d, ok := r.log.(stream.Describer)
	if !ok {
		return &ignored{ignoredUnknown, nil}
	}
	about, err := d.Describe(ctx, r.stateTopics()...)
	if err != nil {
		return &ignored{ignoredUnknown, err}
	}
	age := r.now().Sub(time.UnixMilli(h.WrittenAt))
	for _, topic := range r.stateTopics() {
		a, at, from := about[topic], ends[topic], h.From[topic]
		switch {
		case a.Cluster != h.Cluster:
			return &ignored{ignoredCluster, nil}
		case a.ID != h.Topics[topic]:
			return &ignored{ignoredTopic, nil}
		case from < at.Start || from > at.End, at.Start > h.Start[topic]:
			return &ignored{ignoredRange, nil}
		case age < 0 || age >= a.TombstonesKept:
			return &ignored{ignoredOld, nil}
		}
	}
	return nil
}

// loadCheckpoint fills p from the checkpoint and the tail, and verifies it.
func (r *restorer) loadCheckpoint(ctx context.Context, p *partition, in *checkpoint.Reader, h head, ends map[string]stream.Range, pos events.Position) error {
	tail := map[string]stream.Range{}
	for _, topic := range r.stateTopics() {
		tail[topic] = stream.Range{Start: h.From[topic], End: ends[topic].End}
	}
	r.progress.begin(r.n, h.States+span(tail, r.stateTopics()))
	read := func(_ context.Context, next func() (*block, error), send func(*block) error) error {
		for {
			b, err := next()
			if err != nil {
				return err
			}
			b.entries, err = in.Next(b.entries[:0])
			switch {
			case err == io.EOF:
				return nil
			case err != nil:
				return &ignored{ignoredDamaged, err}
			}
			if err := send(b); err != nil {
				return err
			}
		}
	}
	done := func(_ *block, n int) { r.progress.advance(r.n, n, int64(n)) }
	if err := stages(ctx, p, &r.cfg, func() *block { return new(block) }, read, done); err != nil {
		return err
	}
	if err := r.fill(ctx, p, tail); err != nil {
		return lostMeans(ignoredRange, err)
	}
	if err := r.count(ctx, p); err != nil {
		return lostMeans(ignoredDigest, err)
	}
	if err := r.verify(p, pos, true); err != nil {
		return &ignored{ignoredDigest, err}
	}
	if p.digest.String() == h.Digest {
		p.saved = saved{digest: p.digest, states: p.states.Len(), at: time.UnixMilli(h.WrittenAt)}
	}
	return nil
}

// lostMeans makes loss a reason not to use the checkpoint: whether something is
// lost is for the full read to say.
func lostMeans(reason string, err error) error {
	if errors.Is(err, stream.ErrLoss) {
		return &ignored{reason, err}
	}
	return err
}

// block is a block of a checkpoint on its way through the stages of a restore.
type block struct {
	entries checkpoint.Block
	value   []byte // room
	err     error
}

// prepare unpacks every value and hashes it again.
func (b *block) prepare(_ context.Context, j *judge) {
	b.err = b.entries.Each(func(key, raw []byte) error {
		if strings.HasPrefix(string(key), stubPrefix) {
			return nil
		}
		out, room, en, err := parseEntry(b.value[:0], j.pack, raw)
		b.value, j.pack = out, room
		if err == nil && hashRecord(key, en.value) != en.sum {
			err = errEntry
		}
		if err == nil {
			raw[0] &^= flagWritten // by the process that wrote the checkpoint
		}
		return err
	})
}

func (b *block) put(p *partition, cfg *Config) (n int, err error) {
	if b.err != nil {
		return 0, &ignored{ignoredDamaged, b.err}
	}
	inputs := cfg.Topics.Inputs()
	err = b.entries.Each(func(key, raw []byte) error {
		if name, ok := strings.CutPrefix(string(key), stubPrefix); ok {
			if p.stubs == nil {
				p.stubs = map[string]marks{}
			}
			p.stubs[name] = readMarks(inputs, p.number, string(raw))
			return nil
		}
		n++
		return p.states.Put(key, raw)
	})
	return n, err
}
