package redrive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/redrive"
	"rampstream/internal/stream"
)

func TestPlan_everyOutcome(t *testing.T) {
	w := newWorld(t)
	hint, err := w.ours.EncodeWebhook(events.Webhook{Key: key("hinted"), EventID: "h", ObservedAt: day, Trust: events.TrustHint, HintReason: "unsigned", BodyDigest: "d"})
	if err != nil {
		t.Fatal(err)
	}
	often := misplaced(w.hook(w.ours, "often", "wait", day))
	often.Headers = append(often.Headers, stream.Header{Key: stream.HeaderRedrives, Value: []byte("3")})
	forget := func(id string) stream.Record {
		v, err := w.ours.EncodeIntent(events.Intent{Key: key(id), EventID: events.EventID("forget-" + id), ObservedAt: day, Kind: events.Forget, Operator: "op-1", Reason: "asked"})
		if err != nil {
			t.Fatal(err)
		}
		return stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(key(id).String()), Value: v}
	}
	w.append(
		w.hook(w.ours, "known", "done", day),
		misplaced(w.hook(w.ours, "known", "done", day)),
		misplaced(w.hook(w.ours, "moved", "wait", day)),
		misplaced(stream.Record{Topic: topics.Webhook, Key: []byte(key("hinted").String()), Value: hint}),
		w.hook(w.foreign, "late-schema", "done", day),
		stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte("acme/shop/garbage"), Value: []byte("{}")},
		often,
		forget("forgotten"), misplaced(w.hook(w.ours, "forgotten", "done", day)),
		w.hook(w.ours, "to-forget", "run", day), misplaced(forget("to-forget")),
	)
	w.join()
	big := w.append(w.hook(w.ours, "big", "run", day))[0]
	w.next[topics.Webhook][big.Partition] = big.Offset + 1
	lost := big
	big.Value, big.Headers, lost.Value, lost.Headers, lost.Offset = nil, nil, nil, nil, 77
	w.append(
		stream.DeadLetter(topics.DeadLetter, big, "reconciler", "join", reconciler.ClassTooLarge, "too large"),
		stream.DeadLetter(topics.DeadLetter, lost, "reconciler", "join", reconciler.ClassTooLarge, "too large"),
		stream.DeadLetter(topics.DeadLetter, stream.Record{Topic: topics.Webhook, Partition: -1, Offset: -1, Key: []byte("acme/shop"), Value: []byte("{}")}, "ingest", "parse", "malformed", "delivery set aside"),
		stream.DeadLetter(topics.DeadLetter, stream.Record{Topic: topics.CheckSchedule, Key: []byte("acme/shop/x")}, "poller", "schedule", "UNDECODABLE", "corrupt"),
		stream.Record{Topic: topics.DeadLetter, Partition: stream.Auto, Key: []byte("acme/shop/stranger")},
	)
	w.registry.foreign = true
	steps, sel := w.plan(redrive.Filter{})
	if sel.Foreign != 1 || sel.Done != 0 || sel.More {
		t.Errorf("selected %d, %d done, %d foreign, more %v; want 1 foreign", len(sel.Letters), sel.Done, sel.Foreign, sel.More)
	}
	type forecast struct {
		outcome redrive.Outcome
		again   string
		moves   bool
		after   events.Status
	}
	want := map[string]forecast{
		"acme/shop/known":            {outcome: redrive.Nothing, moves: true},
		"acme/shop/forgotten":        {outcome: redrive.Nothing, moves: true},
		"acme/shop/to-forget":        {outcome: redrive.Joins, moves: true},
		"acme/shop/moved":            {outcome: redrive.Joins, moves: true, after: events.StatusPending},
		"acme/shop/hinted":           {outcome: redrive.Asks, moves: true},
		"acme/shop/late-schema":      {outcome: redrive.Joins, after: events.StatusCompleted},
		"acme/shop/garbage":          {outcome: redrive.Fails, again: reconciler.ClassUndecodable},
		"acme/shop/often":            {outcome: redrive.Parked, moves: true},
		"acme/shop/big":              {outcome: redrive.Joins, after: events.StatusProcessing},
		"acme/shop/big (77)":         {outcome: redrive.Cannot},
		"acme/shop":                  {outcome: redrive.Cannot},
		"acme/shop/x (the schedule)": {outcome: redrive.Cannot},
	}
	for _, s := range steps {
		name := string(s.Source.Key)
		switch {
		case s.Source.Offset == 77:
			name += " (77)"
		case s.Source.Topic == topics.CheckSchedule:
			name += " (the schedule)"
		}
		got := forecast{s.Outcome, s.Again, s.To >= 0 && s.From != s.To, s.After}
		if s.Outcome == redrive.Parked {
			got.moves = true // not worked out for what is not brought back
		}
		if got != want[name] {
			t.Errorf("forecast of %s = %+v (%s), want %+v", name, got, s.Why, want[name])
		}
		delete(want, name)
		if (s.Outcome == redrive.Joins) == (s.Why != "") && s.Outcome != redrive.Asks && s.Outcome != redrive.Nothing {
			t.Errorf("%s: %s because %q", name, s.Outcome, s.Why)
		}
	}
	for name := range want {
		t.Errorf("no forecast of %s", name)
	}
}

