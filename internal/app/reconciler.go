package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"rampstream/internal/checkpoint"
	"rampstream/internal/config"
	"rampstream/internal/kafka"
	"rampstream/internal/reconciler"
	"rampstream/internal/run"
	"rampstream/internal/stream"
	"rampstream/internal/table"
)

// Reconciler runs the program that joins the evidence until ctx ends.
//
//	webhook, intent, status-check --> TxnGroup --> reconciler.Loop
//	order-state, ... <-- one transaction a batch ------'
func (p Program) Reconciler(ctx context.Context) error {
	topics := p.Config.Topics.Names()
	stop, err := p.checkTopics(ctx, "reconciler", topics.All()...)
	if err != nil {
		return err
	}
	defer stop()
	cd, err := p.codec(ctx)
	if err != nil {
		return err
	}
	rules, err := Rules(p.Config, p.Providers)
	if err != nil {
		return err
	}
	metrics, err := reconciler.NewMetrics(p.Metrics)
	if err != nil {
		return err
	}
	c := p.Config.Reconciler
	var checkpoints *checkpoint.Dir
	if c.CheckpointDir != "" {
		if checkpoints, err = checkpoint.OpenDir(c.CheckpointDir); err != nil {
			return fmt.Errorf("reconciler.checkpoint_dir: %w", err)
		}
		defer func() { _ = checkpoints.Close() }()
	}
	tables, closeTables, err := p.tables()
	if err != nil {
		return err
	}
	defer closeTables()
	tide := new(kafka.Tide)
	loop := &reconciler.Loop{
		Engine: reconciler.NewEngine(reconciler.Config{
			Topics: topics, Partitions: p.Config.Topics.Partitions, Rules: rules, Codec: cd,
			VerifyDigest: c.Guarantee == config.ExactlyOnce, BelieveOrigin: c.BelieveOrigin, Observer: metrics,
			Checkpoints: checkpoints, OpenTable: tables, ReuseOutputs: true, Acknowledged: tide.Next,
			Joiners: cmp.Or(c.Joiners, min(runtime.GOMAXPROCS(0), mostJoiners)),
		}),
		CheckpointEvery: c.CheckpointInterval,
		MaxBatch:        c.MaxBatch, MaxBytes: int(c.MaxBatchBytes), Interval: c.CommitInterval, Now: time.Now, Log: p.Log,
		Open: func(ctx context.Context, table stream.Table) (reconciler.Session, error) {
			return p.openSession(ctx, table, tide)
		},
	}
	metrics.Watch(loop)
	admin, err := p.admin(c.AdminListen)
	if err != nil {
		return err
	}
	admin.Checks.Add("restored", func(context.Context) error { return restored(loop) })
	p.started("", admin.Addr())
	return withAdmin(ctx, admin, func(ctx context.Context) error {
		return p.watchStable(ctx, "rampstream-reconciler", topics.All(), c.TransactionTimeout+10*time.Second, loop.Run)
	})
}

// mostJoiners is how many join a batch if nobody says otherwise: a batch of a
// thousand records and more keeps them busy.
const mostJoiners = 8

// restored says what a reconciler that is not ready waits for.
func restored(loop *reconciler.Loop) error {
	if loop.Ready() {
		return nil
	}
	g := loop.Progress()
	if g.Partitions+g.Behind == 0 {
		return errors.New("no assignment yet")
	}
	return fmt.Errorf("%d partitions are to be restored, %d have not caught up", g.Partitions, g.Behind)
}

// A Store opens the tables of partitions somewhere else than in memory.
type Store interface {
	// OpenTable makes the empty table of a partition.
	OpenTable(partition int32) (table.Table, error)
	Close() error
}

// tables opens what reconciler.store names; nil is memory.
func (p Program) tables() (open func(int32) (table.Table, error), closeAll func(), err error) {
	c := p.Config.Reconciler
	if c.Store != config.StorePebble {
		return nil, func() {}, nil
	}
	if p.OpenStore == nil {
		return nil, nil, run.Config(errors.New("reconciler.store: this program has no store but memory"))
	}
	s, err := p.OpenStore(c.StoreDir, int64(c.StoreCache))
	if err != nil {
		return nil, nil, fmt.Errorf("reconciler.store_dir: %w", err)
	}
	return s.OpenTable, func() {
		if err := s.Close(); err != nil {
			p.Log.Warn("store not closed", "error", err)
		}
	}, nil
}

func (p Program) openSession(ctx context.Context, table stream.Table, tide *kafka.Tide) (reconciler.Session, error) {
	c, t := p.Config.Reconciler, p.Config.Topics.Names()
	tables := []string{t.OrderState, t.CustomerState, t.ReconcilerPosition}
	outputs := []string{t.OrderState, t.CustomerState, t.Transition, t.Discrepancy, t.CheckSchedule, t.ReconcilerPosition, t.DeadLetter}
	if c.Guarantee == config.AtLeastOnce {
		s, err := kafka.OpenPlainGroup(ctx, p.kafka("rampstream-reconciler"), kafka.PlainOptions{
			Group: c.Group, InstanceID: c.InstanceID, Inputs: t.Inputs(), Outputs: outputs, Tables: tables, CoPartitioned: t.CoPartitioned(),
			SessionTimeout: c.SessionTimeout, LeaveOnClose: c.LeaveOnStop, Compression: c.Compression, Tide: tide,
			Last: [][]string{{t.OrderState, t.CustomerState}, {t.ReconcilerPosition}},
		}, table)
		if err != nil {
			return nil, fmt.Errorf("at least once: %w", err)
		}
		return s, nil
	}
	s, err := kafka.OpenTxnGroup(ctx, p.kafka("rampstream-reconciler"), kafka.TxnOptions{
		Group: c.Group, InstanceID: c.InstanceID, TransactionalID: c.TransactionalID, Inputs: t.Inputs(), Outputs: outputs, Tables: tables, CoPartitioned: t.CoPartitioned(),
		TxnTimeout: c.TransactionTimeout, SessionTimeout: c.SessionTimeout, LeaveOnClose: c.LeaveOnStop, Compression: c.Compression, Tide: tide,
	}, table)
	if err != nil {
		return nil, err
	}
	return s, nil
}
