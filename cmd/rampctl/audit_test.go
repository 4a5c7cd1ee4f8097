package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/order"
	"rampstream/internal/reconciler"
	"rampstream/internal/run"
	"rampstream/internal/sim"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

const auditPartitions = 3

var (
	auditTopics = stream.DefaultTopics("ramp.")
	auditVocab  = events.Vocabulary{
		Provider: "acme", PollOrders: true, Webhooks: true,
		Orders: map[string]events.Word{
			"wait": {Status: events.StatusPending}, "run": {Status: events.StatusProcessing},
			"done": {Status: events.StatusCompleted}, "fail": {Status: events.StatusFailed},
		},
		Customers: map[string]events.Word{"L0": {Status: events.StatusCreated}, "L2": {Status: events.StatusCompleted}},
	}
)

const auditDay = events.Millis(1_700_000_000_000)

// auditWorld is a log in memory that a reconciler has joined.
type auditWorld struct {
	t     *testing.T
	log   *sim.Log
	codec *codec.Codec
	eng   *reconciler.Engine
	rules order.Rules
	next  map[string]map[int32]int64
	now   events.Millis
	rng   *rand.Rand
}

func auditRules(t *testing.T, change func(*order.Settings)) order.Rules {
	t.Helper()
	s := order.DefaultSettings()
	if change != nil {
		change(&s)
	}
	r, err := order.NewRules(s, map[events.Lane]events.Vocabulary{"acme/shop": auditVocab})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newAuditWorld writes n records about a few subjects, some of which nobody
// can read, and lets a reconciler join them.
func newAuditWorld(t *testing.T, n int) *auditWorld {
	t.Helper()
	ids := map[string]int{}
	for i, name := range schemas.Names() {
		ids[name] = 100 + i
	}
	cd, err := codec.New(ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &auditWorld{t: t, codec: cd, rules: auditRules(t, nil), next: map[string]map[int32]int64{}, now: auditDay, rng: rand.New(rand.NewPCG(1, 1))}
	w.log = sim.NewLog(auditPartitions, func() int64 { return int64(w.now) }, auditTopics.All()...)
	w.eng = reconciler.NewEngine(reconciler.Config{Topics: auditTopics, Partitions: auditPartitions, Rules: w.rules, Codec: cd, VerifyDigest: true})
	for p := range int32(auditPartitions) {
		if _, err := w.eng.Restore(t.Context(), p, w.log, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.write(n)
	w.join()
	return w
}

func auditKey(i int) events.Key {
	if i%5 == 4 {
		return events.Key{Provider: "acme", Account: "shop", Kind: events.Customer, ID: fmt.Sprint("c", i)}
	}
	return events.Key{Provider: "acme", Account: "shop", ID: fmt.Sprint("o", i)}
}

func (w *auditWorld) append(topic string, key events.Key, value []byte, err error) {
	w.t.Helper()
	if err == nil {
		_, err = w.log.Append(stream.Record{Topic: topic, Partition: stream.Auto, Key: []byte(key.String()), Value: value})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *auditWorld) write(n int) {
	words := []string{"wait", "run", "done", "fail", "odd", "L0", "L2"}
	for i := range n {
		w.now += events.Millis(w.rng.IntN(400_000))
		key, word := auditKey(w.rng.IntN(15)), words[w.rng.IntN(len(words))]
		id := events.EventID(events.Digest(key.String(), word, fmt.Sprint(i)))
		at := w.now - events.Millis(w.rng.IntN(60_000)) + events.Millis(w.rng.IntN(40_000))
		switch w.rng.IntN(6) {
		case 0, 1:
			v, err := w.codec.EncodeWebhook(events.Webhook{Key: key, EventID: id, ObservedAt: at, Trust: events.Trust(min(1, w.rng.IntN(4))), StatusRaw: word, BodyDigest: "d"})
			w.append(auditTopics.Webhook, key, v, err)
		case 2, 3:
			v, err := w.codec.EncodeStatusCheck(events.StatusCheck{Key: key, EventID: id, ObservedAt: at, Outcome: events.OutcomeOK, StatusRaw: word, Attempt: 1,
				Facts: events.Facts{FiatAmount: "10.0", FiatCurrency: "EUR"}})
			w.append(auditTopics.StatusCheck, key, v, err)
		case 4:
			v, err := w.codec.EncodeIntent(events.Intent{Key: key, EventID: id, ObservedAt: at, Facts: events.Facts{FiatAmount: "10", FiatCurrency: "EUR"}})
			w.append(auditTopics.Intent, key, v, err)
		default: // what must be set aside: no Avro, another key, another partition
			v, err := w.codec.EncodeIntent(events.Intent{Key: key, EventID: id, ObservedAt: at})
			switch w.rng.IntN(6) {
			case 0:
				v = []byte("{}")
			case 1:
				key = auditKey(14 - w.rng.IntN(3))
			case 2:
				r := stream.Record{Topic: auditTopics.Intent, Key: []byte(key.String()), Value: v}
				r.Partition = (stream.PartitionOf(r.Key, auditPartitions) + 1) % auditPartitions
				if _, err := w.log.Append(r); err != nil {
					w.t.Fatal(err)
				}
				continue
			}
			w.append(auditTopics.Intent, key, v, err)
		}
	}
}

// forget writes a FORGET and lets the reconciler read it.
func (w *auditWorld) forget(key events.Key) {
	w.t.Helper()
	v, err := w.codec.EncodeIntent(events.Intent{Key: key, Kind: events.Forget, EventID: "f", ObservedAt: w.now, Operator: "op", Reason: "erasure"})
	w.append(auditTopics.Intent, key, v, err)
	w.join()
}

// join lets the reconciler read all that is there.
func (w *auditWorld) join() {
	w.t.Helper()
	var records []stream.Record
	for _, topic := range auditTopics.Inputs() {
		if w.next[topic] == nil {
			w.next[topic] = map[int32]int64{}
		}
		for p := range int32(auditPartitions) {
			_ = w.log.Read(w.t.Context(), topic, p, w.next[topic][p], 1<<60, true, func(r stream.Record) error {
				records = append(records, r)
				w.next[topic][p] = r.Offset + 1
				return nil
			})
		}
	}
	b, err := w.eng.Step(w.t.Context(), records, true)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.log.Append(b.Out...); err != nil {
		w.t.Fatal(err)
	}
	w.eng.Accept()
}

// audit runs the command over log.
func (w *auditWorld) audit(log stream.Log, rules order.Rules) (out string, err error) {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	c := &cli{out: &stdout, errw: &stderr, output: "text"}
	r := reading{Reader: inspect.Reader{Log: log, Codec: w.codec, Topics: auditTopics, Partitions: auditPartitions}}
	err = c.runAudit(w.t.Context(), r, rules)
	return stdout.String(), err
}

// latest is the latest state record of a topic that match accepts.
func (w *auditWorld) latest(match func(events.State) bool) (stream.Record, events.State) {
	w.t.Helper()
	latest := map[string]stream.Record{}
	for _, r := range w.log.All(auditTopics.OrderState) {
		latest[string(r.Key)] = r
	}
	for i := range 15 {
		r, ok := latest[auditKey(i).String()]
		if !ok {
			continue
		}
		st, err := w.codec.DecodeOrderState(w.t.Context(), r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		if match(st) {
			return r, st
		}
	}
	w.t.Fatal("no state to change")
	return stream.Record{}, events.State{}
}

func (w *auditWorld) change(r stream.Record, st events.State) {
	w.t.Helper()
	v, err := w.codec.EncodeState(st)
	if err != nil {
		w.t.Fatal(err)
	}
	w.log.Change(r.Topic, r.Partition, r.Offset, v)
}

func TestAudit_equal(t *testing.T) {
	w := newAuditWorld(t, 800)
	w.write(50) // not joined yet: beyond the position
	out, err := w.audit(w.log, w.rules)
	if err != nil || !strings.HasPrefix(out, "equal: 15 states") || !strings.Contains(out, "15 equal") || strings.Contains(out, " 0 records set aside") {
		t.Errorf("audit = %v\n%s", err, out)
	}
	w.log.Compact(auditTopics.OrderState)
	w.join()
	if out, err := w.audit(w.log, w.rules); err != nil || !strings.Contains(out, "15 equal") {
		t.Errorf("audit after the rest = %v\n%s", err, out)
	}
}

// Where no reconciler has been there is nothing to compare, and "equal" alone would
// say otherwise.
func TestAudit_saysWhereNoReconcilerWas(t *testing.T) {
	w := newAuditWorld(t, 0)
	w.write(60)
	var stdout, stderr bytes.Buffer
	c := &cli{out: &stdout, errw: &stderr, output: "json"}
	r := reading{Reader: inspect.Reader{Log: w.log, Codec: w.codec, Topics: auditTopics, Partitions: auditPartitions}}
	if err := c.runAudit(t.Context(), r, w.rules); !errors.Is(err, run.ErrDifferences) || !strings.Contains(stdout.String(), `"result":"not_compared"`) || !strings.Contains(stdout.String(), `"partitions_without_position":3,`) || !strings.Contains(stderr.String(), "3 partitions have input records and no position") {
		t.Errorf("audit before the first commit = %v, %s%s", err, stdout.String(), stderr.String())
	}
	stderr.Reset()
	w.join()
	if err := c.runAudit(t.Context(), r, w.rules); err != nil || strings.Contains(stderr.String(), "no position") {
		t.Errorf("audit after it = %v, %s", err, stderr.String())
	}
}

// What somebody, or a fault, changed in a state is found, and named.
func TestAudit_findsDifferences(t *testing.T) {
	open := func(st events.State) bool { return !st.Terminal && len(st.Evidence) > 2 }
	for _, tc := range []struct {
		name, field string
		change      func(w *auditWorld)
	}{
		{"status", "status is", func(w *auditWorld) {
			r, st := w.latest(open)
			st.Status = events.StatusRefunded
			w.change(r, st)
		}},
		{"row lost", "evidence is", func(w *auditWorld) {
			r, st := w.latest(open)
			st.Evidence = st.Evidence[:len(st.Evidence)-1]
			w.change(r, st)
		}},
		{"row changed", "evidence[0].first_at is", func(w *auditWorld) {
			r, st := w.latest(open)
			st.Evidence[0].First.At++
			w.change(r, st)
		}},
		{"state lost", "(no state) is", func(w *auditWorld) {
			r, _ := w.latest(open)
			if _, err := w.log.Append(stream.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key}); err != nil {
				w.t.Fatal(err)
			}
		}},
		{"state from nowhere", "(no input) is", func(w *auditWorld) {
			_, st := w.latest(open)
			st.Key.ID = "never"
			v, err := w.codec.EncodeState(st)
			w.append(auditTopics.OrderState, st.Key, v, err)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newAuditWorld(t, 300)
			tc.change(w)
			out, err := w.audit(w.log, w.rules)
			if !errors.Is(err, run.ErrDifferences) || run.Code(err) != run.Differences || !strings.Contains(out, tc.field) || !strings.Contains(out, " 1 different") {
				t.Errorf("audit = %v; want one difference in %q\n%s", err, tc.field, out)
			}
		})
	}
}

// Where retention cut the inputs, what is left must add nothing to a state.
func TestAudit_truncatedInputs(t *testing.T) {
	w := newAuditWorld(t, 600)
	for p := range int32(auditPartitions) {
		w.log.Truncate(auditTopics.StatusCheck, p, w.next[auditTopics.StatusCheck][p]/2)
	}
	out, err := w.audit(w.log, w.rules)
	if err != nil || strings.Contains(out, " 0 consistent with truncated") {
		t.Fatalf("audit of truncated inputs = %v\n%s", err, out)
	}
	r, st := w.latest(func(st events.State) bool { return len(st.Evidence) > 3 })
	st.Evidence = st.Evidence[1:]
	w.change(r, st)
	if out, err := w.audit(w.log, w.rules); !errors.Is(err, run.ErrDifferences) {
		t.Errorf("a row is gone that the inputs still have: %v\n%s", err, out)
	}
}

// A state that waits to be viewed by new rules is no difference while its
// evidence is right.
func TestAudit_otherRules(t *testing.T) {
	w := newAuditWorld(t, 300)
	out, err := w.audit(w.log, auditRules(t, func(s *order.Settings) { s.Confirm = time.Hour }))
	if err != nil || !strings.Contains(out, "15 viewed by other rules") {
		t.Errorf("audit by other rules = %v\n%s", err, out)
	}
}

// busyLog lets the reconciler commit between the reads of an audit.
type busyLog struct {
	*sim.Log
	w    *auditWorld
	left int
}

func (b *busyLog) Read(ctx context.Context, topic string, n int32, from, to int64, committed bool, fn func(stream.Record) error) error {
	if topic == auditTopics.OrderState && b.left > 0 {
		b.left--
		b.w.write(20)
		b.w.join()
	}
	return b.Log.Read(ctx, topic, n, from, to, committed, fn)
}

// A reconciler at work is no difference either: partitions are read again, and
// what still moves is counted apart.
func TestAudit_whileTheReconcilerWorks(t *testing.T) {
	w := newAuditWorld(t, 300)
	if out, err := w.audit(&busyLog{w.log, w, 2}, w.rules); err != nil || !strings.Contains(out, "15 equal") {
		t.Errorf("audit of a moving log = %v\n%s", err, out)
	}
	if out, err := w.audit(&busyLog{w.log, w, 1000}, w.rules); err != nil || strings.Contains(out, " 0 moving") {
		t.Errorf("audit of a log that never rests = %v\n%s", err, out)
	}
}
