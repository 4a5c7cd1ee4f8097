package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/app"
	"rampstream/internal/codec"
	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/kafka"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// pollerRow is one row of figures of the poller.
type pollerRow struct {
	Bench      string  `json:"bench"`
	Platform   string  `json:"platform"`
	Orders     int     `json:"orders"`
	Lanes      int     `json:"lanes"`
	Offered    float64 `json:"due_per_second"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"checks_per_second"`
	LateP50MS  float64 `json:"late_p50_ms"`
	LateP99MS  float64 `json:"late_p99_ms"`
	CPUMicros  float64 `json:"cpu_us_per_check"`
	RestoreS   float64 `json:"restore_seconds"`
	RestoreMiB int64   `json:"rss_after_restore_mib"`
	PeakRSSMiB int64   `json:"peak_rss_mib"`
}

// pollerBed is a poller, the schedule it works off, fast providers, and a
// reconciler that only ever says "the same again, one period later".
type pollerBed struct {
	*bed
	o        options
	provider events.Provider
	codec    *codec.Codec
	period   time.Duration // between two checks of an order
	url      string        // of the providers
	answered atomic.Int64
}

func benchPoller(ctx context.Context, o options) error {
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	pb := &pollerBed{bed: b, o: o, provider: "kado", period: time.Duration(float64(o.orders) / o.rate * float64(time.Second))}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := pb.providers(ctx); err != nil {
		return err
	}
	reg, err := app.OpenRegistry(b.cfg)
	if err != nil {
		return err
	}
	if pb.codec, err = app.OpenCodec(ctx, b.cfg, reg); err != nil {
		return err
	}
	// Due times begin when the schedule is written, restored and warm.
	begin := time.Now().Add(15*time.Second + time.Duration(o.orders)*30*time.Microsecond)
	if err := pb.fillSchedule(ctx, begin); err != nil {
		return err
	}
	if err := pb.reschedule(ctx); err != nil {
		return err
	}
	if err := pb.measure(ctx, begin); err != nil || !o.peers {
		return err
	}
	return pb.comparePoller(ctx, pb.url+"/v2/public/orders")
}

func benchLane(i int) events.Account { return events.Account(fmt.Sprintf("lane%02d", i)) }

// providers starts the server that plays all of them, and configures the lanes
// with a quarter more budget than is due.
func (b *pollerBed) providers(ctx context.Context) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(b.answer), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(ln) }()
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	b.cfg.Accounts, b.url = nil, "http://"+ln.Addr().String()
	for i := range b.o.lanes {
		rate := b.o.rate / float64(b.o.lanes) * 1.25
		b.cfg.Accounts = append(b.cfg.Accounts, providers.Account{
			Provider: "kado", Account: benchLane(i),
			Webhook: providers.Webhook{Trust: "hint"},
			API: providers.API{BaseURL: b.url, AllowInsecure: true,
				PublicKey: fmt.Sprintf("bench-%02d", i), PrivateKey: providers.Secret(events.Digest("bench", strconv.Itoa(i)))},
			Poll: providers.Poll{Rate: rate, Burst: max(1, int(rate)), SweepEvery: time.Hour},
		})
	}
	b.cfg.Ingest.Tokens = nil
	b.cfg.Log.Level = "warn"
	b.cfg.Poller.Group = b.cfg.Topics.Prefix + "poller" // of this run alone: a former one's members may still count
	b.file, err = demo.WriteConfig(b.cfg, b.dir)
	return err
}

