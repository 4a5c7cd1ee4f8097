package app

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/oklog/run"

	"rampstream/internal/kafka"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
	"rampstream/internal/telemetry"
)

// Poller runs the program that asks the providers until ctx ends.
//
//	check-schedule --> Group --> poller.Poller --> providers
//	lane-state     <-------------'    '--> Producer --> status-check
func (p Program) Poller(ctx context.Context) (err error) {
	topics := p.Config.Topics.Names()
	stop, err := p.checkTopics(ctx, "poller", topics.StatusCheck, topics.CheckSchedule, topics.LaneState, topics.DeadLetter)
	if err != nil {
		return err
	}
	defer stop()
	cd, err := p.codec(ctx)
	if err != nil {
		return err
	}
	onLoss, err := p.onLoss("poller")
	if err != nil {
		return err
	}
	producer, err := kafka.OpenProducer(ctx, p.kafka("rampstream-poller"), kafka.ProducerOptions{
		OnLoss: onLoss,
		Topics: []string{topics.StatusCheck, topics.LaneState, topics.DeadLetter}, Linger: 5 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeProducer(producer)) }()

	loop, err := p.pollerLoop(poller.Records{Codec: cd, Topics: topics, Partitions: p.Config.Topics.Partitions}, producer)
	if err != nil {
		return err
	}
	c := p.Config.Poller
	admin, err := p.admin(c.AdminListen)
	if err != nil {
		return err
	}
	admin.Checks.Add("poller", func(context.Context) error { return loop.Ready() })
	admin.Checks.Add("kafka", producer.Healthy)
	admin.Handle("GET /lanes", lanesHandler(loop))
	group, err := kafka.OpenGroup(ctx, p.kafka("rampstream-poller-group"), kafka.GroupOptions{
		Group: c.Group, InstanceID: c.InstanceID, Topics: []string{topics.CheckSchedule}, Tables: []string{topics.LaneState}, SessionTimeout: c.SessionTimeout, LeaveOnClose: c.LeaveOnStop,
		RebalanceTimeout: c.CallTimeout + 45*time.Second, // a revocation waits for the call in flight
	}, loop)
	if err != nil {
		return errors.Join(err, admin.Close())
	}
	defer group.Close()
	p.started("", admin.Addr())
	return withAdmin(ctx, admin, func(ctx context.Context) error { return loop.Run(ctx, applied{group}) })
}

// pollerLoop makes the loop with every configured account and its metrics.
func (p Program) pollerLoop(records poller.Records, publisher poller.Publisher) (*poller.Poller, error) {
	metrics, err := poller.NewMetrics(p.Metrics)
	if err != nil {
		return nil, err
	}
	c := p.Config.Poller
	cfg := poller.Config{
		Settings: poller.Settings{Partitions: p.Config.Topics.Partitions, Concurrency: c.Concurrency, CallTimeout: c.CallTimeout},
		Records:  records, Publisher: publisher, Now: time.Now, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Metrics: metrics, Log: p.Log, Drain: c.Drain, Margin: p.Config.Rules.Margin,
	}
	err = p.capabilities(func(a providers.Account, pr providers.Provider, caps providers.Capabilities) {
		cfg.Accounts = append(cfg.Accounts, poller.Account{
			Provider: a.Provider, Account: a.Account, Poll: a.Poll, Vocabulary: pr.Vocabulary(a), Capabilities: caps,
		})
	})
	if err != nil {
		return nil, err
	}
	loop := poller.New(cfg)
	return loop, p.Metrics.Register(loop.Gauges())
}

// pollFor bounds a poll of a schedule in which nothing happens.
const pollFor = 10 * time.Second

// applied lets a rebalance go on once the records of the last poll were handed
// to the poller's core, which is when it polls again.
type applied struct{ *kafka.Group }

func (a applied) Poll(ctx context.Context, n int) ([]stream.Record, error) {
	// A rebalance may be announced when it is over; the lease rests until the next
	// poll then.
	ctx, cancel := context.WithTimeout(ctx, pollFor)
	defer cancel()
	a.Allow()
	return a.Group.Poll(ctx, n)
}

func lanesHandler(loop *poller.Poller) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(loop.Snapshot())
	})
}

// withAdmin runs work beside the admin listener; the first to end ends both.
func withAdmin(ctx context.Context, admin *telemetry.Admin, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var g run.Group
	g.Add(func() error { return work(ctx) }, func(error) { cancel() })
	g.Add(admin.Execute, admin.Interrupt)
	return g.Run()
}