// What the forecast says comes true, whatever was set aside, in whatever order,
// on whatever states.
func TestPlan_comesTrue(t *testing.T) {
	outcomes := map[redrive.Outcome]int{}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(t)
		words := []string{"wait", "run", "done", "fail", "odd"}
		for range 40 {
			w.now += events.Millis(rng.IntN(900_000))
			cd := w.ours
			if rng.IntN(3) == 0 {
				cd = w.foreign
			}
			r := w.hook(cd, fmt.Sprint("o", rng.IntN(6)), words[rng.IntN(len(words))], w.now-events.Millis(rng.IntN(3_600_000)))
			switch rng.IntN(4) {
			case 0:
				r = misplaced(r)
			case 1:
				if rng.IntN(3) == 0 {
					r.Value = r.Value[:len(r.Value)-1]
				}
			}
			w.append(r)
		}
		w.join()
		w.registry.foreign = rng.IntN(4) > 0
		w.now += 1000
		steps, _ := w.plan(redrive.Filter{})
		transitions, dead := len(w.log.All(topics.Transition)), len(w.log.All(topics.DeadLetter))
		expected := 0
		final := map[string]events.Status{}
		for _, s := range steps {
			outcomes[s.Outcome]++
			if s.Before != s.After {
				expected++
				final[s.Key.ID] = s.After
			}
		}
		w.write(steps)
		w.join()
		if got := len(w.log.All(topics.Transition)) - transitions; got != expected {
			t.Fatalf("seed %d: %d transitions followed, the forecast said %d", seed, got, expected)
		}
		if got := len(w.log.All(topics.DeadLetter)) - dead; got != 0 {
			t.Fatalf("seed %d: %d were set aside again", seed, got)
		}
		for id, want := range final {
			if st, _ := w.state(id); st.Status != want {
				t.Fatalf("seed %d: %s is %s, the forecast said %s", seed, id, st.Status, want)
			}
		}
		left, sel := w.plan(redrive.Filter{})
		if sel.Done != len(steps)-len(left) {
			t.Fatalf("seed %d: %d of %d done, %d left", seed, sel.Done, len(steps), len(left))
		}
		for _, s := range left {
			if s.Outcome.Written() {
				t.Fatalf("seed %d: %s is left to be written after a redrive", seed, s.At)
			}
		}
	}
	for _, o := range []redrive.Outcome{redrive.Joins, redrive.Nothing, redrive.Fails} {
		if outcomes[o] < 20 {
			t.Errorf("forecasts %v: too few of %s to prove anything", outcomes, o)
		}
	}
}

