package reconciler_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

// A record whose schema the registry does not have waits a while, in case the
// registry lags, and is then set aside: it must not hold up its partition.
func TestLoop_unknownSchemaIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.codec = withRegistry(t, func(id int) (string, error) { return "", fmt.Errorf("%w: id %d", codec.ErrUnknownSchema, id) })
		w.restart()
		w.now = minute(9)
		w.append(
			stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(key("x").String()), Value: []byte{0, 0, 0, 0x30, 0x39, 1, 2, 3}},
			w.hook("o1", "done", minute(1), events.TrustSigned))
		s := &script{polls: []polled{{w.poll(rand.New(rand.NewPCG(1, 1)), 9), nil}}}
		began := time.Now()
		if err := (&reconciler.Loop{Engine: w.eng, Log: quiet}).Step(t.Context(), s); err != nil {
			t.Fatalf("Step = %v", err)
		}
		if took := time.Since(began); took < 20*time.Second || took > time.Minute {
			t.Errorf("waited %v for the schema, want about half a minute", took)
		}
		classes := map[string]bool{}
		for _, r := range s.wrote[0] {
			if c, ok := r.Header(stream.HeaderErrClass); ok {
				classes[string(c)] = true
			}
			classes[r.Topic] = true
		}
		if !classes[reconciler.ClassUnknownSchema] || !classes[topics.OrderState] {
			t.Errorf("wrote %v; want the dead letter and the state of the other order", classes)
		}
	})
}

// A batch may be tried many times, because a schema cannot be had yet or its
// transaction was aborted. The counters say what was committed: one record that
// was set aside is one, whatever was tried before.
func TestLoop_countsWhatIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.codec = withRegistry(t, func(id int) (string, error) { return "", fmt.Errorf("%w: id %d", codec.ErrUnknownSchema, id) })
		obs := counted{}
		w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true, Observer: obs})
		for n := range int32(partitions) {
			if _, err := w.eng.Restore(t.Context(), n, w.log, nil); err != nil {
				t.Fatal(err)
			}
		}
		w.now = minute(9)
		w.append(
			stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(key("x").String()), Value: []byte("no Avro")},
			w.hook("o1", "done", minute(1), events.TrustSigned), w.hook("o2", "odd", minute(1), events.TrustSigned),
			stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(key("x").String()), Value: []byte{0, 0, 0, 0x30, 0x39, 1, 2, 3}})
		records := first(w, 9)
		s := &script{polls: []polled{{records, nil}, {records, nil}}, commits: []committed{{false, nil}, {true, nil}}}
		l := &reconciler.Loop{Engine: w.eng, Log: quiet}
		for range 2 {
			if err := l.Step(t.Context(), s); err != nil {
				t.Fatalf("Step = %v", err)
			}
		}
		want := counted{"changed": 2, "dead_letter": 2, reconciler.ClassUndecodable: 1, reconciler.ClassUnknownSchema: 1, "COMPLETED": 1, "acme": 1}
		if diff := cmp.Diff(want, obs); diff != "" {
			t.Errorf("counted, by what (-want +got):\n%s", diff)
		}
	})
}

// A registry that refuses us is the platform's fault: the process says so
// instead of waiting for ever.
func TestLoop_refusingRegistryEndsTheSession(t *testing.T) {
	w := newWorld(t)
	w.codec = withRegistry(t, func(int) (string, error) { return "", fmt.Errorf("credentials: %w", stream.ErrRefused) })
	w.restart()
	w.append(stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(key("x").String()), Value: []byte{0, 0, 0, 0x30, 0x39, 1}})
	s := &script{polls: []polled{{w.poll(rand.New(rand.NewPCG(1, 1)), 9), nil}}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := (&reconciler.Loop{Engine: w.eng, Log: quiet}).Step(ctx, s); err == nil || ctx.Err() != nil {
		t.Errorf("Step = %v; want the refusal at once", err)
	}
}

