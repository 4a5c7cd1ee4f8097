package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/kafka"
	"rampstream/internal/run"
)

func (c *cli) erasure() *cobra.Command {
	return &cobra.Command{
		Use: "erasure KEY", Short: "Say what is still stored about a subject, where, and until when",
		Long: `Look for a subject in every topic that may name it and count what still says
something about it: a FORGET empties the state at once, but records go when
their topic's retention or compaction removes them. "not before" is when the
broker may remove the newest of them; it removes whole segments, so it may be
later. Not counted are FORGETs, tombstones and the stub of the state, which
hold no facts. Dead letters of ingest that name no subject cannot be found.

Exit code 3 while anything is left, 0 when it is gone.`,
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
			all, err := r.Remains(cmd.Context(), key)
			if err != nil {
				return err
			}
			return c.printRemains(cmd.Context(), r, key, all)
		},
	}
}

// remainLine is what one topic still stores, as rampctl prints it with -o json.
type remainLine struct {
	Topic     string `json:"topic"`
	Records   int    `json:"records"`
	Newest    string `json:"newest,omitempty"`
	NotBefore string `json:"gone_not_before,omitempty"`
	Because   string `json:"because,omitempty"`
	Stub      bool   `json:"stub,omitempty"`
}

func (c *cli) printRemains(ctx context.Context, r reading, key events.Key, all []inspect.Remain) error {
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.Topic
	}
	configs, err := kafka.TopicConfigs(ctx, kafkaConfig(r.cfg), names...)
	if err != nil {
		return err
	}
	left := 0
	w := tabwriter.NewWriter(c.out, 2, 4, 2, ' ', 0)
	if !c.json() {
		fmt.Fprintln(w, "TOPIC\tRECORDS\tNEWEST\tGONE")
	}
	for _, m := range all {
		left += m.Records
		line := remainLine{Topic: m.Topic, Records: m.Records, Newest: clock(m.Newest), Stub: m.Stub}
		line.NotBefore, line.Because = whenGone(m, configs[m.Topic])
		if c.json() {
			if err := c.line(line); err != nil {
				return err
			}
			continue
		}
		gone := line.Because
		if line.NotBefore != "" {
			gone = "not before " + line.NotBefore + " (" + line.Because + ")"
		}
		if m.Stub {
			gone = strings.TrimSpace(gone + " " + map[bool]string{false: "the stub stands", true: "the FORGET stands"}[m.Topic == r.Topics.Intent])
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", m.Topic, m.Records, dash(clock(m.Newest)), dash(gone))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%d records about %s are left: %w", left, key, run.ErrDifferences)
	}
	fmt.Fprintf(c.errw, "nothing is left about %s\n", key)
	return nil
}

// whenGone is when the broker may remove the newest record, and which of the
// topic's settings says so.
func whenGone(m inspect.Remain, config map[string]string) (notBefore, because string) {
	if m.Records == 0 {
		return "", ""
	}
	name := "retention.ms"
	if config["cleanup.policy"] == "compact" {
		if m.Live {
			return "", "it is the present record: nothing was forgotten, or the reconciler has not read the FORGET"
		}
		name = "max.compaction.lag.ms"
	}
	const centuries = 200 * 365 * 24 * time.Hour // Kafka's way to say never is a number that large
	ms, err := strconv.ParseInt(config[name], 10, 64)
	if err != nil || ms < 0 || ms > centuries.Milliseconds() {
		return "", name + " is " + dash(config[name]) + ": no bound"
	}
	return clock(m.Newest + events.Millis(ms)), name + " " + strconv.FormatInt(ms, 10)
}
