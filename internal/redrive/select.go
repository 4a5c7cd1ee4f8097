package redrive

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// Log reads partitions and finds offsets by time.
type Log interface {
	stream.Log
	// Since is the offset of the first record of a partition that is not older
	// than at, in milliseconds since the epoch; its end when there is none.
	Since(ctx context.Context, topic string, partition int32, at int64) (int64, error)
}

// Redriver looks at dead letters with the eyes of one reconciler.
type Redriver struct {
	Log        Log
	Codec      *codec.Codec
	Rules      order.Rules
	Topics     stream.Topics
	Partitions int32 // of every topic
	// BelieveOrigin is the reconciler's setting of that name.
	BelieveOrigin bool
	Now           func() time.Time
}

// Filter selects dead letters. Zero fields select all.
type Filter struct {
	At        *stream.Coordinate // this dead letter alone
	Topics    []string           // it came from one of these
	Classes   []string
	KeyPrefix string
	// Since and Until bound when it was set aside: Since <= time < Until.
	Since, Until time.Time
	// After selects what comes behind a letter of an earlier selection, oldest first.
	After *Letter
	// Limit bounds how many are selected that were not redriven yet; 0 means
	// DefaultLimit. The oldest come first.
	Limit int
}

// DefaultLimit bounds the memory of one run.
const DefaultLimit = 10_000

// Selection is what a filter selects.
type Selection struct {
	Letters []Letter
	// Done counts the dead letters that were redriven before, Foreign records
	// of the topic that are not ours.
	Done, Foreign int
	// More is true when the limit left some out: run again after writing.
	More bool
}

// Letter is a dead letter and when it was set aside.
type Letter struct {
	stream.Letter
	SetAsideMs int64 // by the dead-letter topic's timestamp
}

func (f Filter) matches(l Letter) bool {
	at := time.UnixMilli(l.SetAsideMs)
	switch {
	case f.At != nil:
		return l.At == *f.At
	case len(f.Topics) > 0 && !slices.Contains(f.Topics, l.Source.Topic),
		len(f.Classes) > 0 && !slices.ContainsFunc(f.Classes, func(c string) bool { return strings.EqualFold(c, l.Class) }), // ingest's are lower-case
		f.After != nil && compareLetters(l, *f.After) <= 0,
		!strings.HasPrefix(string(l.Source.Key), f.KeyPrefix),
		!f.Since.IsZero() && at.Before(f.Since),
		!f.Until.IsZero() && !at.Before(f.Until):
		return false
	}
	return true
}

// Select finds the dead letters of a filter that were not redriven yet. The
// topic is read twice, so that only what is selected is held in memory.
func (r Redriver) Select(ctx context.Context, f Filter) (Selection, error) {
	if f.Limit == 0 {
		f.Limit = DefaultLimit
	}
	var sel Selection
	oldest := map[string]int64{} // by source topic: when the first was set aside
	err := r.letters(ctx, f, func(l Letter) {
		t := l.Source.Topic
		if at, ok := oldest[t]; !ok || l.SetAsideMs < at {
			oldest[t] = l.SetAsideMs
		}
	}, func() { sel.Foreign++ })
	if err != nil {
		return Selection{}, err
	}
	done, err := r.redriven(ctx, oldest)
	if err != nil {
		return Selection{}, err
	}
	err = r.letters(ctx, f, func(l Letter) {
		key, ok := done[l.At]
		if ok && bytes.Equal(key, l.Source.Key) {
			sel.Done++
			return
		}
		sel.Letters = append(sel.Letters, l)
		if len(sel.Letters) >= 2*f.Limit { // amortised
			sel.cut(f.Limit)
		}
	}, func() {})
	sel.cut(f.Limit)
	return sel, err
}

// cut keeps the oldest.
func (s *Selection) cut(limit int) {
	slices.SortFunc(s.Letters, compareLetters)
	if len(s.Letters) > limit {
		clear(s.Letters[limit:])
		s.Letters, s.More = s.Letters[:limit], true
	}
}

// compareLetters puts the oldest first.
func compareLetters(a, b Letter) int {
	return cmp.Or(cmp.Compare(a.SetAsideMs, b.SetAsideMs), cmp.Compare(a.At.Partition, b.At.Partition), cmp.Compare(a.At.Offset, b.At.Offset))
}

// letters calls fn for each dead letter that matches, and foreign for each
// record that is none.
func (r Redriver) letters(ctx context.Context, f Filter, fn func(Letter), foreign func()) error {
	if f.At != nil && f.At.Partition >= r.Partitions {
		return fmt.Errorf("%s: the topic has partitions 0 to %d: %w", f.At, r.Partitions-1, stream.ErrRefused)
	}
	for n := range r.Partitions {
		if f.At != nil && f.At.Partition != n {
			continue
		}
		ends, err := r.Log.Ends(ctx, n, r.Topics.DeadLetter)
		if err != nil {
			return err
		}
		rng := ends[r.Topics.DeadLetter]
		if f.At != nil {
			if f.At.Offset < rng.Start || f.At.Offset >= rng.End {
				return fmt.Errorf("%s: the topic holds offsets %d to %d: %w", f.At, rng.Start, rng.End-1, stream.ErrRefused)
			}
			rng = stream.Range{Start: f.At.Offset, End: f.At.Offset + 1}
		}
		if rng.Start >= rng.End {
			continue
		}
		err = r.Log.Read(ctx, r.Topics.DeadLetter, n, rng.Start, rng.End, true, func(rec stream.Record) error {
			l, err := stream.ParseDeadLetter(rec)
			if err != nil {
				foreign()
				return nil
			}
			if letter := (Letter{l, rec.TimestampMs}); f.matches(letter) {
				letter.Source.Value = bytes.Clone(letter.Source.Value)
				fn(letter)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read dead letters: %w", err)
		}
	}
	return nil
}

// clockMargin is how far the clocks of whoever sets aside and whoever redrives
// may differ, where topics have no clock of the broker.
const clockMargin = time.Hour

// redriven finds the dead letters that were redriven: the coordinates that the
// records of the source topics carry since the oldest was set aside. What is
// written there is not in a transaction, so an open one is not waited for.
func (r Redriver) redriven(ctx context.Context, oldest map[string]int64) (map[stream.Coordinate][]byte, error) {
	done := map[stream.Coordinate][]byte{}
	note := func(rec stream.Record) error {
		text, ok := rec.Header(stream.HeaderRedriveOf)
		if !ok {
			return nil
		}
		if c, err := stream.ParseCoordinate(string(text)); err == nil && c.Topic == r.Topics.DeadLetter {
			done[c] = bytes.Clone(rec.Key)
		}
		return nil
	}
	for topic, at := range oldest {
		if !slices.Contains(r.Topics.Inputs(), topic) {
			continue
		}
		for n := range r.Partitions {
			from, err := r.Log.Since(ctx, topic, n, at-clockMargin.Milliseconds())
			if err != nil {
				return nil, err
			}
			ends, err := r.Log.Ends(ctx, n, topic)
			if err != nil {
				return nil, err
			}
			rng := ends[topic]
			if from = max(from, rng.Start); from >= rng.End {
				continue
			}
			if err := r.Log.Read(ctx, topic, n, from, rng.End, false, note); err != nil {
				return nil, fmt.Errorf("look for what was redriven: %w", err)
			}
		}
	}
	return done, nil
}
