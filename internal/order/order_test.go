package order_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

// words is a small vocabulary in which every status has a word.
var words = events.Vocabulary{
	Provider: "acme", PollOrders: true, PollCustomers: true, Webhooks: true,
	Orders: map[string]events.Word{
		"new": {Status: events.StatusCreated}, "wait": {Status: events.StatusPending}, "run": {Status: events.StatusProcessing},
		"hold": {Status: events.StatusOnHold}, "done": {Status: events.StatusCompleted}, "fail": {Status: events.StatusFailed},
		"gone": {Status: events.StatusExpired}, "back": {Status: events.StatusRefunded},
	},
	Customers:   map[string]events.Word{"L0": {Status: events.StatusCreated}, "L2": {Status: events.StatusCompleted}},
	Regressions: [][2]string{{"hold", "run"}, {"run", "hold"}},
}

var key = events.Key{Provider: "acme", Account: "shop", ID: "o1"}

func rules(t testing.TB, change func(*events.Vocabulary)) order.Rules {
	t.Helper()
	v := words
	if change != nil {
		change(&v)
	}
	r, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{key.Lane(): v})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// say is one thing said at a minute of the test's day.
type say struct {
	source string // "hook", "poll", "intent", "decide", "forget"
	word   string
	minute int
	amount events.Amount
	rev    int64
}

const day = events.Millis(1_700_000_000_000)

func minute(m int) events.Millis { return day + events.Millis(m)*60_000 }

// told is what whoever recorded the word took it for.
func told(word string) events.Status {
	if strings.HasPrefix(word, "listed") { // in a table that ours is not
		return events.StatusPending
	}
	w, _ := words.Meaning(key.Kind, word)
	return w.Status
}

func rowsOf(r order.Rules, s say, offset int64) []events.Evidence { return rowsFor(r, key, s, offset) }

func rowsFor(r order.Rules, key events.Key, s say, offset int64) []events.Evidence {
	at := minute(s.minute)
	where := order.Where{Topic: s.source, Offset: offset, AppendedAt: at}
	facts := events.Facts{CryptoAmount: s.amount}
	if s.amount != "" {
		facts.CryptoAsset = "BTC"
	}
	id := events.EventID(events.Digest(s.source, s.word, string(s.amount), at.Time().String()))
	switch s.source {
	case "hook":
		return r.FromWebhook(events.Webhook{Key: key, EventID: id, ObservedAt: at, Trust: events.TrustSigned, StatusRaw: s.word, Status: told(s.word), Facts: facts}, where)
	case "poll":
		out := events.OutcomeOK
		if s.word[0] == '!' {
			out = events.Outcome(s.word[1:])
		}
		return r.FromCheck(events.StatusCheck{Key: key, EventID: id, ObservedAt: at, Outcome: out, StatusRaw: s.word, Status: told(s.word), Facts: facts}, where)
	case "intent":
		return r.FromIntent(events.Intent{Key: key, EventID: id, ObservedAt: at, Revision: s.rev, Facts: facts}, where)
	case "decide":
		st, _ := events.ParseStatus(s.word)
		return r.FromIntent(events.Intent{Key: key, EventID: id, ObservedAt: at, Kind: events.Decide, Status: st, Operator: "op", Reason: "seen"}, where)
	case "forget":
		return r.FromIntent(events.Intent{Key: key, EventID: id, ObservedAt: at, Kind: events.Forget, Operator: "op"}, where)
	}
	panic("unknown source " + s.source)
}

func fold(r order.Rules, said ...say) []events.Evidence { return foldOf(r, key, said...) }

func foldOf(r order.Rules, key events.Key, said ...say) []events.Evidence {
	var rows []events.Evidence
	for i, s := range said {
		rows = order.Join(rows, rowsFor(r, key, s, int64(i)))
	}
	return rows
}

