package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/app"
	"rampstream/internal/codec"
	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/poller"
	"rampstream/internal/providers/simulator"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

const secret = "kR7q-secret-of-kanga-2f61"

var accounts = []events.Account{"acme", "bolt", "corp", "dash"}

const partitions = 4

const header = `
kafka: {brokers: [%q]}
registry: {url: %q}
topics: {partitions: %d, replication: 1}
poller: {admin_listen: 127.0.0.1:0}
accounts:
`

const accountLine = `  - {provider: kanga, account: %s, webhook: {trust: hint}, api: {base_url: %q, allow_insecure: true, public_key: pk-%s, private_key: %s}, poll: {rate: 50}}
`

// output is what the program writes, readable while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// system is a broker, a registry, a simulated provider and a configuration
// file for them.
type system struct {
	*embedded.Cluster
	world *simulator.World
	cfg   config.Config
	codec *codec.Codec
	out   *kafka.Producer
	log   *kafka.Log
	path  string
}

func newSystem(t *testing.T, topics, schemas bool) *system {
	t.Helper()
	cluster, err := embedded.Start(embedded.Options{})
	must(t, err)
	t.Cleanup(cluster.Close)
	s := &system{Cluster: cluster, world: simulator.New(simulator.Options{Seed: 7}), path: filepath.Join(t.TempDir(), "rampstream.yaml")}
	for _, a := range accounts {
		must(t, s.world.AddKanga(a, simulator.KangaCreds{APIKey: "pk-" + string(a), Secret: secret + string(a)}, ""))
	}
	must(t, s.world.Start(t.Context()))
	t.Cleanup(s.world.Close)
	text := fmt.Sprintf(header, cluster.Brokers()[0], cluster.RegistryURL(), partitions)
	for _, a := range accounts {
		text += fmt.Sprintf(accountLine, a, s.world.URL("kanga", a), a, secret+string(a))
	}
	must(t, os.WriteFile(s.path, []byte(text), 0o600))
	s.cfg, err = config.Load(s.path, nil, nil)
	must(t, err)
	if topics {
		changes, err := kafka.PlanTopics(t.Context(), s.kafka(), cluster.Specs(kafka.Specs(s.cfg.Topics.Names(), partitions, 1)))
		must(t, err)
		must(t, kafka.ApplyTopics(t.Context(), s.kafka(), changes))
	}
	reg, err := app.OpenRegistry(s.cfg)
	must(t, err)
	if schemas {
		_, err = app.RegisterSchemas(t.Context(), s.cfg, reg)
		must(t, err)
	}
	if !topics || !schemas {
		return s
	}
	s.codec, err = app.OpenCodec(t.Context(), s.cfg, reg)
	must(t, err)
	s.out, err = kafka.OpenProducer(t.Context(), s.kafka(), kafka.ProducerOptions{})
	must(t, err)
	t.Cleanup(func() { _ = s.out.Close(context.Background()) })
	s.log, err = kafka.OpenLog(s.kafka())
	must(t, err)
	t.Cleanup(s.log.Close)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *system) kafka() kafka.Config { return kafka.Config{Brokers: s.Brokers()} }

// program is a running main.
type program struct {
	admin string
	stop  context.CancelFunc
	done  chan error
	out   *output
}

var started = regexp.MustCompile(`"admin":"([^"]+)"`)

func start(t *testing.T, s *system, instance string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &program{stop: stop, done: make(chan error, 1), out: &output{}}
	go func() { p.done <- runMain(ctx, []string{"-config", s.path}, env(instance), p.out) }()
	t.Cleanup(stop)
	eventually(t, "the program starts", func() bool {
		select {
		case err := <-p.done:
			t.Fatalf("ended with %v\n%s", err, p.out)
		default:
		}
		m := started.FindStringSubmatch(p.out.String())
		if m != nil {
			p.admin = "http://" + m[1]
		}
		return m != nil
	})
	return p
}

func env(instance string) []string { return []string{"RAMP_POLLER_INSTANCE_ID=" + instance} }

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if cond() {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 2 minutes: %s", what)
		}
	}
}

// ask writes a task that is due for every order, as the reconciler would.
func (s *system) ask(t *testing.T, keys []events.Key) {
	t.Helper()
	now := events.At(time.Now())
	for _, k := range keys {
		value, err := s.codec.EncodeCheckTask(events.CheckTask{Key: k, DueAt: now, Cause: events.CauseSchedule, Known: true,
			Status: events.StatusPending, Since: now.Add(-time.Hour)})
		must(t, err)
		_, err = s.out.Publish(t.Context(), stream.Record{Topic: s.cfg.Topics.Names().CheckSchedule,
			Partition: stream.PartitionOf([]byte(k.Lane()), partitions), Key: []byte(k.String()), Value: value})
		must(t, err)
	}
}

