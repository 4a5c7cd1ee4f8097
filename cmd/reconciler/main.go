// Command reconciler joins webhooks, intents and status checks into one state
// an order or customer, in one Kafka transaction a batch.
//
//	webhook, intent, status-check --> reconciler --> order-state, customer-state,
//	                                                 transition, discrepancy,
//	                                                 check-schedule, dead-letter
//	platform --GET--> admin listener (/metrics, /livez, /readyz)
//
// Exit codes: 0 stopped by a signal, 1 failed, 2 configuration, 4 the platform
// refuses (topic, partitions, schema, ACL), 5 loss or corruption detected, 130
// second signal.
package main

import (
	"context"
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
	"rampstream/internal/table/disk"
)

var all = []providers.Provider{kado.Provider, kanga.Provider, koinal.Provider, kuna.Provider, zumo.Provider}

func main() {
	run.Main("reconciler", func(ctx context.Context) error {
		return runMain(ctx, os.Args[1:], os.Environ(), os.Stderr)
	})
}

func runMain(ctx context.Context, args, env []string, stderr io.Writer) error {
	return app.Main(ctx, config.ForReconciler, args, env, stderr, all, func(p *app.Program) { p.OpenStore = openStore })
}

// openStore is here so that the other programs are not linked with a database.
func openStore(path string, cache int64) (app.Store, error) {
	s, err := disk.Open(path, cache, func(err error) { run.Abandon("reconciler", fmt.Errorf("reconciler.store_dir: %w", err)) })
	if err != nil {
		return nil, err
	}
	return s, nil
}
