package order_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

func check(word string, at events.Millis, id string, offset int64, change func(*events.StatusCheck)) (events.StatusCheck, order.Where) {
	c := events.StatusCheck{Key: key, EventID: events.EventID(id), ObservedAt: at, Outcome: events.OutcomeOK, StatusRaw: word}
	if change != nil {
		change(&c)
	}
	return c, order.Where{Topic: "poll", Offset: offset, AppendedAt: at}
}

// A record that was written twice, as any at-least-once producer does, changes
// nothing, whichever copy is read first.
func TestJoin_copiesOfOneEventAreOne(t *testing.T) {
	r := rules(t, nil)
	first := r.FromCheck(check("wait", minute(1), "e1", 4, nil))
	copied := r.FromCheck(check("wait", minute(1), "e1", 9, nil))
	for _, got := range [][]events.Evidence{order.Join(first, copied), order.Join(copied, first)} {
		if !cmp.Equal(got, first) {
			t.Errorf("a copy changed the evidence:\n%s", cmp.Diff(first, got))
		}
	}
}

// A provider's word cannot pass for one of our classes of failure, and a
// failure has no facts.
func TestFromCheck_words(t *testing.T) {
	r := rules(t, nil)
	row := r.FromCheck(check("!gave_up", minute(1), "e1", 0, nil))[0]
	if row.Word == "!gave_up" {
		t.Errorf("the provider's word %q reads as our failure", row.Word)
	}
	if st := r.View(key, []events.Evidence{row}); st.StaleSince != 0 || !slices.Contains(st.Open, string(events.UnknownStatus)) {
		t.Errorf("stale since %d, open %v; want an unknown status", st.StaleSince, st.Open)
	}
	row = r.FromCheck(check("", minute(1), "e1", 0, func(c *events.StatusCheck) {
		c.Outcome, c.Facts = events.OutcomeMismatch, events.Facts{CryptoAmount: "9", CryptoAsset: "BTC"}
	}))[0]
	if row.Facts != (events.Facts{}) {
		t.Errorf("an answer about another subject left facts: %+v", row.Facts)
	}
}

// A webhook without a status, or with a listed word that decides nothing, is no
// unknown status.
func TestDiscrepancies_noWordIsNotUnknown(t *testing.T) {
	r := rules(t, func(v *events.Vocabulary) {
		v.Orders = map[string]events.Word{"CALLBACK": {Status: events.StatusUnknown}}
	})
	for _, word := range []string{"", "CALLBACK"} {
		if all := r.Discrepancies(key, fold(r, say{"hook", word, 1, "", 0})); len(all) > 0 {
			t.Errorf("word %q raised %s", word, all[0].Type)
		}
	}
}

// A provider that answers ever new words is asked at the usual pace, the loss
// is open, and nothing is kept beyond the bounds.
func TestSchedule_everNewWords(t *testing.T) {
	r := rules(t, nil)
	var rows []events.Evidence
	for i := range 200 {
		rows = order.Join(rows, rowsOf(r, say{"poll", fmt.Sprintf("%03d minutes left", 500-i), i, "", 0}, int64(i)))
	}
	rows = order.Join(rows, rowsOf(r, say{"poll", "zzz", 300, "", 0}, 300))
	st := r.View(key, rows)
	task, ok := r.Schedule(st)
	if !ok || task.DueAt <= minute(300) {
		t.Errorf("next check at minute %d, %v; want after minute 300", (task.DueAt-day)/60_000, ok)
	}
	if !slices.Contains(st.Open, string(events.UnknownStatus)) || len(rows) != 65 || st.LastSeenAt != minute(300) || st.FirstSeenAt != minute(0) {
		t.Errorf("%d rows, open %v, seen from minute %d to %d", len(rows), st.Open, (st.FirstSeenAt-day)/60_000, (st.LastSeenAt-day)/60_000)
	}
}

