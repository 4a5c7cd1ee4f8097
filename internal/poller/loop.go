package poller

import (
	"context"
	"errors"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/stream"
)

// tick steps the core when it asked to be woken.
func (p *Poller) tick(ctx context.Context) {
	timer := time.NewTimer(maxSleep)
	defer timer.Stop()
	for {
		timer.Reset(p.sleep())
		select {
		case <-ctx.Done():
			return
		case <-p.kick: // something is due earlier
		case <-timer.C:
			p.step()
		}
	}
}

// maxSleep is how often the core looks at the wall clock at least: it may be
// set while we sleep, and a suspended machine's timers stand still.
const maxSleep = 10 * time.Second

// sleep is how long nothing is due; an earlier step that has a use for the clock
// kicks it.
func (p *Poller) sleep() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, wait := p.cfg.Now(), maxSleep
	p.release(now)
	if !p.next.IsZero() {
		wait = min(max(p.next.Sub(now), 0), maxSleep)
	}
	p.asleep = now.Add(wait)
	return wait
}

const pollRecords = 1000

// read follows the schedule topic. Kafka out of reach is waited out.
func (p *Poller) read(ctx context.Context) error {
	for ctx.Err() == nil {
		records, err := p.session.Poll(ctx, pollRecords)
		if in := p.inputs(ctx, records); len(in) > 0 {
			p.step(in...)
		}
		p.session.Allow()
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, stream.ErrTransient):
			p.cfg.Log.Warn("schedule not readable", "error", err)
			pause(ctx, time.Second)
		default:
			return err
		}
	}
	return nil
}

// inputs turns records into inputs. What is no task goes to the dead letters.
func (p *Poller) inputs(ctx context.Context, records []stream.Record) []Input {
	var in []Input
	wait := patience{vain: p.cfg.Records.vain}
	for _, rec := range records {
		for ctx.Err() == nil {
			var s Scheduled
			err := wait.until(ctx, rec.Value, func() (err error) { s, err = p.cfg.Records.Schedule(ctx, rec); return err })
			var bad *ScheduleError
			if ctx.Err() != nil {
				break
			} else if errors.As(err, &bad) {
				p.setAside(ctx, rec, bad)
			} else if errors.Is(err, codec.ErrUnknownSchema) {
				p.setAside(ctx, rec, &ScheduleError{"UNDECODABLE", err})
			} else if errors.Is(err, stream.ErrRefused) {
				p.fail(err)
				return in
			} else if err != nil {
				p.cfg.Log.Warn("schedule record not readable yet", "error", err)
				pause(ctx, time.Second)
				continue
			} else {
				in = append(in, s)
			}
			break
		}
	}
	return in
}

// setAside publishes a dead letter, for as long as it takes.
func (p *Poller) setAside(ctx context.Context, rec stream.Record, bad *ScheduleError) {
	p.cfg.Metrics.undecodable(1)
	p.cfg.Log.Warn("schedule record set aside", "class", bad.Class, "partition", rec.Partition, "offset", rec.Offset)
	dead := stream.DeadLetter(p.cfg.Records.Topics.DeadLetter, rec, "poller", "schedule", bad.Class, bad.Error())
	for ctx.Err() == nil {
		_, err := p.cfg.Publisher.Publish(ctx, dead)
		switch {
		case err == nil:
			return
		case errors.Is(err, stream.ErrTooLarge):
			dead.Value = nil // its coordinates still say where it stands
		case fatal(err):
			p.fail(err)
			return
		}
		pause(ctx, time.Second)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// fatal reports whether trying again is no use.
func fatal(err error) bool {
	return errors.Is(err, stream.ErrRefused) || errors.Is(err, stream.ErrFenced) || errors.Is(err, stream.ErrLoss)
}

func (p *Poller) fail(err error) {
	select {
	case p.fatal <- err:
	default:
	}
}
