package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/kafka"
)

const (
	// differEvery is how often topics are compared again: somebody may alter one
	// while the programs run.
	differEvery = 10 * time.Minute
	differWait  = 10 * time.Second
	eventDiffer = "topic differs"
)

// checkTopics refuses a topics.partitions that is not what the topics have. Beyond
// that it says, now and every ten minutes until stop, what of a program's
// topics is not as `rampctl topics check` wants it: too few copies, another
// policy, timestamps that are not the broker's. That refuses nothing, because
// whoever runs the cluster may have reasons. It needs DESCRIBE_CONFIGS, without which it says so once.
func (p Program) checkTopics(ctx context.Context, program string, topics ...string) (stop func(), err error) {
	if err := p.partitions(ctx, "rampstream-"+program); err != nil {
		return nil, err
	}
	differ := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ramp_" + program + "_topic_differences",
		Help: "Settings of a topic that are not as rampctl topics check wants them.",
	}, []string{"topic"})
	if err := p.Metrics.Register(differ); err != nil {
		return nil, err
	}
	specs := kafka.Specs(p.Config.Topics.Names(), p.Config.Topics.Partitions, p.Config.Topics.Replicas)
	if p.Specs != nil {
		specs = p.Specs(specs)
	}
	specs = slices.DeleteFunc(specs, func(s kafka.TopicSpec) bool { return !slices.Contains(topics, s.Name) })
	cfg := p.kafka("rampstream-" + program)
	cfg.Registerer = nil // a short-lived client: its metrics would collide
	told, unreadable := map[string]bool{}, false
	look := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, differWait)
		defer cancel()
		changes, err := kafka.PlanTopics(ctx, cfg, specs)
		if err != nil {
			if !unreadable && ctx.Err() == nil {
				p.Log.Warn("settings of topics not readable", "error", err.Error())
			}
			unreadable = true
			return
		}
		count := map[string]int{}
		for _, c := range changes {
			count[c.Topic]++
			if !told[c.Text] {
				p.Log.Warn(eventDiffer, "topic", c.Topic, "difference", c.Text, "command", "rampctl topics apply")
			}
			told[c.Text] = true
		}
		for _, topic := range topics {
			differ.WithLabelValues(topic).Set(float64(count[topic]))
		}
	}
	look(ctx)
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() {
		tick := time.NewTicker(differEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				look(ctx)
			}
		}
	})
	return func() { cancel(); beside.Wait() }, nil
}