func TestView(t *testing.T) {
	for _, tc := range []struct {
		name   string
		said   []say
		change func(*events.Vocabulary)
		want   events.Status
		rule   string
		since  int // minute; -1: not compared
	}{
		{"nothing known", []say{{"hook", "odd", 1, "", 0}}, nil, events.StatusUnknown, order.RuleNoKnownStatus, 1},
		{"intent only", []say{{"intent", "", 1, "5", 0}}, nil, events.StatusCreated, order.RuleIntent, 1},
		{"webhook only", []say{{"hook", "wait", 2, "", 0}}, nil, events.StatusPending, order.RuleWebhook, 2},
		{"poll newer than webhook", []say{{"hook", "wait", 2, "", 0}, {"poll", "run", 3, "", 0}}, nil, events.StatusProcessing, order.RuleLatestPoll, 3},
		{"webhook after poll", []say{{"poll", "wait", 2, "", 0}, {"hook", "run", 3, "", 0}}, nil, events.StatusProcessing, order.RuleWebhookAfterPoll, 3},
		{"provider's latest answer goes down", []say{{"poll", "run", 2, "", 0}, {"poll", "wait", 9, "", 0}}, nil, events.StatusPending, order.RuleLatestPoll, 9},
		{"an older webhook does not raise it again", []say{{"hook", "run", 1, "", 0}, {"poll", "wait", 9, "", 0}}, nil, events.StatusPending, order.RuleLatestPoll, 9},
		{"unknown poll word never decides", []say{{"poll", "wait", 2, "", 0}, {"poll", "odd", 9, "", 0}}, nil, events.StatusPending, order.RuleLatestPoll, 2},
		{"failure changes nothing", []say{{"hook", "wait", 2, "", 0}, {"poll", "!timeout", 9, "", 0}}, nil, events.StatusPending, order.RuleWebhook, 2},
		{"terminal by webhook", []say{{"poll", "wait", 1, "", 0}, {"hook", "done", 2, "", 0}}, nil, events.StatusCompleted, order.RuleTerminal, 2},
		{"terminal holds against an early denial", []say{{"hook", "done", 2, "", 0}, {"poll", "wait", 11, "", 0}}, nil, events.StatusCompleted, order.RuleTerminal, -1},
		{"terminal denied after the confirmation time", []say{{"hook", "done", 2, "", 0}, {"poll", "wait", 13, "", 0}}, nil, events.StatusDisputed, order.RuleTerminalContradicted, 13},
		{"denial withdrawn", []say{{"hook", "done", 2, "", 0}, {"poll", "wait", 13, "", 0}, {"poll", "done", 14, "", 0}}, nil, events.StatusCompleted, order.RuleTerminal, -1},
		{"two terminals dispute", []say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}}, nil, events.StatusDisputed, order.RuleTerminalsDisputed, 3},
		{"a poll just after does not settle it", []say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"poll", "fail", 12, "", 0}}, nil, events.StatusDisputed, order.RuleTerminalsDisputed, -1},
		{"a later poll settles it", []say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"poll", "fail", 14, "", 0}}, nil, events.StatusFailed, order.RuleTerminalsResolved, -1},
		{"an operator settles it", []say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"decide", "COMPLETED", 5, "", 0}}, nil, events.StatusCompleted, order.RuleOperatorDecision, 5},
		{"an operator settles nothing else", []say{{"hook", "wait", 2, "", 0}, {"decide", "COMPLETED", 5, "", 0}}, nil, events.StatusPending, order.RuleWebhook, 2},
		{"refunded wins", []say{{"poll", "back", 4, "", 0}, {"poll", "done", 90, "", 0}}, nil, events.StatusRefunded, order.RuleRefunded, 4},
		{"expired revived", []say{{"poll", "gone", 4, "", 0}, {"poll", "done", 90, "", 0}}, nil, events.StatusCompleted, order.RuleTerminalsResolved, -1},
		{"amount as expected", []say{{"intent", "", 1, "0.01", 0}, {"poll", "done", 4, "0.010", 0}}, nil, events.StatusCompleted, order.RuleTerminal, 4},
		{"amount differs", []say{{"intent", "", 1, "0.01", 0}, {"poll", "done", 4, "0.02", 0}}, nil, events.StatusDisputed, order.RuleAmountMismatch, 4},
		{"a higher revision cures", []say{{"intent", "", 1, "0.01", 0}, {"poll", "done", 4, "0.02", 0}, {"intent", "", 7, "0.02", 1}}, nil, events.StatusCompleted, order.RuleTerminal, 4},
		{"unsigned amount without intent", []say{{"poll", "done", 4, "0.02", 0}}, func(v *events.Vocabulary) { v.AmountUnsigned = true }, events.StatusCompleted, order.RuleAmountUnverified, 4},
		{"came back to hold", []say{{"poll", "hold", 1, "", 0}, {"poll", "run", 5, "", 0}, {"poll", "hold", 9, "", 0}}, nil, events.StatusOnHold, order.RuleLatestPoll, 5},
		{"forgotten", []say{{"hook", "done", 2, "", 0}, {"forget", "", 3, "", 0}, {"poll", "done", 9, "", 0}}, nil, events.StatusUnknown, order.RuleForgotten, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rules(t, tc.change)
			got := r.View(key, fold(r, tc.said...))
			if got.Status != tc.want || got.DecidedBy != tc.rule {
				t.Errorf("View = %v by %s, want %v by %s", got.Status, got.DecidedBy, tc.want, tc.rule)
			}
			if tc.since >= 0 && got.Since != minute(tc.since) {
				t.Errorf("since = minute %d, want %d", (got.Since-day)/60_000, tc.since)
			}
		})
	}
}

