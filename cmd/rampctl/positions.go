package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rampstream/internal/app"
	"rampstream/internal/kafka"
	"rampstream/internal/reconciler"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

func (c *cli) positions() *cobra.Command {
	cmd := &cobra.Command{Use: "positions", Short: "Where the reconciler is in its inputs"}
	var f intentFlags
	skip := &cobra.Command{
		Use: "skip --reason TEXT --operator ID", Short: "Let the reconciler go on behind records that were removed unread",
		Long: `Move the reconciler's positions over what retention removed before it was read,
as "doctor --gaps" shows it, and nothing else. What stood there enters no state:
first find out what of it has to be posted, delivered or asked for again. States
and all other offsets stay. The reconcilers must be stopped. It needs WRITE of
reconciler-position, which no principal has by docs/ACLS.md.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return run.Config(fmt.Errorf("%w: %w", errUsage, err))
			}
			return c.skip(cmd.Context(), f)
		},
	}
	f.add(skip)
	cmd.AddCommand(skip)
	return cmd
}

func (c *cli) skip(ctx context.Context, f intentFlags) error {
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	members, err := kafka.Members(ctx, kafkaConfig(r.cfg), r.cfg.Reconciler.Group)
	if err != nil {
		return err
	}
	if members > 0 {
		return fmt.Errorf("group %s has %d members: stop the reconcilers first (a static member leaves after its session timeout): %w", r.cfg.Reconciler.Group, members, stream.ErrRefused)
	}
	reg, err := app.OpenRegistry(r.cfg)
	if err != nil {
		return err
	}
	cd, err := app.OpenCodec(ctx, r.cfg, reg)
	if err != nil {
		return err
	}
	found, latest, err := gaps(ctx, r.Reader)
	if err != nil {
		return err
	}
	to := map[int32]map[string]int64{}
	for _, g := range found {
		if g.Cut {
			return fmt.Errorf("%s: nothing can be skipped there, see docs/exit-5.md: %w", g, stream.ErrLoss)
		}
		if to[g.Partition] == nil {
			to[g.Partition] = map[string]int64{}
		}
		to[g.Partition][g.Topic] = g.To
	}
	var moved []stream.Record
	for n := range r.Partitions {
		if to[n] == nil {
			continue
		}
		rec, err := reconciler.SkipTo(ctx, cd, latest[n], to[n], f.operator+": "+f.reason)
		if err != nil {
			return err
		}
		moved = append(moved, rec)
	}
	p, err := kafka.OpenProducer(ctx, kafkaConfig(r.cfg), kafka.ProducerOptions{Topics: []string{r.Topics.ReconcilerPosition}, CoPartitioned: r.Topics.CoPartitioned()})
	if err != nil {
		return err
	}
	_, err = p.Publish(ctx, moved...)
	if err := errors.Join(err, closeProducer(p)); err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	for _, g := range found {
		fmt.Fprintf(c.out, "skipped %s\n", g)
	}
	fmt.Fprintf(c.errw, "%d positions moved\n", len(moved))
	return nil
}
