package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/providers/simulator"
)

// bed is where a benchmark runs: a Kafka, topics, schemas, built programs.
type bed struct {
	name    string
	dir     string
	cfg     config.Config
	file    string
	sim     *demo.Sim
	cluster *embedded.Cluster
	ingest  string
}

// newBed prepares a platform with fresh topics.
func newBed(ctx context.Context, o options) (b *bed, err error) {
	b = &bed{name: "real"}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	brokers, registry := strings.Split(o.brokers, ","), o.registry
	if o.brokers == "" {
		b.name = "embedded"
		if b.cluster, err = embedded.Start(embedded.Options{}); err != nil {
			return b, err
		}
		brokers, registry = b.cluster.Brokers(), b.cluster.RegistryURL()
	}
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return b, err
	}
	addr, err := freeAddr()
	if err != nil {
		return b, err
	}
	b.ingest = "http://" + addr
	// The benchmarks send every callback themselves.
	mute := simulator.Faults{Lose: 1}
	if b.sim, err = demo.New(ctx, demo.Options{Ingest: b.ingest, Faults: mute}); err != nil {
		return b, err
	}
	b.cfg = b.sim.Config(brokers, registry)
	b.cfg.Topics.Prefix = fmt.Sprintf("bench%d.", time.Now().UnixNano())
	b.cfg.Topics.Partitions = int32(o.partitions)
	b.cfg.Ingest.Listen = addr
	b.cfg.Rules = config.Default().Rules
	b.cfg.Reconciler.Store, b.cfg.Reconciler.StoreDir = o.store, filepath.Join(b.dir, "store")
	if b.file, err = demo.WriteConfig(b.cfg, b.dir); err != nil {
		return b, err
	}
	if err := b.platform(ctx, o); err != nil {
		return b, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", b.dir, "./cmd/ingest", "./cmd/poller", "./cmd/reconciler", "./bench")
	build.Stderr = os.Stderr
	return b, build.Run()
}

func (b *bed) platform(ctx context.Context, o options) error {
	kc := b.kafka()
	changes, err := kafka.PlanTopics(ctx, kc, kafka.Specs(b.cfg.Topics.Names(), b.cfg.Topics.Partitions, int16(o.replicas)))
	if err != nil {
		return err
	}
	if err := kafka.ApplyTopics(ctx, kc, changes); err != nil {
		return err
	}
	reg, err := app.OpenRegistry(b.cfg)
	if err != nil {
		return err
	}
	_, err = app.RegisterSchemas(ctx, b.cfg, reg)
	return err
}

func (b *bed) kafka() kafka.Config {
	return kafka.Config{Brokers: b.cfg.Kafka.Brokers, ClientID: "bench"}
}

func (b *bed) close() {
	if b.sim != nil {
		b.sim.World.Close()
	}
	if b.cluster != nil {
		b.cluster.Close()
	}
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// process is a program under measurement.
type process struct {
	cmd *exec.Cmd
	log bytes.Buffer
}

func (b *bed) start(ctx context.Context, name string, args ...string) (*process, error) {
	return b.startWith(ctx, nil, name, args...)
}

// startWith adds to the environment.
func (b *bed) startWith(ctx context.Context, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, filepath.Join(b.dir, name), args...)}
	p.cmd.Stderr = &p.log
	p.cmd.Env = append(os.Environ(), env...)
	return p, p.cmd.Start()
}

// usage is what the operating system says a process used.
type usage struct {
	CPU time.Duration
	RSS int64 // peak resident memory in bytes
}

// stop ends a process and returns its accounting. The peak is that of its life
// until here: what the system reports at its end counts from the memory of the
// process that started it.
func (p *process) stop() (usage, error) {
	u := usage{RSS: p.peak()}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	err := p.cmd.Wait()
	u.CPU = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if err != nil {
		return u, fmt.Errorf("%s: %w: %s", p.cmd.Path, err, p.log.String())
	}
	return u, nil
}

// peak is the most resident memory of a running process so far, in bytes.
func (p *process) peak() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	var kib int64
	if _, after, ok := strings.Cut(string(text), "VmHWM:"); ok {
		_, _ = fmt.Sscan(after, &kib)
	}
	return kib << 10
}

// cpu is the time that a running process has used so far.
func (p *process) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := statFields(text)
	var utime, stime int64
	_, _ = fmt.Sscan(fields[11], &utime)
	_, _ = fmt.Sscan(fields[12], &stime)
	return time.Duration(utime+stime) * 10 * time.Millisecond // USER_HZ is 100 on Linux
}

// statFields are those of /proc/PID/stat after the command's name.
func statFields(text []byte) []string {
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// zombie reports whether a process has ended and was not waited for yet.
func (p *process) zombie() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	return err != nil || statFields(text)[0] == "Z"
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String(), nil
}

// await polls an address until it answers, for as long as the process runs and
// at most half a minute.
func (p *process) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		resp, err := http.Get(url)
		if err == nil {
			_ = resp.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
			return fmt.Errorf("%s does not answer: %w: %s", url, err, p.log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
