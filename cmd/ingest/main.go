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
	run.Main("ingest", func(ctx context.Context) error {
		return runMain(ctx, os.Args[1:], os.Environ(), os.Stderr)
	})
}

func runMain(ctx context.Context, args, env []string, stderr io.Writer) error {
	return app.Main(ctx, config.ForIngest, args, env, stderr, all)
}
