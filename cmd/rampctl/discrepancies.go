package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/spf13/cobra"

	"rampstream/internal/events"
)

func (c *cli) discrepancies() *cobra.Command {
	cmd := &cobra.Command{Use: "discrepancies", Short: "Look at what does not fit together"}
	var open bool
	var since string
	var typ string
	ls := &cobra.Command{Use: "ls", Short: "List discrepancies, by money at stake", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			typ = strings.ToUpper(typ)
			if typ != "" && !slices.Contains(events.DiscrepancyTypes(), events.DiscrepancyType(typ)) {
				return fmt.Errorf("%w: --type %q is none of %v", errUsage, typ, events.DiscrepancyTypes())
			}
			after, err := sinceWhen(since, time.Now())
			if err != nil {
				return err
			}
			r, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			all, err := r.Discrepancies(cmd.Context())
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(d events.Discrepancy) bool {
				return (open && d.ResolvedAt != 0) || d.OpenedAt < after || (typ != "" && string(d.Type) != typ)
			})
			byStake(all)
			if err := c.printDiscrepancies(all); err != nil {
				return err
			}
			fmt.Fprintln(c.errw, stakes(all))
			return nil
		}}
	ls.Flags().BoolVar(&open, "open", false, "only those that are not resolved")
	ls.Flags().StringVar(&since, "since", "", "only those opened in this time (24h, 7d) or since this instant (2026-01-31T22:00:00Z)")
	ls.Flags().StringVar(&typ, "type", "", "only this type")
	cmd.AddCommand(ls)
	return cmd
}

// sinceWhen reads a time before now, or an instant; "" is always.
func sinceWhen(text string, now time.Time) (events.Millis, error) {
	t, err := moment(text, now)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: --since %w", errUsage, err)
	case t.IsZero():
		return 0, nil
	}
	return events.At(t), nil
}

// stakes sums what is open by currency. One order may stand in several lines:
// its money counts once, as the largest of them.
func stakes(all []events.Discrepancy) string {
	type stake struct {
		key      events.Key
		currency string
	}
	most := map[stake]*apd.Decimal{}
	open := 0
	for _, d := range all {
		if d.ResolvedAt != 0 {
			continue
		}
		open++
		x, _, err := apd.NewFromString(string(d.AtStake))
		if s := (stake{d.Key, d.AtStakeCurrency}); err == nil && d.AtStake != "" && (most[s] == nil || most[s].Cmp(x) < 0) {
			most[s] = x
		}
	}
	sums := map[string]*apd.Decimal{}
	for s, x := range most {
		if sums[s.currency] == nil {
			sums[s.currency] = new(apd.Decimal)
		}
		_, _ = apd.BaseContext.WithPrecision(200).Add(sums[s.currency], sums[s.currency], x)
	}
	out := fmt.Sprintf("%d open, %d resolved", open, len(all)-open)
	for i, currency := range slices.Sorted(maps.Keys(sums)) {
		out += []string{"; at stake ", ", "}[min(i, 1)] + sums[currency].Text('f') + " " + currency
	}
	return out
}

// discrepancyLine is a discrepancy as rampctl prints it with -o json.
type discrepancyLine struct {
	Key        string   `json:"key"`
	Type       string   `json:"type"`
	Severity   string   `json:"severity"`
	OpenedAt   string   `json:"opened_at"`
	ResolvedAt string   `json:"resolved_at,omitempty"`
	Expected   string   `json:"expected,omitempty"`
	Seen       string   `json:"seen,omitempty"`
	AtStake    string   `json:"at_stake,omitempty"`
	Currency   string   `json:"at_stake_currency,omitempty"`
	Evidence   []string `json:"evidence,omitempty"`
}

func discrepancyJSON(d events.Discrepancy) discrepancyLine {
	return discrepancyLine{d.Key.String(), string(d.Type), d.Severity, clock(d.OpenedAt), clock(d.ResolvedAt), d.Expected, d.Seen,
		string(d.AtStake), d.AtStakeCurrency, d.Evidence}
}

// byStake sorts by currency and amount at stake, the largest first; those
// without an amount come last, by key.
func byStake(all []events.Discrepancy) {
	slices.SortFunc(all, func(a, b events.Discrepancy) int {
		if (a.AtStake == "") != (b.AtStake == "") {
			if a.AtStake == "" {
				return 1
			}
			return -1
		}
		if n := strings.Compare(a.AtStakeCurrency, b.AtStakeCurrency); n != 0 {
			return n
		}
		x, _, errA := apd.NewFromString(string(a.AtStake))
		y, _, errB := apd.NewFromString(string(b.AtStake))
		if errA == nil && errB == nil {
			if n := y.Cmp(x); n != 0 {
				return n
			}
		}
		return strings.Compare(a.RecordKey(), b.RecordKey())
	})
}

func (c *cli) printDiscrepancies(all []events.Discrepancy) error {
	if c.json() {
		for _, d := range all {
			if err := c.line(discrepancyJSON(d)); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(c.out, 2, 4, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tTYPE\tSEVERITY\tOPENED\tRESOLVED\tAT STAKE\tEXPECTED\tSEEN")
	for _, d := range all {
		stake := strings.TrimSpace(string(d.AtStake) + " " + d.AtStakeCurrency)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Key, d.Type, d.Severity, clock(d.OpenedAt), dash(clock(d.ResolvedAt)), dash(plainText(stake)), plainText(d.Expected), plainText(d.Seen))
	}
	return w.Flush()
}
