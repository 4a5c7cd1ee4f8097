package reconciler_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
	"rampstream/internal/table"
	"rampstream/internal/table/slab"
	"rampstream/schemas"
)

// Tests for single rows of docs/faults.md that no other test shows.

func first(w *world, n int) []stream.Record { return w.poll(rand.New(rand.NewPCG(1, 1)), n) }

// K3, R3: the transaction was committed and nobody was told. Whoever restores
// finds the batch in the log and has nothing left to do.
func TestEngine_committedButUnknown(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o1", "done", minute(2), events.TrustSigned))
	b, err := w.eng.Step(t.Context(), first(w, 9), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.log.Append(b.Out...); err != nil {
		t.Fatal(err)
	}
	w.restart() // instead of Accept
	if again := first(w, 9); len(again) != 0 {
		t.Errorf("%d records are read again", len(again))
	}
	checkChain(t, w)
	if st := w.state("o1"); st.Status != events.StatusCompleted {
		t.Errorf("state = %v; want COMPLETED", st.Status)
	}
}

// K16, R4: where to go on is the reconciler's own record; what the group says,
// be it behind, ahead or gone, is not asked.
func TestEngine_groupOffsetsDecideNothing(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain()
	n := stream.PartitionOf([]byte(key("o1").String()), partitions)
	for _, offset := range []int64{-1, 0, 1, 1 << 40} {
		committed := map[string]int64{}
		for _, topic := range topics.Inputs() {
			committed[topic] = offset
		}
		eng := newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true})
		next, err := eng.Restore(t.Context(), n, w.log, committed)
		if want := map[string]int64{topics.Webhook: 1, topics.Intent: 0, topics.StatusCheck: 0}; err != nil || !maps.Equal(next, want) {
			t.Errorf("Restore with the group at %d = %v, %v; want %v", offset, next, err, want)
		}
	}
}

// cut is a log whose webhook topic has lost its tail.
type cut struct {
	stream.Log
	end int64
}

func (c cut) Ends(ctx context.Context, n int32, names ...string) (map[string]stream.Range, error) {
	ends, err := c.Log.Ends(ctx, n, names...)
	if r := ends[topics.Webhook]; r.End > c.end {
		ends[topics.Webhook] = stream.Range{Start: r.Start, End: c.end}
	}
	return ends, err
}

// K16, K18, K19: the log ends before the position: an unclean election, a lost
// page cache, or another topic under the old name.
func TestEngine_inputLostItsTail(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o1", "done", minute(2), events.TrustSigned))
	w.drain()
	eng := newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true})
	n := stream.PartitionOf([]byte(key("o1").String()), partitions)
	_, err := eng.Restore(t.Context(), n, cut{w.log, 1}, nil)
	if !errors.Is(err, stream.ErrLoss) || !strings.Contains(err.Error(), "position is at 2") {
		t.Errorf("Restore = %v; want ErrLoss naming the position", err)
	}
}

// R7: a member that is older than the state would drop what it cannot read.
func TestEngine_newerStateIsRefused(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain()
	r := w.log.All(topics.OrderState)[0]
	const newer = 99
	value := append(binary.BigEndian.AppendUint32([]byte{0}, newer), 0) // the added field is null
	w.log.Change(r.Topic, r.Partition, r.Offset, append(value, codec.Body(r.Value)...))
	text := strings.Replace(schemas.Text("OrderState"), `"fields": [`, `"fields": [{"name": "extra", "type": ["null", "string"], "default": null, "doc": "x"},`, 1)
	w.codec = withRegistry(t, func(id int) (string, error) {
		if id == newer {
			return text, nil
		}
		return byID{}.SchemaByID(t.Context(), id)
	})
	if err := w.tryRestart(); !errors.Is(err, stream.ErrRefused) || errors.Is(err, stream.ErrLoss) || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("restore of a newer state = %v; want ErrRefused that says so", err)
	}
}

type registry func(id int) (string, error)

func (r registry) SchemaByID(_ context.Context, id int) (string, error) { return r(id) }

