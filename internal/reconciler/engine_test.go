package reconciler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

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

// world is a log, a codec and an engine that owns every partition.
type world struct {
	t     testing.TB
	codec *codec.Codec
	rules order.Rules
	log   *sim.Log
	now   events.Millis
	eng   *reconciler.Engine
	next  map[string]map[int32]int64
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, codec: newCodec(t), rules: newRules(t, vocab), now: day, next: map[string]map[int32]int64{}}
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
	w.eng = reconciler.NewEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true})
	for n := range int32(partitions) {
		next, err := w.eng.Restore(context.Background(), n, w.log, nil)
		if err != nil {
			return err
		}
		for topic, offset := range next {
			if w.next[topic] == nil {
				w.next[topic] = map[int32]int64{}
			}
			w.next[topic][n] = offset
		}
	}
	return nil
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
	x := events.Webhook{Key: key(id), EventID: events.EventID(events.Digest("hook", id, word, at.Time().String())), ObservedAt: at,
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

func TestEngine_webhookToSettledState(t *testing.T) {
	w := newWorld(t)
	w.now = minute(20)
	w.append(w.intent("o1", minute(1)), w.hook("o1", "wait", minute(2), events.TrustSigned), w.hook("o1", "done", minute(3), events.TrustSigned))
	w.drain()
	st := w.state("o1")
	if st.Status != events.StatusCompleted || st.DecidedBy != order.RuleTerminal || st.Expected.FiatAmount != "10.00" {
		t.Errorf("state = %v by %s, expected %+v", st.Status, st.DecidedBy, st.Expected)
	}
	if task, ok := w.task("o1"); !ok || task.Cause != events.CauseConfirm || task.DueAt != minute(18) {
		t.Errorf("task = %+v, %v; want a confirmation at minute 18", task, ok)
	}
	w.append(w.check("o1", "done", minute(19), events.CauseConfirm))
	w.drain()
	if task, ok := w.task("o1"); ok {
		t.Errorf("task = %+v after the confirmation, want a tombstone", task)
	}
}

// Whatever the batches, interleavings, aborts and restarts, the state is a
// function of the set of inputs, the chain of transitions is whole, and no
// transition id comes twice.
func TestEngine_convergesThroughAbortsAndRestarts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		a, b := newWorld(t), newWorld(t)
		rng := rand.New(rand.NewPCG(seed, 3))
		a.now, b.now = minute(400), minute(400)
		words := []string{"wait", "run", "done", "fail", "odd"}
		for i := range 60 {
			id, at := fmt.Sprintf("o%d", rng.IntN(8)), minute(rng.IntN(300))
			var r stream.Record
			switch rng.IntN(4) {
			case 0:
				r = a.hook(id, words[rng.IntN(5)], at, events.TrustSigned)
			case 1:
				r = a.hook(id, "done", at, events.TrustHint)
			case 2:
				r = a.check(id, words[rng.IntN(5)], at, events.CauseSchedule)
			case 3:
				r = a.intent(id, at)
			}
			a.append(r)
			b.append(r)
			if i%7 == 0 { // a redelivery
				a.append(r)
				b.append(r)
			}
		}
		a.drain()
		for {
			recs := b.poll(rng, 1+rng.IntN(9))
			if len(recs) == 0 {
				break
			}
			switch rng.IntN(4) {
			case 0:
				b.step(recs, false) // aborted
			case 1:
				b.step(recs, true)
				b.log.Compact(topics.OrderState)
				b.restart()
			default:
				b.step(recs, true)
			}
		}
		if !maps.EqualFunc(a.table(topics.OrderState), b.table(topics.OrderState), bytes.Equal) {
			rt.Fatal("states differ between one run and a run with aborts and restarts")
		}
		checkChain(rt, b)
	})
}

func checkChain(t interface{ Fatalf(string, ...any) }, w *world) {
	last, seen := map[string]string{}, map[events.EventID]bool{}
	status := map[string]events.Status{}
	for _, r := range w.log.All(topics.Transition) {
		tr, err := w.codec.DecodeTransition(context.Background(), r.Value)
		if err != nil {
			t.Fatalf("transition: %v", err)
		}
		k := tr.Key.String()
		if seen[tr.ID] || tr.DigestBefore != last[k] || tr.From != status[k] {
			t.Fatalf("broken chain of %s at %+v (last digest %q, status %v)", k, tr, last[k], status[k])
		}
		seen[tr.ID], last[k], status[k] = true, tr.DigestAfter, tr.To
	}
	for k, v := range w.table(topics.OrderState) {
		st, err := w.codec.DecodeOrderState(context.Background(), v)
		if err != nil || st.Status != status[k] {
			t.Fatalf("state of %s is %v (%v), its last transition went to %v", k, st.Status, err, status[k])
		}
	}
}