// A record that is too large even as a dead letter keeps its coordinates only.
func TestLoop_deadLetterTooLarge(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte("k"), Value: bytes.Repeat([]byte{1}, 1<<20)})
	recs := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
	s := &script{polls: []polled{{recs, nil}, {recs, nil}}, commits: []committed{{false, tooLarge{0}}, {true, nil}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	for range 2 {
		if err := l.Step(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	dead := s.wrote[1][0]
	offset, _ := dead.Header(stream.HeaderErrOffset)
	if dead.Topic != topics.DeadLetter || dead.Value != nil || string(offset) != "0" {
		t.Errorf("second try wrote %d bytes to %s, offset %q; want a bare dead letter", len(dead.Value), dead.Topic, offset)
	}
}

// Evidence of an account that is missing in the configuration is counted apart:
// nothing else tells that its orders stand still.
func TestEngine_unconfiguredAccountIsCounted(t *testing.T) {
	w := newWorld(t)
	w.now = minute(40)
	other, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{"acme/other": vocab})
	if err != nil {
		t.Fatal(err)
	}
	obs := counted{}
	w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: other, Codec: w.codec, VerifyDigest: true, Observer: obs})
	for n := range int32(partitions) {
		if _, err := w.eng.Restore(t.Context(), n, w.log, nil); err != nil {
			t.Fatal(err)
		}
	}
	hook := w.hook("o1", "done", minute(1), events.TrustSigned)
	w.append(hook, hook)
	w.step(first(w, 9), true)
	if diff := cmp.Diff(counted{"unconfigured": 1, "known": 1}, obs); diff != "" {
		t.Errorf("counted, by what (-want +got):\n%s", diff)
	}
}

// An account that is missing in the configuration must not turn its settled
// orders into unknown ones, nor lose what is said meanwhile.
func TestEngine_unconfiguredAccountIsNotViewed(t *testing.T) {
	w := newWorld(t)
	w.now = minute(40)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned), w.check("o1", "done", minute(20), events.CauseConfirm))
	w.drain()
	was := w.rules
	other, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{"acme/other": vocab})
	if err != nil {
		t.Fatal(err)
	}
	w.rules = other
	w.restart()
	transitions := len(w.log.All(topics.Transition))
	w.append(w.check("o1", "fail", minute(39), events.CauseSchedule), w.hook("o2", "done", minute(30), events.TrustSigned))
	w.drain()
	if st := w.state("o1"); st.Status != events.StatusCompleted || !st.Terminal || len(st.Evidence) != 3 {
		t.Errorf("state without its account = %v, terminal %v, %d rows; want COMPLETED as it was, with the new evidence", st.Status, st.Terminal, len(st.Evidence))
	}
	if n := len(w.log.All(topics.Transition)); n != transitions {
		t.Errorf("%d transitions were announced without a table", n-transitions)
	}
	w.rules = was
	w.restart()
	w.drain()
	if st := w.state("o1"); st.Status != events.StatusFailed {
		t.Errorf("after the account came back the state is %v, want FAILED by the poll of meanwhile", st.Status)
	}
	if st := w.state("o2"); st.Status != events.StatusCompleted {
		t.Errorf("the order that came meanwhile is %v, want COMPLETED", st.Status)
	}
	checkChain(t, w)
}

// Evidence may come for an outdated state before its turn to be viewed again:
// what the old rules derived beside the state is renewed with it.
func TestEngine_ruleChangeBesideEvidence(t *testing.T) {
	w := newWorld(t)
	w.now = minute(60 * 40)
	w.append(w.check("o1", "wait", minute(1), events.CauseSchedule), w.check("o1", "wait", minute(60*30), events.CauseSchedule))
	w.drain()
	if st := w.state("o1"); len(st.Open) != 1 {
		t.Fatalf("open = %v, want STUCK", st.Open)
	}
	s := order.DefaultSettings()
	s.Stuck = 1000 * time.Hour
	r, err := order.NewRules(s, map[events.Lane]events.Vocabulary{"acme/shop": vocab})
	if err != nil {
		t.Fatal(err)
	}
	w.rules = r
	w.restart()
	w.append(w.check("o1", "wait", minute(60*31), events.CauseSchedule))
	w.drain()
	if st := w.state("o1"); len(st.Open) != 0 {
		t.Errorf("open = %v after the rule change", st.Open)
	}
	for k := range w.table(topics.Discrepancy) {
		t.Errorf("%s of the old rules is still there", k)
	}
}

