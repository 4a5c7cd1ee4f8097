package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/kafka"
	"rampstream/internal/reconciler"
)

// restoreRow is one restore by the program: from its start until it is ready.
type restoreRow struct {
	Bench      string  `json:"bench"`
	Platform   string  `json:"platform"`
	Partitions int     `json:"partitions"`
	States     int64   `json:"states"`
	ValueBytes float64 `json:"mean_value_bytes"`
	StateGB    float64 `json:"values_gb"`
	Ready      float64 `json:"seconds_to_ready"`
	Seconds    float64 `json:"restore_seconds"` // of the assignment, by its own metric
	PerSecond  float64 `json:"states_per_second"`
	CPUMicros  float64 `json:"cpu_us_per_state"`
	LiveBytes  float64 `json:"live_bytes_per_order"`
	HeldBytes  float64 `json:"held_bytes_per_order"`
	RSSBytes   float64 `json:"rss_bytes_per_order"`
	PeakRSSMiB int64   `json:"peak_rss_mib"`
}

// memoryRow is what the states cost the process that holds them.
type memoryRow struct {
	Bench       string  `json:"bench"`
	Platform    string  `json:"platform"`
	States      int     `json:"states"`
	HeldBytes   float64 `json:"held_bytes_per_order"`
	HeapBytes   float64 `json:"heap_bytes_per_order"`
	RSSBytes    float64 `json:"rss_bytes_per_order"`
	FullGC      float64 `json:"full_gc_ms"`  // wall time of runtime.GC, the longest of five
	Pause       float64 `json:"gc_pause_ms"` // the longest stop of the world in them
	FreedMillis float64 `json:"revoke_ms"`
	RSSAfterMiB int64   `json:"rss_after_revoke_mib"`
	RSSMiB      int64   `json:"rss_mib"`
	RSSBefore   int64   `json:"rss_before_mib"`
}

func benchRestore(ctx context.Context, o options) error {
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	if b.cfg.Reconciler.AdminListen, err = freeAddr(); err != nil {
		return err
	}
	b.cfg.Reconciler.CheckpointDir = filepath.Join(b.dir, "checkpoints")
	// Every sighting names its topic: names as long as usual.
	b.cfg.Topics.Prefix = fmt.Sprintf("r%d.", time.Now().Unix()%1000)
	if err := b.platform(ctx, o); err != nil {
		return err
	}
	if b.file, err = demo.WriteConfig(b.cfg, b.dir); err != nil {
		return err
	}
	reg, err := app.OpenRegistry(b.cfg)
	if err != nil {
		return err
	}
	cd, err := app.OpenCodec(ctx, b.cfg, reg)
	if err != nil {
		return err
	}
	m, err := b.fillStates(ctx, o, cd, o.orders)
	if err != nil {
		return err
	}
	for _, source := range []string{"topic", "checkpoint"} { // the first run leaves checkpoints when it stops
		if err := b.measureRestore(ctx, o, source, m); err != nil {
			return err
		}
	}
	if o.store != config.StoreMemory {
		return nil
	}
	held := exec.CommandContext(ctx, filepath.Join(b.dir, "bench"), "held-states", "-profile", o.profile, "--", b.file)
	held.Stdout, held.Stderr = os.Stdout, os.Stderr
	return held.Run()
}

// measureRestore starts the reconciler and waits until it is ready.
func (b *bed) measureRestore(ctx context.Context, o options, source string, m made) error {
	began := time.Now()
	p, err := b.start(ctx, "reconciler", "-config", b.file)
	if err != nil {
		return err
	}
	admin := "http://" + b.cfg.Reconciler.AdminListen
	if err := p.until(ctx, admin+"/readyz"); err != nil {
		return err
	}
	ready := time.Since(began)
	cpu := p.cpu()
	g, err := plainMetrics(admin + "/metrics")
	if err != nil {
		return err
	}
	u, err := p.stop()
	if err != nil {
		return err
	}
	n := float64(m.States)
	if g["ramp_reconciler_states"] != n {
		return fmt.Errorf("%v states were restored of %v", g["ramp_reconciler_states"], n)
	}
	if got := g[`ramp_reconciler_restores_total{source="`+source+`"}`]; got != float64(o.partitions) {
		return fmt.Errorf("%v partitions were restored from the %s: %s", got, source, p.log.String())
	}
	took := g["ramp_reconciler_restore_seconds"]
	row(restoreRow{"restore: " + source + stored(o), b.name, o.partitions, m.States, m.ValueBytes, m.ValueBytes * n / 1e9, ready.Seconds(), took, n / took, float64(cpu.Microseconds()) / n,
		g["ramp_reconciler_state_bytes"] / n, g["ramp_reconciler_state_held_bytes"] / n, g["process_resident_memory_bytes"] / n, u.RSS >> 20})
	return nil
}

