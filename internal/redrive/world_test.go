package redrive_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/reconciler"
	"rampstream/internal/redrive"
	"rampstream/internal/sim"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

const (
	partitions = 3
	day        = events.Millis(1_700_000_000_000)
)

var (
	topics = stream.DefaultTopics("ramp.")
	vocab  = events.Vocabulary{
		Provider: "acme", PollOrders: true, Webhooks: true,
		Orders: map[string]events.Word{
			"wait": {Status: events.StatusPending}, "run": {Status: events.StatusProcessing},
			"done": {Status: events.StatusCompleted}, "fail": {Status: events.StatusFailed},
		},
	}
)

// registry serves our schemas under the ids of a foreign producer too, once it
// is told to.
type registry struct{ foreign bool }

func (r *registry) SchemaByID(_ context.Context, id int) (string, error) {
	names := schemas.Names()
	switch {
	case id >= 1 && id <= len(names):
		return schemas.Text(names[id-1]), nil
	case r.foreign && id > 500 && id <= 500+len(names):
		return schemas.Text(names[id-501]), nil
	}
	return "", fmt.Errorf("schema %d: %w", id, codec.ErrUnknownSchema)
}

func newCodec(t testing.TB, from int, r codec.Resolver) *codec.Codec {
	t.Helper()
	ids := map[string]int{}
	for i, n := range schemas.Names() {
		ids[n] = from + i
	}
	c, err := codec.New(ids, r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// world is a log in memory with a reconciler that joins it.
type world struct {
	t        testing.TB
	log      *sim.Log
	registry *registry
	ours     *codec.Codec // with the ids of the registry
	foreign  *codec.Codec // with ids that the registry may not have
	rules    order.Rules
	now      events.Millis
	next     map[string]map[int32]int64
	eng      *reconciler.Engine
	believe  bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, registry: &registry{}, now: day}
	w.ours, w.foreign = newCodec(t, 1, w.registry), newCodec(t, 501, nil)
	var err error
	w.rules, err = order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{"acme/shop": vocab})
	if err != nil {
		t.Fatal(err)
	}
	w.log = sim.NewLog(partitions, func() int64 { return int64(w.now) }, topics.All()...)
	w.restart()
	return w
}

// restart is a new reconciler on the same log.
func (w *world) restart() {
	w.t.Helper()
	w.next = map[string]map[int32]int64{}
	w.eng = reconciler.NewEngine(reconciler.Config{
		Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.ours, VerifyDigest: true, BelieveOrigin: w.believe,
	})
	for n := range int32(partitions) {
		next, err := w.eng.Restore(context.Background(), n, w.log, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		for topic, offset := range next {
			if w.next[topic] == nil {
				w.next[topic] = map[int32]int64{}
			}
			w.next[topic][n] = offset
		}
	}
}

// join lets the reconciler read all that is there, one record a batch.
func (w *world) join() {
	w.t.Helper()
	for _, topic := range topics.Inputs() {
		for n := range int32(partitions) {
			var rs []stream.Record
			_ = w.log.Read(context.Background(), topic, n, w.next[topic][n], 1<<60, true, func(r stream.Record) error {
				rs = append(rs, r)
				return nil
			})
			for _, r := range rs {
				w.step(r)
				w.next[topic][n] = r.Offset + 1
			}
		}
	}
}

func (w *world) step(r stream.Record) {
	w.t.Helper()
	for {
		b, err := w.eng.Step(context.Background(), []stream.Record{r}, true)
		if err != nil && w.eng.SetAsideUnknown(err) {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.log.Append(b.Out...); err != nil {
			w.t.Fatal(err)
		}
		w.eng.Accept()
		return
	}
}

func (w *world) append(rs ...stream.Record) []stream.Record {
	w.t.Helper()
	out, err := w.log.Append(rs...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func key(id string) events.Key { return events.Key{Provider: "acme", Account: "shop", ID: id} }

// hook is a webhook record in the partition of its key, with a header.
func (w *world) hook(cd *codec.Codec, id, word string, at events.Millis) stream.Record {
	w.t.Helper()
	v, err := cd.EncodeWebhook(events.Webhook{Key: key(id), EventID: events.EventID(events.Digest(id, word, fmt.Sprint(at))), ObservedAt: at,
		Trust: events.TrustSigned, EventType: word, StatusRaw: word, BodyDigest: "d"})
	if err != nil {
		w.t.Fatal(err)
	}
	return stream.Record{Topic: topics.Webhook, Partition: stream.Auto, Key: []byte(key(id).String()), Value: v,
		Headers: []stream.Header{{Key: "x", Value: []byte("1")}, {Key: "x", Value: nil}}}
}

// misplaced is r in a partition that is not its key's.
func misplaced(r stream.Record) stream.Record {
	r.Partition = (stream.PartitionOf(r.Key, partitions) + 1) % partitions
	return r
}

func (w *world) redriver() redrive.Redriver {
	return redrive.Redriver{Log: w.log, Codec: w.ours, Rules: w.rules, Topics: topics, Partitions: partitions, BelieveOrigin: w.believe,
		Now: func() time.Time { return w.now.Time() }}
}

// plan selects and forecasts.
func (w *world) plan(f redrive.Filter) ([]redrive.Step, redrive.Selection) {
	w.t.Helper()
	d := w.redriver()
	sel, err := d.Select(context.Background(), f)
	if err != nil {
		w.t.Fatal(err)
	}
	steps, err := d.Plan(context.Background(), sel.Letters)
	if err != nil {
		w.t.Fatal(err)
	}
	return steps, sel
}

// Publish implements redrive.Publisher.
func (w *world) Publish(_ context.Context, rs ...stream.Record) ([]stream.Record, error) {
	return w.log.Append(rs...)
}

func (w *world) write(steps []redrive.Step) []stream.Record {
	w.t.Helper()
	var out []stream.Record
	n, err := redrive.Write(context.Background(), steps, w, rate.NewLimiter(rate.Inf, 1), func(_ redrive.Step, r stream.Record) error {
		out = append(out, r)
		return nil
	})
	if err != nil || n != len(out) {
		w.t.Fatalf("Write = %d, %v after %d records", n, err, len(out))
	}
	return out
}

// state is the latest state of an order; ok is false without one.
func (w *world) state(id string) (st events.State, ok bool) {
	w.t.Helper()
	var value []byte
	for _, r := range w.log.All(topics.OrderState) {
		if string(r.Key) == key(id).String() {
			value = r.Value
		}
	}
	if value == nil {
		return events.State{}, false
	}
	st, err := w.ours.DecodeOrderState(context.Background(), value)
	if err != nil {
		w.t.Fatal(err)
	}
	return st, true
}
