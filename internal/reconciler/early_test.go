package reconciler_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/sim"
	"rampstream/internal/stream"
	"rampstream/internal/table"
	"rampstream/internal/table/slab"
	"rampstream/schemas"
)

// client is a session on a world's log that takes parts of batches, as a client
// of Kafka does: it looks at the memory of what it took until the end.
type client struct {
	w      *world
	t      *testing.T
	rng    *rand.Rand
	all    []stream.Record // that are left to be read
	polled int
	given  []stream.Record // as Poll returned them
	spent  bool            // they were committed
	sent   []stream.Record // as they were given
	were   []stream.Record // copies of then
	lost   [][2][]stream.Record
	early  map[string]int // what ended batches of which something was sent
	end    ending         // of the next batch
	died   bool
	dies   bool // sessions are lost, too
}

// ending is what becomes of a batch.
type ending struct {
	sends int   // that are taken; then none is
	ok    bool  // of Commit
	err   error // of Commit
	abort error // of Abort
	wrote bool  // beside err: it was committed all the same
}

// Poll writes over what it gave for a batch that was committed, as a session does.
func (c *client) Poll(context.Context, int) ([]stream.Record, error) {
	for i := range c.given {
		if r := &c.given[i]; c.spent {
			clear(r.Key)
			clear(r.Value)
		}
	}
	c.polled = min(1+c.rng.IntN(60), len(c.all))
	c.given, c.spent = nil, false
	for _, r := range c.all[:c.polled] {
		c.given = append(c.given, sim.Own(r))
	}
	return c.given, nil
}

func (c *client) Send(out []stream.Record) bool {
	if c.end.sends == 0 {
		return false
	}
	c.end.sends--
	for _, r := range out {
		c.sent, c.were = append(c.sent, r), append(c.were, sim.Own(r))
	}
	return true
}

func (c *client) Commit(_ context.Context, out []stream.Record) (bool, error) {
	if d := cmp.Diff(c.were, append([]stream.Record(nil), out[:len(c.sent)]...)); d != "" {
		c.t.Errorf("what is committed does not begin with what was sent (-sent +committed):\n%s", d)
	}
	what := "committed"
	if !c.end.ok || c.end.err != nil {
		what = fmt.Sprint(c.end.err)
	}
	c.ended(what, c.end.ok && c.end.err == nil)
	if c.end.ok && c.end.err == nil || c.end.wrote {
		for _, r := range out {
			c.w.append(sim.Own(r))
		}
		c.all, c.spent = c.all[c.polled:], true
	}
	return c.end.ok, c.end.err
}

func (c *client) Abort(context.Context) error {
	c.ended("step failed", false)
	return c.end.abort
}

func (*client) Close() {}

// ended looks at what was sent: it is as it was.
func (c *client) ended(what string, committed bool) {
	if d := cmp.Diff(c.were, c.sent); d != "" {
		c.t.Errorf("what was sent was written over before the end (-then +now):\n%s", d)
	}
	if len(c.sent) > 0 {
		c.early[what]++
	}
	if !committed {
		c.lost = append(c.lost, [2][]stream.Record{c.were, c.sent})
	}
	c.sent, c.were = nil, nil
}

// broken is a codec whose registry fails the first time that it is asked for a
// foreign id.
func broken(t *testing.T) *codec.Codec {
	asked := map[int]bool{}
	var mu sync.Mutex
	return withRegistry(t, func(id int) (string, error) {
		if id < foreign {
			return byID{}.SchemaByID(t.Context(), id)
		}
		mu.Lock()
		defer mu.Unlock()
		if !asked[id] {
			asked[id] = true
			return "", errors.New("the registry is down")
		}
		return schemas.Text("Webhook"), nil
	})
}

const foreign = 1000

func (w *world) nervous() {
	w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true, ReuseOutputs: true, Joiners: w.joiners,
		OpenTable: func(int32) (table.Table, error) { return nervous{slab.New(), key("o3").String()}, nil }})
	for n := range int32(partitions) {
		if err := w.restore(n); err != nil {
			w.t.Fatal(err)
		}
	}
}