// until waits for a 200, for as long as the process runs.
func (p *process) until(ctx context.Context, url string) error {
	for {
		resp, err := http.Get(url)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if p.dead() {
			return fmt.Errorf("it ended: %w: %s", p.cmd.Wait(), p.log.String())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// dead reports a process that ended and was not waited for.
func (p *process) dead() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	at := bytes.LastIndexByte(text, ')')
	return err != nil || at < 0 || bytes.HasPrefix(text[at:], []byte(") Z"))
}

// plainMetrics reads the metrics by name and labels.
func plainMetrics(url string) (map[string]float64, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, line := range strings.Split(string(text), "\n") {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 {
			continue
		}
		name, value := line[:at], line[at+1:]
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = v
		}
	}
	return out, nil
}

// heldStates is a process that restores every partition, looks at what that
// costs the collector, and gives the memory back.
func heldStates(ctx context.Context, o options, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: bench held-states CONFIG")
	}
	cfg, err := config.Load(args[0], nil, nil)
	if err != nil {
		return err
	}
	reg, err := app.OpenRegistry(cfg)
	if err != nil {
		return err
	}
	cd, err := app.OpenCodec(ctx, cfg, reg)
	if err != nil {
		return err
	}
	rules, err := app.Rules(cfg, allProviders)
	if err != nil {
		return err
	}
	log, err := kafka.OpenLog(kafka.Config{Brokers: cfg.Kafka.Brokers, ClientID: "bench"})
	if err != nil {
		return err
	}
	defer log.Close()
	stop, err := profile(o.profile)
	if err != nil {
		return err
	}
	defer stop()
	before := resident()
	l := &reconciler.Loop{Log: slog.New(slog.DiscardHandler), Now: time.Now, Engine: reconciler.NewEngine(reconciler.Config{
		Topics: cfg.Topics.Names(), Partitions: cfg.Topics.Partitions, Rules: rules, Codec: cd, VerifyDigest: true})}
	numbers := make([]int32, cfg.Topics.Partitions)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(l.Assigned(numbers))
	for _, n := range numbers {
		g.Go(func() error {
			_, err := l.Restore(gctx, n, log, nil)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return memoryOf(l, numbers, before)
}

// profile writes a CPU profile of this process to a file; "" writes none.
func profile(name string) (stop func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); _ = f.Close() }, pprof.StartCPUProfile(f)
}

func memoryOf(l *reconciler.Loop, numbers []int32, before int64) error {
	states, _ := l.Snapshot()
	_, held := l.Memory()
	r := memoryRow{Bench: "restore: memory", Platform: "held by a process of its own", States: states, HeldBytes: float64(held) / float64(states), RSSBefore: before >> 20}
	debug.FreeOSMemory()
	for range 5 {
		began := time.Now()
		runtime.GC()
		r.FullGC = max(r.FullGC, time.Since(began).Seconds()*1000)
	}
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	for _, p := range gc.Pause[:5] {
		r.Pause = max(r.Pause, p.Seconds()*1000)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rss := resident()
	r.HeapBytes, r.RSSBytes, r.RSSMiB = float64(m.HeapAlloc)/float64(states), float64(rss)/float64(states), rss>>20
	began := time.Now()
	l.Revoke(numbers)
	if err := l.Engine.Drop(); err != nil {
		return err
	}
	r.FreedMillis = time.Since(began).Seconds() * 1000
	debug.FreeOSMemory()
	r.RSSAfterMiB = resident() >> 20
	row(r)
	return nil
}

// resident is the resident memory of this process in bytes.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, rss int64
	_, _ = fmt.Sscan(string(text), &size, &rss)
	return rss * int64(os.Getpagesize())
}