// A clock that is ahead is cut at the log's clock plus the margin, and marked.
func TestFromWebhook_futureIsCut(t *testing.T) {
	r := rules(t, nil)
	rows := r.FromWebhook(events.Webhook{Key: key, ObservedAt: minute(500), Trust: events.TrustSigned, StatusRaw: "wait"},
		order.Where{Topic: "w", AppendedAt: minute(1)})
	if len(rows) != 2 || rows[0].First.At != minute(1)+5000 {
		t.Fatalf("rows = %+v, want the webhook cut to append time + 5 s, and a future row", rows)
	}
	if st := r.View(key, order.Join(nil, rows)); !slices.Contains(st.Open, string(events.FutureEvidence)) {
		t.Errorf("open = %v, want FUTURE_EVIDENCE", st.Open)
	}
}

func TestHintsAreNoEvidence(t *testing.T) {
	r := rules(t, nil)
	if rows := r.FromWebhook(events.Webhook{Key: key, StatusRaw: "done"}, order.Where{}); rows != nil {
		t.Errorf("a hint became evidence: %+v", rows)
	}
	if rows := r.FromCheck(events.StatusCheck{Key: key, Cause: events.CauseHint, Outcome: events.OutcomeNotFound}, order.Where{}); rows != nil {
		t.Errorf("a failed answer to a hint became evidence: %+v", rows)
	}
}

func genSay() *rapid.Generator[say] {
	return rapid.Custom(func(t *rapid.T) say {
		s := say{source: rapid.SampledFrom([]string{"hook", "poll", "hook", "poll", "intent", "decide"}).Draw(t, "source"),
			minute: rapid.IntRange(0, 200).Draw(t, "minute")}
		switch s.source {
		case "hook":
			s.word = rapid.SampledFrom([]string{"new", "wait", "run", "hold", "done", "fail", "gone", "back", "odd"}).Draw(t, "word")
		case "poll":
			s.word = rapid.SampledFrom([]string{"new", "wait", "run", "hold", "done", "fail", "gone", "odd", "!timeout", "!gave_up", "!not_found"}).Draw(t, "word")
		case "decide":
			s.word = rapid.SampledFrom([]string{"COMPLETED", "FAILED"}).Draw(t, "word")
		case "intent":
			s.rev = rapid.Int64Range(0, 2).Draw(t, "revision")
		}
		s.amount = rapid.SampledFrom([]events.Amount{"", "1", "2", "3", "4", "5", "6"}).Draw(t, "amount")
		return s
	})
}

