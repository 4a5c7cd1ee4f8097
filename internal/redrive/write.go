package redrive

import (
	"context"
	"fmt"

	"golang.org/x/time/rate"

	"rampstream/internal/stream"
)

// Publisher writes records and returns them as acknowledged.
type Publisher interface {
	Publish(ctx context.Context, rs ...stream.Record) ([]stream.Record, error)
}

// Write brings back the steps whose outcome is written, one after the other
// and not faster than limit allows, and calls done with each acknowledged
// record. It stops at the first failure; that record may have landed, which the
// next run finds out.
func Write(ctx context.Context, steps []Step, pub Publisher, limit *rate.Limiter, done func(Step, stream.Record) error) (written int, err error) {
	for _, s := range steps {
		if !s.Outcome.Written() {
			continue
		}
		if err := limit.Wait(ctx); err != nil {
			return written, fmt.Errorf("redrive: stopped after %d: %w", written, err)
		}
		acked, err := pub.Publish(ctx, s.Redrive())
		if err != nil {
			return written, fmt.Errorf("redrive dead letter %s: %w", s.At, err)
		}
		written++
		if err := done(s, acked[0]); err != nil {
			return written, err
		}
	}
	return written, nil
}
