// Command crash kills and stops brokers and programs at random, under load, on
// a real cluster of three nodes, and then compares what is left with what the
// simulated providers know.
//
//	go run ./integration/crash                      # one minute on a cluster of its own
//	go run ./integration/crash -for 10m -seed 7
//	go run ./integration/crash -kinds kill-reconciler,kill-leader
//	go run ./integration/crash -list                # the faults
//	go run ./integration/crash -plan 40             # the first steps of a seed's plan
//	go run ./integration/crash -recheck run.jsonl   # the checker again, offline, on a recorded run
//
// With KAFKA_BROKERS and REGISTRY_URL it uses the cluster that scripts/kafka
// started; it takes its brokers away. A plan is a function of the seed: which
// fault comes when, how long it lasts. It waits before each fault until traffic
// flows in every partition, so that every fault falls into load; a fault that
// cannot be proven makes the run void, which is neither passed nor failed.
//
// Exit codes: 0 passed, 1 failed, 2 usage, 3 void.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	failed = 1
	usage  = 2
	void   = 3
)

// options of a run.
type options struct {
	duration  time.Duration
	seed      uint64
	kinds     []kind
	rate      float64
	script    string
	history   string
	within    time.Duration
	atLeast   bool
	keep      bool
	readers   bool
	sessionTO time.Duration
	txnTO     time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := runMain(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errVoid):
		fmt.Fprintln(os.Stderr, "crash: VOID:", err)
		os.Exit(void)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(usage)
	default:
		fmt.Fprintln(os.Stderr, "crash: FAILED:", err)
		os.Exit(failed)
	}
}

var (
	// errVoid: a fault could not be proven, or fell into no traffic.
	errVoid  = errors.New("the run proves nothing")
	errUsage = errors.New("usage")
)

func runMain(ctx context.Context, args []string, out io.Writer) error {
	var o options
	f := flag.NewFlagSet("crash", flag.ContinueOnError)
	f.DurationVar(&o.duration, "for", time.Minute, "how long faults are made")
	f.Uint64Var(&o.seed, "seed", 0, "of the plan, the orders and their fates; 0 draws one")
	kinds := f.String("kinds", "", "comma-separated faults; empty is all")
	f.Float64Var(&o.rate, "rate", 6, "orders a second")
	f.StringVar(&o.script, "script", "scripts/kafka", "what controls the cluster")
	f.StringVar(&o.history, "history", "", "`file` for the recorded run (JSON lines); empty keeps it beside the logs of a failed run")
	f.DurationVar(&o.within, "within", 0, "how long after a fault every partition may be silent, its own length not counted; 0 is session + transaction timeout + 15s")
	f.BoolVar(&o.atLeast, "at-least-once", false, "run the reconcilers without transactions")
	f.BoolVar(&o.keep, "keep", false, "keep logs and history of a run that passed, too")
	f.BoolVar(&o.readers, "readers", true, "read the topics with the other clients too, where they are installed")
	f.DurationVar(&o.sessionTO, "session", 10*time.Second, "session timeout of the groups")
	f.DurationVar(&o.txnTO, "transaction", 6*time.Second, "transaction timeout")
	list := f.Bool("list", false, "list the faults")
	steps := f.Int("plan", 0, "print that many steps of the plan and end")
	recheck := f.String("recheck", "", "check a recorded `file` again")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if o.seed == 0 {
		o.seed = 1 + rand.Uint64N(1<<20)
	}
	for _, k := range strings.FieldsFunc(*kinds, func(r rune) bool { return r == ',' }) {
		o.kinds = append(o.kinds, kind(k))
	}
	if o.within == 0 {
		o.within = o.sessionTO + o.txnTO + 15*time.Second
	}
	p, err := newPlan(o.seed, o.kinds, o.atLeast)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err)
	case *list:
		_, err = fmt.Fprintln(out, strings.Join(words(allKinds()), "\n"))
		return err
	case *steps > 0:
		for range *steps {
			if _, err := fmt.Fprintln(out, p.next()); err != nil {
				return err
			}
		}
		return nil
	case *recheck != "":
		return checkAgain(ctx, *recheck, out)
	}
	return storm(ctx, o, p, out)
}