// said keeps each thing with the coordinates it had, however it is shuffled.
type saidAt struct {
	say
	offset int64
}

func foldAt(r order.Rules, in []saidAt) []events.Evidence {
	var rows []events.Evidence
	for _, s := range in {
		rows = order.Join(rows, rowsOf(r, s.say, s.offset))
	}
	return rows
}

func TestJoin_orderAndDuplicatesDoNotMatter(t *testing.T) {
	r := rules(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		var in []saidAt
		for i, s := range rapid.SliceOfN(genSay(), 0, 30).Draw(t, "said") {
			in = append(in, saidAt{s, int64(i)})
		}
		again := append(slices.Clone(in), in...)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		rng.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		again = again[:len(again)-rng.IntN(len(in)+1)]
		again = append(again, in...)
		if a, b := foldAt(r, in), foldAt(r, again); !cmp.Equal(a, b) {
			t.Fatalf("shuffled and redelivered evidence differs:\n%s", cmp.Diff(a, b))
		}
		half := rng.IntN(len(in) + 1)
		if a, b := foldAt(r, in), order.Join(foldAt(r, in[half:]), foldAt(r, in[:half])); !cmp.Equal(a, b) {
			t.Fatalf("two partial replays joined differ from the whole:\n%s", cmp.Diff(a, b))
		}
	})
}

// foldEight joins eight records at a time: rows may come in any order.
func foldEight(r order.Rules, in []saidAt) []events.Evidence {
	var rows []events.Evidence
	for some := range slices.Chunk(in, 8) {
		var next []events.Evidence
		for _, s := range some {
			next = append(next, rowsOf(r, s.say, s.offset)...)
		}
		rows = order.Join(rows, next)
	}
	return rows
}

// The bounds must not break the laws: more words, meanings, intents and
// decisions than are kept.
func TestJoin_lawsHoldBeyondTheBounds(t *testing.T) {
	r := rules(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(60, 90).Draw(t, "words")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		var in []saidAt
		for i := range n {
			in = append(in,
				saidAt{say{"hook", "word" + string(rune('A'+i)), rng.IntN(100), "", 0}, int64(4 * i)},
				saidAt{say{"poll", "word" + string(rune('A'+i)), rng.IntN(100), "", 0}, int64(4*i + 1)},
				saidAt{say{"hook", "listed" + string(rune('A'+i)), rng.IntN(100), "", 0}, int64(4*i + 1_000)},
				saidAt{say{"poll", "listed" + string(rune('A'+i)), rng.IntN(100), "", 0}, int64(4*i + 1_001)},
				saidAt{say{"hook", "wait", rng.IntN(100), events.Amount(string(rune('0' + i%10))), 0}, int64(4*i + 2)},
				saidAt{say{"intent", "", rng.IntN(100), events.Amount(string(rune('0' + i%10))), int64(i % 2)}, int64(4*i + 3)})
		}
		want := foldEight(r, in)
		rng.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		cut := rng.IntN(len(in))
		got := order.Join(foldEight(r, in[:cut]), foldEight(r, append(in[cut:], in[:cut/2]...)))
		if !cmp.Equal(want, got) {
			t.Fatalf("evidence beyond the bounds depends on order:\n%s", cmp.Diff(want, got))
		}
		if len(want) > 4*64+8+20 {
			t.Fatalf("%d rows kept: not bounded", len(want))
		}
	})
}

