package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/ingest"
	"rampstream/internal/kafka"
	"rampstream/internal/providers"
	"rampstream/internal/run"
	"rampstream/internal/telemetry"
)

// settings turns the configuration into the program's own. Its faults are
// those that only ingest has: every account needs a route.
func settings(cfg config.Config) (ingest.Config, error) {
	out := ingest.Config{
		Topics: cfg.Topics.Names(), Limits: limits(cfg), Accounts: cfg.Lanes(), RawDeadLetters: cfg.DeadLetter.RawBodies,
	}
	var faults []error
	for i, a := range cfg.Accounts {
		j := slices.IndexFunc(all, func(p providers.Provider) bool { return p.Name == a.Provider })
		if j < 0 { // Validate has said so
			continue
		}
		caps, err := all[j].Open(a, providers.Env{Now: time.Now, WebhookURL: cfg.WebhookURL(a)})
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("accounts[%d]: %w", i, err))
		case caps.Webhook == nil:
			faults = append(faults, fmt.Errorf("accounts[%d].webhook.url: required to verify deliveries, or set ingest.public_url", i))
		default:
			out.Routes = append(out.Routes, ingest.RouteOf(a, caps))
		}
	}
	for _, t := range cfg.Ingest.Tokens {
		out.Tokens = append(out.Tokens, ingest.Token{Name: t.Name, Secret: t.Token, Accounts: t.Accounts})
	}
	return out, errors.Join(faults...)
}

func limits(cfg config.Config) ingest.Limits {
	l, in := ingest.DefaultLimits(), cfg.Ingest
	l.Body, l.InFlight, l.Connections = int64(in.MaxBody), in.MaxInFlight, in.MaxConnections
	l.Publish, l.Drain = in.ProduceDeadline, in.Drain
	// A body may take its whole time and the record its whole deadline: the 503
	// must still get out.
	l.Write = max(l.Write, l.Read+l.Publish+2*time.Second)
	l.HintEvery, l.HintRate, l.HintBurst = in.Hint.PerOrder, in.Hint.Rate, in.Hint.Burst
	l.ClockMargin = cfg.Rules.Margin
	return l
}

// flushWithin bounds the last wait for Kafka; every answered request has been
// acknowledged before it.
const flushWithin = 5 * time.Second

// serve opens the resources, listeners first, and runs until ctx is done.
func serve(ctx context.Context, cfg config.Config, service ingest.Config, stderr io.Writer) (err error) {
	log, err := telemetry.NewLogger(stderr, "ingest", cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return run.Config(err)
	}
	reg := telemetry.NewRegistry("ingest")
	public, err := net.Listen("tcp", cfg.Ingest.Listen)
	if err != nil {
		return fmt.Errorf("public listener: %w", err)
	}
	defer func() { _ = public.Close() }() // Run closes it too
	admin, err := telemetry.OpenAdmin(cfg.Ingest.AdminListen, reg, log)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	cert, err := serverTLS(cfg.Ingest.TLS)
	if err != nil {
		return run.Config(err)
	}

	registry, err := app.OpenRegistry(cfg)
	if err != nil {
		return err
	}
	codec, err := app.OpenCodec(ctx, cfg, registry)
	if err != nil {
		return err
	}
	topics := cfg.Topics.Names()
	producer, err := kafka.OpenProducer(ctx, kafka.Config{
		Brokers: cfg.Kafka.Brokers, Properties: cfg.Kafka.Properties, ClientID: "rampstream-ingest", Registerer: reg,
	}, kafka.ProducerOptions{Topics: []string{topics.Webhook, topics.Intent, topics.DeadLetter}})
	if err != nil {
		return err
	}
	defer func() {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
		defer cancel()
		if closeErr := producer.Close(flush); closeErr != nil {
			log.Warn("records not acknowledged at exit", slog.String("error", telemetry.Safe(closeErr.Error())))
		}
	}()

	srv, err := ingest.New(service, ingest.Deps{
		Publisher: producer, Encoder: codec, Healthy: producer.Healthy, Log: log, Metrics: reg,
	})
	if err != nil {
		return run.Config(err)
	}
	for name, check := range srv.Checks() {
		admin.Checks.Add(name, check)
	}
	return srv.Run(ctx, ingest.Listeners{Public: public, TLS: cert, Admin: admin})
}

// serverTLS is nil without a certificate: a proxy ends TLS then.
func serverTLS(t config.TLS) (*tls.Config, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("ingest.tls: certificate and key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}
