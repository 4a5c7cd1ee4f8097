package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"rampstream/internal/app"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/run"
)

// explanation is a state with all that its evidence says by the rules of this
// configuration.
type explanation struct {
	st    events.State
	rules order.Rules
	all   []events.Discrepancy
	note  string // why it may not be what the reconciler saw; "" if it is
}

// explain reads a state and the rules, and shows what follows from what.
func (c *cli) explain(ctx context.Context, arg string) error {
	cfg, err := c.load("rampctl")
	if err != nil {
		return err
	}
	rules, err := app.Rules(cfg, known())
	if err != nil {
		return run.Config(err)
	}
	return c.one(ctx, arg, func(st events.State) error {
		x := explanation{st: st, rules: rules}
		switch lane := st.Key.Lane(); {
		case st.DecidedBy == order.RuleForgotten:
		case !rules.Configured(lane):
			x.note = "the account " + string(lane) + " is not in this configuration: what words mean and what disagreed cannot be said"
		default:
			x.all = rules.Discrepancies(st.Key, st.Evidence)
			if st.RulesVersion != rules.LaneVersion(lane) {
				x.note = "the state was viewed by other rules than those of this configuration; what disagreed and what would change it is by these"
			}
		}
		if c.json() {
			return c.line(x.json())
		}
		return c.showWhy(x)
	})
}

