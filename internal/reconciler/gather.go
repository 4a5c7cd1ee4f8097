package reconciler

import (
	"context"
	"time"

	"rampstream/internal/stream"
)

// savedBatches may begin at once after a quiet time, before Interval counts.
const savedBatches = 25

// gather polls one batch. After a quiet time what is there is taken and
// committed at once. Under load a transaction an instant would cost brokers and
// producer epochs more than the records do: then it goes on until MaxBatch or
// MaxBytes is reached, or it is due: batches begin Interval apart on average, of
// which savedBatches can be saved up. Full batches begin when they are full,
// however fast they come, and whoever comes after them pays nothing for that: no
// batch waits for longer than Interval. idled reports that a wait ended without
// records.
//
// Rebalances wait for a batch, so Interval bounds what gathering adds to that.
func (l *Loop) gather(ctx context.Context, s Session, idle time.Duration) (rs []stream.Record, idled bool, err error) {
	most, bytes := l.MaxBatch, l.MaxBytes
	if most == 0 {
		most = 1000
	}
	if !l.Engine.cfg.VerifyDigest {
		most = min(most, mostUnverified)
	}
	if bytes == 0 {
		bytes = 32 << 20
	}
	rs, idled, err = pollFor(ctx, s, idle, most)
	if l.Interval <= 0 || len(rs) == 0 {
		return rs, idled, err
	}
	now := l.now()
	switch saved, latest := now.Add(-savedBatches*l.Interval), now.Add(l.Interval); {
	case l.due.Before(saved):
		l.due = saved
	case l.due.After(latest):
		l.due = latest
	}
	size := sizeOf(rs)
	for err == nil && len(rs) < most && size < bytes && ctx.Err() == nil {
		wait := max(l.due.Sub(l.now()), 0)
		var more []stream.Record
		more, _, err = pollFor(ctx, s, wait, most-len(rs))
		if len(more) == 0 && wait == 0 {
			break
		}
		if cap(rs) < most {
			rs = append(make([]stream.Record, 0, most), rs...)
		}
		rs, size = append(rs, more...), size+sizeOf(more)
	}
	l.due = l.due.Add(l.Interval)
	return rs, idled, err
}

// pollFor polls for at most wait; 0 takes what is at hand.
func pollFor(ctx context.Context, s Session, wait time.Duration, most int) (rs []stream.Record, idled bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	rs, err = s.Poll(ctx, most)
	return rs, ctx.Err() != nil, err
}

// sizeOf is the bytes of keys and values.
func sizeOf(rs []stream.Record) (n int) {
	for i := range rs {
		n += len(rs[i].Key) + len(rs[i].Value)
	}
	return n
}
