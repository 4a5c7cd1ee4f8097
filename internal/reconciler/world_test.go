package reconciler_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/reconciler"
	"rampstream/internal/sim"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

const partitions = 4

var (
	topics = stream.DefaultTopics("ramp.")
	vocab  = events.Vocabulary{
		Provider: "acme", PollOrders: true, PollCustomers: true, Webhooks: true,
		Orders: map[string]events.Word{
			"wait": {Status: events.StatusPending}, "run": {Status: events.StatusProcessing},
			"done": {Status: events.StatusCompleted}, "fail": {Status: events.StatusFailed},
		},
		Customers: map[string]events.Word{"L0": {Status: events.StatusCreated}, "L2": {Status: events.StatusCompleted}},
	}
)

const day = events.Millis(1_700_000_000_000)

func minute(m int) events.Millis { return day + events.Millis(m)*60_000 }

func newCodec(t testing.TB) *codec.Codec {
	t.Helper()
	ids := map[string]int{}
	for i, n := range schemas.Names() {
		ids[n] = i + 1
	}
	c, err := codec.New(ids, byID{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// byID serves the embedded schemas, as the registry would.
type byID struct{}

func (byID) SchemaByID(_ context.Context, id int) (string, error) {
	if id < 1 || id > len(schemas.Names()) {
		return "", fmt.Errorf("no schema %d", id)
	}
	return schemas.Text(schemas.Names()[id-1]), nil
}

func newRules(t testing.TB, v events.Vocabulary) order.Rules {
	t.Helper()
	r, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{"acme/shop": v})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newEngine has all memory that the engine takes for its own again written over, so
// that whatever looks at it later shows.
func newEngine(cfg reconciler.Config) *reconciler.Engine {
	e := reconciler.NewEngine(cfg)
	e.Spoil()
	return e
}

// world is a log, a codec and an engine that owns every partition.
type world struct {
	t     testing.TB
	codec *codec.Codec
	rules order.Rules
	log   *sim.Log
	now   events.Millis
	eng   *reconciler.Engine
	next  map[string]map[int32]int64
	// joiners are more than partitions have records at a time, and not as many as
	// there are partitions.
	joiners int
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, codec: newCodec(t), rules: newRules(t, vocab), now: day, next: map[string]map[int32]int64{}, joiners: 3}
	w.log = sim.NewLog(partitions, func() int64 { return int64(w.now) }, topics.All()...)
	w.restart()
	return w
}

// restart forgets all memory and restores every partition.
func (w *world) restart() {
	w.t.Helper()
	if err := w.tryRestart(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tryRestart() error {
	w.newEngine(0)
	for n := range int32(partitions) {
		if err := w.restore(n); err != nil {
			return err
		}
	}
	return nil
}

// newEngine forgets all memory; batch is how many outdated states a step views.
func (w *world) newEngine(batch int) {
	w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true, RuleChangeBatch: batch, ReuseOutputs: true, Joiners: w.joiners})
}

// believing restores every partition without holding its states to a digest.
func (w *world) believing() {
	w.t.Helper()
	w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, Joiners: w.joiners})
	for n := range int32(partitions) {
		if err := w.restore(n); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) restore(n int32) error {
	next, err := w.eng.Restore(context.Background(), n, spoiling{w.log}, nil)
	for topic, offset := range next {
		if w.next[topic] == nil {
			w.next[topic] = map[int32]int64{}
		}
		w.next[topic][n] = offset
	}
	return err
}

// poll returns up to max unread input records, in a seeded interleaving of the
// partitions, without moving the position.
func (w *world) poll(rng *rand.Rand, max int) []stream.Record {
	var queues [][]stream.Record
	for _, topic := range topics.Inputs() {
		for n := range int32(partitions) {
			var q []stream.Record
			_ = w.log.Read(context.Background(), topic, n, w.next[topic][n], 1<<60, true, func(r stream.Record) error {
				q = append(q, r)
				return nil
			})
			if len(q) > 0 {
				queues = append(queues, q)
			}
		}
	}
	var out []stream.Record
	for len(queues) > 0 && len(out) < max {
		i := rng.IntN(len(queues))
		out = append(out, queues[i][0])
		if queues[i] = queues[i][1:]; len(queues[i]) == 0 {
			queues = slices.Delete(queues, i, i+1)
		}
	}
	return out
}

// step joins one batch and, if commit, writes and accepts it.
func (w *world) step(records []stream.Record, commit bool) *reconciler.Batch {
	w.t.Helper()
	b, err := w.eng.Step(context.Background(), records, true)
	if err != nil {
		w.t.Fatal(err)
	}
	w.encodedAnew(b.Out)
	if !commit {
		w.eng.Rollback()
		return b
	}
	if _, err := w.log.Append(b.Out...); err != nil {
		w.t.Fatal(err)
	}
	w.eng.Accept()
	for _, r := range records {
		w.next[r.Topic][r.Partition] = max(w.next[r.Topic][r.Partition], r.Offset+1)
	}
	return b
}

// encodedAnew holds every state that is written to the bytes that its evidence
// has when all of it is encoded: a step copies rows that did not change.
func (w *world) encodedAnew(out []stream.Record) {
	w.t.Helper()
	for _, r := range out {
		if r.Value == nil || r.Topic != topics.OrderState && r.Topic != topics.CustomerState {
			continue
		}
		st, err := w.codec.DecodeState(context.Background(), r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		if want, err := w.codec.EncodeState(st); err != nil || !bytes.Equal(r.Value, want) {
			w.t.Fatalf("state %s is written as %x; encoded anew it is %x, %v", r.Key, r.Value, want, err)
		}
	}
}

func (w *world) drain() {
	rng := rand.New(rand.NewPCG(1, 1))
	for {
		recs := w.poll(rng, 7)
		if len(recs) == 0 && w.eng.Outdated() == 0 {
			return
		}
		w.step(recs, true)
	}
}

func key(id string) events.Key { return events.Key{Provider: "acme", Account: "shop", ID: id} }

func (w *world) hook(id, word string, at events.Millis, trust events.Trust) stream.Record {
	return w.hookOf(key(id), word, at, trust)
}

func (w *world) hookOf(key events.Key, word string, at events.Millis, trust events.Trust) stream.Record {
	x := events.Webhook{Key: key, EventID: events.EventID(events.Digest("hook", key.ID, word, at.Time().String())), ObservedAt: at,
		Trust: trust, EventType: word, StatusRaw: word, BodyDigest: events.Digest("body")}
	if trust == events.TrustHint {
		x.HintReason = "unsigned"
	}
	v, err := w.codec.EncodeWebhook(x)
	if err != nil {
		w.t.Fatal(err)
	}
	return stream.Record{Topic: topics.Webhook, Partition: stream.Auto, Key: []byte(x.Key.String()), Value: v}
}

func (w *world) check(id, word string, at events.Millis, cause events.Cause) stream.Record {
	x := events.StatusCheck{Key: key(id), EventID: events.EventID(events.Digest("poll", id, word, at.Time().String())), ObservedAt: at, AnsweredAt: at + 50,
		Cause: cause, Outcome: events.OutcomeOK, StatusRaw: word, Attempt: 1}
	if word[0] == '!' {
		x.Outcome, x.StatusRaw = events.Outcome(word[1:]), ""
	}
	v, err := w.codec.EncodeStatusCheck(x)
	if err != nil {
		w.t.Fatal(err)
	}
	return stream.Record{Topic: topics.StatusCheck, Partition: stream.Auto, Key: []byte(x.Key.String()), Value: v}
}

func (w *world) intent(id string, at events.Millis) stream.Record {
	x := events.Intent{Key: key(id), EventID: events.EventID(events.Digest("intent", id)), ObservedAt: at, Facts: events.Facts{FiatAmount: "10.00", FiatCurrency: "EUR"}, Source: "shop"}
	v, err := w.codec.EncodeIntent(x)
	if err != nil {
		w.t.Fatal(err)
	}
	return stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(x.Key.String()), Value: v}
}

func (w *world) append(rs ...stream.Record) {
	w.t.Helper()
	if _, err := w.log.Append(rs...); err != nil {
		w.t.Fatal(err)
	}
}

// expect is an intent of an amount.
func (w *world) expect(id string, amount events.Amount, revision int64) stream.Record {
	x := events.Intent{Key: key(id), EventID: events.EventID(events.Digest(string(amount))), ObservedAt: minute(1), Revision: revision,
		Facts: events.Facts{FiatAmount: amount, FiatCurrency: "EUR"}, Source: "shop"}
	v, err := w.codec.EncodeIntent(x)
	if err != nil {
		w.t.Fatal(err)
	}
	return stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(x.Key.String()), Value: v}
}

// table is the latest live value of each key of a topic.
func (w *world) table(topic string) map[string][]byte {
	out := map[string][]byte{}
	for _, r := range w.log.All(topic) {
		if r.Value == nil {
			delete(out, string(r.Key))
			continue
		}
		out[string(r.Key)] = r.Value
	}
	return out
}

func (w *world) state(id string) events.State {
	w.t.Helper()
	v, ok := w.table(topics.OrderState)[key(id).String()]
	if !ok {
		w.t.Fatalf("no state of %s", id)
	}
	st, err := w.codec.DecodeOrderState(context.Background(), v)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

func (w *world) task(id string) (events.CheckTask, bool) {
	w.t.Helper()
	v, ok := w.table(topics.CheckSchedule)[key(id).String()]
	if !ok {
		return events.CheckTask{}, false
	}
	task, err := w.codec.DecodeCheckTask(context.Background(), v)
	if err != nil {
		w.t.Fatal(err)
	}
	return task, true
}
