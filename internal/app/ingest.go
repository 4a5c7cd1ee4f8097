package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/ingest"
	"rampstream/internal/kafka"
	"rampstream/internal/providers"
	"rampstream/internal/run"
)

// Ingest runs the program that receives deliveries and intents until ctx ends.
//
//	providers, merchants --> public listener --> ingest.Server --> Producer
//	                         admin listener  --> metrics, health
func (p Program) Ingest(ctx context.Context) (err error) {
	cfg, err := p.ingestConfig()
	if err != nil {
		return err
	}
	tlsConfig, err := p.publicTLS(time.Now())
	if err != nil {
		return err
	}
	// Listeners first: a taken port is a fault of the start.
	public := p.Public
	if public == nil {
		if public, err = net.Listen("tcp", p.Config.Ingest.Listen); err != nil {
			return fmt.Errorf("public listener: %w", err)
		}
	}
	defer func() { _ = public.Close() }() // Run closes it too
	admin, err := p.admin(p.Config.Ingest.AdminListen)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()

	topics := p.Config.Topics.Names()
	stop, err := p.checkTopics(ctx, "ingest", topics.Webhook, topics.Intent, topics.DeadLetter)
	if err != nil {
		return err
	}
	defer stop()
	if err := p.sizes(ctx, "rampstream-ingest", largest(p.Config)); err != nil {
		return err
	}
	cd, err := p.codec(ctx)
	if err != nil {
		return err
	}
	onLoss, err := p.onLoss("ingest")
	if err != nil {
		return err
	}
	producer, err := kafka.OpenProducer(ctx, p.kafka("rampstream-ingest"), kafka.ProducerOptions{
		OnLoss: onLoss,
		Topics: []string{topics.Webhook, topics.Intent, topics.DeadLetter}, CoPartitioned: []string{topics.Webhook, topics.Intent},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeProducer(producer)) }()
	srv, err := ingest.New(cfg, ingest.Deps{
		Publisher: producer, Encoder: cd, Healthy: producer.Healthy, Now: time.Now, Log: p.Log, Metrics: p.Metrics,
	})
	if err != nil {
		return err
	}
	for name, check := range srv.Checks() {
		admin.Checks.Add(name, check)
	}
	p.started(public.Addr().String(), admin.Addr())
	return srv.Run(ctx, ingest.Listeners{Public: public, TLS: tlsConfig, Admin: admin})
}

// closeProducer flushes what requests may still wait for.
func closeProducer(p *kafka.Producer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return p.Close(ctx)
}

// ingestConfig turns the configuration into routes, tokens and limits. Every
// account needs a route: one that is silently left out would lose its webhooks.
func (p Program) ingestConfig() (ingest.Config, error) {
	out := ingest.Config{
		Topics: p.Config.Topics.Names(), Limits: p.limits(), Accounts: p.Config.Lanes(), RawDeadLetters: p.Config.DeadLetter.RawBodies,
		TrustedProxies: config.Networks(p.Config.Ingest.TrustedProxies),
	}
	var faults []error
	err := p.capabilities(func(a providers.Account, _ providers.Provider, caps providers.Capabilities) {
		if caps.Webhook == nil {
			faults = append(faults, fmt.Errorf("account %s: webhook.url is required to verify deliveries, or set ingest.public_url", events.LaneOf(a.Provider, a.Account)))
			return
		}
		route := ingest.RouteOf(a, caps)
		route.AllowFrom = config.Networks(a.Webhook.AllowFrom)
		out.Routes = append(out.Routes, route)
	})
	for _, t := range p.Config.Ingest.Tokens {
		out.Tokens = append(out.Tokens, ingest.Token{Name: t.Name, Secret: t.Token, Accounts: t.Accounts})
	}
	return out, run.Config(errors.Join(append(faults, err)...))
}

func (p Program) limits() ingest.Limits {
	l, c := ingest.DefaultLimits(), p.Config.Ingest
	l.Body, l.InFlight, l.Connections = int64(c.MaxBody), c.MaxInFlight, c.MaxConnections
	l.Publish, l.Drain = c.ProduceDeadline, c.Drain
	// A body may take its whole time and the record its whole deadline: the 503
	// must still get out.
	l.Write = max(l.Write, l.Read+l.Publish+2*time.Second)
	l.HintEvery, l.HintRate, l.HintBurst = c.Hint.PerOrder, c.Hint.Rate, c.Hint.Burst
	l.ClockMargin = p.Config.Rules.Margin
	return l
}
