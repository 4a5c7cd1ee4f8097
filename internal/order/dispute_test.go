package order_test

import (
	"slices"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

// What a dispute is since, and when an operator's decision holds. Times are
// minutes; the confirmation time is ten.
func TestView_disputes(t *testing.T) {
	r := rules(t, nil)
	for _, tc := range []struct {
		name  string
		said  []say
		want  events.Status
		rule  string
		since int
	}{
		{"a decision before there was a dispute settles nothing",
			[]say{{"decide", "COMPLETED", 1, "", 0}, {"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}}, events.StatusDisputed, order.RuleTerminalsDisputed, 3},
		{"an agreeing decision before the dispute settles nothing either",
			[]say{{"hook", "done", 2, "", 0}, {"decide", "COMPLETED", 2, "", 0}, {"hook", "fail", 3, "", 0}}, events.StatusDisputed, order.RuleTerminalsDisputed, 3},
		{"a decision may name a status that nobody said",
			[]say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"decide", "REFUNDED", 5, "", 0}}, events.StatusRefunded, order.RuleOperatorDecision, 5},
		{"the same words again do not open it",
			[]say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"decide", "COMPLETED", 5, "", 0}, {"hook", "fail", 9, "7", 0}}, events.StatusCompleted, order.RuleOperatorDecision, 5},
		{"a new terminal word opens it again, since then",
			[]say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"decide", "COMPLETED", 5, "", 0}, {"hook", "gone", 50, "", 0}}, events.StatusDisputed, order.RuleTerminalsDisputed, 50},
		{"a new word that agrees does not",
			[]say{{"hook", "gone", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"decide", "COMPLETED", 5, "", 0}, {"hook", "done", 50, "", 0}}, events.StatusCompleted, order.RuleOperatorDecision, 5},
		{"the operator may say it again",
			[]say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"decide", "COMPLETED", 5, "", 0}, {"hook", "gone", 50, "", 0}, {"decide", "COMPLETED", 60, "", 0}}, events.StatusCompleted, order.RuleOperatorDecision, 60},
		{"the latest of two decisions counts",
			[]say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"decide", "COMPLETED", 5, "", 0}, {"decide", "FAILED", 6, "", 0}}, events.StatusFailed, order.RuleOperatorDecision, 6},
		{"a late poll beats the decision: there is no dispute any more",
			[]say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"decide", "COMPLETED", 5, "", 0}, {"poll", "fail", 30, "", 0}}, events.StatusFailed, order.RuleTerminalsResolved, 3},
		{"a denial repeated after the decision does not open it",
			[]say{{"hook", "done", 2, "", 0}, {"poll", "wait", 13, "", 0}, {"decide", "COMPLETED", 20, "", 0}, {"poll", "wait", 40, "", 0}}, events.StatusCompleted, order.RuleOperatorDecision, 20},
		{"a denial after the provider came round is a new dispute",
			[]say{{"hook", "done", 2, "", 0}, {"poll", "wait", 13, "", 0}, {"decide", "COMPLETED", 20, "", 0}, {"poll", "done", 35, "", 0}, {"poll", "wait", 50, "", 0}}, events.StatusDisputed, order.RuleTerminalContradicted, 45},
		{"an operator accepts another amount",
			[]say{{"intent", "", 1, "1", 0}, {"poll", "done", 4, "2", 0}, {"decide", "COMPLETED", 9, "", 0}}, events.StatusCompleted, order.RuleOperatorDecision, 9},
		{"another expectation after that opens it",
			[]say{{"intent", "", 1, "1", 0}, {"poll", "done", 4, "2", 0}, {"decide", "COMPLETED", 9, "", 0}, {"intent", "", 20, "3", 1}}, events.StatusDisputed, order.RuleAmountMismatch, 20},

		{"denied by words that began before it", []say{{"poll", "wait", 1, "", 0}, {"hook", "done", 2, "", 0}, {"poll", "wait", 30, "", 0}}, events.StatusDisputed, order.RuleTerminalContradicted, 12},
		{"denied by another word later: since the first", []say{{"hook", "done", 2, "", 0}, {"poll", "wait", 20, "", 0}, {"poll", "run", 40, "", 0}}, events.StatusDisputed, order.RuleTerminalContradicted, 20},
		{"not yet at the confirmation time exactly", []say{{"hook", "done", 2, "", 0}, {"poll", "wait", 12, "", 0}}, events.StatusCompleted, order.RuleTerminal, 2},
		{"a lagging API does not move since", []say{{"hook", "done", 2, "", 0}, {"poll", "wait", 5, "", 0}, {"poll", "done", 9, "", 0}}, events.StatusCompleted, order.RuleTerminal, 2},
		{"a withdrawn denial restores since", []say{{"hook", "done", 2, "", 0}, {"poll", "wait", 13, "", 0}, {"poll", "done", 14, "", 0}}, events.StatusCompleted, order.RuleTerminal, 2},
		{"revived since the last word of the other", []say{{"poll", "gone", 4, "", 0}, {"poll", "gone", 60, "", 0}, {"poll", "done", 90, "", 0}}, events.StatusCompleted, order.RuleTerminalsResolved, 90},
		{"a refund keeps its since", []say{{"poll", "back", 4, "", 0}, {"poll", "done", 6, "", 0}, {"poll", "back", 90, "", 0}}, events.StatusRefunded, order.RuleRefunded, 4},

		{"every COMPLETED counts, not only the first", []say{{"intent", "", 1, "1", 0}, {"hook", "done", 2, "1", 0}, {"poll", "done", 20, "0.5", 0}}, events.StatusDisputed, order.RuleAmountMismatch, 20},
		{"a second webhook with another amount", []say{{"intent", "", 1, "1", 0}, {"hook", "done", 2, "1", 0}, {"hook", "done", 5, "3", 0}}, events.StatusDisputed, order.RuleAmountMismatch, 5},
		{"an amount said before the end counts if the end states none", []say{{"intent", "", 1, "1", 0}, {"poll", "wait", 2, "2", 0}, {"hook", "done", 5, "", 0}}, events.StatusDisputed, order.RuleAmountMismatch, 5},
		{"the thirtieth digit differs", []say{{"intent", "", 1, "1", 0}, {"hook", "done", 5, "1.000000000000000000000000000001", 0}}, events.StatusDisputed, order.RuleAmountMismatch, 5},
		{"absent is not zero", []say{{"intent", "", 1, "1", 0}, {"hook", "done", 5, "", 0}}, events.StatusCompleted, order.RuleTerminal, 5},

		{"flapping: since the last interruption", []say{{"poll", "hold", 1, "", 0}, {"poll", "run", 5, "", 0}, {"poll", "hold", 9, "", 0}, {"poll", "run", 12, "", 0}, {"poll", "hold", 15, "", 0}}, events.StatusOnHold, order.RuleLatestPoll, 12},
		{"flapping: what came after does not interrupt", []say{{"hook", "run", 3, "", 0}, {"hook", "wait", 5, "", 0}}, events.StatusProcessing, order.RuleWebhook, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.View(key, fold(r, tc.said...))
			if got.Status != tc.want || got.DecidedBy != tc.rule || got.Since != minute(tc.since) {
				t.Errorf("View = %v by %s since minute %d; want %v by %s since %d", got.Status, got.DecidedBy, (got.Since-day)/60_000, tc.want, tc.rule, tc.since)
			}
		})
	}
}

