package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/integration"
	"rampstream/internal/codec"
	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/inspect"
	"rampstream/internal/kafka"
	"rampstream/internal/providers/simulator"
	"rampstream/internal/stream"
)

const partitions = 4

// world is one scenario's surroundings: topics of its own, simulated providers,
// a configuration file, and the processes that it started.
type world struct {
	t      *testing.T
	p      platform
	dir    string
	file   string            // the configuration
	files  map[string]string // of single programs, where they differ
	cfg    config.Config
	sim    *demo.Sim
	ingest string // base URL
	adm    *kadm.Client
	// counted: the check looks at when the providers were called. It cannot where
	// programs are stopped at moments that nobody planned: what was allowed before
	// is sent after.
	counted bool

	mu    sync.Mutex
	procs []*process
}

// options of a world; the zero value is one without faults.
type options struct {
	seed   uint64
	faults simulator.Faults
	stage  time.Duration
	change func(*config.Config)
	token  time.Duration // life of the providers' access tokens; 0 for the simulator's
	again  int           // how often providers repeat a webhook; 0 for the simulator's
	empty  bool          // no topics, no schemas
}

func newWorld(t *testing.T, p platform, o options) *world {
	t.Helper()
	if o.seed == 0 {
		o.seed = *seed
	}
	t.Logf("seed %d", o.seed)
	w := &world{t: t, p: p, dir: t.TempDir()}
	listen := freeAddr(t)
	w.ingest = "http://" + listen
	var err error
	// The world outlives the test's own context: its end is part of the clean-up.
	w.sim, err = demo.New(context.Background(), demo.Options{Seed: o.seed, Faults: o.faults, Stage: o.stage, TokenLife: o.token, Retries: o.again, Ingest: w.ingest})
	must(t, err)
	t.Cleanup(w.sim.World.Close)
	w.cfg = w.sim.Config(p.brokers, p.registry)
	c := &w.cfg
	c.Topics.Prefix = fmt.Sprintf("it-%08x.", rand.Uint32())
	c.Topics.Partitions, c.Topics.Replicas = partitions, p.replicas
	c.Ingest.Listen, c.Ingest.PublicURL = listen, "https://hooks.example.com"
	c.Poller.Group, c.Reconciler.Group = c.Topics.Prefix+"poller", c.Topics.Prefix+"reconciler"
	c.Poller.InstanceID, c.Reconciler.InstanceID, c.Reconciler.TransactionalID = "none", "none", ""
	if o.change != nil {
		o.change(c)
	}
	w.file, err = demo.WriteConfig(*c, w.dir)
	must(t, err)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Kafka.Brokers...))
	must(t, err)
	t.Cleanup(cl.Close)
	w.adm = kadm.NewClient(cl)
	t.Cleanup(w.end)
	if !o.empty {
		w.prepare()
	}
	return w
}

// prepare creates topics and schemas the way an operator does.
func (w *world) prepare() {
	w.t.Helper()
	for _, args := range [][]string{{"topics", "apply"}, {"schemas", "register"}, {"topics", "check"}, {"schemas", "check"}} {
		if code, out := w.rampctl(args...); code != 0 {
			w.t.Fatalf("rampctl %s: exit code %d, want 0\n%s", strings.Join(args, " "), code, out)
		}
	}
}

// end kills what still runs, shows logs of a failed test, and removes topics.
func (w *world) end() {
	for _, p := range w.processes() {
		p.End()
		if w.t.Failed() {
			w.t.Logf("---- %s, exit code %d\n%s", p, p.Code(), tail(p.log.String()))
		}
	}
	if w.p.real() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, _ = w.adm.DeleteTopics(ctx, w.cfg.Topics.Names().All()...) // politeness only
	}
}

func (w *world) processes() []*process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*process(nil), w.procs...)
}

// rampctl runs one command to its end.
func (w *world) rampctl(args ...string) (code int, out string) {
	w.t.Helper()
	return w.command("rampctl", append([]string{"-c", w.file}, args...)...)
}