// Garbage pushes out garbage: what was said in words that somebody knew stays,
// whatever else is said, and however much of it. That some of it was dropped is
// told.
func TestJoin_garbagePushesOutGarbageOnly(t *testing.T) {
	r := rules(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 4))
		var in []saidAt
		for i := range 200 { // each smaller by bytes than every word of the table
			word := fmt.Sprintf(" %c%d", rune(1+rng.IntN(90)), i)
			in = append(in, saidAt{say{[]string{"hook", "poll"}[i%2], word, rng.IntN(100), "", 0}, int64(i)})
		}
		known := []saidAt{{say{"hook", "run", 20, "1", 0}, 900}, {say{"poll", "wait", 10, "", 0}, 901}, {say{"poll", "!timeout", 30, "", 0}, 902}}
		in = append(in, known...)
		rng.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		rows := foldAt(r, in)
		for _, want := range foldAt(r, known) {
			if !slices.Contains(rows, want) {
				t.Fatalf("%s %q was pushed out by garbage", want.Kind, want.Word)
			}
		}
		st := r.View(key, rows)
		if st.Status != events.StatusProcessing || !slices.Contains(st.Open, string(events.UnknownStatus)) {
			t.Fatalf("%v by %s, open %v; want PROCESSING, UNKNOWN_STATUS open", st.Status, st.DecidedBy, st.Open)
		}
		if n := len(rows); n != 64+64+3+2 {
			t.Fatalf("%d rows kept, want 64 unknown words a source, 3 known and 2 of overflow", n)
		}
	})
}

func TestJoin_doesNotChangeItsArguments(t *testing.T) {
	r := rules(t, nil)
	a := fold(r, say{"hook", "wait", 1, "", 0}, say{"poll", "wait", 2, "", 0})
	b := fold(r, say{"poll", "wait", 9, "", 0}, say{"forget", "", 9, "", 0})
	before := slices.Clone(a)
	order.Join(a, b)
	order.Join(a, fold(r, say{"poll", "wait", 99, "1", 0}))
	if !cmp.Equal(before, a) {
		t.Errorf("Join changed its argument:\n%s", cmp.Diff(before, a))
	}
}

// A terminal status is left only by a rule that says so.
func TestView_terminalIsNeverLowered(t *testing.T) {
	r := rules(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		var rows []events.Evidence
		was := events.StatusUnknown
		for i, s := range rapid.SliceOfN(genSay(), 1, 30).Draw(t, "said") {
			rows = order.Join(rows, rowsOf(r, s, int64(i)))
			got := r.View(key, rows)
			if was.Terminal() && !got.Status.Terminal() && got.Status != events.StatusDisputed {
				t.Fatalf("after %v: %v became %v by %s", s, was, got.Status, got.DecidedBy)
			}
			if got.Status == events.StatusDisputed && got.Terminal {
				t.Fatalf("DISPUTED is shown as terminal")
			}
			was = got.Status
		}
	})
}

func TestSchedule(t *testing.T) {
	r := rules(t, nil)
	for _, tc := range []struct {
		name   string
		said   []say
		due    int // minute; -1 for no task
		cause  events.Cause
		giveUp bool
	}{
		{"completed is confirmed once", []say{{"hook", "done", 0, "", 0}}, 15, events.CauseConfirm, false},
		{"confirmed", []say{{"hook", "done", 0, "", 0}, {"poll", "done", 15, "", 0}}, -1, 0, false},
		{"failed is confirmed again", []say{{"hook", "fail", 0, "", 0}, {"poll", "fail", 15, "", 0}}, 60, events.CauseConfirm, false},
		{"failed is let go", []say{{"hook", "fail", 0, "", 0}, {"poll", "fail", 72*60 + 1, "", 0}}, -1, 0, false},
		{"stood still beyond the horizon", []say{{"poll", "wait", 0, "", 0}, {"poll", "wait", 31 * 24 * 60, "", 0}}, 31 * 24 * 60, events.CauseSchedule, true},
		{"given up", []say{{"poll", "wait", 0, "", 0}, {"poll", "wait", 31 * 24 * 60, "", 0}, {"poll", "!gave_up", 31*24*60 + 1, "", 0}}, -1, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			task, ok := r.Schedule(r.View(key, fold(r, tc.said...)))
			if ok != (tc.due >= 0) {
				t.Fatalf("Schedule = %+v, %v", task, ok)
			}
			if ok && (task.DueAt != minute(tc.due) || task.Cause != tc.cause || task.GiveUp != tc.giveUp) {
				t.Errorf("Schedule = due minute %d, %v, give up %v; want %d, %v, %v", (task.DueAt-day)/60_000, task.Cause, task.GiveUp, tc.due, tc.cause, tc.giveUp)
			}
		})
	}
}

