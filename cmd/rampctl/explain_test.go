package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

// explained is an order of which the records were said, a minute apart.
func explained(t *testing.T, said ...any) explanation {
	t.Helper()
	r := auditRules(t, nil)
	key := events.Key{Provider: "acme", Account: "shop", ID: "o1"}
	var rows []events.Evidence
	for i, x := range said {
		at := auditDay + events.Millis(i)*60_000
		where := order.Where{Topic: "ramp.t", Offset: int64(i), AppendedAt: at}
		switch x := x.(type) {
		case events.Webhook:
			x.Key, x.ObservedAt, x.EventID, x.Trust = key, at, "e", events.TrustSigned
			rows = order.Join(rows, r.FromWebhook(x, where))
		case events.StatusCheck:
			x.Key, x.ObservedAt, x.EventID, x.Outcome = key, at, "e", events.OutcomeOK
			rows = order.Join(rows, r.FromCheck(x, where))
		case events.Intent:
			x.Key, x.ObservedAt, x.EventID = key, at, "e"
			rows = order.Join(rows, r.FromIntent(x, where))
		}
	}
	st, all := r.Assess(key, rows)
	return explanation{st: st, rules: r, all: all}
}

func amount(a events.Amount) events.Facts { return events.Facts{FiatAmount: a, FiatCurrency: "EUR"} }

// An explanation names the rule, each piece of evidence with what it means and
// where it stands, what disagreed with what is at stake, and what would change it.
func TestExplain(t *testing.T) {
	x := explained(t, events.Intent{Facts: amount("10")}, events.Webhook{StatusRaw: "odd"}, events.StatusCheck{StatusRaw: "done", Facts: amount("9")})
	var out bytes.Buffer
	c := &cli{out: &out, errw: &bytes.Buffer{}, output: "text"}
	if err := c.showWhy(x); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"acme/shop/o1 is DISPUTED", "amount_mismatch", "not in the table", "COMPLETED", "ramp.t-0-2", "10 EUR",
		"!!  poll", "!!  intent", "AMOUNT_MISMATCH", "1 EUR", "states what was seen: 9 EUR", "rampctl orders decide acme/shop/o1", "asked next at",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the explanation does not say %q:\n%s", want, out.String())
		}
	}
	line, err := json.Marshal(x.json())
	if err != nil || !strings.Contains(string(line), `"disagrees":true`) || !strings.Contains(string(line), `"at_stake":"1"`) || !strings.Contains(string(line), `"would_change":[`) {
		t.Errorf("%s, %v", line, err)
	}

	done := explained(t, events.Webhook{StatusRaw: "wait"}, events.Webhook{StatusRaw: "done"})
	marked := slices.IndexFunc(done.json().Evidence, func(e evidenceLine) bool { return e.Decides && e.Word == "done" && e.Means == "COMPLETED" })
	if marked < 0 || len(done.json().Disagreed) != 0 || !slices.ContainsFunc(done.wouldChange(), func(s string) bool { return strings.Contains(s, "another terminal word") }) {
		t.Errorf("%+v", done.json())
	}
}

// Every rule has a meaning and something that would change it.
func TestExplain_everyRule(t *testing.T) {
	for _, rule := range []string{order.RuleForgotten, order.RuleRefunded, order.RuleTerminal, order.RuleTerminalContradicted, order.RuleTerminalsDisputed,
		order.RuleTerminalsResolved, order.RuleOperatorDecision, order.RuleAmountMismatch, order.RuleAmountUnverified, order.RuleLatestPoll,
		order.RuleWebhookAfterPoll, order.RuleWebhook, order.RuleIntent, order.RuleNoKnownStatus, order.RuleCustomerLatest} {
		if ruleText[rule] == "" || len(changeText[rule]) == 0 {
			t.Errorf("rule %s: %q, %v", rule, ruleText[rule], changeText[rule])
		}
	}
	if len(ruleText) != 15 || len(changeText) != 15 {
		t.Errorf("%d meanings, %d changes for 15 rules", len(ruleText), len(changeText))
	}
}

func TestDiscrepancies_since(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"24h": now.Add(-24 * time.Hour), "7d": now.AddDate(0, 0, -7), "2026-01-31T02:00:00Z": now.Add(-10 * time.Hour)} {
		if got, err := sinceWhen(text, now); err != nil || got != events.At(want) {
			t.Errorf("%s: %v, %v; want %v", text, got.Time(), err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "d", "-1d", "2026-01-31"} {
		if _, err := sinceWhen(text, now); !errors.Is(err, errUsage) {
			t.Errorf("%s: %v, want a fault of usage", text, err)
		}
	}
}

// The sum at stake counts the money of an order once, however much disagrees.
func TestDiscrepancies_stakes(t *testing.T) {
	a, b := events.Key{Provider: "p", Account: "a", ID: "1"}, events.Key{Provider: "p", Account: "a", ID: "2"}
	all := []events.Discrepancy{
		{Key: a, Type: events.Stuck, AtStake: "100.50", AtStakeCurrency: "EUR"}, {Key: a, Type: events.AmountMismatch, AtStake: "0.5", AtStakeCurrency: "EUR"},
		{Key: b, Type: events.Stuck, AtStake: "9.50", AtStakeCurrency: "EUR"}, {Key: b, Type: events.AssetMismatch, AtStake: "0.1", AtStakeCurrency: "BTC"},
		{Key: b, Type: events.UnknownStatus}, {Key: b, Type: events.MissingWebhook, AtStake: "1000", AtStakeCurrency: "EUR", ResolvedAt: 1},
	}
	if got, want := stakes(all), "5 open, 1 resolved; at stake 0.1 BTC, 110.00 EUR"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	byStake(all)
	var order []string
	for _, d := range all {
		order = append(order, string(d.AtStake)+d.AtStakeCurrency)
	}
	if got := strings.Join(order, " "); got != "0.1BTC 1000EUR 100.50EUR 9.50EUR 0.5EUR " {
		t.Errorf("by stake: %s", got)
	}
}