// checks are the status checks so far, by subject; each is decoded.
func (s *system) checks(t *testing.T) map[events.Key]int {
	t.Helper()
	topic, out := s.cfg.Topics.Names().StatusCheck, map[events.Key]int{}
	for n := range int32(partitions) {
		ends, err := s.log.Ends(t.Context(), n, topic)
		must(t, err)
		must(t, s.log.Read(t.Context(), topic, n, 0, ends[topic].End, true, func(r stream.Record) error {
			c, err := s.codec.DecodeStatusCheck(t.Context(), r.Value)
			// Kanga does not know an order before its payer opened the page.
			answered := c.Outcome == events.OutcomeOK || c.Outcome == events.OutcomeNotFound
			if err != nil || !answered || stream.PartitionOf(r.Key, partitions) != n {
				t.Fatalf("check %s of %s, %v in partition %d; want an answer in its subject's partition", c.Word(), r.Key, err, n)
			}
			out[c.Key]++
			return nil
		}))
	}
	return out
}

func (s *system) asked(t *testing.T, keys []events.Key, times int) func() bool {
	return func() bool {
		got := s.checks(t)
		for _, k := range keys {
			if got[k] < times {
				return false
			}
		}
		return true
	}
}

// Owners come and go; at the provider nonces of a lane increase and calls of a
// lane never overlap (invariant 20).
func TestProgram(t *testing.T) {
	s := newSystem(t, true, true)
	var keys []events.Key
	for _, a := range accounts {
		for i := range 5 {
			truth, err := s.world.PlaceOrder("kanga", a, simulator.OrderSpec{ID: fmt.Sprintf("order-%d", i), Fate: simulator.FateUnpaid})
			must(t, err)
			keys = append(keys, truth.Key)
		}
	}
	s.ask(t, keys)
	a := start(t, s, "one")
	eventually(t, "the first owner asks about every order", s.asked(t, keys, 1))
	b := start(t, s, "two")
	eventually(t, "the second one owns lanes too", func() bool { return len(lanes(t, b)) > 0 })
	s.ask(t, keys)
	eventually(t, "both ask about every order", s.asked(t, keys, 2))
	a.stop()
	if err := <-a.done; err != nil {
		t.Errorf("runMain = %v; want nil after a stop", err)
	}
	a = start(t, s, "one") // a rolling restart
	s.ask(t, keys)
	eventually(t, "all orders are asked about after a restart", s.asked(t, keys, 3))
	for _, p := range []*program{a, b} {
		p.stop()
		if err := <-p.done; err != nil {
			t.Errorf("runMain = %v; want nil after a stop", err)
		}
	}
	if st := s.world.Stats(); st.NonceViolations != 0 || st.Overlaps != 0 {
		t.Errorf("nonce violations %d, overlaps %d; want none\n%s", st.NonceViolations, st.Overlaps, s.calls())
	}
	if out := a.out.String() + b.out.String(); strings.Contains(out, secret) {
		t.Errorf("the log holds the secret:\n%s", out)
	}
}

func (s *system) calls() string {
	var b strings.Builder
	for _, a := range accounts {
		for _, c := range s.world.Calls("kanga", a) {
			fmt.Fprintf(&b, "%s %s %d %s overlap %d\n", a, c.Start.Format("05.000"), c.Nonce, c.Class, c.Overlap)
		}
	}
	return b.String()
}

func lanes(t *testing.T, p *program) (out []poller.LaneSnapshot) {
	t.Helper()
	resp, err := http.Get(p.admin + "/lanes")
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	must(t, json.NewDecoder(resp.Body).Decode(&out))
	return out
}

func TestProgram_refuses(t *testing.T) {
	for _, tc := range []struct {
		name            string
		topics, schemas bool
		change          func(string) string
		code            int
		says            string
	}{
		{"no topics", false, true, nil, run.Refused, "ramp."},
		{"no schemas", true, false, nil, run.Refused, "rampctl schemas register"},
		{"unknown key", true, true, func(s string) string { return s + "\nbrokers: x\n" }, run.BadConfig, "brokers"},
		{"http without leave", true, true, func(s string) string {
			return strings.ReplaceAll(s, "allow_insecure: true", "allow_insecure: false")
		}, run.BadConfig, "https"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSystem(t, tc.topics, tc.schemas)
			if tc.change != nil {
				b, err := os.ReadFile(s.path)
				must(t, err)
				must(t, os.WriteFile(s.path, []byte(tc.change(string(b))), 0o600))
			}
			err := runMain(t.Context(), []string{"-config", s.path}, env("one"), io.Discard)
			if run.Code(err) != tc.code || !strings.Contains(fmt.Sprint(err), tc.says) || strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("runMain = %v, code %d; want code %d and %q", err, run.Code(err), tc.code, tc.says)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"extra"}, {"-config", "does-not-exist.yaml"}} {
		if err := runMain(t.Context(), args, nil, io.Discard); run.Code(err) != run.BadConfig {
			t.Errorf("runMain(%q) = %v; want a configuration fault", args, err)
		}
	}
	var out bytes.Buffer
	if err := runMain(t.Context(), []string{"-h"}, nil, &out); err != nil || !strings.Contains(out.String(), "-config") {
		t.Errorf("-h = %v, %q", err, out.String())
	}
}
