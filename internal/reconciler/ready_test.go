package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

// R6: ready means that every assigned partition is restored and has joined what
// its inputs held then, not only the first one.
func TestLoop_readyWhenCaughtUp(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o2", "wait", minute(1), events.TrustSigned))
	l := newLoop(w)
	if l.Ready() {
		t.Fatal("ready before an assignment")
	}
	l.Assigned([]int32{0, 1, 2, 3})
	for n := range int32(partitions) {
		if l.Ready() {
			t.Fatalf("ready with %d of %d partitions restored", n, partitions)
		}
		if left := l.Progress().Partitions; left != int(partitions-n) {
			t.Errorf("%d partitions left, want %d", left, partitions-n)
		}
		restoreLoop(t, l, n, w.log)
	}
	if l.Ready() {
		t.Fatal("ready before what the inputs held was joined")
	}
	// An input that grows meanwhile does not move the goal.
	recs := w.poll(rand.New(rand.NewPCG(1, 1)), 9)
	w.append(w.hook("o3", "wait", minute(1), events.TrustSigned))
	s := &script{polls: []polled{{recs[:1], nil}, {recs[1:], nil}}}
	for i := range 2 {
		if l.Ready() {
			t.Fatalf("ready with %d of 2 records joined", i)
		}
		if err := l.Step(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if !l.Ready() {
		t.Errorf("not ready with everything joined: %+v", l.Progress())
	}
	l.Revoke([]int32{0, 1, 2, 3})
	if l.Ready() {
		t.Error("ready without an assignment")
	}
	if l.Assigned(nil); !l.Ready() {
		t.Error("a member that stands by is not ready")
	}
}

// marked is a log whose inputs end in a marker of a transaction, which no poll
// gives.
type marked struct{ stream.Log }

func (m marked) Ends(ctx context.Context, n int32, names ...string) (map[string]stream.Range, error) {
	ends, err := m.Log.Ends(ctx, n, names...)
	for _, topic := range topics.Inputs() {
		if r, ok := ends[topic]; ok {
			r.End++
			ends[topic] = r
		}
	}
	return ends, err
}

// What is behind because nothing of it can be polled is not waited for.
func TestLoop_readyBehindMarkers(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	l := newLoop(w)
	l.Idle = time.Millisecond
	l.Assigned([]int32{0, 1, 2, 3})
	for n := range int32(partitions) {
		restoreLoop(t, l, n, marked{w.log})
	}
	s := &script{polls: []polled{{nil, nil}, {w.poll(rand.New(rand.NewPCG(1, 1)), 9), nil}, {nil, nil}}}
	for i, want := range []bool{false, false, true} {
		if err := l.Step(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if l.Ready() != want {
			t.Fatalf("after poll %d: ready = %v, want %v", i, l.Ready(), want)
		}
	}
}

// looked is a marked log that counts the looks at inputs, by partition.
type looked struct {
	marked
	looks map[int32]int
}

func (l looked) Read(ctx context.Context, topic string, n int32, from, to int64, committed bool, fn func(stream.Record) error) error {
	if topic == topics.Webhook {
		l.looks[n]++
	}
	return l.Log.Read(ctx, topic, n, from, to, committed, fn)
}

// While records flow, only the partition that stands still is looked at.
func TestLoop_whatMovesIsNotLookedAt(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	for i := range 40 {
		w.append(w.hook(fmt.Sprint("o", i), "wait", minute(1), events.TrustSigned))
	}
	log := looked{marked{w.log}, map[int32]int{}}
	l := newLoop(w)
	now := time.Unix(1000, 0)
	l.Now = func() time.Time { now = now.Add(time.Minute); return now } // a look is due at each step
	l.Assigned([]int32{0, 1, 2, 3})
	for n := range int32(partitions) {
		restoreLoop(t, l, n, log)
	}
	var rest []stream.Record // of the partition that goes on
	all := w.poll(rand.New(rand.NewPCG(1, 1)), 99)
	moving := all[0].Partition
	first := make([]stream.Record, 0, len(all))
	for _, r := range all {
		if r.Partition == moving {
			rest = append(rest, r)
		} else {
			first = append(first, r)
		}
	}
	s := &script{polls: []polled{{first, nil}}}
	for i := range rest {
		s.polls = append(s.polls, polled{rest[i : i+1], nil})
	}
	for range s.polls {
		if err := l.Step(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for n := range int32(partitions) {
		if got := log.looks[n]; n != moving && got != 1 || n == moving && got != 0 {
			t.Errorf("%d looks at partition %d; the one that moves is %d", got, n, moving)
		}
	}
	if l.Ready() {
		t.Fatal("ready before the partition that moved was looked at")
	}
	s.polls = []polled{{nil, nil}}
	if err := l.Step(t.Context(), s); err != nil || !l.Ready() {
		t.Errorf("ready = %v when nothing moves, %v", l.Ready(), err)
	}
}

// A restore says how far it is while it runs.
func TestLoop_restoreTellsItsProgress(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	for i := range 3000 {
		w.append(w.hook("o"+strings.Repeat("x", i%7)+string(rune('a'+i%26)), []string{"wait", "run", "done"}[i%3], minute(1+i%50), events.TrustSigned))
	}
	w.drain()
	var out strings.Builder
	l := newLoop(w)
	l.Log = slog.New(slog.NewTextHandler(&out, nil))
	now := time.Unix(1000, 0)
	l.Now = func() time.Time { now = now.Add(3 * time.Second); return now } // every look at the clock is 3 s later
	l.Assigned([]int32{0, 1, 2, 3})
	for n := range int32(partitions) {
		restoreLoop(t, l, n, w.log)
	}
	for _, want := range []string{"restore goes on", "records_left=", "eta=", "assignment restored", "partitions=4"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, out.String())
		}
	}
	if g := l.Progress(); g.Partitions != 0 || g.RecordsLeft != 0 || g.ETA != 0 {
		t.Errorf("after the restore: %+v", g)
	}
}

func newLoop(w *world) *reconciler.Loop {
	eng := newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true})
	return &reconciler.Loop{Engine: eng, Log: quiet, Now: time.Now}
}

func restoreLoop(t *testing.T, l *reconciler.Loop, n int32, log stream.Log) {
	t.Helper()
	if _, err := l.Restore(t.Context(), n, log, nil); err != nil {
		t.Fatal(err)
	}
}

// cutOff is a log that ends the context after some records of the states.
type cutOff struct {
	stream.Log
	after  int
	cancel context.CancelFunc
}

func (c *cutOff) Read(ctx context.Context, topic string, n int32, from, to int64, committed bool, fn func(stream.Record) error) error {
	return c.Log.Read(ctx, topic, n, from, to, committed, func(r stream.Record) error {
		if topic == topics.OrderState {
			if c.after--; c.after == 0 {
				c.cancel()
				return ctx.Err()
			}
		}
		return fn(r)
	})
}

// R6: a restore that is cut off leaves nothing behind, and the next one begins
// from the start.
func TestLoop_restoreIsCutOff(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	const orders = 3000
	for i := range orders {
		w.append(w.hook(fmt.Sprint("o", i), "wait", minute(1), events.TrustSigned))
	}
	w.drain()
	l := newLoop(w)
	l.Assigned([]int32{0, 1, 2, 3})
	restoreLoop(t, l, 0, w.log)
	states, _ := l.Snapshot()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := l.Restore(ctx, 1, &cutOff{w.log, 400, cancel}, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("Restore = %v, want its cancellation", err)
	}
	if n := l.Engine.States(); n != states || l.Ready() {
		t.Errorf("%d states after a restore that was cut off, want %d; ready = %v", n, states, l.Ready())
	}
	for n := range int32(partitions) {
		restoreLoop(t, l, n, w.log)
	}
	if n, _ := l.Snapshot(); n != orders || !l.Ready() {
		t.Errorf("%d states and ready = %v in the end, want %d and true", n, l.Ready(), orders)
	}
}
