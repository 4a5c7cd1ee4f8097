package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/inspect"
	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/providers"
	"rampstream/internal/providers/simulator"
	"rampstream/internal/run"
	"rampstream/internal/telemetry"
)

// processStart is as near to the start of the process as Go code gets.
var processStart = time.Now()

type demoOptions struct {
	orders     int
	seed       uint64
	limit      time.Duration
	brokerAddr string
	registry   string
	configDir  string
	noFaults   bool
	logs       string
	stage      time.Duration
}

func (c *cli) demo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo", Short: "Run the whole ring on an embedded Kafka with simulated providers",
		Long: `Run ingest, poller and reconciler in this process, on an embedded Kafka and
schema registry with real ports, against simulated providers that lose,
duplicate, delay, reorder and contradict their webhooks on a seed.

With --orders it ends by itself, compares every state with what the provider
finally says, and exits 3 if one is wrong or missing. Without it, it keeps
running until a signal; any Kafka client can read its topics meanwhile.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.orders < 0 {
				return fmt.Errorf("%w: --orders must not be negative (got %d)", errUsage, o.orders)
			}
			return c.runDemo(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.orders, "orders", 0, "place this many orders and a tenth as many Zumo customers, then end; 0 keeps running")
	f.Uint64Var(&o.seed, "seed", 1, "seed of every fate and fault")
	f.DurationVar(&o.limit, "for", 0, "end after this time at the latest (default 38s with --orders, else never)")
	f.StringVar(&o.brokerAddr, "kafka", "", "host:port of the embedded broker (default a free loopback port)")
	f.StringVar(&o.registry, "registry", "", "host:port of the embedded schema registry (default a free loopback port)")
	f.BoolVar(&o.noFaults, "no-faults", false, "let nothing go wrong")
	f.StringVar(&o.configDir, "write-config", "", "write the configuration of the run into this folder, for rampctl -c and any of the programs")
	f.StringVar(&o.logs, "logs", "error", "level of the programs' logs on stderr: debug, info, warn, error")
	f.DurationVar(&o.stage, "stage", 400*time.Millisecond, "mean time an order stays in one state at the provider")
	return cmd
}

// running is a demo under way.
type running struct {
	c       *cli
	o       demoOptions
	began   time.Time // from which --for counts
	cfg     config.Config
	sim     *demo.Sim
	cluster *embedded.Cluster
	ingest  string       // base URL
	admin   net.Listener // of the poller, for rampctl poller
	log     *slog.Logger
	view    inspect.Reader
	kafka   *kafka.Log
}

func (c *cli) runDemo(ctx context.Context, o demoOptions) (err error) {
	if o.limit == 0 && o.orders > 0 {
		o.limit = 38 * time.Second
	}
	d := &running{c: c, o: o}
	if d.log, err = telemetry.NewLogger(c.errw, "demo", o.logs, "text"); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { err = errors.Join(err, d.close()) }()
	public, err := d.prepare(ctx)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	stopped, stop := context.WithCancel(gctx)
	defer stop()
	d.start(stopped, g, public)
	var result summary
	g.Go(func() error {
		defer stop()
		var err error
		result, err = d.watch(stopped)
		return err
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return d.report(result, ctx.Err() != nil)
}

// prepare starts the cluster and the simulators and writes topics and schemas.
// Everything listens before anything runs.
func (d *running) prepare(ctx context.Context) (public net.Listener, err error) {
	d.began = time.Now()
	if d.cluster, err = embedded.Start(embedded.Options{BrokerAddr: d.o.brokerAddr, RegistryAddr: d.o.registry}); err != nil {
		return nil, err
	}
	if public, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	d.ingest = "http://" + public.Addr().String()
	faults := simulator.DefaultFaults()
	if d.o.noFaults {
		faults = simulator.NoFaults()
	}
	if d.sim, err = demo.New(ctx, demo.Options{Seed: d.o.seed, Faults: faults, Stage: d.o.stage, Ingest: d.ingest}); err != nil {
		return nil, err
	}
	d.cfg = d.sim.Config(d.cluster.Brokers(), d.cluster.RegistryURL())
	// Bound here: an address that was free a moment ago may be taken by then.
	if d.admin, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	d.cfg.Poller.AdminListen = d.admin.Addr().String()
	if err := d.cfg.Validate(config.ForAll, known(), providers.Policy{Demo: true}); err != nil {
		return nil, err
	}
	if d.o.configDir != "" {
		path, err := demo.WriteConfig(d.cfg, d.o.configDir)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(d.c.errw, "configuration %s\n", path)
	}
	changes, err := kafka.PlanTopics(ctx, kafkaConfig(d.cfg), specs(d.cfg))
	if err != nil {
		return nil, err
	}
	if err := kafka.ApplyTopics(ctx, kafkaConfig(d.cfg), changes); err != nil {
		return nil, err
	}
	reg, err := app.OpenRegistry(d.cfg)
	if err != nil {
		return nil, err
	}
	if _, err := app.RegisterSchemas(ctx, d.cfg, reg); err != nil {
		return nil, err
	}
	r, err := openReading(ctx, d.cfg)
	if err != nil {
		return nil, err
	}
	d.view, d.kafka = r.Reader, r.log
	d.announce()
	return public, nil
}

func (d *running) announce() {
	fmt.Fprintf(d.c.errw, "kafka      %s\nregistry   %s\ningest     %s\npoller     http://%s (/metrics, /lanes)\n",
		strings.Join(d.cluster.Brokers(), ","), d.cluster.RegistryURL(), d.ingest, d.cfg.Poller.AdminListen)
	fmt.Fprintf(d.c.errw, "any Kafka client can read the topics, with isolation.level=read_committed; from another shell:\n")
	fmt.Fprintf(d.c.errw, "  RAMP_KAFKA_BROKERS=%s RAMP_REGISTRY_URL=%s RAMP_TOPICS_PARTITIONS=%d go run ./cmd/rampctl orders ls\n",
		strings.Join(d.cluster.Brokers(), ","), d.cluster.RegistryURL(), d.cfg.Topics.Partitions)
	fmt.Fprintf(d.c.errw, "  go run ./cmd/rampctl poller --admin http://%s\n\n", d.cfg.Poller.AdminListen)
}

// start runs the three programs, as their mains do.
func (d *running) start(ctx context.Context, g *errgroup.Group, public net.Listener) {
	program := func(name string, f func(app.Program, context.Context) error) {
		p := app.Program{Config: d.cfg, Providers: known(), Log: d.log.With("program", name), Metrics: telemetry.NewRegistry(name), Specs: d.cluster.Specs}
		switch name {
		case config.ForIngest:
			p.Public = public
		case config.ForPoller:
			p.Admin = d.admin
		}
		g.Go(func() error {
			if err := f(p, ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	program(config.ForIngest, app.Program.Ingest)
	program(config.ForReconciler, app.Program.Reconciler)
	program(config.ForPoller, app.Program.Poller)
}

func (d *running) close() error {
	if d.kafka != nil {
		d.kafka.Close()
	}
	if d.sim != nil {
		d.sim.World.Close()
	}
	if d.cluster != nil {
		d.cluster.Close()
	}
	if d.admin != nil {
		_ = d.admin.Close() // the poller has closed it, if there was one
	}
	return nil
}

// summary is what a demo found. Its JSON is the last line of stdout with -o json.
type summary struct {
	Orders         int     `json:"orders"`
	Wrong          int     `json:"wrong"`
	Missing        int     `json:"missing"`
	ByWebhook      int     `json:"by_webhook"`
	ByPoll         int     `json:"by_poll"`
	Disputed       int     `json:"disputed"`
	Discrepancies  int     `json:"discrepancies"`
	FirstSettledMS int64   `json:"first_settled_ms"`
	Seconds        float64 `json:"seconds"`

	faults []string
	wrong  []string
}

// report prints what a demo found. What was under way when somebody interrupted it is
// no difference.
func (d *running) report(s summary, interrupted bool) error {
	out := d.c.out
	if d.c.json() {
		out = d.c.errw
	}
	fmt.Fprintf(out, "\n%d orders and customers in %.1f s: %d decided by webhook, %d by poll, %d disputed, %d discrepancies found\n",
		s.Orders, s.Seconds, s.ByWebhook, s.ByPoll, s.Disputed, s.Discrepancies)
	fmt.Fprintf(out, "first settled order %d ms after the process started\n", s.FirstSettledMS)
	fmt.Fprintf(out, "what went wrong on the way: %s\n", strings.Join(s.faults, ","))
	fmt.Fprintf(out, "compared with what the providers finally say: %d wrong, %d missing\n", s.Wrong, s.Missing)
	for _, w := range s.wrong {
		fmt.Fprintln(out, " ", w)
	}
	if d.c.json() {
		if err := d.c.line(s); err != nil {
			return err
		}
	}
	if interrupted {
		fmt.Fprintln(out, "it was interrupted: orders that were still under way count as wrong or missing")
		return nil
	}
	if s.Wrong+s.Missing > 0 {
		return fmt.Errorf("%d states are wrong and %d missing: %w", s.Wrong, s.Missing, run.ErrDifferences)
	}
	return nil
}

// terminal reports whether w is one that a table can be drawn on.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && isTerminal(f)
}