// What is sent while the rest is joined shows nowhere, however many join side by
// side. Batches that were sent in
// part end in every way: committed, aborted in silence or with an error, with an
// unknown outcome, because the session takes no more, because the step fails on a
// schema that cannot be had or on a panic, or because even the abort fails.
// Whatever happens, what comes out is what one record after the other gives, and
// no memory is written over that a client may still look at. That of a subject
// which is complete is written over at once: nothing reads it.
func TestLoop_earlyDoesNotShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early := map[string]int{}
		for seed := range uint64(40) {
			rng := rand.New(rand.NewPCG(seed, 11))
			one, many := newWorld(t), newWorld(t)
			one.codec, many.codec = broken(t), broken(t)
			one.joiners, many.joiners = 1, 1+rng.IntN(5)
			one.now, many.now = minute(3000), minute(3000)
			one.nervous()
			many.nervous()
			for i := range 40 + rng.IntN(200) {
				r := anyRecord(one, rng)
				switch {
				case rng.IntN(3) == 0: // of another subject than the usual five
					r = one.hook(fmt.Sprint("other", rng.IntN(60)), "done", minute(rng.IntN(2500)), events.TrustSigned)
				case rng.IntN(12) == 0:
					r = one.forget(fmt.Sprint("other", rng.IntN(60)), minute(rng.IntN(2500)))
				}
				if r.Topic == topics.Webhook && rng.IntN(20) == 0 {
					binary.BigEndian.PutUint32(r.Value[1:], uint32(foreign+i))
				}
				one.append(r)
				many.append(r)
			}
			l := &reconciler.Loop{Engine: one.eng, Log: quiet}
			all := one.poll(rng, 1000)
			c := &client{w: many, t: t, rng: rng, all: all, early: early, dies: seed%2 == 1}
			for ; len(all) > 0; all = all[1:] {
				s := &script{polls: []polled{{all[:1], nil}}}
				if err := l.Step(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				one.append(s.wrote[0]...)
			}
			c.run()
			tables := []string{topics.OrderState, topics.Discrepancy}
			if !c.died { // pending hints die with a session
				tables = append(tables, topics.CheckSchedule)
			}
			for _, topic := range tables {
				if d := cmp.Diff(texts(one.table(topic)), texts(many.table(topic))); d != "" {
					t.Fatalf("seed %d: %s (-one at a time +early):\n%s", seed, topic, d)
				}
			}
			for _, topic := range []string{topics.Transition, topics.DeadLetter} {
				if d := cmp.Diff(byKey(one.log.All(topic)), byKey(many.log.All(topic))); d != "" {
					t.Fatalf("seed %d: %s (-one at a time +early):\n%s", seed, topic, d)
				}
			}
			many.restart() // and what was written is what a restore proves
		}
		for _, what := range []string{"committed", "<nil>", stream.ErrFenced.Error(), "step failed", refusedOne{0}.Error()} {
			if early[what] == 0 {
				t.Errorf("no batch that was sent in part ended with %q: %v", what, early)
			}
		}
	})
}

// run drives a loop until all is read, with any ending of each batch.
func (c *client) run() {
	rng := c.rng
	l := &reconciler.Loop{Engine: c.w.eng, Log: quiet, MaxBatch: 60}
	for len(c.all) > 0 {
		c.end = ending{sends: 1 << 30, ok: true}
		if rng.IntN(3) == 0 {
			c.end.sends = rng.IntN(4)
		}
		what := rng.IntN(10)
		if !c.dies && (what == 2 || what == 3) {
			what = 9
		}
		switch what {
		case 0:
			c.end.ok = false
		case 1:
			c.end.ok, c.end.err = false, refusedOne{rng.IntN(3)}
		case 2:
			c.end.ok, c.end.err, c.end.wrote = false, stream.ErrFenced, rng.IntN(2) == 0
		case 3:
			c.end.abort = stream.ErrFenced
		}
		if err := l.Step(c.t.Context(), c); err == nil {
			continue
		} else if !errors.Is(err, stream.ErrFenced) {
			c.t.Fatal(err)
		}
		c.died = true
		c.w.nervous() // the session is dead: all is restored
		l.Engine = c.w.eng
	}
	for i, pair := range c.lost {
		if d := cmp.Diff(pair[0], pair[1]); d != "" {
			c.t.Fatalf("what was sent of aborted batch %d was written over (-then +now):\n%s", i, d)
		}
	}
}

// refusedOne is a record that was not acknowledged for now.
type refusedOne struct{ index int }

