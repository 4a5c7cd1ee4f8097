package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/inspect"
	"rampstream/internal/stream"
)

// progress says how many events a program has committed so far.
type progress func(ctx context.Context) (int64, error)

// figures are what a run of a program over a filled topic took.
type figures struct {
	took   time.Duration
	cpu    time.Duration
	events int64
	// The steady part: from a tenth of the events to all of them, which leaves out
	// what a start costs.
	steadyTook, steadyCPU time.Duration
	steadyEvents          int64
}

// watch samples a program that was started at began until it has committed
// want events.
func (p *process) watch(ctx context.Context, began time.Time, want int64, done progress) (figures, error) {
	var f figures
	var at time.Time
	var cpu time.Duration
	var warm int64
	for {
		n, err := done(ctx)
		if err != nil {
			return f, fmt.Errorf("%w: %s", err, p.log.String())
		}
		now, used := time.Now(), p.cpu()
		if warm == 0 && n >= want/10 && n < want {
			at, cpu, warm = now, used, n
		}
		if n >= want {
			f = figures{took: now.Sub(began), cpu: used, events: n}
			if warm > 0 {
				f.steadyTook, f.steadyCPU, f.steadyEvents = now.Sub(at), used-cpu, n-warm
			}
			return f, nil
		}
		if p.zombie() {
			return f, fmt.Errorf("%s ended after %d of %d events: %s", p.cmd.Path, n, want, p.log.String())
		}
		select {
		case <-ctx.Done():
			return f, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// into completes a row.
func (f figures) into(r reconcilerRow) reconcilerRow {
	n := float64(f.events)
	r.Seconds, r.PerSecond, r.CPUMicros = f.took.Seconds(), n/f.took.Seconds(), float64(f.cpu.Microseconds())/n
	if f.steadyEvents > 0 {
		r.SteadyPerSecond = float64(f.steadyEvents) / f.steadyTook.Seconds()
		r.SteadyCPUMicros = float64(f.steadyCPU.Microseconds()) / float64(f.steadyEvents)
	}
	return r
}

// positions counts what the reconciler's positions say.
func positions(r inspect.Reader) progress {
	next := map[string]int64{}
	cursor := &inspect.Cursor{Topic: r.Topics.ReconcilerPosition}
	return func(ctx context.Context) (sum int64, err error) {
		err = r.Scan(ctx, cursor, func(rec stream.Record) error {
			pos, err := r.Codec.DecodePosition(ctx, rec.Value)
			if err != nil {
				return err
			}
			for _, in := range pos.Next {
				next[fmt.Sprint(pos.Partition, in.Topic)] = in.Offset
			}
			return nil
		})
		for _, n := range next {
			sum += n
		}
		return sum, err
	}
}

// committed counts the offsets that a group has committed of topics that begin
// at 0.
func (b *bed) committed(group string) (done progress, end func(), err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cfg.Kafka.Brokers...))
	if err != nil {
		return nil, nil, err
	}
	adm := kadm.NewClient(cl)
	return func(ctx context.Context) (sum int64, err error) {
		offsets, err := adm.FetchOffsets(ctx, group)
		if err != nil {
			return 0, nil // the group is not there yet
		}
		offsets.Each(func(o kadm.OffsetResponse) { sum += max(o.At, 0) })
		return sum, nil
	}, cl.Close, nil
}