// An open order is asked about again, later the longer it stands still, and
// never later than the longest interval after the last question.
func TestSchedule_boundedIntervals(t *testing.T) {
	r := rules(t, nil)
	for m := 1; m < 3000; m += 37 {
		task, ok := r.Schedule(r.View(key, fold(r, say{"poll", "wait", 0, "", 0}, say{"poll", "wait", m, "", 0})))
		wait := (task.DueAt - minute(m)).Time().Sub(time.UnixMilli(0))
		if !ok || wait < 27*time.Second || wait > time.Hour {
			t.Fatalf("after standing still %d minutes the next check is in %v, %v", m, wait, ok)
		}
	}
}

func TestDiscrepancies(t *testing.T) {
	for _, tc := range []struct {
		name     string
		said     []say
		typ      events.DiscrepancyType
		resolved bool
	}{
		{"missing", []say{{"poll", "done", 0, "", 0}, {"poll", "done", 15, "", 0}}, events.MissingWebhook, false},
		{"came late", []say{{"poll", "done", 0, "", 0}, {"hook", "done", 15, "", 0}}, events.MissingWebhook, true},
		{"conflict", []say{{"hook", "done", 0, "", 0}, {"hook", "fail", 1, "", 0}}, events.StatusConflict, false},
		{"conflict settled", []say{{"hook", "done", 0, "", 0}, {"hook", "fail", 1, "", 0}, {"poll", "done", 30, "", 0}}, events.StatusConflict, true},
		{"late", []say{{"poll", "done", 0, "", 0}, {"hook", "wait", 5, "", 0}}, events.LateAfterTerminal, false},
		{"amount", []say{{"intent", "", 0, "1", 0}, {"poll", "done", 5, "2", 0}}, events.AmountMismatch, false},
		{"intents", []say{{"intent", "", 0, "1", 0}, {"intent", "", 5, "2", 0}}, events.DuplicateConflict, false},
		{"unknown word", []say{{"hook", "odd", 0, "", 0}}, events.UnknownStatus, false},
		{"unknown word, then a known one", []say{{"hook", "odd", 0, "", 0}, {"poll", "wait", 1, "", 0}}, events.UnknownStatus, true},
		{"stuck", []say{{"poll", "wait", 0, "", 0}, {"poll", "wait", 1441, "", 0}}, events.Stuck, false},
		{"stuck, then moved", []say{{"poll", "wait", 0, "", 0}, {"poll", "wait", 1441, "", 0}, {"poll", "done", 1500, "", 0}}, events.Stuck, true},
		{"illegal", []say{{"poll", "run", 0, "", 0}, {"poll", "wait", 5, "", 0}}, events.IllegalTransition, false},
		{"illegal, then up again", []say{{"poll", "run", 0, "", 0}, {"poll", "wait", 5, "", 0}, {"poll", "run", 9, "", 0}}, events.IllegalTransition, true},
		{"unconfirmed", []say{{"hook", "wait", 0, "", 0}, {"poll", "!not_found", 5, "", 0}}, events.Unconfirmed, false},
		{"confirmed at last", []say{{"hook", "wait", 0, "", 0}, {"poll", "!not_found", 5, "", 0}, {"poll", "wait", 9, "", 0}}, events.Unconfirmed, true},
		{"unknown again after", []say{{"hook", "wait", 0, "", 0}, {"poll", "!not_found", 5, "", 0}, {"poll", "wait", 9, "", 0}, {"poll", "!not_found", 20, "", 0}}, events.Unconfirmed, false},
		{"denied at once, by a lagging API", []say{{"hook", "done", 0, "", 0}, {"poll", "wait", 5, "", 0}}, events.StatusConflict, false},
		{"no longer denied", []say{{"hook", "done", 0, "", 0}, {"poll", "wait", 5, "", 0}, {"poll", "done", 9, "", 0}}, events.StatusConflict, true},
		{"conflict decided", []say{{"hook", "done", 0, "", 0}, {"hook", "fail", 1, "", 0}, {"decide", "FAILED", 30, "", 0}}, events.StatusConflict, true},
		{"denied after a refund", []say{{"poll", "back", 0, "", 0}, {"poll", "done", 5, "", 0}}, events.StatusConflict, false},
		{"amount accepted by an operator", []say{{"intent", "", 0, "1", 0}, {"poll", "done", 5, "2", 0}, {"decide", "COMPLETED", 9, "", 0}}, events.AmountMismatch, true},
		{"amount of an order that failed", []say{{"intent", "", 0, "1", 0}, {"poll", "wait", 5, "2", 0}, {"poll", "fail", 9, "", 0}}, events.AmountMismatch, true},
		{"amount not the expected one yet", []say{{"intent", "", 0, "1", 0}, {"poll", "wait", 5, "2", 0}}, events.AmountMismatch, false},
		{"webhook up, poll down", []say{{"hook", "run", 0, "", 0}, {"poll", "wait", 5, "", 0}}, events.IllegalTransition, false},
		{"unknown word last", []say{{"poll", "wait", 0, "", 0}, {"poll", "odd", 1, "", 0}}, events.UnknownStatus, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rules(t, nil)
			all := r.Discrepancies(key, fold(r, tc.said...))
			i := slices.IndexFunc(all, func(d events.Discrepancy) bool { return d.Type == tc.typ })
			if i < 0 || (all[i].ResolvedAt != 0) != tc.resolved {
				t.Errorf("discrepancies = %+v; want %s, resolved %v", all, tc.typ, tc.resolved)
			}
		})
	}
}

