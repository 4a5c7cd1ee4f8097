package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ingestRow is one row of figures of ingest.
type ingestRow struct {
	Bench       string  `json:"bench"`
	Platform    string  `json:"platform"`
	Connections int     `json:"connections"`
	Requests    int     `json:"requests"`
	PerSecond   float64 `json:"requests_per_second"`
	P50MS       float64 `json:"p50_ms"`
	P99MS       float64 `json:"p99_ms"`
	CPUMicros   float64 `json:"cpu_us_per_request"`
	PeakRSSMiB  int64   `json:"peak_rss_mib"`
	Not200      int     `json:"not_200"`
}

func benchIngest(ctx context.Context, o options) error {
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	if o.peers {
		peer, err := b.start(ctx, "bench", "peer-ingest", "-brokers", strings.Join(b.cfg.Kafka.Brokers, ","), "--", b.cfg.Ingest.Listen, b.cfg.Topics.Names().DeadLetter)
		if err != nil {
			return err
		}
		if err := b.measureIngest(ctx, o, peer, "peer: net/http + produce, no verification, no schema"); err != nil {
			return err
		}
	}
	p, err := b.start(ctx, "ingest", "-config", b.file)
	if err != nil {
		return err
	}
	return b.measureIngest(ctx, o, p, "ingest: koinal callback")
}

func (b *bed) measureIngest(ctx context.Context, o options, p *process, name string) error {
	if err := p.await(ctx, b.ingest); err != nil {
		return err
	}
	secret := b.cfg.Accounts[2].Webhook.Secrets[0].Reveal()
	url := b.ingest + "/v1/webhooks/koinal/demo"
	if _, _, err := load(ctx, o.connections, time.Second, url, secret, 0); err != nil { // warm up
		return err
	}
	before := p.cpu()
	began := time.Now()
	times, bad, err := load(ctx, o.connections, o.duration, url, secret, 1)
	if err != nil {
		return err
	}
	took, cpu := time.Since(began), p.cpu()-before
	u, err := p.stop()
	if err != nil {
		return err
	}
	slices.Sort(times)
	at := func(q float64) float64 { return float64(times[int(q*float64(len(times)-1))].Microseconds()) / 1000 }
	row(ingestRow{name, b.name, o.connections, len(times), float64(len(times)) / took.Seconds(), at(0.5), at(0.99),
		float64(cpu.Microseconds()) / float64(len(times)), u.RSS >> 20, bad})
	return nil
}

// load posts distinct signed callbacks over n connections and returns how long
// each took.
func load(ctx context.Context, n int, d time.Duration, url, secret string, run int) (all []time.Duration, bad int, err error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n, MaxConnsPerHost: n}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			var mine []time.Duration
			wrong := 0
			for i := 0; ctx.Err() == nil; i++ {
				took, code := post(ctx, client, url, secret, run*1_000_000_000+w*10_000_000+i)
				if ctx.Err() != nil {
					break
				}
				mine = append(mine, took)
				if code != http.StatusOK {
					wrong++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all, bad = append(all, mine...), bad+wrong
		})
	}
	wg.Wait()
	if len(all) == 0 {
		return nil, bad, fmt.Errorf("no request was answered within %v", d)
	}
	return all, bad, nil
}

func post(ctx context.Context, client *http.Client, url, secret string, id int) (time.Duration, int) {
	body := fmt.Sprintf(`{"id":%d,"status":"COMPLETED","currency_amount":100.5,"currency":"USD","cryptocurrency_amount":0.0021,"cryptocurrency":"BTC","transaction_id":"%064x"}`, id, id)
	sum := sha256.Sum256([]byte(body + secret))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Signature", hex.EncodeToString(sum[:]))
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return time.Since(began), 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return time.Since(began), resp.StatusCode
}

// peerIngest is the least that an HTTP receiver on Kafka can do: read the body,
// produce it with acks=all, answer 200.
func peerIngest(ctx context.Context, o options, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: bench peer-ingest ADDRESS TOPIC")
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.DefaultProduceTopic(args[1]), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	srv := &http.Server{Addr: args[0], ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err == nil {
			err = cl.ProduceSync(context.WithoutCancel(r.Context()), kgo.KeySliceRecord([]byte(r.URL.Path), body)).FirstErr()
		}
		if err != nil {
			http.Error(w, "unavailable", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "{}")
	})}
	return serveUntilTerm(ctx, srv)
}
