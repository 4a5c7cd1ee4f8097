package ingest

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// acknowledged is a receipt and when it was given.
type acknowledged struct {
	receipt receipt
	at      time.Time
}

// settle makes a verified delivery durable, as an event or a dead letter, or
// says that it could not. From here on the answer is 200 or 503.
func (s *Server) settle(ctx context.Context, v verified) Response {
	ctx, cancel := s.detached(ctx)
	defer cancel()
	if v.unusable != "" {
		return s.setAside(ctx, v, stageParse, v.unusable)
	}
	s.metrics.verified(v.webhook)
	e, err := v.event(s.cfg.Topics.Webhook, s.deps.Encoder)
	if err != nil {
		s.faults.warn(msgUnencodable, slog.String("lane", string(v.webhook.Key.Lane())), slog.String("error", clip(err.Error())))
		return s.setAside(ctx, v, stageEncode, reasonUnencoded)
	}
	key, taken := v.webhook.Key.String(), s.now()
	if e.trust == events.TrustHint {
		if over := s.budget.take(e.lane, key, taken); over != "" {
			s.metrics.hintsDropped.WithLabelValues(string(v.route.Provider), over).Inc()
			return hintDropped(e.id)
		}
	} else if r, ok := s.replayed(v.route.Provider, key, e.id); ok {
		return accepted(r, reasonReplay)
	}
	r, err := s.publish(ctx, e)
	switch {
	case err == nil:
		if e.trust == events.TrustSigned {
			s.remember(key, e.id, r)
			s.drift.watch(v)
		} else {
			s.budget.durable(key, taken)
		}
		return accepted(r, reasonEvent)
	case errors.Is(err, stream.ErrTooLarge):
		return s.setAside(ctx, v, stageProduce, reasonOversized)
	default:
		return s.notDurable(err)
	}
}

// detached is a context that ends with the deadline and not with the client: a
// record may already be on its way when the client hangs up.
func (s *Server) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Limits.Publish)
}

// replayed counts a delivery that was seen before. Within the replay window
// the receipt of the first one answers it: the event is durable, and saying it
// again would only grow the log. Hints are never answered so: an unsigned
// callback says the same words at each change of an order.
func (s *Server) replayed(p events.Provider, key string, id events.EventID) (receipt, bool) {
	a, ok := s.seen.get(key + "\x00" + string(id))
	if !ok {
		return receipt{}, false
	}
	s.metrics.replays.WithLabelValues(string(p)).Inc()
	age := s.now().Sub(a.at)
	return a.receipt, age >= 0 && age < s.cfg.Limits.ReplayWindow
}

func (s *Server) remember(key string, id events.EventID, r receipt) {
	s.seen.update(key+"\x00"+string(id), func(acknowledged, bool) (acknowledged, bool) {
		return acknowledged{r, s.now()}, true
	})
}

var errNoReceipt = errors.New("ingest: publisher acknowledged no record")

// publish makes one event durable and returns where. It is the only way to the
// publisher.
func (s *Server) publish(ctx context.Context, e event) (receipt, error) {
	sent := s.now()
	acked, err := s.deps.Publisher.Publish(ctx, e.record)
	got := s.now()
	provider, _, _ := strings.Cut(string(e.lane), "/")
	if err == nil && (len(acked) != 1 || acked[0].Offset < 0) {
		err = errNoReceipt
	}
	s.health.published(err, got)
	if err != nil {
		s.metrics.publishFailed.WithLabelValues(provider, errorClass(err)).Inc()
		return receipt{}, err
	}
	rec := acked[0]
	s.metrics.published.WithLabelValues(provider, e.kind).Inc()
	if rec.AppendTime {
		s.metrics.clockOffset.Set(s.health.observeClock(sent, got, time.UnixMilli(rec.TimestampMs)).Seconds())
	}
	return receipt{EventID: e.id, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}, nil
}

// notDurable answers a record that Kafka did not acknowledge. It may still
// land: the sender's retry carries the same event id.
func (s *Server) notDurable(err error) Response {
	class := errorClass(err)
	s.faults.warn(msgNotDurable, slog.String("class", class), slog.String("error", clip(err.Error())))
	switch {
	case errors.Is(err, stream.ErrClock):
		return s.unavailable(reasonClock)
	case errors.Is(err, stream.ErrRefused):
		return s.unavailable(reasonRefused)
	}
	return s.unavailable(reasonKafka)
}

// errorClass is the label of a publisher's error.
func errorClass(err error) string {
	switch {
	case errors.Is(err, stream.ErrTooLarge):
		return "too_large"
	case errors.Is(err, stream.ErrClock):
		return "clock"
	case errors.Is(err, stream.ErrRefused):
		return "refused"
	case errors.Is(err, stream.ErrLoss):
		return "loss"
	case errors.Is(err, stream.ErrFenced):
		return "fenced"
	case errors.Is(err, stream.ErrTransient), errors.Is(err, context.DeadlineExceeded):
		return "transient"
	default:
		return "other"
	}
}