func TestDiscrepancies_thatAreNone(t *testing.T) {
	r := rules(t, nil)
	for _, tc := range []struct {
		name string
		said []say
		typ  events.DiscrepancyType
	}{
		{"a refund follows from COMPLETED", []say{{"poll", "done", 0, "", 0}, {"hook", "done", 1, "", 0}, {"poll", "back", 50, "", 0}}, events.StatusConflict},
		{"moved and came back within the limit", []say{{"poll", "wait", 0, "", 0}, {"poll", "run", 10, "", 0}, {"poll", "wait", 1441, "", 0}}, events.Stuck},
		{"the webhook came in time, read late", []say{{"poll", "done", 0, "", 0}, {"poll", "done", 15, "", 0}, {"hook", "done", 1, "", 0}}, events.MissingWebhook},
		{"a poll within the margin of the webhook", []say{{"hook", "done", 5, "", 0}, {"poll", "wait", 5, "", 0}}, events.StatusConflict},
		{"equal amounts in other digits", []say{{"intent", "", 0, "0.010", 0}, {"poll", "done", 5, "0.01", 0}}, events.AmountMismatch},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, d := range r.Discrepancies(key, fold(r, tc.said...)) {
				if d.Type == tc.typ {
					t.Errorf("raised %+v", d)
				}
			}
		})
	}
}

// Legal regressions are the provider's table.
func TestDiscrepancies_legalRegression(t *testing.T) {
	r := rules(t, func(v *events.Vocabulary) { v.Regressions = [][2]string{{"run", "wait"}} })
	for _, d := range r.Discrepancies(key, fold(r, say{"poll", "run", 0, "", 0}, say{"poll", "wait", 5, "", 0})) {
		t.Errorf("a legal move raised %s", d.Type)
	}
}

func BenchmarkJoinView(b *testing.B) {
	r := rules(b, nil)
	rows := fold(r, say{"intent", "", 0, "1", 0}, say{"hook", "wait", 1, "1", 0}, say{"poll", "run", 2, "1", 0}, say{"hook", "done", 3, "1", 0})
	next := rowsOf(r, say{"poll", "done", 18, "1", 0}, 9)
	b.ReportAllocs()
	for b.Loop() {
		r.Assess(key, order.Join(rows, next))
	}
}