func TestEngine_rollbackLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o1", "done", minute(2), events.TrustSigned))
	rng := rand.New(rand.NewPCG(1, 1))
	first := w.step(w.poll(rng, 10), false)
	again := w.step(w.poll(rng, 10), false)
	if len(first.Out) != len(again.Out) {
		t.Fatalf("the retried batch wrote %d records, the aborted one %d", len(again.Out), len(first.Out))
	}
	for i := range first.Out {
		if !bytes.Equal(first.Out[i].Value, again.Out[i].Value) {
			t.Errorf("output %d to %s differs after the abort", i, first.Out[i].Topic)
		}
	}
}

func TestEngine_restoreFindsDamage(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(w *world)
		want   error
	}{
		{"untouched", func(*world) {}, nil},
		{"compacted", func(w *world) { w.log.Compact(topics.OrderState); w.log.Compact(topics.ReconcilerPosition) }, nil},
		{"state missing", func(w *world) {
			w.log.Compact(topics.OrderState)
			r := w.log.All(topics.OrderState)[0]
			w.log.Change(r.Topic, r.Partition, r.Offset, nil)
		}, stream.ErrLoss},
		{"state older than the position", func(w *world) {
			all := w.log.All(topics.OrderState)
			last := all[len(all)-1]
			for _, r := range all {
				if bytes.Equal(r.Key, last.Key) && r.Offset < last.Offset {
					w.log.Change(last.Topic, last.Partition, last.Offset, r.Value)
				}
			}
		}, stream.ErrLoss},
		{"state undecodable", func(w *world) {
			r := w.log.All(topics.OrderState)[0]
			w.log.Compact(topics.OrderState)
			r = w.log.All(topics.OrderState)[0]
			w.log.Change(r.Topic, r.Partition, r.Offset, r.Value[:len(r.Value)-3])
		}, stream.ErrLoss},
		{"positions gone", func(w *world) {
			for n := range int32(partitions) {
				w.log.Truncate(topics.ReconcilerPosition, n, 1<<40)
			}
		}, stream.ErrLoss},
		{"states gone", func(w *world) {
			for n := range int32(partitions) {
				w.log.Truncate(topics.OrderState, n, 1<<40)
			}
		}, stream.ErrLoss},
		{"unread input gone", func(w *world) {
			for n := range int32(partitions) {
				w.log.Truncate(topics.Webhook, n, 1<<40)
			}
		}, stream.ErrLoss},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.now = minute(9)
			for i := range 12 {
				w.append(w.hook(fmt.Sprintf("o%d", i), "wait", minute(1), events.TrustSigned))
			}
			w.drain()
			for i := range 12 {
				w.append(w.hook(fmt.Sprintf("o%d", i), "done", minute(2), events.TrustSigned))
			}
			w.drain()
			tc.damage(w)
			if err := w.tryRestart(); !errors.Is(err, tc.want) {
				t.Errorf("restore after damage = %v, want %v", err, tc.want)
			}
		})
	}
}

// A partition that comes back unchanged is used as it is; one that another
// member wrote to meanwhile is read again.
func TestEngine_memoryIsKeptOverARebalance(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain()
	n := stream.PartitionOf([]byte(key("o1").String()), partitions)
	other := *w
	other.next = map[string]map[int32]int64{}
	w.eng.Revoke([]int32{n})
	other.restart()
	other.append(other.hook("o1", "done", minute(2), events.TrustSigned))
	other.drain()
	if _, err := w.eng.Restore(context.Background(), n, w.log, nil); err != nil {
		t.Fatal(err)
	}
	w.append(w.check("o1", "done", minute(8), events.CauseSchedule))
	rec := w.log.All(topics.StatusCheck)
	b := w.step(rec, true)
	for _, r := range b.Out {
		if r.Topic == topics.Transition {
			t.Errorf("the first member announced a transition that the second already had")
		}
	}
	if st := w.state("o1"); st.Status != events.StatusCompleted || len(st.Evidence) != 3 {
		t.Errorf("state = %v with %d rows, want COMPLETED with 3", st.Status, len(st.Evidence))
	}
}