// An unsigned amount is verified by a comparison, not by the mere presence of
// an intent.
func TestView_unsignedAmountNeedsAComparison(t *testing.T) {
	r := rules(t, func(v *events.Vocabulary) { v.AmountUnsigned = true })
	for _, tc := range []struct {
		intent, seen events.Amount
		rule         string
	}{{"1", "1.0", order.RuleTerminal}, {"", "1", order.RuleAmountUnverified}, {"1", "", order.RuleAmountUnverified}} {
		got := r.View(key, fold(r, say{"intent", "", 1, tc.intent, 0}, say{"poll", "done", 2, tc.seen, 0}))
		if got.Status != events.StatusCompleted || got.DecidedBy != tc.rule {
			t.Errorf("expected %q, seen %q: %v by %s, want COMPLETED by %s", tc.intent, tc.seen, got.Status, got.DecidedBy, tc.rule)
		}
	}
}

// After a decision the provider is asked again as after any other end, counted
// from the decision; forgetting leaves nothing to ask.
func TestSchedule_afterAnOperator(t *testing.T) {
	r := rules(t, nil)
	dispute := []say{{"hook", "done", 2, "", 0}, {"hook", "fail", 3, "", 0}, {"poll", "fail", 5, "", 0}}
	for _, tc := range []struct {
		name string
		more []say
		due  int // -1: none
	}{
		{"completed", []say{{"decide", "COMPLETED", 20, "", 0}}, 35},
		{"completed, confirmed", []say{{"decide", "COMPLETED", 11, "", 0}, {"poll", "!timeout", 20, "", 0}, {"poll", "odd", 27, "", 0}}, -1},
		{"failed", []say{{"decide", "FAILED", 10, "", 0}, {"poll", "odd", 26, "", 0}}, 70},
		{"forgotten", []say{{"forget", "", 11, "", 0}}, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			task, ok := r.Schedule(r.View(key, fold(r, append(slices.Clone(dispute), tc.more...)...)))
			if ok != (tc.due >= 0) || (ok && (task.DueAt != minute(tc.due) || task.Cause != events.CauseConfirm)) {
				t.Errorf("Schedule = minute %d, %v, %v; want %d", (task.DueAt-day)/60_000, task.Cause, ok, tc.due)
			}
		})
	}
}

