package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/config"
	"rampstream/internal/kafka"
	"rampstream/internal/run"
)

func (c *cli) doctor() *cobra.Command {
	var transactions, lost bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what keeps the platform from working (exit 3 if there is something)",
		Long: "With --transactions: which transactions keep readers from the end of a topic, who wrote them, and the command\n" +
			"of Kafka's own tools that ends them. It looks twice; one that ended meanwhile is not told.\n" +
			"With --gaps: which parts of the inputs are gone that the reconciler had not read, or had, and of what time they are.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if transactions == lost {
				return fmt.Errorf("%w: doctor wants --transactions or --gaps", errUsage)
			}
			if lost {
				r, err := c.open(cmd.Context())
				if err != nil {
					return err
				}
				defer r.Close()
				return c.printGaps(cmd.Context(), r.Reader)
			}
			cfg, err := c.load("rampctl")
			if err != nil {
				return err
			}
			open, err := stillOpen(cmd.Context(), cfg, wait)
			if err != nil {
				return err
			}
			return c.printTransactions(cfg, open)
		},
	}
	cmd.Flags().BoolVar(&transactions, "transactions", false, "transactions that stay open")
	cmd.Flags().BoolVar(&lost, "gaps", false, "parts of the inputs that are gone")
	cmd.Flags().DurationVar(&wait, "wait", 2*time.Second, "time between the two looks; above the transaction timeout only what hangs is left")
	return cmd
}

// stillOpen lists the transactions that are open now and were a while ago.
func stillOpen(ctx context.Context, cfg config.Config, wait time.Duration) ([]kafka.OpenTransaction, error) {
	topics := cfg.Topics.Names().All()
	before, err := kafka.OpenTransactions(ctx, kafkaConfig(cfg), topics)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(wait):
	}
	now, err := kafka.OpenTransactions(ctx, kafkaConfig(cfg), topics)
	if err != nil {
		return nil, err
	}
	was := map[string]bool{}
	for _, t := range before {
		was[place(t)] = true
	}
	var out []kafka.OpenTransaction
	for _, t := range now {
		if was[place(t)] {
			out = append(out, t)
		}
	}
	return out, nil
}

func place(t kafka.OpenTransaction) string {
	return fmt.Sprintf("%s-%d-%d-%d", t.Topic, t.Partition, t.FirstOffset, t.ProducerID)
}

func (c *cli) printTransactions(cfg config.Config, open []kafka.OpenTransaction) error {
	broker := strings.Join(cfg.Kafka.Brokers, ",")
	for _, t := range open {
		if c.json() {
			err := c.line(struct {
				Topic           string `json:"topic"`
				Partition       int32  `json:"partition"`
				Stable          int64  `json:"stable_offset"`
				Behind          int64  `json:"records_behind"`
				ProducerID      int64  `json:"producer_id"`
				Epoch           int16  `json:"producer_epoch"`
				TransactionalID string `json:"transactional_id,omitempty"`
				State           string `json:"state,omitempty"`
				LastWrite       string `json:"last_write_at"`
				Command         string `json:"command,omitempty"`
			}{t.Topic, t.Partition, t.Stable, t.Behind, t.ProducerID, t.Epoch, t.TransactionalID, t.State, t.LastWrite.UTC().Format(time.RFC3339), t.Command(broker)})
			if err != nil {
				return err
			}
			continue
		}
		owner := "no coordinator knows it: it hangs until a person ends it"
		switch {
		case t.Hidden:
			owner = "its transactional id is not known here, because this principal may not see every one: ask again with DESCRIBE of the transactional id '*'"
		case t.Known():
			owner = fmt.Sprintf("transactional id %s, %s: its coordinator ends it at its timeout", t.TransactionalID, t.State)
		}
		if command := t.Command(broker); command != "" {
			owner += "\n  " + command
		}
		if _, err := fmt.Fprintf(c.out, "%s-%d: readers stop at %d, %d records stand behind; producer %d epoch %d wrote last at %s; %s\n",
			t.Topic, t.Partition, t.Stable, t.Behind, t.ProducerID, t.Epoch, t.LastWrite.UTC().Format(time.RFC3339), owner); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.errw, "%d open transactions\n", len(open))
	if len(open) > 0 {
		return fmt.Errorf("%d transactions keep readers from the end of a topic: %w", len(open), run.ErrDifferences)
	}
	return nil
}
