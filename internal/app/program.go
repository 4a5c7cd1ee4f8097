package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
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
	// Admin is the admin listener of the program; nil binds its admin_listen.
	Admin net.Listener
	// Started, if not nil, is told the addresses that the program listens on
	// once they are bound; "" for one that it does not have.
	Started func(public, admin string)
	// Specs says what the cluster can keep of the topics as they should be; nil
	// means all of it.
	Specs func([]kafka.TopicSpec) []kafka.TopicSpec
	// OpenStore opens the store on disk of the reconciler, in a folder with a
	// cache of so many bytes. A program without it has states in memory alone: it
	// is linked into the one that needs it.
	OpenStore func(path string, cache int64) (Store, error)
}

// Main is the whole of a thin main: it parses the flags, loads and validates
// the configuration, and runs the program of that name until ctx ends. A fault
// of flags or configuration is run.ErrConfig.
//
//	-config FILE          YAML; every key is also RAMP_...
//	-listen ADDRESS       ingest only, instead of ingest.listen
//	-admin-listen ADDRESS instead of <program>.admin_listen
//	-check                read and check the configuration, then return
//
// with sets what only one main has.
func Main(ctx context.Context, name string, args, env []string, stderr io.Writer, ps []providers.Provider, with ...func(*Program)) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "configuration `file` (YAML); every key is also RAMP_...")
	admin := flags.String("admin-listen", "", "admin `address`, instead of "+name+".admin_listen")
	check := flags.Bool("check", false, "read and check the configuration, then exit")
	listen := new(string)
	if name == config.ForIngest {
		listen = flags.String("listen", "", "public `address`, instead of ingest.listen")
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return run.Config(err)
	case flags.NArg() > 0:
		return run.Config(fmt.Errorf("%d arguments that are no flags", flags.NArg()))
	}
	overrides := map[string]any{}
	if *listen != "" {
		overrides["ingest.listen"] = *listen
	}
	if *admin != "" {
		overrides[name+".admin_listen"] = *admin
	}
	cfg, err := config.Load(*file, env, overrides)
	if err != nil {
		return run.Config(err)
	}
	if err := Validate(cfg, name, ps); err != nil {
		return run.Config(err)
	}
	logger, err := telemetry.NewLogger(stderr, name, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return run.Config(err)
	}
	p := Program{Config: cfg, Providers: ps, Log: logger, Metrics: telemetry.NewRegistry(name)}
	p.Started = func(public, admin string) { logger.Info("started", "public", public, "admin", admin) }
	for _, set := range with {
		set(&p)
	}
	return p.runNamed(ctx, name, *check)
}

func (p Program) runNamed(ctx context.Context, name string, check bool) error {
	switch name {
	case config.ForIngest:
		if check {
			_, err := p.ingestConfig()
			_, tlsErr := serverTLS(p.Config.Ingest.TLS)
			return errors.Join(err, tlsErr)
		}
		held := reserve(int64(p.Config.Ingest.MemoryReserve))
		defer runtime.KeepAlive(held)
		return p.Ingest(ctx)
	case config.ForPoller:
		if check {
			return p.capabilities(func(providers.Account, providers.Provider, providers.Capabilities) {})
		}
		return p.Poller(ctx)
	case config.ForReconciler:
		if check {
			_, err := Rules(p.Config, p.Providers)
			return run.Config(err)
		}
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(p.Config.Reconciler.GCPercent)
		}
		return p.Reconciler(ctx)
	}
	return fmt.Errorf("no program %q", name)
}

// admin is what the operators' pages are served by.
func (p Program) admin(address string) (*telemetry.Admin, error) {
	if p.Admin != nil {
		return telemetry.NewAdmin(p.Admin, p.Metrics, p.Log), nil
	}
	return telemetry.OpenAdmin(address, p.Metrics, p.Log)
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

// partitions refuses a topics.partitions that is not what the topics have.
func (p Program) partitions(ctx context.Context, client string) error {
	t := p.Config.Topics.Names()
	cfg := p.kafka(client)
	cfg.Registerer = nil // a short-lived client: its metrics would collide
	return kafka.CheckPartitions(ctx, cfg, append(t.CoPartitioned(), t.CheckSchedule, t.LaneState), p.Config.Topics.Partitions)
}

// onLoss makes the loss of acknowledged records loud: a log line at error level
// and a counter to alarm on. The events are gone from the log; what they said is
// found again by asking the providers.
func (p Program) onLoss(program string) (func(topic string, partition int32), error) {
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ramp_" + program + "_acknowledged_loss_total",
		Help: "Times that the broker showed that acknowledged records are gone, by topic.",
	}, []string{"topic"})
	if err := p.Metrics.Register(lost); err != nil {
		return nil, err
	}
	return func(topic string, partition int32) {
		lost.WithLabelValues(topic).Inc()
		p.Log.Error("acknowledged records are gone", "topic", topic, "partition", partition)
	}, nil
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