// answer is GET /v2/public/orders/:id of an order that does not move.
func (b *pollerBed) answer(w http.ResponseWriter, r *http.Request) {
	time.Sleep(b.o.latency)
	b.answered.Add(1)
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"success":true,"message":"ok","data":{"_id":%q,"paymentStatus":"success","transferStatus":"pending",`+
		`"amount":100.5,"currency":"USD","blockchain":"ethereum","createdAt":"2026-01-05T10:00:00.000Z"}}`, id)
}

func (b *pollerBed) task(k events.Key, due events.Millis, old time.Duration) events.CheckTask {
	return events.CheckTask{Key: k, DueAt: due, Cause: events.CauseSchedule, Known: true, Status: events.StatusProcessing,
		Since: due.Add(-old), ExpectedAmount: "0.0021", ExpectedCurrency: "BTC"}
}

func (b *pollerBed) record(t events.CheckTask) (stream.Record, error) {
	v, err := b.codec.EncodeCheckTask(t)
	return stream.Record{Topic: b.cfg.Topics.Names().CheckSchedule, Key: []byte(t.Key.String()), Value: v,
		Partition: stream.PartitionOf([]byte(t.Key.Lane()), b.cfg.Topics.Partitions)}, err
}

// fillSchedule writes one task for every order, due evenly over one period.
func (b *pollerBed) fillSchedule(ctx context.Context, begin time.Time) error {
	p, err := kafka.OpenProducer(ctx, b.kafka(), kafka.ProducerOptions{
		Topics: []string{b.cfg.Topics.Names().CheckSchedule}, Linger: 10 * time.Millisecond, MaxBufferedRecords: 50_000, MaxBufferedBytes: 512 << 20,
	})
	if err != nil {
		return err
	}
	defer func() { _ = p.Close(ctx) }()
	rng := rand.New(rand.NewPCG(1, 2))
	const chunk = 5000
	for i := 0; i < b.o.orders; i += chunk {
		var rs []stream.Record
		for n := i; n < min(i+chunk, b.o.orders); n++ {
			k := events.Key{Provider: b.provider, Account: benchLane(n % b.o.lanes), ID: fmt.Sprintf("%08x-%04x-4%03x-8000-%012x", rng.Uint32(), n&0xffff, n&0xfff, n)}
			due := events.At(begin.Add(time.Duration(rng.Int64N(int64(b.period)))))
			old := time.Duration(rng.Int64N(int64(48 * time.Hour))) // a few of them young
			r, err := b.record(b.task(k, due, old))
			if err != nil {
				return err
			}
			rs = append(rs, r)
		}
		if _, err := p.Publish(ctx, rs...); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	return nil
}

// reschedule answers every status check with the next task, one period later.
func (b *pollerBed) reschedule(ctx context.Context) error {
	t := b.cfg.Topics.Names()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cfg.Kafka.Brokers...), kgo.ConsumeTopics(t.StatusCheck),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	go func() {
		defer cl.Close()
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				c, err := b.codec.DecodeStatusCheck(ctx, r.Value)
				if err != nil {
					fmt.Fprintln(os.Stderr, "bench: status check:", err)
					return
				}
				if c.Outcome != events.OutcomeOK {
					return // counted by the poller's own metrics
				}
				n, err := b.record(b.task(c.Key, c.ObservedAt.Add(b.period), 24*time.Hour))
				if err == nil {
					cl.Produce(ctx, &kgo.Record{Topic: n.Topic, Partition: n.Partition, Key: n.Key, Value: n.Value}, nil)
				}
			})
		}
	}()
	return nil
}

// measure runs the poller and reads its own figures.
func (b *pollerBed) measure(ctx context.Context, begin time.Time) error {
	admin, err := freeAddr()
	if err != nil {
		return err
	}
	base := "http://" + admin
	started := time.Now()
	p, err := b.start(ctx, "poller", "-config", b.file, "-admin-listen", admin)
	if err != nil {
		return err
	}
	if err := p.await(ctx, base+"/livez"); err != nil {
		return err
	}
	if err := b.restored(ctx, base); err != nil {
		return fmt.Errorf("%w: %s", err, p.log.String())
	}
	restore := time.Since(started)
	afterRestore := p.rss()
	if wait := time.Until(begin.Add(5 * time.Second)); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	before, err := scrape(base)
	if err != nil {
		return err
	}
	cpu, at := p.cpu(), time.Now()
	select {
	case <-time.After(b.o.duration):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := scrape(base)
	if err != nil {
		return err
	}
	cpu, took := p.cpu()-cpu, time.Since(at).Seconds()
	u, err := p.stop()
	if err != nil {
		return err
	}
	late := after.minus(before)
	checks := float64(late.count)
	if bad := late.failed; bad > 0 {
		fmt.Fprintf(os.Stderr, "bench: %d checks failed\n", bad)
	}
	row(pollerRow{"poller", b.name, b.o.orders, b.o.lanes, b.o.rate, took, checks / took, late.quantile(0.5), late.quantile(0.99),
		float64(cpu.Microseconds()) / checks, restore.Seconds(), afterRestore >> 20, u.RSS >> 20})
	return nil
}

// restored waits until the poller holds every task.
func (b *pollerBed) restored(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		var lanes []poller.LaneSnapshot
		if err := getJSON(base+"/lanes", &lanes); err != nil {
			return err
		}
		n := 0
		for _, l := range lanes {
			n += l.Tasks
		}
		if n >= b.o.orders {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d tasks restored: %w", n, b.o.orders, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func getJSON(url string, v any) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(resp.Body).Decode(v)
}

// lateness is the poller's own histogram of how late checks began.
type lateness struct {
	bounds  []float64 // seconds
	buckets []uint64  // cumulative
	count   uint64
	failed  uint64
}

// scrape reads the histogram from the Prometheus text format.
func scrape(base string) (l lateness, err error) {
	resp, err := http.Get(base + "/metrics")
	if err != nil {
		return l, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		v, _ := strconv.ParseFloat(value, 64)
		switch {
		case strings.HasPrefix(name, "ramp_poller_lateness_seconds_bucket"):
			bound := strings.TrimSuffix(name[strings.Index(name, `le="`)+4:], `"}`)
			f, _ := strconv.ParseFloat(bound, 64)
			l.bounds, l.buckets = append(l.bounds, f), append(l.buckets, uint64(v))
		case name == "ramp_poller_lateness_seconds_count":
			l.count = uint64(v)
		case strings.HasPrefix(name, "ramp_poller_checks_total") && !strings.Contains(name, `outcome="ok"`):
			l.failed += uint64(v)
		}
	}
	return l, lines.Err()
}

func (l lateness) minus(o lateness) lateness {
	out := lateness{bounds: l.bounds, count: l.count - o.count, failed: l.failed - o.failed}
	for i := range l.buckets {
		out.buckets = append(out.buckets, l.buckets[i]-o.buckets[i])
	}
	return out
}

// quantile is in milliseconds, interpolated within a bucket as Prometheus does.
func (l lateness) quantile(q float64) float64 {
	rank, lower, below := q*float64(l.count), 0.0, uint64(0)
	for i, n := range l.buckets {
		if float64(n) >= rank && n > below {
			upper := l.bounds[i]
			if upper > 1e9 { // +Inf
				return lower * 1000
			}
			return 1000 * (lower + (upper-lower)*(rank-float64(below))/float64(n-below))
		}
		lower, below = l.bounds[i], n
	}
	return lower * 1000
}

// rss is what a running process has resident, in bytes.
func (p *process) rss() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
