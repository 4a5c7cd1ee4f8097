package main

import (
	"context"
	"errors"
	"fmt"

	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

// gap is a part of an input that the reconciler can read no more, or whose
// reading counts for nothing any more.
type gap struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from_offset"`
	To        int64  `json:"to_offset"` // the first one behind it
	// Cut: the log ends before the position; else retention removed what stood
	// before it was read.
	Cut     bool  `json:"cut"`
	Records int64 `json:"records"` // at most: markers of transactions and holes are offsets too
	// Since is when the position was written, by the record's timestamp: what is
	// missing was written after that, or, where the log was cut, before.
	Since string `json:"position_written_at"`
	// Until is the timestamp of the first record that is left, "" where none is.
	Until string `json:"next_record_at,omitempty"`
}

func (g gap) String() string {
	at := fmt.Sprintf("%s-%d: offsets %d to %d", g.Topic, g.Partition, g.From, g.To-1)
	if g.Cut {
		return fmt.Sprintf("%s were read and are not in the log any more, %d records at most; the position was written at %s", at, g.Records, g.Since)
	}
	until := "there is no record behind them"
	if g.Until != "" {
		until = "the next record is of " + g.Until
	}
	return fmt.Sprintf("%s were removed before they were read, %d records at most; the position was written at %s, %s", at, g.Records, g.Since, until)
}

// gaps compares the reconciler's positions with what the inputs hold, and gives
// the latest positions.
func gaps(ctx context.Context, r inspect.Reader) (out []gap, latest map[int32]stream.Record, err error) {
	latest = map[int32]stream.Record{}
	err = r.Scan(ctx, &inspect.Cursor{Topic: r.Topics.ReconcilerPosition}, func(rec stream.Record) error {
		if rec.Value != nil && string(rec.Key) == fmt.Sprint(rec.Partition) {
			latest[rec.Partition] = rec
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for n := range r.Partitions {
		rec, ok := latest[n]
		if !ok {
			continue // it has read nothing of this partition
		}
		pos, err := r.Codec.DecodePosition(ctx, rec.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("position of partition %d: %w", n, err)
		}
		ends, err := r.Log.Ends(ctx, n, r.Topics.Inputs()...)
		if err != nil {
			return nil, nil, err
		}
		for _, in := range pos.Next {
			g := gap{Topic: in.Topic, Partition: n, Since: clock(events.Millis(rec.TimestampMs))}
			at, known := ends[in.Topic]
			switch {
			case !known:
				continue
			case in.Offset < at.Start:
				g.From, g.To = in.Offset, at.Start
				if g.Until, err = firstOf(ctx, r.Log, in.Topic, n, at); err != nil {
					return nil, nil, err
				}
			case in.Offset > at.End:
				g.From, g.To, g.Cut = at.End, in.Offset, true
			default:
				continue
			}
			g.Records = g.To - g.From
			out = append(out, g)
		}
	}
	return out, latest, nil
}

var errEnough = errors.New("enough")

// firstOf is the timestamp of the first record of a range, "" when there is none.
func firstOf(ctx context.Context, log stream.Log, topic string, n int32, at stream.Range) (first string, err error) {
	err = log.Read(ctx, topic, n, at.Start, at.End, false, func(rec stream.Record) error {
		first = clock(events.Millis(rec.TimestampMs))
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return first, err
}

func (c *cli) printGaps(ctx context.Context, r inspect.Reader) error {
	found, _, err := gaps(ctx, r)
	if err != nil {
		return err
	}
	for _, g := range found {
		if c.json() {
			err = c.line(g)
		} else {
			_, err = fmt.Fprintln(c.out, g)
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(c.errw, "%d gaps\n", len(found))
	if len(found) > 0 {
		return fmt.Errorf("%d parts of the inputs are gone: %w", len(found), run.ErrDifferences)
	}
	return nil
}
