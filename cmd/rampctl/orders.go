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
	"rampstream/internal/stream"
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
	explain := &cobra.Command{Use: "explain KEY", Short: "Say which rule decided, by which evidence, what disagreed, and what would change it", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error { return c.explain(cmd.Context(), a[0]) }}
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
		return fmt.Errorf("no state of %s in %s", key, stateTopic(r.Topics, key.Kind))
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
			fmt.Fprintf(w, "%s\t%s\n", name, plainText(value))
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

// stateTopic is where the states of a kind of subject stand.
func stateTopic(t stream.Topics, kind events.SubjectKind) string {
	if kind == events.Customer {
		return t.CustomerState
	}
	return t.OrderState
}