func TestEngine_deadLetters(t *testing.T) {
	w := newWorld(t)
	good := w.hook("o1", "wait", minute(1), events.TrustSigned)
	home := stream.PartitionOf(good.Key, partitions)
	for _, tc := range []struct {
		name  string
		r     stream.Record
		class string
	}{
		{"other partition", stream.Record{Topic: topics.Webhook, Partition: (home + 1) % partitions, Key: good.Key, Value: good.Value}, reconciler.ClassWrongPartition},
		{"garbage", stream.Record{Topic: topics.Webhook, Partition: home, Key: good.Key, Value: []byte("{}")}, reconciler.ClassUndecodable},
		{"tombstone", stream.Record{Topic: topics.Webhook, Partition: home, Key: good.Key}, reconciler.ClassUndecodable},
		{"truncated", stream.Record{Topic: topics.Webhook, Partition: home, Key: good.Key, Value: good.Value[:len(good.Value)-2]}, reconciler.ClassUndecodable},
		{"another record", stream.Record{Topic: topics.Intent, Partition: home, Key: good.Key, Value: good.Value}, reconciler.ClassWrongRecord},
		{"another key", stream.Record{Topic: topics.Webhook, Partition: home, Key: []byte("acme/shop/o2"), Value: good.Value}, reconciler.ClassWrongRecord},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.append(tc.r)
			w.drain()
			dead := w.log.All(topics.DeadLetter)
			if len(dead) != 1 || len(w.table(topics.OrderState)) != 0 {
				t.Fatalf("%d dead letters, %d states; want 1 and 0", len(dead), len(w.table(topics.OrderState)))
			}
			class, _ := dead[0].Header(stream.HeaderErrClass)
			if string(class) != tc.class || !bytes.Equal(dead[0].Value, tc.r.Value) || !bytes.Equal(dead[0].Key, tc.r.Key) {
				t.Errorf("dead letter %s with %d bytes; want %s with the original %d", class, len(dead[0].Value), tc.class, len(tc.r.Value))
			}
			w.restart()
			if recs := w.poll(rand.New(rand.NewPCG(1, 1)), 9); len(recs) != 0 {
				t.Errorf("%d records are read again after the dead letter", len(recs))
			}
		})
	}
}

func TestEngine_hints(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(5), events.TrustHint))
	w.drain()
	if task, ok := w.task("o1"); !ok || task.Known || task.Cause != events.CauseHint || task.DueAt != minute(5) {
		t.Fatalf("task of an unknown hinted order = %+v, %v", task, ok)
	}
	if n := len(w.table(topics.OrderState)); n != 0 {
		t.Fatalf("a hint made %d states", n)
	}
	w.append(w.check("o1", "!not_found", minute(6), events.CauseHint))
	w.drain()
	if task, ok := w.task("o1"); ok {
		t.Errorf("task = %+v after the provider did not know it, want a tombstone", task)
	}
	if n := len(w.table(topics.OrderState)); n != 0 {
		t.Errorf("a failed answer to a hint made %d states", n)
	}

	w.append(w.intent("o2", minute(5)), w.hook("o2", "", minute(7), events.TrustHint))
	w.drain()
	if task, ok := w.task("o2"); !ok || !task.Known || task.Cause != events.CauseHint {
		// The schedule of an order known by an intent is due at 5:30, before the hint.
		if task.DueAt > minute(7) {
			t.Errorf("task of a known hinted order = %+v, %v", task, ok)
		}
	}
	// A question asked before the hint does not answer it.
	w.append(w.check("o2", "wait", minute(6), events.CauseSchedule))
	w.drain()
	if task, ok := w.task("o2"); !ok || task.DueAt > minute(7) {
		t.Errorf("task = %+v, %v; the hint of minute 7 was forgotten", task, ok)
	}
	w.append(w.check("o2", "wait", minute(8), events.CauseHint))
	w.drain()
	if task, ok := w.task("o2"); !ok || task.Cause != events.CauseSchedule || task.DueAt <= minute(8) {
		t.Errorf("task = %+v, %v after the hint was answered", task, ok)
	}
}