// Whatever is dated ahead of the log is cut to it, marked, and outranked by
// what is truly later; then the mark is resolved.
func TestFuture_isOutranked(t *testing.T) {
	r := rules(t, nil)
	year := 365 * 24 * 60
	at := order.Where{Topic: "poll", AppendedAt: minute(1)}
	ahead := r.FromCheck(events.StatusCheck{Key: key, EventID: "e", ObservedAt: minute(year), Outcome: events.OutcomeOK, StatusRaw: "run"}, at)
	rows := order.Join(ahead, rowsOf(r, say{"poll", "wait", 2, "", 0}, 9))
	st, all := r.Assess(key, rows)
	if st.Status != events.StatusPending || st.LastSeenAt != minute(2) {
		t.Errorf("state = %v last seen at minute %d, want the later PENDING", st.Status, (st.LastSeenAt-day)/60_000)
	}
	i := slices.IndexFunc(all, func(d events.Discrepancy) bool { return d.Type == events.FutureEvidence })
	if i < 0 || all[i].ResolvedAt != minute(2) {
		t.Errorf("discrepancies = %+v, want FUTURE_EVIDENCE resolved at minute 2", all)
	}
	// Every source marks it, but for FORGET, which nothing outranks anyway.
	for _, in := range []events.Intent{{Key: key, ObservedAt: minute(year)}, {Key: key, Kind: events.Decide, Status: events.StatusFailed, ObservedAt: minute(year)}} {
		if rows := r.FromIntent(in, at); len(rows) != 2 || rows[0].First.At != minute(1)+5000 {
			t.Errorf("%v dated ahead gave %+v", in.Kind, rows)
		}
	}
	// A topic without the broker's clock has no referee.
	at.AppendedAt = 0
	if rows := r.FromIntent(events.Intent{Key: key, ObservedAt: minute(year)}, at); len(rows) != 1 || rows[0].First.At != minute(year) {
		t.Errorf("without append times: %+v", rows)
	}
}

// FORGET absorbs what came before and after, in any order, and keeps no fact.
func TestForget_absorbs(t *testing.T) {
	r := rules(t, nil)
	facts := func(e events.Evidence) bool { return e.Facts != (events.Facts{}) }
	all := []say{{"intent", "", 1, "1", 0}, {"hook", "done", 2, "1", 0}, {"forget", "", 3, "", 0}, {"poll", "fail", 9, "2", 0}, {"forget", "", 12, "", 0}, {"decide", "FAILED", 20, "", 0}}
	want := fold(r, all[2])
	for i := range all {
		rows := order.Join(foldOf(r, key, all[:i]...), foldOf(r, key, all[i:]...))
		st, dis := r.Assess(key, rows)
		if len(rows) != 1 || rows[0].Kind != events.EvidenceForget || rows[0].First.At != want[0].First.At || slices.ContainsFunc(rows, facts) {
			t.Fatalf("evidence after FORGET: %+v", rows)
		}
		if st.DecidedBy != order.RuleForgotten || st.Status != events.StatusUnknown || !st.Terminal || st.StatusRaw != "" ||
			st.Facts != (events.Facts{}) || st.Expected != (events.Facts{}) || len(st.Open)+len(dis) > 0 {
			t.Fatalf("forgotten state still says %+v, %+v", st, dis)
		}
		if _, ok := r.Schedule(st); ok {
			t.Fatal("a forgotten order is asked about")
		}
	}
}

// Giving up ends the questions; anything said since starts them again, at once.
func TestStale(t *testing.T) {
	r := rules(t, nil)
	const days = 24 * 60
	still := []say{{"hook", "wait", 0, "", 0}, {"poll", "wait", 31 * days, "", 0}, {"poll", "!gave_up", 31*days + 1, "", 0}}
	for _, tc := range []struct {
		name  string
		more  []say
		stale bool
		asked bool
	}{
		{"gave up", nil, true, false},
		{"a webhook with new facts", []say{{"hook", "wait", 32 * days, "5", 0}}, false, true},
		{"the same webhook again", []say{{"hook", "wait", 32 * days, "", 0}}, true, false},
		{"an answer to a hint", []say{{"poll", "run", 32 * days, "", 0}}, false, true},
		{"a new expectation is not an answer", []say{{"intent", "", 32 * days, "9", 1}}, true, false},
		{"settled", []say{{"hook", "done", 32 * days, "", 0}}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := r.View(key, fold(r, append(slices.Clone(still), tc.more...)...))
			task, ok := r.Schedule(st)
			if (st.StaleSince != 0) != tc.stale || ok != tc.asked || (ok && task.GiveUp) {
				t.Errorf("stale %v, task %v (%+v); want %v, %v", st.StaleSince != 0, ok, task, tc.stale, tc.asked)
			}
			if tc.stale && st.StaleSince != minute(31*days+1) {
				t.Errorf("stale since minute %d", (st.StaleSince-day)/60_000)
			}
		})
	}
}
