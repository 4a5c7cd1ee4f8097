package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/codec"
	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/kafka"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/run"
	"rampstream/internal/telemetry"
)

// Program is one program about to run: its configuration, already validated,
// and what it reports to.
type Program struct {
	Config    config.Config
	Providers []providers.Provider
	Log       *slog.Logger
	Metrics   *prometheus.Registry
	// Public is the listener of ingest; nil binds Config.Ingest.Listen.
	Public net.Listener
	// Started, if not nil, is told the addresses that the program listens on
	// once they are bound; "" for one that it does not have.
	Started func(public, admin string)
}

// Main loads, validates and runs one program: the whole of a thin main. name is
// the section of the configuration; env is os.Environ().
func Main(ctx context.Context, name, file string, env []string, ps []providers.Provider, log func(config.Config) (*slog.Logger, error)) error {
	cfg, err := config.Load(file, env, nil)
	if err != nil {
		return run.Config(err)
	}
	if err := cfg.Validate(name, ps, providers.Policy{}); err != nil {
		return run.Config(err)
	}
	logger, err := log(cfg)
	if err != nil {
		return run.Config(err)
	}
	p := Program{Config: cfg, Providers: ps, Log: logger, Metrics: telemetry.NewRegistry(name)}
	switch name {
	case config.ForIngest:
		return p.Ingest(ctx)
	case config.ForPoller:
		return p.Poller(ctx)
	case config.ForReconciler:
		return p.Reconciler(ctx)
	}
	return fmt.Errorf("no program %q", name)
}

func (p Program) kafka(client string) kafka.Config {
	return kafka.Config{Brokers: p.Config.Kafka.Brokers, Properties: p.Config.Kafka.Properties, ClientID: client, Registerer: p.Metrics}
}

func (p Program) codec(ctx context.Context) (*codec.Codec, error) {
	reg, err := OpenRegistry(p.Config)
	if err != nil {
		return nil, err
	}
	return OpenCodec(ctx, p.Config, reg)
}

func (p Program) started(public, admin string) {
	if p.Started != nil {
		p.Started(public, admin)
	}
}

// env is what the calling half of an account's provider gets.
func (p Program) env(a providers.Account) providers.Env {
	return providers.Env{
		HTTP: httpx.New(httpx.Options{AllowInsecure: a.API.AllowInsecure}),
		Now:  time.Now, WebhookURL: p.Config.WebhookURL(a),
	}
}

// capabilities opens every configured account.
func (p Program) capabilities(use func(providers.Account, providers.Provider, providers.Capabilities)) error {
	for _, a := range p.Config.Accounts {
		pr, err := providerOf(p.Providers, a.Provider)
		if err != nil {
			return run.Config(err)
		}
		c, err := pr.Open(a, p.env(a))
		if err != nil {
			return run.Config(fmt.Errorf("account %s: %w", events.LaneOf(a.Provider, a.Account), err))
		}
		use(a, pr, c)
	}
	return nil
}

func serverTLS(c config.TLS) (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, run.Config(fmt.Errorf("ingest.tls: %w", err))
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
