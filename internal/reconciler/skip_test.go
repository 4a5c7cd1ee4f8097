package reconciler_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

// A position that was moved over what is gone restores to the states of before,
// and the reconciler goes on behind the gap.
func TestSkipTo(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	for i := range 12 {
		w.append(w.hook(fmt.Sprintf("o%d", i), "wait", minute(1), events.TrustSigned))
	}
	w.drain()
	before := maps.Clone(w.eng.Dump())
	for i := range 12 {
		w.append(w.hook(fmt.Sprintf("o%d", i), "done", minute(2), events.TrustSigned)) // never read
	}
	latest := map[int32]stream.Record{}
	for _, r := range w.log.All(topics.ReconcilerPosition) {
		latest[r.Partition] = r
	}
	for n := range int32(partitions) {
		ends, err := w.log.Ends(t.Context(), n, topics.Webhook)
		if err != nil {
			t.Fatal(err)
		}
		w.log.Truncate(topics.Webhook, n, ends[topics.Webhook].End)
	}
	skipped := 0
	for n, rec := range latest {
		eng := newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true})
		if _, err := eng.Restore(t.Context(), n, w.log, nil); !errors.Is(err, stream.ErrLoss) {
			t.Fatalf("Restore of partition %d beside a gap = %v, want ErrLoss", n, err)
		}
		ends, err := w.log.Ends(t.Context(), n, topics.Webhook)
		if err != nil {
			t.Fatal(err)
		}
		start := ends[topics.Webhook].Start
		moved, err := reconciler.SkipTo(t.Context(), w.codec, rec, map[string]int64{topics.Webhook: start}, "op-7: retention")
		if err != nil {
			t.Fatal(err)
		}
		if by, _ := moved.Header(reconciler.HeaderSkipped); string(by) != "op-7: retention" {
			t.Errorf("the record says %q of who moved it", by)
		}
		was, _ := rec.Header("ce_id")
		if is, _ := moved.Header("ce_id"); string(is) == string(was) || len(is) != len(was) {
			t.Errorf("ce_id is %s after %s", is, was)
		}
		if is, _ := moved.Header(reconciler.HeaderInputs); string(is) == "" && len(rec.Headers) > 5 {
			t.Error("the ids of the inputs are gone")
		}
		if _, err := w.log.Append(moved); err != nil {
			t.Fatal(err)
		}
		next, err := eng.Restore(t.Context(), n, w.log, nil)
		if err != nil || next[topics.Webhook] != start {
			t.Errorf("Restore of partition %d = %v, %v; want webhook at %d", n, next, err, start)
		}
		skipped++
	}
	if skipped < 2 {
		t.Fatalf("%d positions were moved", skipped)
	}
	w.next = map[string]map[int32]int64{}
	w.restart()
	if !maps.Equal(w.eng.Dump(), before) {
		t.Error("the states are not those of before")
	}
	w.append(w.hook("o3", "fail", minute(3), events.TrustSigned))
	w.drain()
	if maps.Equal(w.eng.Dump(), before) {
		t.Error("nothing is joined behind the gap")
	}
}

func TestSkipTo_refuses(t *testing.T) {
	w := newWorld(t)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain()
	rec := w.log.All(topics.ReconcilerPosition)[0]
	for _, tc := range []struct {
		name, want string
		to         map[string]int64
		value      []byte
	}{
		{"back", "would go back from", map[string]int64{topics.Webhook: 0}, rec.Value},
		{"no input", "has 0 of 1 inputs", map[string]int64{topics.OrderState: 9}, rec.Value},
		{"no position", "corrupt", map[string]int64{topics.Webhook: 9}, []byte("x")},
	} {
		r := rec
		r.Value = tc.value
		if got, err := reconciler.SkipTo(t.Context(), w.codec, r, tc.to, "x"); err == nil || !strings.Contains(err.Error(), tc.want) || got.Value != nil {
			t.Errorf("%s: SkipTo = %v, want an error with %q", tc.name, err, tc.want)
		}
	}
}