// Only what both sides state is compared: the chain, in whatever case, and the
// direction. Another one is other money, all of it.
func TestView_networkAndSide(t *testing.T) {
	r := rules(t, nil)
	for _, tc := range []struct {
		name       string
		want, seen events.Facts
		expected   string // "" for none
		stake      string
	}{
		{"another network", events.Facts{CryptoNetwork: "ethereum"}, events.Facts{CryptoNetwork: "base", CryptoAmount: "2", CryptoAsset: "USDC"}, "network ethereum", "2 USDC"},
		{"another network, amount only expected", events.Facts{CryptoNetwork: "ethereum", CryptoAmount: "3", CryptoAsset: "USDC"}, events.Facts{CryptoNetwork: "base"}, "network ethereum", "3 USDC"},
		{"the same in capitals", events.Facts{CryptoNetwork: "Ethereum"}, events.Facts{CryptoNetwork: "ETHEREUM"}, "", ""},
		{"not stated by the merchant", events.Facts{}, events.Facts{CryptoNetwork: "base", Side: "sell"}, "", ""},
		{"not stated by the provider", events.Facts{CryptoNetwork: "base", Side: "sell"}, events.Facts{}, "", ""},
		{"another side", events.Facts{Side: "buy"}, events.Facts{Side: "sell", FiatAmount: "9", FiatCurrency: "EUR"}, "side buy", "9 EUR"},
		{"the same side", events.Facts{Side: "buy"}, events.Facts{Side: "buy"}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rows := order.Join(r.FromIntent(events.Intent{Key: key, EventID: "i", ObservedAt: minute(1), Facts: tc.want}, order.Where{Topic: "intent"}),
				hookAt(r, "done", minute(2), "h", 1, tc.seen))
			st, all := r.Assess(key, rows)
			if disputed := st.Status == events.StatusDisputed && st.DecidedBy == order.RuleAmountMismatch; disputed != (tc.expected != "") {
				t.Errorf("%v by %s; want a dispute: %v", st.Status, st.DecidedBy, tc.expected != "")
			}
			for _, d := range all {
				if stake := string(d.AtStake) + " " + d.AtStakeCurrency; d.Type == events.AssetMismatch && (d.Expected != tc.expected || stake != tc.stake) {
					t.Errorf("expected %q, %s at stake; want %q, %s", d.Expected, stake, tc.expected, tc.stake)
				}
			}
			if found := slices.Contains(st.Open, string(events.AssetMismatch)); found != (tc.expected != "") {
				t.Errorf("open: %v", st.Open)
			}
		})
	}
}

// Whatever does not fit about an order has its money at stake: people look at
// the largest first.
func TestDiscrepancies_haveTheMoneyAtStake(t *testing.T) {
	r := rules(t, nil)
	for _, said := range [][]say{
		{{"poll", "done", 0, "2", 0}, {"poll", "done", 15, "2", 0}},
		{{"hook", "done", 0, "2", 0}, {"hook", "wait", 5, "", 0}},
		{{"hook", "odd", 0, "2", 0}},
		{{"intent", "", 0, "2", 0}, {"hook", "wait", 1, "", 0}, {"poll", "!not_found", 5, "", 0}},
		{{"intent", "", 0, "2", 0}, {"intent", "", 5, "3", 0}},
		{{"poll", "run", 0, "2", 0}, {"poll", "wait", 5, "2", 0}},
	} {
		_, all := r.Assess(key, fold(r, said...))
		if len(all) == 0 {
			t.Errorf("%v: nothing disagrees", said)
		}
		for _, d := range all {
			if d.AtStake == "" || d.AtStakeCurrency != "BTC" {
				t.Errorf("%v: %s has %q %q at stake", said, d.Type, d.AtStake, d.AtStakeCurrency)
			}
		}
	}
}