// showWhy prints the decision, every piece of evidence behind it, what
// disagreed, and what would change it.
func (c *cli) showWhy(x explanation) error {
	st := x.st
	fmt.Fprintf(c.out, "%s is %s", st.Key, st.Status)
	if st.StatusRaw != "" {
		fmt.Fprintf(c.out, " (%q)", st.StatusRaw)
	}
	fmt.Fprintf(c.out, " since %s\n", clock(st.Since))
	fmt.Fprintf(c.out, "decided by rule %s: %s\n", st.DecidedBy, ruleText[st.DecidedBy])
	if st.StaleSince != 0 {
		fmt.Fprintf(c.out, "stale since %s: the poller has given up asking\n", clock(st.StaleSince))
	}
	if x.note != "" {
		fmt.Fprintf(c.out, "note: %s\n", x.note)
	}
	fmt.Fprintln(c.out, "\nevidence (=> decides, !! disagrees):")
	w := tabwriter.NewWriter(c.out, 2, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  \tSOURCE\tWORD\tMEANS\tFIRST\tAT\tLAST\tAT\tSAYS")
	for _, e := range st.Evidence {
		mark := "  "
		switch {
		case x.against(e):
			mark = "!!"
		case x.decides(e):
			mark = "=>"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", mark, e.Kind, dash(plainText(e.Word)), dash(x.means(e)), clock(e.First.At), e.First.Coordinates(),
			dash(clock(e.Last.At)), dash(e.Last.Coordinates()), dash(x.says(e)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(x.all) > 0 {
		fmt.Fprintln(c.out, "\nwhat disagreed:")
		if err := c.printDiscrepancies(x.all); err != nil {
			return err
		}
	}
	fmt.Fprintln(c.out, "\nwhat would change it:")
	for _, line := range x.wouldChange() {
		fmt.Fprintf(c.out, "  - %s\n", line)
	}
	return nil
}

func (x explanation) json() stateLine {
	out := stateJSON(x.st)
	out.Explanation, out.Note, out.WouldChange = ruleText[x.st.DecidedBy], x.note, x.wouldChange()
	for _, e := range x.st.Evidence {
		out.Evidence = append(out.Evidence, evidenceLine{
			Source: e.Kind.String(), Word: e.Word, Means: x.means(e), Decides: x.decides(e), Against: x.against(e),
			FirstAt: clock(e.First.At), First: e.First.Coordinates(), FirstID: string(e.First.EventID),
			LastAt: clock(e.Last.At), Last: e.Last.Coordinates(), LastID: string(e.Last.EventID),
			Revision: e.Revision, Operator: e.Operator, Reason: e.Reason, Facts: factMap(e.Facts),
		})
	}
	for _, d := range x.all {
		out.Disagreed = append(out.Disagreed, discrepancyJSON(d))
	}
	return out
}

// means is the status that the table gives a row's word.
func (x explanation) means(e events.Evidence) string {
	word := e.Kind == events.EvidenceWebhook || e.Kind == events.EvidenceWebhookMore || e.Kind == events.EvidencePoll
	if !word || strings.HasPrefix(e.Word, "!") || !x.rules.Configured(x.st.Key.Lane()) {
		return ""
	}
	w, listed := x.rules.Vocabulary(x.st.Key.Lane()).Meaning(x.st.Key.Kind, e.Word)
	if !listed {
		return "not in the table"
	}
	return w.Status.String()
}

// says is what a row states beside its word, as short as people need it.
func (x explanation) says(e events.Evidence) string {
	money := func(a events.Amount, unit string) string { return strings.TrimSpace(string(a) + " " + unit) }
	var parts []string
	for _, p := range []string{money(e.Facts.FiatAmount, e.Facts.FiatCurrency), money(e.Facts.CryptoAmount, e.Facts.CryptoAsset), e.Facts.CryptoNetwork, e.Facts.Side} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if e.Facts.CryptoReceiveMin != "" {
		parts = append(parts, "at least "+money(e.Facts.CryptoReceiveMin, e.Facts.CryptoAsset))
	}
	if e.Operator != "" {
		parts = append(parts, "by "+e.Operator+": "+e.Reason)
	}
	return plainText(strings.Join(parts, ", "))
}

// against reports whether e is part of something that does not fit and is open.
func (x explanation) against(e events.Evidence) bool {
	return slices.ContainsFunc(x.all, func(d events.Discrepancy) bool {
		return d.ResolvedAt == 0 && (slices.Contains(d.Evidence, e.First.Coordinates()) || (e.Last.Topic != "" && slices.Contains(d.Evidence, e.Last.Coordinates())))
	})
}

// wouldChange says what could come that would change the status, by the rule
// that decided, and when the provider is asked next.
func (x explanation) wouldChange() []string {
	st, confirm := x.st, x.rules.Settings().Confirm
	out := slices.Clone(changeText[st.DecidedBy])
	if st.Key.Kind == events.Customer && st.DecidedBy == order.RuleIntent {
		out = []string{"anything that the provider says"}
	}
	switch st.DecidedBy {
	case order.RuleTerminal, order.RuleTerminalsResolved:
		if st.Status == events.StatusCompleted {
			out = append(out, "an intent that states another amount, asset, network or side: DISPUTED")
		}
		if st.Key.Kind == events.Order {
			out = append(out, fmt.Sprintf("an answer of the provider with a word that settles nothing, asked more than %v after %s was last said: DISPUTED", confirm, st.Status))
		}
	case order.RuleTerminalsDisputed, order.RuleTerminalContradicted:
		out = append(out, fmt.Sprintf("a poll that answers one of the terminal words, asked more than %v after all that speaks against it was last said", confirm))
	case order.RuleAmountMismatch:
		out = append(out, "an intent of a higher revision that states what was seen: "+seenMoney(st.Facts))
	}
	if st.Status == events.StatusDisputed {
		out = append(out, "an operator: rampctl orders decide "+st.Key.String()+" --status STATUS --reason TEXT --operator ID")
	}
	if st.DecidedBy == order.RuleForgotten || !x.rules.Configured(st.Key.Lane()) {
		return out
	}
	if task, ok := x.rules.Schedule(st); ok {
		return append(out, "the provider is asked next at "+clock(task.DueAt)+" ("+task.Cause.String()+")")
	}
	return append(out, "the provider is not asked any more, unless a webhook or a hint asks to")
}

func seenMoney(f events.Facts) string {
	if f.CryptoAmount != "" {
		return strings.TrimSpace(string(f.CryptoAmount) + " " + f.CryptoAsset)
	}
	return strings.TrimSpace(string(f.FiatAmount) + " " + f.FiatCurrency)
}

// changeText is, by the rule that decided, what would change the status.
var changeText = map[string][]string{
	order.RuleForgotten:            {"nothing, as long as an input retains a record about it"},
	order.RuleRefunded:             {"only a FORGET: REFUNDED is never left"},
	order.RuleTerminal:             {"REFUNDED, said by the provider", "another terminal word: DISPUTED until polls or an operator settle it"},
	order.RuleTerminalsResolved:    {"REFUNDED, said by the provider", "a later answer with one of the other terminal words"},
	order.RuleTerminalsDisputed:    {"REFUNDED, said by the provider"},
	order.RuleTerminalContradicted: {"REFUNDED, said by the provider", "the terminal word again, in an answer of the provider"},
	order.RuleOperatorDecision:     {"REFUNDED, said by the provider", "what is first said after the decision and speaks against it: another terminal word, a denial, another expectation", "a later decision", "polls that settle the dispute by themselves"},
	order.RuleAmountMismatch:       {"REFUNDED, said by the provider", "another terminal word that outlasts COMPLETED"},
	order.RuleAmountUnverified:     {"an intent: COMPLETED by rule terminal if it states the same amount, DISPUTED if another", "REFUNDED, or another terminal word"},
	order.RuleLatestPoll:           {"another answer of the provider, whatever its rank", "a webhook that comes after that poll and says more", "a terminal word from either: it settles the order"},
	order.RuleWebhookAfterPoll:     {"the next answer of the provider", "a webhook that says more", "a terminal word from either: it settles the order"},
	order.RuleWebhook:              {"an answer of the provider", "a webhook that says more", "a terminal word from either: it settles the order"},
	order.RuleIntent:               {"any webhook or answer with a word of the provider's table"},
	order.RuleNoKnownStatus:        {"any webhook or answer with a word of the provider's table", "a row for the word that was seen, in the provider's table (a new version, or api.statuses)"},
	order.RuleCustomerLatest:       {"anything that the provider says later"},
}

// decides reports whether e is the evidence that the state rests on, or may be one of
// several that are, where the state was viewed by other rules.
func (x explanation) decides(e events.Evidence) bool {
	st := x.st
	if st.RulesVersion == x.rules.LaneVersion(st.Key.Lane()) {
		d, ok := x.rules.Deciding(st.Key, st.Evidence)
		return ok && e == d
	}
	return st.DecidedSource != "" && e.Kind.String() == st.DecidedSource && e.Word == st.StatusRaw
}

// ruleText says what each rule means, for people.
var ruleText = map[string]string{
	"forgotten":             "an operator asked to forget the subject; nothing is kept",
	"refunded":              "the provider said REFUNDED, which nothing overrules",
	"terminal":              "one terminal word was said and nothing speaks against it",
	"terminal_contradicted": "the provider's API denied the terminal word long after it was said",
	"terminals_disputed":    "several terminal words were said and no later poll settles it",
	"terminals_resolved":    "of several terminal words, a poll confirmed this one long after the others",
	"operator_decision":     "an operator settled a dispute",
	"amount_mismatch":       "the provider completed another amount, asset, network or side than the merchant expects",
	"amount_unverified":     "completed, but no intent says which amount was expected",
	"latest_poll":           "the provider's latest answer",
	"webhook_after_poll":    "a webhook that came after the latest poll was asked",
	"webhook":               "webhooks only; no poll has a known word yet",
	"intent":                "only the merchant's intent is known",
	"no_known_status":       "no source said a word that the provider's table has",
	"customer_latest":       "the latest that was said about the customer",
}
