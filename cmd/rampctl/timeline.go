package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

func (c *cli) timeline() *cobra.Command {
	return &cobra.Command{
		Use: "timeline KEY", Short: "Show everything that was said about one order or customer, and what followed",
		Long: `Show every record of a key from the webhook, intent, status-check, transition and
dead-letter topics in the order of their times, with the time since the one
before. Marked are hints (which enter no state), duplicates (an event id that
was there before), what is late (something observed later stands in the log
before it), what was dated ahead of the broker's clock (its time is cut), and
gaps: silence about a subject that was not settled for longer than
rules.max_interval, after which it should have been asked about.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			key, err := events.ParseKey(a[0])
			if err != nil {
				return run.Config(fmt.Errorf("%w: %w", errUsage, err))
			}
			r, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			all, err := r.Timeline(cmd.Context(), key, r.cfg.Rules.Margin, r.cfg.Rules.MaxInterval)
			if err != nil {
				return err
			}
			if err := c.tellOfRetention(cmd.Context(), r, key); err != nil {
				return err
			}
			if len(all) == 0 {
				fmt.Fprintf(c.errw, "nothing is retained of %s\n", key)
			}
			return c.printTimeline(all)
		},
	}
}

// tellOfRetention says on stderr that the beginning may be missing.
func (c *cli) tellOfRetention(ctx context.Context, r reading, key events.Key) error {
	topics := append(r.Topics.Inputs(), r.Topics.Transition)
	ends, err := r.Log.Ends(ctx, stream.PartitionOf([]byte(key.String()), r.Partitions), topics...)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		if start := ends[topic].Start; start > 0 {
			fmt.Fprintf(c.errw, "retention has removed %s before offset %d: earlier records are not shown\n", topic, start)
		}
	}
	return nil
}

type timelineLine struct {
	At        string `json:"at"`
	DeltaMs   int64  `json:"delta_ms"`
	Source    string `json:"source"`
	What      string `json:"what,omitempty"`
	EventID   string `json:"event_id,omitempty"`
	Record    string `json:"coordinates"`
	Appended  string `json:"appended_at"`
	Hint      bool   `json:"hint,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	LateMs    int64  `json:"late_ms,omitempty"`
	AheadMs   int64  `json:"ahead_ms,omitempty"`
	GapMs     int64  `json:"gap_ms,omitempty"`
	Fault     string `json:"fault,omitempty"`
}

func (c *cli) printTimeline(all []inspect.Entry) error {
	w := tabwriter.NewWriter(c.out, 2, 4, 2, ' ', 0)
	if !c.json() {
		fmt.Fprintln(w, "AT\tAFTER\tSOURCE\tWHAT\tMARKS\tRECORD")
	}
	before := events.Millis(0)
	for _, e := range all {
		delta := e.At.Sub(before)
		before = e.At
		if !c.json() {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", clock(e.At), since(delta), e.Source, plainText(e.What), dash(plainText(strings.Join(marks(e), ", "))), e.Record.Coordinates())
			continue
		}
		err := c.line(timelineLine{
			At: clock(e.At), DeltaMs: delta.Milliseconds(), Source: e.Source, What: e.What, EventID: string(e.EventID),
			Record: e.Record.Coordinates(), Appended: clock(e.AppendedAt), Hint: e.Hint, Duplicate: e.Duplicate,
			LateMs: int64(e.Late), AheadMs: int64(e.Ahead), GapMs: int64(e.Gap), Fault: e.Fault,
		})
		if err != nil {
			return err
		}
	}
	return w.Flush()
}

// since is a time between two entries, as short as it can be read.
func since(d time.Duration) string {
	if d >= time.Minute {
		d = d.Round(time.Second)
	}
	return "+" + d.String()
}

func marks(e inspect.Entry) (out []string) {
	if e.Hint {
		out = append(out, "hint")
	}
	if e.Duplicate {
		out = append(out, "duplicate")
	}
	if e.Late > 0 {
		out = append(out, "late "+since(time.Duration(e.Late) * time.Millisecond)[1:])
	}
	if e.Ahead > 0 {
		out = append(out, "ahead "+since(time.Duration(e.Ahead) * time.Millisecond)[1:])
	}
	if e.Gap > 0 {
		out = append(out, "gap "+since(time.Duration(e.Gap) * time.Millisecond)[1:])
	}
	if e.Fault != "" {
		out = append(out, e.Fault)
	}
	return out
}