func withRegistry(t *testing.T, r registry) *codec.Codec {
	t.Helper()
	ids := map[string]int{}
	for i, n := range schemas.Names() {
		ids[n] = i + 1
	}
	c, err := codec.New(ids, r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// K27: a record whose schema cannot be had waits; it is neither skipped nor set
// aside, and is joined when the registry is back.
func TestLoop_waitsForASchema(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.now = minute(9)
		const foreign, outage = 77, 20
		asked := 0
		w.codec = withRegistry(t, func(int) (string, error) {
			if asked++; asked <= outage {
				return "", errors.New("registry is down")
			}
			return schemas.Text("Webhook"), nil
		})
		w.restart()
		r := w.hook("o1", "done", minute(1), events.TrustSigned)
		binary.BigEndian.PutUint32(r.Value[1:], foreign) // another producer's id of the same schema
		w.append(r)
		s := &script{polls: []polled{{first(w, 9), nil}}}
		l := &reconciler.Loop{Engine: w.eng, Log: quiet}
		if err := l.Step(t.Context(), s); err != nil || asked != outage+1 {
			t.Fatalf("Step = %v after %d look-ups; want success after %d", err, asked, outage+1)
		}
		for _, out := range s.wrote[0] {
			if out.Topic == topics.DeadLetter {
				t.Error("the record was set aside")
			}
		}
	})
}

// nervous is a table that panics when it is asked for one key.
type nervous struct {
	table.Table
	key string
}

func (n nervous) Get(dst, key []byte) ([]byte, bool, error) {
	if string(key) == n.key {
		panic("a payload")
	}
	return n.Table.Get(dst, key)
}

// counted is an observer that counts, by what it was told.
type counted map[string]int

func (c counted) Joined(_, verdict string, n int)        { c[verdict] += n }
func (c counted) DeadLetter(class string)                { c[class]++ }
func (c counted) Transition(to events.Status, _ string)  { c[to.String()]++ }
func (c counted) UnknownStatus(provider events.Provider) { c[string(provider)]++ }
func (counted) Restored(int32, int64, string)            {}
func (counted) CheckpointIgnored(string)                 {}
func (counted) CheckpointWritten(int64)                  {}
func (c counted) NotViewed()                             { c["not_viewed"]++ }

