package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/run"
	"rampstream/internal/stream"
	"rampstream/internal/telemetry"
)

// patience is more than any of these tests takes where other programs have the
// processors: nothing waits for it to end.
const patience = 3 * time.Minute

// The last line of stdout is the summary, and nothing is wrong or missing.
func TestDemo_endsByItself(t *testing.T) {
	var out, errw lockedBuffer
	err := execute(t.Context(), []string{"demo", "--orders", "40", "--seed", "7", "--stage", "150ms", "--for", patience.String(), "-o", "json"}, nil, &out, &errw)
	if err != nil {
		t.Fatalf("demo = %v\n%s", err, errw.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var got map[string]float64
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	for _, name := range []string{"orders", "wrong", "missing", "by_webhook", "by_poll", "disputed", "discrepancies", "first_settled_ms", "seconds"} {
		if _, ok := got[name]; !ok {
			t.Errorf("the summary lacks %q: %v", name, got)
		}
	}
	if got["orders"] != 44 || got["wrong"] != 0 || got["missing"] != 0 || got["by_webhook"] == 0 || got["by_poll"] == 0 {
		t.Errorf("summary = %v; want 44 subjects, none wrong or missing, some by webhook and some by poll", got)
	}
}

// An operator has to know whether rampctl is of the version that the programs run.
func TestExecute_version(t *testing.T) {
	var out, errw bytes.Buffer
	if err := execute(t.Context(), []string{"--version"}, nil, &out, &errw); err != nil || !strings.Contains(out.String(), telemetry.Build()) {
		t.Errorf("rampctl --version = %v, %q; want %q", err, out.String(), telemetry.Build())
	}
}

func TestExecute_usage(t *testing.T) {
	for _, args := range [][]string{
		{"demo", "--orders", "-1"}, {"demo", "--no-such-flag"}, {"orders", "get"}, {"orders", "ls", "-o", "yaml"},
		{"discrepancies", "ls", "--type", "NOPE"}, {"tail"}, {"topics", "apply", "surplus"},
		{"config", "validate", "--program", "nosuch"}, {"nosuch"}, {"orders", "nosuch"}, {"topics", "nosuch"},
	} {
		var out, errw bytes.Buffer
		if err := execute(t.Context(), args, nil, &out, &errw); run.Code(err) != run.BadConfig {
			t.Errorf("rampctl %v = %v, code %d; want code 2", args, err, run.Code(err))
		}
	}
}

// Nothing personal and no secret that the providers or the configuration hold
// comes out: not in any topic, nor in the logs at their loudest.
func TestDemo_leaksNothing(t *testing.T) {
	var out, errw lockedBuffer
	d := &running{c: &cli{out: &out, errw: &errw, output: "json"}, o: demoOptions{orders: 30, seed: 3, limit: patience, logs: "debug", stage: 100 * time.Millisecond}}
	var err error
	if d.log, err = telemetry.NewLogger(&errw, "demo", "debug", "json"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.close() }()
	public, err := d.prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	g, gctx := errgroup.WithContext(ctx)
	d.start(gctx, g, public)
	if _, err := d.watch(gctx); err != nil {
		t.Fatal(err)
	}
	haystack := rawTopics(t, d.view)
	stop()
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	haystack["logs"] = append(errw.Bytes(), out.Bytes()...)

	needles := append(d.sim.World.Canaries(), d.sim.World.Secrets()...)
	needles = append(needles, d.sim.Token)
	if len(needles) < 20 {
		t.Fatalf("only %d canaries: the simulators plant more", len(needles))
	}
	for place, hay := range haystack {
		if len(hay) == 0 {
			t.Errorf("%s is empty: nothing was searched", place)
		}
		for i, n := range needles {
			for _, form := range forms(n) {
				if len(form) >= 6 && bytes.Contains(hay, []byte(form)) {
					t.Errorf("canary %d (%.4s...) is in %s", i, n, place)
				}
			}
		}
	}
}

// rawTopics is every byte of every record of every topic that the run filled.
func rawTopics(t *testing.T, r inspect.Reader) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	empty := []string{r.Topics.LaneState, r.Topics.DeadLetter} // may stay so
	for _, topic := range r.Topics.All() {
		var all []byte
		err := r.Scan(t.Context(), &inspect.Cursor{Topic: topic}, func(rec stream.Record) error {
			all = append(append(append(all, rec.Key...), 0), rec.Value...)
			for _, h := range rec.Headers {
				all = append(append(append(all, 0), h.Key...), h.Value...)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) > 0 || !slices.Contains(empty, topic) {
			out[topic] = all
		}
	}
	return out
}

// forms are the spellings in which a leak would still be one.
func forms(s string) []string {
	j, _ := json.Marshal(s)
	return []string{s, strings.ToUpper(s), url.QueryEscape(s), string(j[1 : len(j)-1]),
		base64.StdEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s))}
}

// lockedBuffer is a buffer that several goroutines may write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string { return string(l.Bytes()) }

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.b.Bytes())
}

func TestByStake(t *testing.T) {
	d := func(amount events.Amount, currency string) events.Discrepancy {
		return events.Discrepancy{AtStake: amount, AtStakeCurrency: currency}
	}
	got := []events.Discrepancy{d("", ""), d("9", "EUR"), d("10.0", "EUR"), d("1", "BTC"), d("0.5", "EUR")}
	byStake(got)
	want := []events.Amount{"1", "10.0", "9", "0.5", ""}
	for i := range want {
		if got[i].AtStake != want[i] {
			t.Fatalf("order = %v at %d, want %v", got[i].AtStake, i, want)
		}
	}
}