func (refusedOne) Error() string      { return "not acknowledged" }
func (refusedOne) Unwrap() error      { return stream.ErrTransient }
func (e refusedOne) RecordIndex() int { return e.index }

// What is given early is final: it is the beginning of what the step writes, and
// no state is written twice.
func TestEngine_givenIsFinal(t *testing.T) {
	w := newWorld(t)
	w.now = minute(3000)
	rng := rand.New(rand.NewPCG(1, 7))
	for range 300 {
		w.append(anyRecord(w, rng), w.hook(fmt.Sprint("other", rng.IntN(90)), "done", minute(rng.IntN(2500)), events.TrustSigned))
	}
	given := 0
	for recs := w.poll(rng, 150); len(recs) > 0; recs = w.poll(rng, 150) {
		var got []stream.Record
		b, err := w.eng.StepEarly(t.Context(), recs, true, func(out []stream.Record) bool {
			if len(got)+len(out) > 200 {
				return false
			}
			got = append(got, out...)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(got, append([]stream.Record(nil), b.Out[:len(got)]...)); d != "" {
			t.Fatalf("what is written does not begin with what was given (-given +written):\n%s", d)
		}
		states := map[string]int{}
		for i, r := range b.Out {
			if r.Topic == topics.OrderState {
				states[string(r.Key)]++
				if i < len(got) {
					given++
				}
			}
		}
		for k, n := range states {
			if n != 1 {
				t.Errorf("the state of %s is written %d times in one batch", k, n)
			}
		}
		w.append(b.Out...)
		if err := w.eng.Accept(); err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			w.next[r.Topic][r.Partition] = max(w.next[r.Topic][r.Partition], r.Offset+1)
		}
	}
	if given == 0 {
		t.Error("no state was given early")
	}
	checkChain(t, w)
}

// A state that other rules viewed, and a stub, are not given before the end of the
// step: the one is viewed again there, the other's marks are where all was read to.
func TestEngine_earlyLeavesOldRulesAndStubs(t *testing.T) {
	w := newWorld(t)
	w.now = minute(60)
	w.append(w.forget("o1", minute(30)))
	for i := range 20 {
		w.append(w.hook(fmt.Sprint("x", i), "wait", minute(2), events.TrustSigned))
	}
	w.drain()
	other := vocab
	other.Orders = maps.Clone(vocab.Orders)
	other.Orders["odd"] = events.Word{Status: events.StatusFailed}
	for _, changed := range []bool{false, true} {
		if changed {
			w.rules = newRules(t, other)
		}
		w.restart()
		w.append(w.hook("o1", "done", minute(3), events.TrustSigned))
		for i := range 20 {
			w.append(w.hook(fmt.Sprint("x", i), map[bool]string{false: "run", true: "done"}[changed], minute(4), events.TrustSigned))
		}
		recs, given := w.poll(rand.New(rand.NewPCG(1, 1)), 99), map[string]bool{}
		b, err := w.eng.StepEarly(t.Context(), recs, true, func(out []stream.Record) bool {
			for _, r := range out {
				if r.Topic == topics.OrderState {
					given[string(r.Key)] = true
				}
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if given[key("o1").String()] || (len(given) == 0) != changed {
			t.Errorf("rules changed %v: given early: %v", changed, given)
		}
		w.append(b.Out...)
		if err := w.eng.Accept(); err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			w.next[r.Topic][r.Partition] = max(w.next[r.Topic][r.Partition], r.Offset+1)
		}
		for name, marks := range w.eng.Marks() {
			if !strings.Contains(name, "o1") || marks == "" {
				t.Errorf("marks of %s: %q", name, marks)
			}
		}
	}
}

// What is counted of a batch is told at its end, when the texts of its records are
// written over.
func TestEngine_StepEarly_countsOutliveTexts(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	obs := counted{}
	w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true, Observer: obs, Joiners: w.joiners})
	for n := range int32(partitions) {
		if err := w.restore(n); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 9 {
		w.append(w.hook(fmt.Sprint("o", i), "odd", minute(1), events.TrustSigned))
	}
	if _, err := w.eng.StepEarly(t.Context(), first(w, 9), true, func([]stream.Record) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if err := w.eng.Accept(); err != nil {
		t.Fatal(err)
	}
	if obs["acme"] != 9 || obs["changed"] != 9 {
		t.Errorf("told %v; want 9 unknown words of acme and 9 changes", obs)
	}
}
