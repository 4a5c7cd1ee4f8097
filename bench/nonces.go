package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"rampstream/internal/app"
	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// nonceRow is what a provider saw of pollers that came and went.
type nonceRow struct {
	Bench       string  `json:"bench"`
	Platform    string  `json:"platform"`
	Keys        int     `json:"keys"`
	Pollers     int     `json:"pollers"`
	Seconds     float64 `json:"seconds"`
	Starts      int     `json:"starts"`
	Terms       int     `json:"sigterm"`
	Kills       int     `json:"sigkill"`
	Calls       int     `json:"calls"`
	Changes     int     `json:"ownership_changes"`
	Refusals    int     `json:"refusals"`
	MostPer     int     `json:"most_refusals_per_change"`
	Overlaps    int     `json:"overlapping_calls"`
	LongestGapS float64 `json:"longest_gap_seconds"`
}

// nonceLog is a Kanga that refuses what is not above every nonce before it, and
// knows each poller process by the path it was told to call.
type nonceLog struct {
	latency time.Duration
	mu      sync.Mutex
	keys    map[string]*nonceKey
}

type nonceKey struct {
	last                 int64
	owner                string
	inFlight             int
	lastAt               time.Time
	calls, changes       int
	refusals, sinceOwner int
	mostPer, overlaps    int
	gap                  time.Duration
}

// ServeHTTP answers CHECK PAYMENT of an order that does not move. The path
// begins with the process's own name.
func (n *nonceLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		AppID string `json:"appId"`
		Nonce int64  `json:"nonce"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&q); err != nil {
		http.Error(w, "{}", http.StatusBadRequest)
		return
	}
	owner := strings.SplitN(r.URL.Path, "/", 3)[1]
	ok := n.begin(q.AppID, owner, q.Nonce)
	time.Sleep(n.latency)
	n.end(q.AppID)
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		fmt.Fprint(w, `{"result":"fail","code":9000}`)
		return
	}
	fmt.Fprint(w, `{"result":"ok","state":"ACTIVE","amount":"0.0021","currency":"BTC"}`)
}

func (n *nonceLog) begin(key, owner string, nonce int64) (ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.keys[key]
	if k == nil {
		k = &nonceKey{owner: owner, lastAt: time.Now()}
		n.keys[key] = k
	}
	if k.owner != owner {
		k.owner, k.sinceOwner = owner, 0
		k.changes++
	}
	k.gap, k.lastAt = max(k.gap, time.Since(k.lastAt)), time.Now()
	k.calls++
	if k.inFlight++; k.inFlight > 1 {
		k.overlaps++
	}
	if nonce <= k.last {
		k.refusals++
		k.sinceOwner++
		k.mostPer = max(k.mostPer, k.sinceOwner)
		return false
	}
	k.last = nonce
	return true
}

func (n *nonceLog) end(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys[key].inFlight--
}

func (n *nonceLog) sum(r *nonceRow) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r.Keys = len(n.keys)
	for _, k := range n.keys {
		r.Calls += k.calls
		r.Changes += k.changes
		r.Refusals += k.refusals
		r.Overlaps += k.overlaps
		r.MostPer = max(r.MostPer, k.mostPer)
		r.LongestGapS = max(r.LongestGapS, k.gap.Seconds())
	}
}

// benchNonces lets pollers join, leave and die every ten seconds or so, and
// reads from the provider what became of its nonces: it fails when calls of one
// key overlapped or an ownership change cost more than one refusal.
func benchNonces(ctx context.Context, o options) error {
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pb := &pollerBed{bed: b, o: o, provider: "kanga", period: 2 * time.Second}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &nonceLog{latency: o.latency, keys: map[string]*nonceKey{}}
	srv := &http.Server{Handler: server, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(ln) }()
	defer func() { _ = srv.Close() }()
	reg, err := app.OpenRegistry(b.cfg)
	if err != nil {
		return err
	}
	if pb.codec, err = app.OpenCodec(ctx, b.cfg, reg); err != nil {
		return err
	}
	pb.o.orders = 10 * o.lanes
	if err := pb.fillSchedule(ctx, time.Now()); err != nil {
		return err
	}
	if err := pb.reschedule(ctx); err != nil {
		return err
	}
	f := &fleet{bed: pb, base: "http://" + ln.Addr().String(), members: make([]*process, o.pollers)}
	defer f.end()
	began := time.Now()
	if err := f.churn(ctx, o.duration); err != nil {
		return err
	}
	r := nonceRow{Bench: "nonces", Platform: b.name, Pollers: o.pollers, Seconds: time.Since(began).Seconds(),
		Starts: f.starts, Terms: f.terms, Kills: f.kills}
	server.sum(&r)
	row(r)
	if r.Overlaps > 0 || r.MostPer > 1 {
		return errors.New("calls of one key overlapped, or an ownership change cost more than one refusal")
	}
	return nil
}

// fleet are the poller processes: nil where none runs.
type fleet struct {
	bed                  *pollerBed
	base                 string
	members              []*process
	starts, terms, kills int
}

// churn starts two pollers, then changes something about every ten seconds.
func (f *fleet) churn(ctx context.Context, d time.Duration) error {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for i := range 2 {
		if err := f.start(ctx, i); err != nil {
			return err
		}
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(6000+rng.IntN(6000)) * time.Millisecond):
		}
		i := rng.IntN(len(f.members))
		switch {
		case f.members[i] == nil:
			if err := f.start(ctx, i); err != nil {
				return err
			}
			continue
		case rng.IntN(2) == 0:
			if err := f.term(i); err != nil {
				return err
			}
		default:
			f.kill(i)
		}
		// A rolling restart, or two that are left alone for a while.
		if f.running() < 2 || rng.IntN(2) == 0 {
			if err := f.start(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fleet) running() (n int) {
	for _, m := range f.members {
		if m != nil {
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
	cfg.Ingest.Tokens, cfg.Log.Level, cfg.Accounts = nil, "warn", nil
	for n := range f.bed.o.lanes {
		cfg.Accounts = append(cfg.Accounts, providers.Account{
			Provider: "kanga", Account: benchLane(n), Webhook: providers.Webhook{Trust: "hint"},
			API: providers.API{BaseURL: f.base + "/" + name, AllowInsecure: true, PublicKey: string(benchLane(n)),
				PrivateKey: providers.Secret(events.Digest("bench", string(benchLane(n))))},
			Poll: providers.Poll{Rate: 10, Burst: 10},
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
