package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/kafka"
)

const (
	// stableEvery is how often the stable ends are looked at: an alarm within a
	// minute needs several looks.
	stableEvery = 5 * time.Second
	eventStuck  = "transaction hangs"
)

// watchStable runs work and, beside it, tells for how long an open transaction
// has kept readers of each topic from its end. Nobody but a person can end one
// that its producer and its coordinator forgot.
func (p Program) watchStable(ctx context.Context, client string, topics []string, alarm time.Duration, work func(context.Context) error) error {
	stuck := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ramp_reconciler_unstable_seconds",
		Help: "How long an open transaction has kept read-committed readers of a topic from records that stand behind it; 0 when none does.",
	}, []string{"topic"})
	if err := p.Metrics.Register(stuck); err != nil {
		return err
	}
	cfg := p.kafka(client)
	cfg.Registerer = nil // its metrics would collide with the session's
	watch, err := kafka.WatchStable(cfg, topics)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer func() {
		cancel()
		beside.Wait()
		watch.Close()
	}()
	beside.Go(func() {
		told := map[string]bool{}
		for tick := time.NewTicker(stableEvery); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			look, stop := context.WithTimeout(ctx, stableEvery)
			ages, err := watch.Look(look, time.Now())
			stop()
			if err != nil {
				continue // the session says what is wrong with the brokers
			}
			for topic, age := range ages {
				stuck.WithLabelValues(topic).Set(age.Seconds())
				if age > alarm && !told[topic] {
					p.Log.Error(eventStuck, "topic", topic, "for", age.Round(time.Second).String(), "who", "rampctl doctor --transactions")
				}
				told[topic] = age > alarm
			}
		}
	})
	return work(ctx)
}
