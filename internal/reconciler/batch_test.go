package reconciler_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/sim"
	"rampstream/internal/stream"
)

// How records are cut into batches shows nowhere: a state is viewed at once when
// what it announces moves, else at the end of the batch, and either gives the
// same transitions, and in the end the same states, discrepancies and tasks.
func TestEngine_batchesDoNotShow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		one, many := newWorld(t), newWorld(t)
		one.now, many.now = minute(3000), minute(3000)
		rng := rand.New(rand.NewPCG(seed, 5))
		for range rapid.IntRange(1, 120).Draw(rt, "records") {
			r := anyRecord(one, rng)
			one.append(r)
			many.append(r)
		}
		all := one.poll(rng, 1000)
		for _, r := range all {
			one.step([]stream.Record{r}, true)
		}
		for len(all) > 0 {
			n := min(len(all), rapid.IntRange(1, 40).Draw(rt, "batch"))
			if rapid.IntRange(0, 4).Draw(rt, "abort") == 0 {
				many.step(all[:n], false)
			}
			many.step(all[:n], true)
			all = all[n:]
		}
		for _, topic := range []string{topics.OrderState, topics.Discrepancy, topics.CheckSchedule} {
			if d := cmp.Diff(texts(one.table(topic)), texts(many.table(topic))); d != "" {
				rt.Fatalf("%s (-one at a time +batches):\n%s", topic, d)
			}
		}
		if d := cmp.Diff(byKey(one.log.All(topics.Transition)), byKey(many.log.All(topics.Transition))); d != "" {
			rt.Fatalf("transitions (-one at a time +batches):\n%s", d)
		}
	})
}

// The memory of what was written is used again only when that was committed: what
// becomes of an aborted batch in a client is not known.
func TestEngine_abortedOutputsAreNotWrittenOver(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	batch := func(word string) []stream.Record {
		var rs []stream.Record
		for i := range 20 {
			w.append(w.hook(fmt.Sprint("o", i), word, minute(1), events.TrustSigned))
		}
		rs = w.poll(rand.New(rand.NewPCG(1, 1)), 99)
		return rs[len(rs)-20:]
	}
	var aborted, kept []stream.Record
	for i, commit := range []bool{false, true, true, false, true, true} {
		b := w.step(batch([]string{"wait", "run", "done", "fail", "odd", "odder"}[i]), commit)
		if !commit {
			aborted = append(aborted, b.Out...)
			for _, r := range b.Out {
				kept = append(kept, sim.Own(r))
			}
		}
	}
	if d := cmp.Diff(kept, aborted); d != "" || len(kept) == 0 {
		t.Errorf("what was aborted (-then +now):\n%s", d)
	}
}

// anyRecord is one of the things that may be said about five orders. A failed
// answer to a hint is not among them: it is known for its batch alone, so that a
// hint read later may be asked about once more.
func anyRecord(w *world, rng *rand.Rand) stream.Record {
	words := []string{"wait", "run", "done", "fail", "odd", "odder"}
	id, at := fmt.Sprintf("o%d", rng.IntN(5)), minute(rng.IntN(2500))
	switch rng.IntN(10) {
	case 0:
		return w.intent(id, at)
	case 1:
		return w.hook(id, "done", at, events.TrustHint)
	case 2, 3, 4:
		return w.hook(id, words[rng.IntN(len(words))], at, events.TrustSigned)
	case 5:
		return w.check(id, "!not_found", at, events.CauseSchedule)
	case 6:
		return w.check(id, "!timeout", at, events.CauseSchedule)
	}
	return w.check(id, words[rng.IntN(len(words))], at, events.CauseSchedule)
}

func texts(table map[string][]byte) map[string]string {
	out := map[string]string{}
	for k, v := range maps.All(table) {
		out[k] = fmt.Sprintf("%x", v)
	}
	return out
}

func byKey(rs []stream.Record) map[string][]string {
	out := map[string][]string{}
	for _, r := range rs {
		out[string(r.Key)] = append(out[string(r.Key)], fmt.Sprintf("%x", r.Value))
	}
	return out
}
