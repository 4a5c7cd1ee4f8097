package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/stream"
)

func (c *cli) tail() *cobra.Command {
	var fromStart, once bool
	cmd := &cobra.Command{
		Use: "tail TOPIC", Short: "Print a topic's records, Avro decoded, one JSON object a line",
		Long: "Print a topic's committed records as JSON lines: coordinates, key, headers, value.\nTOPIC is a full name or the short one (order-state, webhook, dead-letter, ...).",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			r, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			topic, err := topicNamed(r.Topics, a[0])
			if err != nil {
				return err
			}
			return c.follow(cmd.Context(), r.Reader, topic, fromStart || once, once)
		},
	}
	cmd.Flags().BoolVar(&fromStart, "from-beginning", false, "start at the oldest record instead of the newest")
	cmd.Flags().BoolVar(&once, "once", false, "print what is there from the beginning and end")
	return cmd
}

// topicNamed finds a topic by its full or short name.
func topicNamed(t stream.Topics, name string) (string, error) {
	var short []string
	for _, full := range t.All() {
		s := strings.TrimSuffix(full[strings.LastIndexByte(strings.TrimSuffix(full, ".v1"), '.')+1:], ".v1")
		if name == full || name == s {
			return full, nil
		}
		short = append(short, s)
	}
	return "", fmt.Errorf("%w: topic %q is none of %s", errUsage, name, strings.Join(short, ", "))
}

func (c *cli) follow(ctx context.Context, r inspect.Reader, topic string, fromStart, once bool) error {
	cursor := &inspect.Cursor{Topic: topic}
	if !fromStart {
		var err error
		if cursor, err = r.FromEnd(ctx, topic); err != nil {
			return err
		}
	}
	for {
		var batch []stream.Record
		if err := r.Scan(ctx, cursor, func(rec stream.Record) error { batch = append(batch, rec); return nil }); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		slices.SortStableFunc(batch, func(a, b stream.Record) int { return int(a.TimestampMs - b.TimestampMs) })
		for _, rec := range batch {
			if err := c.record(ctx, r, rec); err != nil {
				return err
			}
		}
		if once {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(300 * time.Millisecond):
		}
	}
}

type recordLine struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Time      string            `json:"timestamp"`
	Key       string            `json:"key"`
	Type      string            `json:"type,omitempty"`
	Value     json.RawMessage   `json:"value"`
	Headers   map[string]string `json:"headers,omitempty"`
	Fault     string            `json:"fault,omitempty"`
}

// record prints one record. A value that cannot be decoded is named, not
// printed: it may be a body that holds personal data.
func (c *cli) record(ctx context.Context, r inspect.Reader, rec stream.Record) error {
	out := recordLine{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Time: clock(events.Millis(rec.TimestampMs)),
		Key: printable(rec.Key), Value: json.RawMessage("null"), Headers: map[string]string{}}
	for _, h := range rec.Headers {
		out.Headers[h.Key] = printable(h.Value)
	}
	switch {
	case rec.Value == nil:
	case rec.Topic == r.Topics.DeadLetter:
		if l, err := stream.ParseDeadLetter(rec); err == nil && l.Program == "ingest" && isRemains(rec.Value) {
			out.Value = rec.Value
		} else {
			out.Fault = fmt.Sprintf("%d bytes kept as they came", len(rec.Value))
		}
	default:
		name, line, err := r.Codec.DecodeAny(ctx, rec.Value)
		if err != nil {
			out.Fault = err.Error()
			break
		}
		out.Type, out.Value = name, line
	}
	return c.line(out)
}

func printable(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%x", b)
	}
	return string(b)
}

// isRemains reports whether a value is what ingest keeps of a body: all others are
// somebody's bytes, JSON or not, and may be about a person.
func isRemains(value []byte) bool {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	var r struct {
		Digest      string   `json:"digest"`
		Length      int      `json:"length"`
		ContentType string   `json:"content_type"`
		Keys        []string `json:"keys"`
	}
	return d.Decode(&r) == nil && len(r.Digest) == 64 && !d.More()
}