// A new table changes what old evidence says; the change is announced.
func TestEngine_ruleChange(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	for i := range 20 {
		w.append(w.hook(fmt.Sprintf("o%d", i), "odd", minute(1), events.TrustSigned))
	}
	w.drain()
	v := vocab
	v.Orders = maps.Clone(v.Orders)
	v.Orders["odd"] = events.Word{Status: events.StatusCompleted}
	w.rules = newRules(t, v)
	w.restart()
	if n := w.eng.Outdated(); n != 20 {
		t.Fatalf("%d states are outdated after the table changed, want 20", n)
	}
	w.drain()
	for i := range 20 {
		if st := w.state(fmt.Sprintf("o%d", i)); st.Status != events.StatusCompleted || len(st.Open) != 0 {
			t.Fatalf("state = %v, open %v; want COMPLETED by the new table", st.Status, st.Open)
		}
	}
	checkChain(t, w)
	for _, r := range w.log.All(topics.Transition) {
		tr, _ := w.codec.DecodeTransition(context.Background(), r.Value)
		if tr.Reason != "rule_change" {
			t.Errorf("reason = %q, want rule_change", tr.Reason)
		}
	}
	for k := range w.table(topics.Discrepancy) {
		t.Errorf("discrepancy %s of the old table is still there", k)
	}
	w.restart()
	if n := w.eng.Outdated(); n != 0 {
		t.Errorf("%d states are outdated after all were viewed again", n)
	}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// script is a session that answers as it is told.
type script struct {
	polls   []polled
	commits []committed
	wrote   [][]stream.Record
}

type polled struct {
	records []stream.Record
	err     error
}

type committed struct {
	ok  bool
	err error
}

func (s *script) Poll(ctx context.Context, _ int) ([]stream.Record, error) {
	if len(s.polls) == 0 {
		<-ctx.Done()
		return nil, nil
	}
	p := s.polls[0]
	s.polls = s.polls[1:]
	return p.records, p.err
}

func (s *script) Commit(_ context.Context, out []stream.Record) (bool, error) {
	s.wrote = append(s.wrote, out)
	if len(s.commits) == 0 {
		return true, nil
	}
	c := s.commits[0]
	s.commits = s.commits[1:]
	return c.ok, c.err
}

func (*script) Close() {}

type tooLarge struct{ index int }

func (e tooLarge) Error() string    { return "too large" }
func (e tooLarge) Unwrap() error    { return stream.ErrTooLarge }
func (e tooLarge) RecordIndex() int { return e.index }

// A poll that carries an error and records: the records are committed before
// the error ends the session.
func TestLoop_recordsBesideAnErrorCount(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	boom := errors.New("broker gone")
	s := &script{polls: []polled{{w.poll(rand.New(rand.NewPCG(1, 1)), 9), boom}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	if err := l.Step(context.Background(), s); !errors.Is(err, boom) {
		t.Errorf("Step = %v, want the poll's error", err)
	}
	if len(s.wrote) != 1 || len(s.wrote[0]) == 0 {
		t.Fatalf("%d commits; the records beside the error were skipped", len(s.wrote))
	}
}

// A silent abort drops the overlay: the next batch announces the transition again.
func TestLoop_silentAbortRollsBack(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	recs := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
	s := &script{polls: []polled{{recs, nil}, {recs, nil}}, commits: []committed{{false, nil}, {true, nil}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	for range 2 {
		if err := l.Step(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	count := func(rs []stream.Record) (n int) {
		for _, r := range rs {
			if r.Topic == topics.Transition {
				n++
			}
		}
		return n
	}
	if a, b := count(s.wrote[0]), count(s.wrote[1]); a != 1 || b != 1 {
		t.Errorf("%d transitions in the aborted batch, %d in the retried one; want 1 and 1", a, b)
	}
}

// An output that Kafka refuses for its size sets its input aside; the next try
// commits.
func TestLoop_refusedOutputBecomesADeadLetter(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	recs := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
	s := &script{polls: []polled{{recs, nil}, {recs, nil}}, commits: []committed{{false, tooLarge{0}}, {true, nil}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	for range 2 {
		if err := l.Step(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	if out := s.wrote[1]; len(out) != 2 || out[0].Topic != topics.DeadLetter || out[1].Topic != topics.ReconcilerPosition {
		t.Errorf("the second try wrote %d records, want a dead letter and a position", len(out))
	}
}

func TestLoop_unknownOutcomeKillsTheSession(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	s := &script{polls: []polled{{w.poll(rand.New(rand.NewPCG(1, 1)), 9), nil}}, commits: []committed{{false, stream.ErrFenced}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	if err := l.Step(context.Background(), s); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("Step = %v, want ErrFenced", err)
	}
}

func BenchmarkEngineStep(b *testing.B) {
	w := newWorld(b)
	w.now = minute(9)
	for i := range 1000 {
		w.append(w.hook(fmt.Sprintf("o%d", i%500), []string{"wait", "done"}[i/500], minute(1), events.TrustSigned))
	}
	recs := w.poll(rand.New(rand.NewPCG(1, 1)), 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.eng.Step(context.Background(), recs, false); err != nil {
			b.Fatal(err)
		}
		w.eng.Rollback()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "us/record")
}