// R16: a record that panics the join is set aside; the others of its batch are
// joined, and nothing of the panic's value is written.
func TestEngine_panicBecomesADeadLetter(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	obs := counted{}
	eng := newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true, Observer: obs,
		OpenTable: func(int32) (table.Table, error) { return nervous{slab.New(), key("o1").String()}, nil }})
	for n := range int32(partitions) {
		if _, err := eng.Restore(t.Context(), n, w.log, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.eng = eng
	w.append(w.hook("o1", "odd", minute(1), events.TrustSigned), w.hook("o2", "done", minute(1), events.TrustSigned))
	w.step(first(w, 9), true)
	dead := w.log.All(topics.DeadLetter)
	if len(dead) != 1 || obs[reconciler.ClassPanic] != 1 || obs["dead_letter"] != 1 {
		t.Fatalf("%d dead letters, counted as %v; want one, PANIC", len(dead), obs)
	}
	for _, h := range dead[0].Headers {
		if bytes.Contains(h.Value, []byte("a payload")) {
			t.Errorf("header %s quotes the panic", h.Key)
		}
	}
	if len(w.table(topics.OrderState)) != 1 || w.state("o2").Status != events.StatusCompleted {
		t.Errorf("%d states; want that of the other record alone", len(w.table(topics.OrderState)))
	}
}

// R15: a dead letter that Kafka does not take ends the session; the record that
// it sets aside is not passed.
func TestLoop_unwritableDeadLetterStops(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	bad := w.hook("o1", "done", minute(1), events.TrustSigned)
	bad.Value = []byte("{}")
	w.append(bad)
	recs := first(w, 9)
	s := &script{polls: []polled{{recs, nil}, {recs, nil}}, commits: []committed{{false, tooLarge{0}}, {false, tooLarge{0}}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	if err := l.Step(t.Context(), s); err != nil {
		t.Errorf("Step = %v; want another try without the value", err)
	}
	if err := l.Step(t.Context(), s); !errors.Is(err, stream.ErrTooLarge) || len(s.wrote[1]) != 2 || s.wrote[1][0].Value != nil {
		t.Errorf("the next try = %v with %d records; want the bare dead letter refused and the session ended", err, len(s.wrote[1]))
	}
}

// A record whose key is what makes it too large is set aside without it, and
// stops nobody.
func TestLoop_deadLetterOfAHugeKey(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	bad := w.hook("o1", "done", minute(1), events.TrustSigned)
	bad.Key, bad.Value = bytes.Repeat([]byte("k"), 1_000_000), []byte("{}")
	w.append(bad)
	recs := first(w, 9)
	s := &script{polls: []polled{{recs, nil}, {recs, nil}}, commits: []committed{{false, tooLarge{0}}}}
	l := &reconciler.Loop{Engine: w.eng, Log: quiet}
	for range 2 {
		if err := l.Step(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.wrote) != 2 || len(s.wrote[1]) != 2 || s.wrote[1][0].Key != nil || s.wrote[1][0].Value != nil {
		t.Fatalf("%d commits; want a second one with the coordinates alone", len(s.wrote))
	}
	letter, err := stream.ParseDeadLetter(s.wrote[1][0])
	if err != nil || letter.Source.Offset != recs[0].Offset || letter.Source.Topic != topics.Webhook {
		t.Errorf("the dead letter names %v, %v", letter.Source.At(), err)
	}
}

// K9: sessions that keep dying end the process; loss and refusal do at once.
func TestLoop_tooManyLostSessions(t *testing.T) {
	for _, tc := range []struct {
		end  error
		open int
	}{{stream.ErrFenced, 5}, {stream.ErrTransient, 5}, {stream.ErrLoss, 1}, {stream.ErrRefused, 1}} {
		w, opened := newWorld(t), 0
		l := &reconciler.Loop{
			Engine: w.eng, Log: quiet, Now: func() time.Time { return time.Unix(0, 0) },
			Open: func(context.Context, stream.Table) (reconciler.Session, error) {
				opened++
				return nil, fmt.Errorf("open: %w", tc.end)
			},
		}
		reg := prometheus.NewRegistry()
		metrics, err := reconciler.NewMetrics(reg)
		if err != nil {
			t.Fatal(err)
		}
		metrics.Watch(l)
		if err := l.Run(t.Context()); !errors.Is(err, tc.end) || opened != tc.open {
			t.Errorf("Run = %v after %d sessions; want %v after %d", err, opened, tc.end, tc.open)
		}
		want := 0.0
		if tc.end == stream.ErrFenced { //nolint:errorlint // the sentinel itself is the case
			want = 5
		}
		if n := gathered(t, reg, "ramp_reconciler_fenced_total"); n != want {
			t.Errorf("after %v ramp_reconciler_fenced_total is %v, want %v", tc.end, n, want)
		}
	}
	w, opened, now := newWorld(t), 0, time.Unix(0, 0)
	ctx, cancel := context.WithCancel(t.Context())
	l := &reconciler.Loop{Engine: w.eng, Log: quiet, Now: func() time.Time { now = now.Add(3 * time.Minute); return now },
		Open: func(context.Context, stream.Table) (reconciler.Session, error) {
			if opened++; opened == 20 {
				cancel()
			}
			return nil, stream.ErrFenced
		}}
	if err := l.Run(ctx); err != nil || opened != 20 {
		t.Errorf("Run with a loss every three minutes = %v after %d; want it to go on", err, opened)
	}
}

// gathered is the value of a counter without labels.
func gathered(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// R19: without transactions a crash may leave side outputs without the state,
// and the state without the position. Reading again ends in the same states,
// and a transition that is told twice has one id.
func TestEngine_crashBetweenStages(t *testing.T) {
	for _, last := range []string{topics.Transition, topics.OrderState} {
		t.Run("after "+last, func(t *testing.T) {
			w := newWorld(t)
			w.now = minute(9)
			w.append(w.hook("o1", "wait", minute(1), events.TrustSigned), w.hook("o1", "done", minute(2), events.TrustSigned))
			b, err := w.eng.Step(t.Context(), first(w, 9), true)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range b.Out {
				if r.Topic == topics.ReconcilerPosition || r.Topic == topics.OrderState && last != topics.OrderState {
					continue
				}
				w.append(r)
			}
			w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec})
			for n := range int32(partitions) {
				if _, err := w.eng.Restore(t.Context(), n, w.log, nil); err != nil {
					t.Fatal(err)
				}
			}
			w.drain()
			ids := map[events.EventID]bool{}
			for _, r := range w.log.All(topics.Transition) {
				tr, err := w.codec.DecodeTransition(t.Context(), r.Value)
				if err != nil {
					t.Fatal(err)
				}
				ids[tr.ID] = true
			}
			if st := w.state("o1"); st.Status != events.StatusCompleted || len(st.Evidence) != 2 || len(ids) != 2 {
				t.Errorf("state %v with %d rows, %d transition ids; want COMPLETED with 2 and 2", st.Status, len(st.Evidence), len(ids))
			}
		})
	}
}

// K24: without transactions the digest cannot be compared, but states that are
// fewer than the position counts are gone: a state is never taken back.
func TestEngine_statesGoneWithoutTransactions(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain()
	n := stream.PartitionOf([]byte(key("o1").String()), partitions)
	w.log.Truncate(topics.OrderState, n, 1<<40)
	eng := newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec})
	if _, err := eng.Restore(t.Context(), n, w.log, nil); !errors.Is(err, stream.ErrLoss) {
		t.Errorf("Restore = %v; want ErrLoss", err)
	}
}

// losing is a session that is told to stop just when it finds a loss.
type losing struct {
	script
	stop context.CancelFunc
}

func (s *losing) Poll(context.Context, int) ([]stream.Record, error) {
	s.stop()
	return nil, stream.ErrLoss
}

// K18: a loss that is found while the program stops is told. Nothing may find it
// at the next start: what is gone of an output that nobody restores from is not
// looked at again.
func TestLoop_lossAtTheEndIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &reconciler.Loop{Engine: newWorld(t).eng, Log: quiet, Now: func() time.Time { return time.Unix(0, 0) },
		Open: func(context.Context, stream.Table) (reconciler.Session, error) { return &losing{stop: cancel}, nil }}
	if err := l.Run(ctx); !errors.Is(err, stream.ErrLoss) {
		t.Errorf("Run = %v, want ErrLoss", err)
	}
}

// Whoever looks at the log sees that records are set aside, which, and by which rule:
// one a minute of each class, and nothing of what they say.
func TestLoop_tellsWhatItSetsAside(t *testing.T) {
	w := newWorld(t)
	w.now = minute(9)
	for i := range 3 {
		bad := w.hook(fmt.Sprint("o", i), "done", minute(1), events.TrustSigned)
		bad.Value = []byte("joe@example.com")
		w.append(bad)
	}
	recs := first(w, 9)
	s := &script{polls: []polled{{recs[:2], nil}, {recs[2:], nil}, {recs[2:], nil}}}
	var log bytes.Buffer
	now := time.Unix(1000, 0)
	l := &reconciler.Loop{Engine: w.eng, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now }}
	for i, want := range []int{1, 1, 2} {
		if i == 2 {
			now = now.Add(time.Minute)
		}
		if err := l.Step(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(log.String(), "record set aside"); got != want {
			t.Fatalf("%d lines after step %d; want %d\n%s", got, i, want, log.String())
		}
	}
	if out := log.String(); !strings.Contains(out, "class=UNDECODABLE record="+recs[0].At().String()) || strings.Contains(out, "joe@") {
		t.Errorf("the log says\n%s", out)
	}
}
