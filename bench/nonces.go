package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"rampstream/internal/app"
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
	Stops       int     `json:"sigstop"`
	Calls       int     `json:"calls"`
	PerSecond   float64 `json:"calls_per_second"`
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
	if n.latency > 0 {
		time.Sleep(n.latency)
	}
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

// total is how many calls there were.
func (n *nonceLog) total() (calls int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range n.keys {
		calls += k.calls
	}
	return calls
}

// benchNonces lets pollers join, leave, stand still and die, and reads from the
// provider what became of its nonces: it fails when calls of one key overlapped
// or an ownership change cost more than one refusal.
func benchNonces(ctx context.Context, o options) error {
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pb := &pollerBed{bed: b, o: o, provider: "kanga", period: 2 * time.Second}
	pb.o.orders = 10 * o.lanes
	if o.calls > 0 { // as fast as one call at a time can be
		pb.o.orders, pb.period = 50*o.lanes, time.Millisecond
	}
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
	if err := pb.fillSchedule(ctx, time.Now()); err != nil {
		return err
	}
	if err := pb.reschedule(ctx); err != nil {
		return err
	}
	f := &fleet{bed: pb, base: "http://" + ln.Addr().String(), members: make([]*process, o.pollers), stopped: map[int]time.Time{}}
	defer f.end()
	began := time.Now()
	if err := f.churn(ctx, o, server.total); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	r := nonceRow{Bench: "nonces", Platform: b.name, Pollers: o.pollers, Seconds: took,
		Starts: f.starts, Terms: f.terms, Kills: f.kills, Stops: f.stops}
	server.sum(&r)
	r.PerSecond = float64(r.Calls) / took
	row(r)
	if r.Overlaps > 0 || r.MostPer > 1 || r.Refusals > r.Changes {
		return errors.New("calls of one key overlapped, or an ownership change cost more than one refusal")
	}
	return nil
}
