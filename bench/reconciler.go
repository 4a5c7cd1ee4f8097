package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"rampstream/internal/app"
	"rampstream/internal/codec"
	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// reconcilerRow is one row of figures of the reconciler or its peer.
type reconcilerRow struct {
	Bench      string  `json:"bench"`
	Platform   string  `json:"platform"`
	Partitions int     `json:"partitions"`
	Events     int     `json:"events"`
	Orders     int     `json:"orders"`
	Batch      int     `json:"max_batch,omitempty"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"events_per_second"`
	CPUMicros  float64 `json:"cpu_us_per_event"`
	// From a tenth of the events to all: without what the start costs.
	SteadyPerSecond float64 `json:"steady_events_per_second"`
	SteadyCPUMicros float64 `json:"steady_cpu_us_per_event"`
	PeakRSSMiB      int64   `json:"peak_rss_mib"`
}

func benchReconciler(ctx context.Context, o options) error {
	if g := config.Guarantee(o.guarantee); g != config.ExactlyOnce && g != config.AtLeastOnce {
		return fmt.Errorf("guarantee %q: exactly_once or at_least_once", o.guarantee)
	}
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	reg, err := app.OpenRegistry(b.cfg)
	if err != nil {
		return err
	}
	cd, err := app.OpenCodec(ctx, b.cfg, reg)
	if err != nil {
		return err
	}
	streams := o.streams
	if streams && o.brokers == "" {
		fmt.Fprintln(os.Stderr, "bench: Kafka Streams is left out: it wants a real Kafka")
		streams = false
	}
	if streams {
		err := buildStreams(ctx)
		if errors.Is(err, errNoJava) {
			fmt.Fprintln(os.Stderr, "bench:", err)
			streams = false
		} else if err != nil {
			return err
		}
	}
	if err := b.fill(ctx, o, cd); err != nil {
		return err
	}
	if o.peers {
		if err := b.measurePassthrough(ctx, o); err != nil {
			return err
		}
	}
	if err := b.measureReconciler(ctx, o, cd); err != nil || !streams {
		return err
	}
	ours, err := b.finals(ctx, b.cfg.Topics.Names().OrderState)
	if err != nil {
		return err
	}
	return b.measureStreams(ctx, o, ours)
}

// fill writes the life of every order as webhooks and polls.
func (b *bed) fill(ctx context.Context, o options, cd *codec.Codec) error {
	t := b.cfg.Topics.Names()
	p, err := kafka.OpenProducer(ctx, b.kafka(), kafka.ProducerOptions{
		Topics: []string{t.Webhook, t.StatusCheck}, Linger: 10 * time.Millisecond, MaxBufferedRecords: 50_000, MaxBufferedBytes: 512 << 20,
	})
	if err != nil {
		return err
	}
	defer func() { _ = p.Close(ctx) }()
	now := events.At(time.Now().Add(-time.Hour))
	const chunk = 2000
	for i := 0; i < o.events; i += chunk {
		var rs []stream.Record
		for n := i; n < min(i+chunk, o.events); n++ {
			r, err := b.event(cd, n%o.orders, n/o.orders, now)
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

// event is the n-th thing that is said about an order: webhooks and polls in
// turn, pending, processing, completed.
func (b *bed) event(cd *codec.Codec, order, n int, now events.Millis) (stream.Record, error) {
	t := b.cfg.Topics.Names()
	k := events.Key{Provider: "kado", Account: "demo", ID: fmt.Sprintf("%024x", order)}
	at := now.Add(time.Duration(n) * 90 * time.Second)
	facts := events.Facts{FiatAmount: "100.50", FiatCurrency: "USD", CryptoAmount: "0.00215", CryptoAsset: "BTC"}
	hook := []string{"order_pending", "order_processing", "order_completed"}[min(n/2, 2)]
	word := []string{"pending+uninitiated", "success+pending", "success+settled"}[min(n/2, 2)]
	id := events.EventID(events.Digest(k.String(), strconv.Itoa(n)))
	r := stream.Record{Partition: stream.Auto, Key: []byte(k.String())}
	var err error
	if n%2 == 0 {
		r.Topic = t.Webhook
		r.Value, err = cd.EncodeWebhook(events.Webhook{Key: k, EventID: id, ObservedAt: at, Trust: events.TrustSigned, EventType: hook,
			StatusRaw: hook, BodyDigest: events.Digest(hook), Scheme: "canonical/current", Facts: facts})
	} else {
		r.Topic = t.StatusCheck
		r.Value, err = cd.EncodeStatusCheck(events.StatusCheck{Key: k, EventID: id, ObservedAt: at, AnsweredAt: at + 40, Outcome: events.OutcomeOK,
			StatusRaw: word, HTTPStatus: 200, Attempt: 1, Facts: facts})
	}
	return r, err
}

func (b *bed) measureReconciler(ctx context.Context, o options, cd *codec.Codec) error {
	log, err := kafka.OpenLog(b.kafka())
	if err != nil {
		return err
	}
	defer log.Close()
	began := time.Now()
	program := []string{"reconciler", "-config", b.file}
	if o.profile != "" {
		program = []string{"bench", "profiled-reconciler", "-profile", o.profile, "--", "-config", b.file}
	}
	p, err := b.startWith(ctx, []string{"RAMP_RECONCILER_MAX_BATCH=" + strconv.Itoa(o.batch), "RAMP_RECONCILER_GUARANTEE=" + o.guarantee}, program[0], program[1:]...)
	if err != nil {
		return err
	}
	r := inspect.Reader{Log: log, Codec: cd, Topics: b.cfg.Topics.Names(), Partitions: b.cfg.Topics.Partitions}
	f, err := p.watch(ctx, began, int64(o.events), positions(r))
	if err != nil {
		return err
	}
	u, err := p.stop()
	if err != nil {
		return err
	}
	row(f.into(reconcilerRow{Bench: "reconciler: " + once(o) + stored(o), Platform: b.name, Partitions: o.partitions, Events: o.events, Orders: o.orders, Batch: o.batch, PeakRSSMiB: u.RSS >> 20}))
	return nil
}

// stored names a store that is not the usual one.
func stored(o options) string {
	if o.store == config.StoreMemory {
		return ""
	}
	return ", " + o.store
}

// profiledReconciler is the reconciler, in this program, with a CPU profile: the
// programs themselves have none.
func profiledReconciler(ctx context.Context, o options, args []string) error {
	ctx, end := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer end()
	stop, err := profile(o.profile)
	if err != nil {
		return err
	}
	defer stop()
	return app.Main(ctx, config.ForReconciler, args, os.Environ(), os.Stderr, allProviders)
}

// serveUntilTerm serves until SIGTERM.
func serveUntilTerm(ctx context.Context, srv *http.Server) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
