package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// The session of the fleet's members: short, so that much happens in little
// time. A third of it is a call's.
const (
	fleetSession = 12 * time.Second
	fleetCall    = 4 * time.Second
)

// fleet are the poller processes: nil where none runs.
type fleet struct {
	bed                         *pollerBed
	base                        string
	members                     []*process
	stopped                     map[int]time.Time // since when a member stands still
	starts, terms, kills, stops int
}

// churn starts all pollers, then changes something about every o.rebalance,
// until there were o.calls calls or, without such a number, o.duration has
// passed. At least one always runs.
func (f *fleet) churn(ctx context.Context, o options, calls func() int) error {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for i := range f.members {
		if err := f.start(ctx, i); err != nil {
			return err
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	next := time.Now().Add(o.rebalance)
	for end := time.Now().Add(o.duration); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		switch {
		case o.calls > 0 && calls() >= o.calls, o.calls == 0 && time.Now().After(end):
			return nil
		case time.Now().Before(next):
			continue
		}
		if f.bed.cluster != nil {
			f.bed.cluster.Kafka().Compact() // the schedule is written as often as there are calls
		}
		if err := f.change(ctx, rng); err != nil {
			return err
		}
		next = time.Now().Add(time.Duration((0.8 + 0.4*rng.Float64()) * float64(o.rebalance)))
	}
}

// change does one thing to one member. Who stands still for longer than its
// session goes on where it was.
func (f *fleet) change(ctx context.Context, rng *rand.Rand) error {
	for i, since := range f.stopped {
		if time.Since(since) > fleetSession+3*time.Second {
			delete(f.stopped, i)
			if err := f.members[i].cmd.Process.Signal(syscall.SIGCONT); err != nil {
				return err
			}
		}
	}
	i := rng.IntN(len(f.members))
	if _, still := f.stopped[i]; still {
		return nil
	}
	if f.members[i] == nil {
		return f.start(ctx, i)
	}
	alone := f.running() < 2
	switch rng.IntN(4) {
	case 0: // a rolling restart
		if err := f.term(i); err != nil {
			return err
		}
		return f.start(ctx, i)
	case 1: // killed, and started by whoever watches over it
		f.kill(i)
		return f.start(ctx, i)
	case 2: // scaled down
		if alone {
			return nil
		}
		return f.term(i)
	default: // a machine that stands still
		if alone {
			return nil
		}
		f.stops++
		f.stopped[i] = time.Now()
		return f.members[i].cmd.Process.Signal(syscall.SIGSTOP)
	}
}

// running counts the members that call.
func (f *fleet) running() (n int) {
	for i, m := range f.members {
		if _, still := f.stopped[i]; m != nil && !still {
			n++
		}
	}
	return n
}

// start runs a poller whose base URLs carry the name of this very process.
func (f *fleet) start(ctx context.Context, i int) error {
	f.starts++
	name := fmt.Sprintf("poller%d-start%d", i, f.starts)
	cfg := f.bed.cfg
	cfg.Poller.Group = cfg.Topics.Prefix + "poller" // of this run alone
	cfg.Poller.InstanceID = fmt.Sprintf("bench-%d", i)
	cfg.Poller.SessionTimeout, cfg.Poller.CallTimeout, cfg.Poller.LeaveOnStop = fleetSession, fleetCall, true
	cfg.Ingest.Tokens, cfg.Log.Level, cfg.Accounts = nil, "error", nil
	rate := 10.0
	if f.bed.o.calls > 0 {
		rate = 5000
	}
	for n := range f.bed.o.lanes {
		cfg.Accounts = append(cfg.Accounts, providers.Account{
			Provider: "kanga", Account: benchLane(n), Webhook: providers.Webhook{Trust: "hint"},
			API: providers.API{BaseURL: f.base + "/" + name, AllowInsecure: true, PublicKey: string(benchLane(n)),
				PrivateKey: providers.Secret(events.Digest("bench", string(benchLane(n))))},
			Poll: providers.Poll{Rate: rate, Burst: 10},
		})
	}
	dir := filepath.Join(f.bed.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	file, err := demo.WriteConfig(cfg, dir)
	if err != nil {
		return err
	}
	f.members[i], err = f.bed.start(ctx, "poller", "-config", file)
	return err
}

func (f *fleet) term(i int) error {
	f.terms++
	_, err := f.members[i].stop()
	f.members[i] = nil
	return err
}

func (f *fleet) kill(i int) {
	f.kills++
	_ = f.members[i].cmd.Process.Signal(syscall.SIGKILL)
	_ = f.members[i].cmd.Wait()
	f.members[i] = nil
}

func (f *fleet) end() {
	for i, m := range f.members {
		if m != nil {
			f.kill(i)
		}
	}
}
