package reconciler_test

import (
	"bytes"
	"context"
	"maps"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
	"rampstream/internal/table"
	"rampstream/internal/table/slab"
	"rampstream/schemas"
)

// nervously starts w's engine anew, with tables that panic when they are asked
// for one of the keys.
func (w *world) nervously(id string) counted {
	w.t.Helper()
	obs := counted{}
	w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true, Observer: obs,
		OpenTable: func(int32) (table.Table, error) { return nervous{slab.New(), key(id).String()}, nil }})
	for n := range int32(partitions) {
		if err := w.restore(n); err != nil {
			w.t.Fatal(err)
		}
	}
	return obs
}

// said is what a dead letter says of the panic.
func said(t *testing.T, dead stream.Record) string {
	t.Helper()
	for _, h := range dead.Headers {
		if bytes.Contains(h.Value, []byte("a payload")) {
			t.Errorf("header %s quotes the panic", h.Key)
		}
	}
	class, _ := dead.Header(stream.HeaderErrClass)
	text, _ := dead.Header(stream.HeaderErrMessage)
	if string(class) != reconciler.ClassPanic {
		t.Errorf("class %s (%s), want PANIC", class, text)
	}
	return string(text)
}

// R16: a record that panics the join is set aside. The dead letter says in which
// function it was, and the digest of the calls that led there.
func TestEngine_panicOfTheJoin(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	obs := w.nervously("o1")
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o2", "done", minute(2), events.TrustSigned))
	w.drain()
	dead := w.log.All(topics.DeadLetter)
	if len(dead) != 1 || obs[reconciler.ClassPanic] != 1 {
		t.Fatalf("%d dead letters, counted as %v; want one", len(dead), obs)
	}
	if text := said(t, dead[0]); !strings.Contains(text, "reconciler_test.nervous.Get, stack ") {
		t.Errorf("the dead letter says %q; want the function and the digest of its calls", text)
	}
	if errs := w.eng.Faults(); len(errs) != 1 || strings.Contains(errs[0].Error(), "a payload") {
		t.Errorf("Faults = %v; want one that quotes nothing", errs)
	}
	if w.state("o2").Status != events.StatusCompleted {
		t.Errorf("o2 is %v, want COMPLETED", w.state("o2").Status)
	}
	checkChain(t, w)
	w.restart() // count and digest are those of the position
}

// R16: a join that panics when the overlay has the evidence already must not be
// gone on from: the record would be joined and set aside.
func TestEngine_panicInTheMiddleOfTheJoin(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	record := first(w, 9)[0]
	class, at, err := w.eng.JoinTorn(context.Background(), &record)
	if class != reconciler.ClassPanic || at != record.At() || err == nil || strings.Contains(err.Error(), "nil pointer") {
		t.Errorf("JoinTorn = %v, class %q of %v; want that the batch begins again without %v, class PANIC", err, class, at, record.At())
	}
}

func explode(now bool) {
	if now {
		panic("a payload")
	}
}

// R16: a panic while a record is decoded sets it aside.
func TestEngine_panicOfTheDecoder(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.codec = withRegistry(t, func(id int) (string, error) {
		explode(id > len(schemas.Names()))
		return schemas.Text(schemas.Names()[id-1]), nil
	})
	w.restart()
	w.append(
		stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(key("x").String()), Value: []byte{0, 0, 0, 0x30, 0x39, 1, 2, 3}},
		w.hook("o1", "done", minute(1), events.TrustSigned))
	w.drain()
	dead := w.log.All(topics.DeadLetter)
	if len(dead) != 1 {
		t.Fatalf("%d dead letters, want one", len(dead))
	}
	if text := said(t, dead[0]); !strings.Contains(text, "explode") {
		t.Errorf("the dead letter says %q; want the function", text)
	}
	if w.state("o1").Status != events.StatusCompleted {
		t.Errorf("o1 is %v, want COMPLETED", w.state("o1").Status)
	}
}

// R16: a panic while the outputs of a batch are written is laid to the record
// behind them.
func TestEngine_panicOfTheOutputs(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "done", minute(1), events.TrustSigned))
	records := first(w, 9)
	class, at, err := w.eng.FinishTorn(context.Background(), records)
	if class != reconciler.ClassPanic || at != records[0].At() || strings.Contains(err.Error(), "nil pointer") {
		t.Errorf("FinishTorn = %v, class %q of %v; want PANIC of %v, without the panic's text", err, class, at, records[0].At())
	}
}

// R16: a state that the current rules cannot view stays as it is. The others are
// viewed, the engine goes on, and a program that can view it does so later.
func TestEngine_panicOfARuleChange(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o2", "run", minute(1), events.TrustSigned), w.hook("o3", "wait", minute(1), events.TrustSigned))
	w.drain()
	v := vocab
	v.Orders = maps.Clone(vocab.Orders)
	v.Orders["wait"], v.Orders["run"] = events.Word{Status: events.StatusFailed}, events.Word{Status: events.StatusCompleted}
	old := w.rules
	w.rules = newRules(t, v)
	obs := w.nervously("o2")
	w.drain()
	if st := w.state("o2"); st.Status != events.StatusProcessing || st.RulesVersion != old.VersionFor(&st.Key) {
		t.Errorf("o2 is %v by rules %s; want PROCESSING, as the old ones viewed it", st.Status, st.RulesVersion)
	}
	for _, id := range []string{"o1", "o3"} {
		if st := w.state(id); st.Status != events.StatusFailed {
			t.Errorf("%s is %v, want FAILED by the current rules", id, st.Status)
		}
	}
	if obs["not_viewed"] != 1 || len(w.log.All(topics.DeadLetter)) != 0 {
		t.Errorf("%d states were not viewed, %d dead letters; want 1 and none", obs["not_viewed"], len(w.log.All(topics.DeadLetter)))
	}
	if errs := w.eng.Faults(); len(errs) != 1 || strings.Contains(errs[0].Error(), "a payload") || !strings.Contains(errs[0].Error(), "o2") {
		t.Errorf("Faults = %v; want one that names o2 and quotes nothing", errs)
	}
	checkChain(t, w)
	w.restart()
	w.drain()
	if st := w.state("o2"); st.Status != events.StatusCompleted {
		t.Errorf("o2 is %v once it can be viewed, want COMPLETED", st.Status)
	}
	checkChain(t, w)
}
