package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/run"
)

func (c *cli) orders() *cobra.Command {
	cmd := &cobra.Command{Use: "orders", Short: "Look at the states of orders and customers, settle or forget one"}
	var status string
	var open bool
	ls := &cobra.Command{Use: "ls", Short: "List states", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if status != "" {
				if _, ok := events.ParseStatus(strings.ToUpper(status)); !ok {
					return fmt.Errorf("%w: --status %q is none of %v", errUsage, status, events.Statuses())
				}
			}
			return c.list(cmd.Context(), func(st events.State) bool {
				return (status == "" || st.Status.String() == strings.ToUpper(status)) && (!open || !st.Terminal)
			})
		}}
	ls.Flags().StringVar(&status, "status", "", "only this status")
	ls.Flags().BoolVar(&open, "open", false, "only those that are not settled")
	get := &cobra.Command{Use: "get KEY", Short: "Show one state: provider/account/order or provider/account/customer/id", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error { return c.one(cmd.Context(), a[0], c.showState) }}
	explain := &cobra.Command{Use: "explain KEY", Short: "Say which rule decided, and by which evidence", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error { return c.one(cmd.Context(), a[0], c.showWhy) }}
	cmd.AddCommand(ls, get, explain, c.forget(), c.erasure(), c.decide())
	return cmd
}

func (c *cli) list(ctx context.Context, want func(events.State) bool) error {
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	table := inspect.NewTable(r.Reader)
	if _, err := table.Refresh(ctx); err != nil {
		return err
	}
	var states []events.State
	for _, st := range table.States() {
		if want(st) {
			states = append(states, st)
		}
	}
	slices.SortFunc(states, func(a, b events.State) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	if c.json() {
		for _, st := range states {
			if err := c.line(stateJSON(st)); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(c.out, 2, 4, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tSTATUS\tBY\tRULE\tSINCE\tOPEN")
	for _, st := range states {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", st.Key, st.Status, dash(st.DecidedSource), st.DecidedBy, clock(st.Since), dash(strings.Join(st.Open, ",")))
	}
	return w.Flush()
}

// one reads one state and shows it.
func (c *cli) one(ctx context.Context, arg string, show func(events.State) error) error {
	key, err := events.ParseKey(arg)
	if err != nil {
		return run.Config(fmt.Errorf("%w: %w", errUsage, err))
	}
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	st, ok, err := r.State(ctx, key)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("no state of %s: nothing authenticated was ever said about it", key)
	}
	return show(st)
}

func (c *cli) showState(st events.State) error {
	if c.json() {
		return c.line(stateJSON(st))
	}
	c.fields(st)
	return nil
}

func (c *cli) fields(st events.State) {
	w := tabwriter.NewWriter(c.out, 2, 4, 2, ' ', 0)
	defer w.Flush()
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("key", st.Key.String())
	row("status", st.Status.String())
	row("status_raw", st.StatusRaw)
	row("decided_by", st.DecidedBy)
	row("decided_source", st.DecidedSource)
	row("terminal", fmt.Sprint(st.Terminal))
	row("since", clock(st.Since))
	row("first_seen", clock(st.FirstSeenAt))
	row("last_seen", clock(st.LastSeenAt))
	row("stale_since", clock(st.StaleSince))
	row("open discrepancies", strings.Join(st.Open, ", "))
	for _, f := range factRows("", st.Facts) {
		row(f[0], f[1])
	}
	for _, f := range factRows("expected_", st.Expected) {
		row(f[0], f[1])
	}
}

// showWhy prints the decision and every piece of evidence behind it.
func (c *cli) showWhy(st events.State) error {
	if c.json() {
		return c.line(whyJSON(st))
	}
	fmt.Fprintf(c.out, "%s is %s", st.Key, st.Status)
	if st.StatusRaw != "" {
		fmt.Fprintf(c.out, " (%q)", st.StatusRaw)
	}
	fmt.Fprintf(c.out, " since %s\n", clock(st.Since))
	fmt.Fprintf(c.out, "decided by rule %s: %s\n", st.DecidedBy, ruleText[st.DecidedBy])
	if len(st.Open) > 0 {
		fmt.Fprintf(c.out, "open discrepancies: %s\n", strings.Join(st.Open, ", "))
	}
	fmt.Fprintln(c.out, "evidence:")
	w := tabwriter.NewWriter(c.out, 2, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  \tSOURCE\tWORD\tFIRST\tAT\tLAST\tAT")
	for _, e := range st.Evidence {
		mark := "  "
		if decides(st, e) {
			mark = "=>"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", mark, e.Kind, dash(e.Word), clock(e.First.At), e.First.Coordinates(),
			dash(clock(e.Last.At)), dash(e.Last.Coordinates()))
	}
	return w.Flush()
}

// decides reports whether e is the evidence that the state rests on.
func decides(st events.State, e events.Evidence) bool {
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
	"amount_mismatch":       "the provider completed another amount than the merchant expects",
	"amount_unverified":     "completed, but no intent says which amount was expected",
	"latest_poll":           "the provider's latest answer",
	"webhook_after_poll":    "a webhook that came after the latest poll was asked",
	"webhook":               "webhooks only; no poll has a known word yet",
	"intent":                "only the merchant's intent is known",
	"no_known_status":       "no source said a word that the provider's table has",
	"customer_latest":       "the latest that was said about the customer",
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func clock(m events.Millis) string {
	if m == 0 {
		return ""
	}
	return m.Time().Format("2006-01-02T15:04:05.000Z")
}
