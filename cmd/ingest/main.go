// Command ingest takes providers' webhooks and merchants' intents over HTTP
// and answers 200 after Kafka acknowledged them.
//
//	provider --POST--> public listener --> verify --> publish --ack--> 200
//	merchant --POST-------^                  |
//	platform --GET---> admin listener (/metrics, /livez, /readyz)
//
// Exit codes: 0 stopped by a signal after the drain, 1 failed, 2 configuration,
// 4 the platform refuses (topic, schema, ACL), 5 loss detected, 130 second signal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/zumo"
	"rampstream/internal/run"
	"rampstream/internal/telemetry"
)

var all = []providers.Provider{kado.Provider, kanga.Provider, koinal.Provider, kuna.Provider, zumo.Provider}

func main() {
	run.Main("ingest", func(ctx context.Context) error {
		return runMain(ctx, os.Args[1:], os.Environ(), os.Stderr)
	})
}

func runMain(ctx context.Context, args, env []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("ingest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "", "configuration `file` (YAML); every key is also RAMP_...")
	listen := flags.String("listen", "", "public `address`, instead of ingest.listen")
	admin := flags.String("admin-listen", "", "admin `address`, instead of ingest.admin_listen")
	check := flags.Bool("check", false, "read and check the configuration, then exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return run.Config(err)
	}
	if flags.NArg() > 0 {
		return run.Config(fmt.Errorf("%d arguments that are no flags", flags.NArg()))
	}
	overrides := map[string]any{}
	if *listen != "" {
		overrides["ingest.listen"] = *listen
	}
	if *admin != "" {
		overrides["ingest.admin_listen"] = *admin
	}
	cfg, err := config.Load(*path, env, overrides)
	if err != nil {
		return err
	}
	if err := cfg.Validate(config.ForIngest, all, providers.Policy{}); err != nil {
		return err
	}
	if *check {
		return nil
	}
	log, err := telemetry.NewLogger(stderr, "ingest", cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return run.Config(err)
	}
	// Bound before anything else: a taken port is the cheapest fault to find.
	public, err := net.Listen("tcp", cfg.Ingest.Listen)
	if err != nil {
		return fmt.Errorf("public listener: %w", err)
	}
	defer func() { _ = public.Close() }() // the program closes it too
	return app.Program{
		Config: cfg, Providers: all, Log: log, Metrics: telemetry.NewRegistry("ingest"), Public: public,
	}.Ingest(ctx)
}
