package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// comparePoller runs the least that asks as often: a GET and a record for each
// answer, without schedule, budget, fairness, group or codec.
func (b *pollerBed) comparePoller(ctx context.Context, url string) error {
	p, err := b.start(ctx, "bench", "peer-poller", "-brokers", strings.Join(b.cfg.Kafka.Brokers, ","),
		"-rate", fmt.Sprint(b.o.rate), "-lanes", fmt.Sprint(b.o.lanes), url, b.cfg.Topics.Names().DeadLetter)
	if err != nil {
		return err
	}
	for _, d := range []time.Duration{3 * time.Second, b.o.duration} { // the first is to get warm
		cpu, at, calls := p.cpu(), time.Now(), b.answered.Load()
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
		if d < b.o.duration {
			continue
		}
		n, took := float64(b.answered.Load()-calls), time.Since(at).Seconds()
		cpu = p.cpu() - cpu
		u, err := p.stop()
		if err != nil {
			return err
		}
		row(pollerRow{Bench: "poller peer", Platform: b.name, Lanes: b.o.lanes, Offered: b.o.rate, Seconds: took, PerSecond: n / took,
			CPUMicros: float64(cpu.Microseconds()) / n, PeakRSSMiB: u.RSS >> 20})
	}
	return nil
}

// peerPoller asks URL/NUMBER at a rate until SIGTERM and produces each answer.
func peerPoller(ctx context.Context, o options, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: bench peer-poller URL TOPIC")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.DefaultProduceTopic(args[1]), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8 * o.lanes}, Timeout: 15 * time.Second}
	due := make(chan int)
	var wg sync.WaitGroup
	for range 8 * o.lanes {
		wg.Go(func() {
			for n := range due {
				askAndProduce(ctx, cl, client, fmt.Sprintf("%s/%d", args[0], n))
			}
		})
	}
	defer wg.Wait()
	defer close(due)
	for began, n := time.Now(), 0; ; n++ {
		if wait := time.Until(began.Add(time.Duration(float64(n) / o.rate * float64(time.Second)))); wait > 0 {
			time.Sleep(wait)
		}
		select {
		case due <- n:
		case <-ctx.Done():
			return nil
		}
	}
}

func askAndProduce(ctx context.Context, cl *kgo.Client, client *http.Client, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	var answer struct {
		Data struct {
			ID      string `json:"_id"`
			Payment string `json:"paymentStatus"`
		} `json:"data"`
	}
	if err != nil || json.Unmarshal(body, &answer) != nil {
		return
	}
	cl.Produce(ctx, kgo.KeySliceRecord([]byte(answer.Data.ID), body), nil)
}