// A redriven record is the one that was set aside: where it says nothing of its
// own journey, nothing differs, and the state is the one that it would have made.
func TestRedrive_keepsTheRecord(t *testing.T) {
	w := newWorld(t)
	src := w.append(misplaced(w.hook(w.ours, "a", "done", day)))[0]
	w.join()
	w.now += 60_000
	steps, _ := w.plan(redrive.Filter{})
	back := w.write(steps)[0]
	if !bytes.Equal(back.Key, src.Key) || !bytes.Equal(back.Value, src.Value) || back.Topic != src.Topic {
		t.Errorf("redriven %s %x, want %s %x", back.Key, back.Value, src.Key, src.Value)
	}
	if want := stream.PartitionOf(src.Key, partitions); back.Partition != want {
		t.Errorf("redriven into partition %d, want %d", back.Partition, want)
	}
	same := func(a, b stream.Header) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }
	if !slices.EqualFunc(back.Headers[:len(src.Headers)], src.Headers, same) {
		t.Errorf("headers %q, want them to begin with %q", back.Headers, src.Headers)
	}
	added := map[string]string{}
	for _, h := range back.Headers[len(src.Headers):] {
		added[h.Key] = string(h.Value)
	}
	for name, want := range map[string]string{
		stream.HeaderOriginTopic: src.Topic, stream.HeaderOriginPartition: fmt.Sprint(src.Partition), stream.HeaderOriginOffset: fmt.Sprint(src.Offset),
		stream.HeaderOriginAppended: fmt.Sprint(int64(day)), stream.HeaderRedrives: "1", stream.HeaderRedriveOf: steps[0].At.String(),
	} {
		if added[name] != want {
			t.Errorf("header %s = %q, want %q", name, added[name], want)
		}
	}
	if len(added) != 6 {
		t.Errorf("headers added: %q, want 6", added)
	}
	w.join()
	st, ok := w.state("a")
	if !ok || st.Status != events.StatusCompleted || st.Since != day || st.Evidence[0].First.Coordinates() != back.At().String() {
		t.Errorf("state %s since %d by %v, want COMPLETED since %d by %s", st.Status, st.Since, st.Evidence, day, back.At())
	}
}

// Evidence dated ahead of the log's clock is cut to that clock. A redrive comes
// later: only where the origin is believed is it cut as it would have been.
func TestRedrive_clockOfTheOrigin(t *testing.T) {
	for _, believe := range []bool{false, true} {
		w := newWorld(t)
		w.believe = believe
		w.restart()
		ahead := day + 600_000
		w.append(misplaced(w.hook(w.ours, "a", "run", ahead)))
		w.join()
		w.now += 3_600_000
		steps, _ := w.plan(redrive.Filter{})
		w.write(steps)
		w.join()
		want, future := ahead, 1
		if believe {
			want, future = day+5_000, 2
		}
		st, _ := w.state("a")
		if len(st.Evidence) != future || st.LastSeenAt != want {
			t.Errorf("believe %v: %d rows, last seen %d; want %d rows, %d", believe, len(st.Evidence), st.LastSeenAt, future, want)
		}
	}
}

// flaky loses answers and records, on a seed.
type flaky struct {
	*world
	rng *rand.Rand
}

var errGone = errors.New("gone")

// Publish implements redrive.Publisher.
func (f flaky) Publish(ctx context.Context, rs ...stream.Record) ([]stream.Record, error) {
	switch f.rng.IntN(4) {
	case 0:
		return nil, errGone
	case 1:
		_, _ = f.world.Publish(ctx, rs...)
		return nil, errGone
	}
	return f.world.Publish(ctx, rs...)
}

// However often a run is ended between or within two writes, each dead letter is
// redriven once.
func TestRedrive_onceWhateverEndsARun(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(t)
		const n = 12
		for i := range n {
			w.append(misplaced(w.hook(w.ours, fmt.Sprint("o", i), "wait", day)))
		}
		w.join()
		f := flaky{w, rand.New(rand.NewPCG(seed, 3))}
		runs := 0
		for ; ; runs++ {
			steps, sel := w.plan(redrive.Filter{Limit: 5})
			if len(steps) == 0 && !sel.More {
				break
			}
			_, err := redrive.Write(context.Background(), steps, f, rate.NewLimiter(rate.Inf, 1), func(redrive.Step, stream.Record) error { return nil })
			if err != nil && !errors.Is(err, errGone) {
				t.Fatal(err)
			}
			if f.rng.IntN(2) == 0 {
				w.join()
			}
		}
		w.join()
		if got := len(w.log.All(topics.Webhook)); got != 2*n {
			t.Fatalf("seed %d: %d records after %d runs, want %d: each once", seed, got, runs, 2*n)
		}
		if got := len(w.log.All(topics.Transition)); got != n {
			t.Fatalf("seed %d: %d transitions, want %d", seed, got, n)
		}
	}
}

