package main

import (
	"fmt"
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
	var since time.Duration
	var typ string
	ls := &cobra.Command{Use: "ls", Short: "List discrepancies, by money at stake", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			typ = strings.ToUpper(typ)
			if typ != "" && !slices.Contains(events.DiscrepancyTypes(), events.DiscrepancyType(typ)) {
				return fmt.Errorf("%w: --type %q is none of %v", errUsage, typ, events.DiscrepancyTypes())
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
			after := events.Millis(0)
			if since > 0 {
				after = events.At(time.Now().Add(-since))
			}
			all = slices.DeleteFunc(all, func(d events.Discrepancy) bool {
				return (open && d.ResolvedAt != 0) || d.OpenedAt < after || (typ != "" && string(d.Type) != typ)
			})
			byStake(all)
			return c.printDiscrepancies(all)
		}}
	ls.Flags().BoolVar(&open, "open", false, "only those that are not resolved")
	ls.Flags().DurationVar(&since, "since", 0, "only those opened in this time, e.g. 24h")
	ls.Flags().StringVar(&typ, "type", "", "only this type")
	cmd.AddCommand(ls)
	return cmd
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
			err := c.line(struct {
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
			}{d.Key.String(), string(d.Type), d.Severity, clock(d.OpenedAt), clock(d.ResolvedAt), d.Expected, d.Seen,
				string(d.AtStake), d.AtStakeCurrency, d.Evidence})
			if err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(c.out, 2, 4, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tTYPE\tSEVERITY\tOPENED\tRESOLVED\tAT STAKE\tEXPECTED\tSEEN")
	for _, d := range all {
		stake := strings.TrimSpace(string(d.AtStake) + " " + d.AtStakeCurrency)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Key, d.Type, d.Severity, clock(d.OpenedAt), dash(clock(d.ResolvedAt)), dash(stake), d.Expected, d.Seen)
	}
	return w.Flush()
}
