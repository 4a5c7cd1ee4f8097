package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/providers/simulator"
)

// hintRow is how long an unsigned callback takes to become a call.
type hintRow struct {
	Bench    string  `json:"bench"`
	Platform string  `json:"platform"`
	Hints    int     `json:"hints"`
	Asked    int     `json:"asked"`
	P50MS    float64 `json:"p50_ms"`
	P99MS    float64 `json:"p99_ms"`
	MaxMS    float64 `json:"max_ms"`
}

// benchHints announces orders that do not move, sends one Kanga callback for
// each, and measures the time from sending it to the start of the CHECK PAYMENT
// call about that order.
func benchHints(ctx context.Context, o options) error {
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	// Nothing is due by itself during the run: every call is caused by a hint.
	b.cfg.Rules.MinInterval, b.cfg.Rules.MaxInterval = 12*time.Hour, 13*time.Hour
	for i := range b.cfg.Accounts {
		b.cfg.Accounts[i].Poll.SweepEvery = time.Hour
	}
	b.cfg.Ingest.Hint = config.Hint{PerOrder: time.Minute, Rate: 1000, Burst: 1000}
	if b.file, err = demo.WriteConfig(b.cfg, b.dir); err != nil {
		return err
	}
	for _, name := range []string{"ingest", "reconciler", "poller"} {
		p, err := b.start(ctx, name, "-config", b.file)
		if err != nil {
			return err
		}
		defer func() { _, _ = p.stop() }()
		if name == "ingest" {
			if err := p.await(ctx, b.ingest); err != nil {
				return err
			}
		}
	}
	ids, err := b.announce(ctx, o.orders)
	if err != nil {
		return err
	}
	return b.measureHints(ctx, ids)
}

// announce places orders that stay where they are and waits until the first of
// them answers to a hint: then all three programs are up.
func (b *bed) announce(ctx context.Context, n int) ([]string, error) {
	var ids []string
	for i := range n + 1 {
		t, err := b.sim.World.PlaceOrder("kanga", demo.Account, simulator.OrderSpec{Fate: simulator.FateUnpaid})
		if err != nil {
			return nil, err
		}
		if err := b.sim.Announce(ctx, t); err != nil {
			return nil, fmt.Errorf("order %d: %w", i, err)
		}
		ids = append(ids, t.Key.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := b.callback(ctx, ids[0]); err != nil {
		return nil, err
	}
	for b.asked()[ids[0]].IsZero() {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the first hint caused no call: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return ids[1:], nil
}

func (b *bed) callback(ctx context.Context, id string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.ingest+"/v1/webhooks/kanga/"+demo.Account+"?transactionKey="+id, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("callback: HTTP %d", resp.StatusCode)
	}
	return nil
}

// asked is when each order was first asked about.
func (b *bed) asked() map[string]time.Time {
	out := map[string]time.Time{}
	for _, c := range b.sim.World.Calls("kanga", demo.Account) {
		if _, known := out[c.Subject]; !known {
			out[c.Subject] = c.Start
		}
	}
	return out
}

func (b *bed) measureHints(ctx context.Context, ids []string) error {
	sent := map[string]time.Time{}
	tick := time.NewTicker(40 * time.Millisecond) // 25 a second, below hint_rate
	defer tick.Stop()
	for _, id := range ids {
		sent[id] = time.Now()
		if err := b.callback(ctx, id); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	limit := time.After(10 * time.Second)
	var asked map[string]time.Time
	for done := false; !done; {
		asked = b.asked()
		done = true
		for _, id := range ids {
			done = done && !asked[id].IsZero()
		}
		select {
		case <-limit:
			done = true
		case <-time.After(100 * time.Millisecond):
		}
	}
	var took []time.Duration
	for _, id := range ids {
		if at := asked[id]; !at.IsZero() {
			took = append(took, at.Sub(sent[id]))
		}
	}
	if len(took) == 0 {
		return fmt.Errorf("no hint caused a call")
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	row(hintRow{"hint on a known order to its status call", b.name, len(ids), len(took), at(0.5), at(0.99), at(1)})
	return nil
}