// A record that the programs set aside again, against the forecast (an old
// instance that still runs), is parked in the end.
func TestRedrive_doesNotGoRound(t *testing.T) {
	w := newWorld(t)
	w.append(w.hook(w.foreign, "a", "wait", day))
	w.join()
	w.registry.foreign = true // rampctl's registry; the reconciler below asks another
	for round := 1; ; round++ {
		steps, sel := w.plan(redrive.Filter{})
		if len(steps) != 1 || sel.Done != round-1 {
			t.Fatalf("round %d: %d steps, %d done; want 1 and %d", round, len(steps), sel.Done, round-1)
		}
		if round > redrive.MaxRedrives {
			if steps[0].Outcome != redrive.Parked {
				t.Fatalf("round %d: %s, want parked", round, steps[0].Outcome)
			}
			break
		}
		if steps[0].Outcome != redrive.Joins {
			t.Fatalf("round %d: %s (%s), want joins", round, steps[0].Outcome, steps[0].Why)
		}
		back := w.write(steps)[0]
		if origin, ok := back.Origin(); !ok || origin.Offset != 0 || back.Redrives() != round {
			t.Fatalf("round %d: origin %s, redriven %d times", round, origin, back.Redrives())
		}
		w.append(stream.DeadLetter(topics.DeadLetter, back, "reconciler", "join", reconciler.ClassUnknownSchema, "no such schema"))
	}
}

func TestSelect_filters(t *testing.T) {
	w := newWorld(t)
	for i := range 6 {
		w.now = day + events.Millis(i)*3_600_000
		r := misplaced(w.hook(w.ours, fmt.Sprint("o", i), "wait", w.now))
		if i == 5 {
			r = stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: r.Key, Value: []byte("{}")}
		}
		w.append(r)
		w.join()
	}
	hour := func(n int) time.Time { return day.Time().Add(time.Duration(n) * time.Hour) }
	third := w.log.All(topics.DeadLetter)[2].At()
	for _, tc := range []struct {
		name   string
		filter redrive.Filter
		want   int
		more   bool
	}{
		{name: "all", want: 6},
		{name: "one", filter: redrive.Filter{At: &third}, want: 1},
		{name: "topic", filter: redrive.Filter{Topics: []string{topics.Intent}}, want: 1},
		{name: "no topic", filter: redrive.Filter{Topics: []string{topics.StatusCheck}}},
		{name: "class", filter: redrive.Filter{Classes: []string{reconciler.ClassWrongPartition, "OTHER"}}, want: 5},
		{name: "key", filter: redrive.Filter{KeyPrefix: "acme/shop/o3"}, want: 1},
		{name: "since", filter: redrive.Filter{Since: hour(4)}, want: 2},
		{name: "until", filter: redrive.Filter{Until: hour(4)}, want: 4},
		{name: "between", filter: redrive.Filter{Since: hour(1), Until: hour(3)}, want: 2},
		{name: "limit", filter: redrive.Filter{Limit: 2}, want: 2, more: true},
		{name: "limit reached", filter: redrive.Filter{Limit: 6}, want: 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, sel := w.plan(tc.filter)
			if len(sel.Letters) != tc.want || sel.More != tc.more {
				t.Errorf("Select(%+v) = %d letters, more %v; want %d, %v", tc.filter, len(sel.Letters), sel.More, tc.want, tc.more)
			}
			if !slices.IsSortedFunc(sel.Letters, func(a, b redrive.Letter) int { return int(a.SetAsideMs - b.SetAsideMs) }) {
				t.Error("the oldest do not come first")
			}
			if tc.filter.At != nil && sel.Letters[0].At != third {
				t.Errorf("selected %s, want %s", sel.Letters[0].At, third)
			}
		})
	}
	away := stream.Coordinate{Topic: topics.DeadLetter, Partition: 1, Offset: 1 << 40}
	if _, err := w.redriver().Select(t.Context(), redrive.Filter{At: &away}); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("Select of a dead letter that is not there = %v, want ErrRefused", err)
	}
}
