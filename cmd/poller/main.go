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
)

var all = []providers.Provider{kado.Provider, kanga.Provider, koinal.Provider, kuna.Provider, zumo.Provider}

func main() {
	run.Main("poller", func(ctx context.Context) error {
		return runMain(ctx, os.Args[1:], os.Environ(), os.Stderr)
	})
}

func runMain(ctx context.Context, args, env []string, stderr io.Writer) error {
	return app.Main(ctx, config.ForPoller, args, env, stderr, all)
}