// ruled is a world of three states that new rules view otherwise.
func ruled(t *testing.T) (*world, counted) {
	w := newWorld(t)
	w.now = minute(9)
	for _, id := range []string{"o1", "o2", "o3"} {
		w.append(w.hook(id, "wait", minute(1), events.TrustSigned))
	}
	w.drain()
	v := vocab
	v.Orders = maps.Clone(vocab.Orders)
	v.Orders["wait"] = events.Word{Status: events.StatusFailed}
	w.rules = newRules(t, v)
	return w, w.nervously("nobody")
}

// of finds the output of a topic and key.
func of(out []stream.Record, topic, key string) int {
	return slices.IndexFunc(out, func(r stream.Record) bool { return r.Topic == topic && string(r.Key) == key })
}

// A state that new rules make too large stays as it is. No record is behind it, the
// others of its partition do not wait for it, and it is counted. A record that
// changes nothing of it is not set aside for it, and a hint is passed on.
func TestLoop_ruleChangeTooLarge(t *testing.T) {
	o2 := key("o2").String()
	for _, tc := range []struct {
		topic, key string // of what is refused
		asks       bool   // the poller
		record     func(w *world) stream.Record
	}{
		{topics.OrderState, o2, false, nil},
		{topics.Transition, o2, false, nil},
		{topics.Discrepancy, o2 + "/MISSING_WEBHOOK", false, nil},
		{topics.OrderState, o2, false, func(w *world) stream.Record { return w.hook("o2", "wait", minute(1), events.TrustSigned) }},
		{topics.OrderState, o2, true, func(w *world) stream.Record { return w.hook("o2", "done", minute(8), events.TrustHint) }},
		{topics.OrderState, o2, false, func(w *world) stream.Record { // a dead letter of its key
			r := w.hook("o2", "wait", minute(1), events.TrustSigned)
			r.Value = []byte("no record")
			return r
		}},
	} {
		w, obs := ruled(t)
		if tc.record != nil {
			w.append(tc.record(w))
		}
		recs := first(w, 9)
		b, err := w.eng.Step(t.Context(), recs, true)
		if err != nil {
			t.Fatal(err)
		}
		large, dead := of(b.Out, tc.topic, tc.key), of(b.Out, topics.DeadLetter, o2)
		w.eng.Rollback()
		s := &script{polls: []polled{{recs, nil}, {recs, nil}}, commits: []committed{{false, tooLarge{large}}, {true, nil}}}
		l := &reconciler.Loop{Engine: w.eng, Log: quiet}
		for range 2 {
			if err := l.Step(t.Context(), s); err != nil {
				t.Fatalf("%s of %s is refused: %v", tc.topic, tc.key, err)
			}
		}
		w.append(s.wrote[1]...)
		for id, want := range map[string]events.Status{"o1": events.StatusFailed, "o2": events.StatusPending, "o3": events.StatusFailed} {
			if st := w.state(id); st.Status != want {
				t.Errorf("%s of %s is refused: %s is %v, want %v", tc.topic, tc.key, id, st.Status, want)
			}
		}
		if obs["not_viewed"] != 1 || w.eng.Outdated() != 0 {
			t.Errorf("%d states were not viewed, %d wait; want 1 and none", obs["not_viewed"], w.eng.Outdated())
		}
		if now := of(s.wrote[1], topics.DeadLetter, o2); (now >= 0) != (dead >= 0) {
			t.Errorf("%s of %s is refused: a dead letter at %d, before at %d", tc.topic, tc.key, now, dead)
		}
		if asks := of(s.wrote[1], topics.CheckSchedule, o2) >= 0; asks != tc.asks {
			t.Errorf("%s of %s is refused: the poller is asked: %v, want %v", tc.topic, tc.key, asks, tc.asks)
		}
		w.restart()
	}
}
