package main

import (
	"context"
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	stormFor  = flag.Duration("storm", 0, "run the storms, each for so long, on a cluster of their own")
	stormSeed = flag.Uint64("storm.seed", 1, "seed of the storms")
)

// TestStorm is the harness itself. It needs a machine to itself, so it runs only
// where -storm says for how long, as CI does with the first case:
//
//	go test ./integration/crash -run 'TestStorm/everything' -storm 60s -timeout 20m
func TestStorm(t *testing.T) {
	if *stormFor == 0 {
		t.Skip("-storm says not how long")
	}
	t.Chdir("../..")
	for _, tc := range []struct {
		name  string
		kinds []kind
	}{
		{"everything", nil},
		{"brokers", []kind{killLeader, killCoordinator, killTxnCoordinator, killController, killTwo, stopBroker}},
		{"zombie", []kind{pauseLeader}},
		{"programs", []kind{killReconciler, killReconcilers, killPoller, killIngest}},
		{"sessions", []kind{pauseReconciler, awayReconciler, pausePoller}},
		{"members", []kind{joinReconciler, joinPoller, stopReconciler, stopPoller}},
		{"ingest", []kind{killIngest, pauseIngest, stopIngest}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), *stormFor+17*time.Minute)
			defer cancel()
			args := []string{"-for", stormFor.String(), "-seed", strconv.FormatUint(*stormSeed, 10)}
			if len(tc.kinds) > 0 {
				args = append(args, "-kinds", strings.Join(words(tc.kinds), ","))
			}
			if err := runMain(ctx, args, os.Stdout); err != nil {
				t.Errorf("crash %s: %v", strings.Join(args, " "), err)
			}
		})
	}
}