// command runs a program to its end.
func (w *world) command(name string, args ...string) (code int, out string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Env = integration.Environment("it")
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// process is a running program.
type process struct {
	*integration.Process
	w    *world
	name string
	log  *integration.Output
}

// start runs a program on the world's configuration.
func (w *world) start(name, instance string) *process {
	w.t.Helper()
	file := w.file
	if f := w.files[name]; f != "" {
		file = f
	}
	return w.startOn(name, instance, file)
}

// startOn runs a program on another configuration.
func (w *world) startOn(name, instance, file string) *process {
	w.t.Helper()
	return w.startIn(nil, name, instance, file)
}

// startIn runs a program with more of an environment.
func (w *world) startIn(env []string, name, instance, file string) *process {
	w.t.Helper()
	run, err := integration.StartProcessIn(env, filepath.Join(bin, name), instance, file, freeAddr(w.t))
	must(w.t, err)
	p := &process{Process: run, w: w, name: name, log: run.Log}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.procs = append(w.procs, p)
	return p
}

// startAll runs one of each and waits until all are ready.
func (w *world) startAll() (ingest, poller, reconciler *process) {
	w.t.Helper()
	reconciler, ingest, poller = w.start("reconciler", "a"), w.start("ingest", "a"), w.start("poller", "a")
	for _, p := range []*process{reconciler, ingest, poller} {
		p.ready()
	}
	return ingest, poller, reconciler
}

func (p *process) readiness() (int, string) { return p.Readiness(p.w.t.Context()) }

func (p *process) ready() {
	p.w.t.Helper()
	eventually(p.w.t, patience, p.String()+" is ready", func() (bool, string) {
		select {
		case <-p.Done():
			p.w.t.Fatalf("%s ended with code %d", p, p.Code())
		default:
		}
		code, said := p.readiness()
		return code == http.StatusOK, said
	})
}

// wait waits for the end of a program that was told to end.
func (p *process) wait() int {
	p.w.t.Helper()
	ctx, cancel := context.WithTimeout(p.w.t.Context(), patience)
	defer cancel()
	code, err := p.Wait(ctx)
	must(p.w.t, err)
	return code
}

// stop is SIGTERM, which must end with code 0.
func (p *process) stop() {
	p.w.t.Helper()
	must(p.w.t, p.Signal(syscall.SIGTERM))
	if code := p.wait(); code != 0 {
		p.w.t.Errorf("%s: exit code %d after SIGTERM, want 0", p, code)
	}
}

// kill is kill -9, proven: the process was ended by it and is gone.
func (p *process) kill() { p.w.t.Helper(); must(p.w.t, p.Kill()) }

// ground is what the checker needs of the world.
func (w *world) ground() integration.Ground {
	return integration.Ground{Config: w.cfg, Sim: w.sim, Admin: w.adm}
}

// reading opens what a test reads topics with.
func (w *world) reading() (*codec.Codec, *kafka.Log) {
	w.t.Helper()
	cd, log, err := w.ground().Open(w.t.Context())
	must(w.t, err)
	w.t.Cleanup(log.Close)
	return cd, log
}

func (w *world) table() *inspect.Table {
	w.t.Helper()
	cd, log := w.reading()
	return inspect.NewTable(inspect.Reader{Log: log, Codec: cd, Topics: w.topics(), Partitions: w.cfg.Topics.Partitions})
}

func (w *world) topics() stream.Topics { return w.cfg.Topics.Names() }

// answer is what ingest said.
type answer struct {
	Status     int
	RetryAfter string
	Body       []byte
	Took       time.Duration
}

// post sends one request to ingest; a request that gets no answer has status 0.
func (w *world) post(path string, header http.Header, body []byte) answer {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.ingest+path, bytes.NewReader(body))
	if err != nil {
		return answer{Body: []byte(err.Error())}
	}
	req.Header = header.Clone()
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{Body: []byte(err.Error()), Took: time.Since(start)}
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("Retry-After"), text, time.Since(start)}
}

// accepted asks until the answer is 200, as whoever is told 503 does.
func (w *world) accepted(ask func() answer) {
	w.t.Helper()
	eventually(w.t, patience, "ingest takes it", func() (bool, string) {
		a := ask()
		if a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable && a.Status != 0 {
			w.t.Fatalf("answered %d %s, want 200", a.Status, a.Body)
		}
		return a.Status == http.StatusOK, fmt.Sprintf("%d %s", a.Status, a.Body)
	})
}

// intend posts the intent of an order that no provider has.
func (w *world) intend(id string) answer {
	text, _ := json.Marshal(map[string]string{"provider": "koinal", "account": demo.Account, "order_id": id})
	return w.post("/v1/orders", http.Header{"Authorization": {"Bearer " + w.sim.Token}, "Content-Type": {"application/json"}}, text)
}
