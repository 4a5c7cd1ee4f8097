// Command poller asks the providers where orders and customers stand and
// publishes every answer.
//
//	check-schedule --> lanes of this instance --> provider APIs
//	lane-state     <--------'    '--> status-check
//	platform --GET--> admin listener (/metrics, /livez, /readyz, /lanes)
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
	run.Main("poller", func(ctx context.Context) error {
		return runMain(ctx, os.Args[1:], os.Environ(), os.Stderr)
	})
}

func runMain(ctx context.Context, args, env []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("poller", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "", "configuration `file` (YAML); every key is also RAMP_...")
	admin := flags.String("admin-listen", "", "admin `address`, instead of poller.admin_listen")
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
	if *admin != "" {
		overrides["poller.admin_listen"] = *admin
	}
	cfg, err := config.Load(*path, env, overrides)
	if err != nil {
		return err
	}
	if err := cfg.Validate(config.ForPoller, all, providers.Policy{}); err != nil {
		return err
	}
	if *check {
		return nil
	}
	log, err := telemetry.NewLogger(stderr, "poller", cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return run.Config(err)
	}
	return app.Program{
		Config: cfg, Providers: all, Log: log, Metrics: telemetry.NewRegistry("poller"),
		Started: func(_, admin string) { log.Info("started", "admin", admin) },
	}.Poller(ctx)
}
