package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/config"
)

// once names a guarantee for people.
func once(o options) string { return strings.ReplaceAll(o.guarantee, "_", " ") }

// measurePassthrough runs the limit: what the client and the cluster allow when
// nothing is done with a record, in batches like the reconciler's and with its
// guarantee.
func (b *bed) measurePassthrough(ctx context.Context, o options) error {
	t := b.cfg.Topics.Names()
	done, end, err := b.committed("bench-passthrough-" + t.DeadLetter)
	if err != nil {
		return err
	}
	defer end()
	began := time.Now()
	p, err := b.start(ctx, "bench", "peer-passthrough", "-brokers", strings.Join(b.cfg.Kafka.Brokers, ","), "-guarantee", o.guarantee,
		"-batch", strconv.Itoa(o.batch), "--", t.Webhook, t.StatusCheck, t.DeadLetter)
	if err != nil {
		return err
	}
	f, err := p.watch(ctx, began, int64(o.events), done)
	if err != nil {
		return err
	}
	u, err := p.stop()
	if err != nil {
		return err
	}
	row(f.into(reconcilerRow{Bench: "peer: consume and produce, " + once(o) + ", no work", Platform: b.name, Partitions: o.partitions, Events: o.events,
		Orders: o.orders, Batch: o.batch, PeakRSSMiB: u.RSS >> 20}))
	return nil
}

// peerPassthrough copies two topics to a third until SIGTERM.
func peerPassthrough(ctx context.Context, o options, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: bench peer-passthrough FROM FROM TO")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	opts := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.ConsumerGroup("bench-passthrough-" + args[2]), kgo.ConsumeTopics(args[:2]...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.RangeBalancer()),
		kgo.ProducerLinger(5 * time.Millisecond), kgo.MaxBufferedRecords(250_000), kgo.DisableAutoCommit(),
	}
	if o.guarantee == string(config.AtLeastOnce) {
		return passAtLeastOnce(ctx, o, args[2], opts)
	}
	return passExactlyOnce(ctx, o, args[2], append(opts, kgo.TransactionalID("bench-passthrough")))
}

func passExactlyOnce(ctx context.Context, o options, to string, opts []kgo.Opt) error {
	s, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return err
	}
	defer s.Close()
	g := gathering{cl: s.Client(), most: o.batch}
	for ctx.Err() == nil {
		batch := g.next(ctx)
		if len(batch) == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return err
		}
		e := kgo.AbortingFirstErrPromise(s.Client())
		for _, r := range batch {
			s.Produce(ctx, &kgo.Record{Topic: to, Key: r.Key, Value: r.Value}, e.Promise())
		}
		perr := e.Err()
		_, err := s.End(context.WithoutCancel(ctx), kgo.TransactionEndTry(perr == nil))
		if err := errors.Join(perr, err); err != nil {
			return err
		}
	}
	return nil
}

func passAtLeastOnce(ctx context.Context, o options, to string, opts []kgo.Opt) error {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	g := gathering{cl: cl, most: o.batch}
	for ctx.Err() == nil {
		batch := g.next(ctx)
		if len(batch) == 0 {
			continue
		}
		e := kgo.AbortingFirstErrPromise(cl)
		for _, r := range batch {
			cl.Produce(ctx, &kgo.Record{Topic: to, Key: r.Key, Value: r.Value}, e.Promise())
		}
		if err := e.Err(); err != nil {
			return err
		}
		if err := cl.CommitUncommittedOffsets(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// gathering makes batches by the reconciler's rule: full, or its default
// interval after the last one began.
type gathering struct {
	cl    *kgo.Client
	most  int
	began time.Time
}

func (g *gathering) next(ctx context.Context) []*kgo.Record {
	rs := g.cl.PollRecords(ctx, g.most).Records()
	due := g.began.Add(config.Default().Reconciler.CommitInterval)
	for len(rs) > 0 && len(rs) < g.most && ctx.Err() == nil {
		wait := max(time.Until(due), 0)
		pollCtx, cancel := context.WithTimeout(ctx, wait)
		more := g.cl.PollRecords(pollCtx, g.most-len(rs)).Records()
		cancel()
		if len(more) == 0 && wait == 0 {
			break
		}
		rs = append(rs, more...)
	}
	g.began = time.Now()
	return rs
}
