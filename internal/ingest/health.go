package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rampstream/internal/stream"
)

// knownFor is how long a measurement keeps the program out of service. An
// unready ingest gets no requests and so makes no new measurement: after this
// time it takes some again, and the first acknowledgement decides.
const knownFor = 2 * time.Minute

// health is what the last acknowledgements said. The zero value is well.
type health struct {
	mu        sync.Mutex
	draining  bool
	offset    time.Duration // our clock minus the broker's, at least
	offsetAt  time.Time
	refusedAt time.Time // zero unless the last publish was refused
	byClock   bool      // and it was for our time
}

func (h *health) published(err error, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.refusedAt = time.Time{}
	case errors.Is(err, stream.ErrRefused):
		h.refusedAt, h.byClock = at, errors.Is(err, stream.ErrClock)
	}
}

// observeClock learns from a broker's append time. It fell between sent and
// got by a true clock, so only what lies outside that span is an offset:
// positive when our clock is ahead.
func (h *health) observeClock(sent, got, appended time.Time) time.Duration {
	var offset time.Duration
	switch {
	case appended.Before(sent.Truncate(time.Millisecond)):
		offset = sent.Sub(appended)
	case appended.After(got):
		offset = got.Sub(appended)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.offset, h.offsetAt = offset, got
	return offset
}

func (h *health) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

func (h *health) drained(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return errors.New("draining")
	}
	return nil
}

func (h *health) clock(now time.Time, margin time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.offset.Abs() > margin && now.Sub(h.offsetAt).Abs() < knownFor {
		return fmt.Errorf("%v away from the broker's clock, more than %v", h.offset.Round(time.Millisecond), margin)
	}
	return nil
}

func (h *health) refused(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.refusedAt.IsZero() || now.Sub(h.refusedAt).Abs() >= knownFor:
		return nil
	case h.byClock:
		return errors.New("the broker refused the time of this host")
	default:
		return errors.New("the platform refused the last record")
	}
}

// Checks are the readiness checks by name: draining, clock and kafka.
func (s *Server) Checks() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"draining": s.health.drained,
		"clock":    func(context.Context) error { return s.health.clock(s.now(), s.cfg.Limits.ClockMargin) },
		"kafka": func(ctx context.Context) error {
			if err := s.health.refused(s.now()); err != nil || s.deps.Healthy == nil {
				return err
			}
			return s.deps.Healthy(ctx)
		},
	}
}

// Ready says whether requests should come here: nil, or the names of the
// checks that failed and what they found.
func (s *Server) Ready(ctx context.Context) error {
	var failed []error
	checks := s.Checks()
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if err := checks[name](ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}
