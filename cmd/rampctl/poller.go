package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/poller"
)

// laneLine is one lane and the poller that says to own it.
type laneLine struct {
	Admin string `json:"admin"`
	poller.LaneSnapshot
}

// maxLanes bounds an answer of /lanes: some thousand lanes.
const maxLanes = 8 << 20

func (c *cli) poller() *cobra.Command {
	var admins []string
	cmd := &cobra.Command{Use: "poller", Short: "Show every lane: what is due, its budget, and how fresh it is",
		Long: "Asks the admin listeners of the pollers for their lanes. Without --admin it asks poller.admin_listen of the configuration.\n" +
			"Ages are measured, not promised: how long ago a sample of the lane's open orders was last asked about.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			urls, err := c.admins(admins)
			if err != nil {
				return err
			}
			lanes, failed := c.lanes(cmd.Context(), urls)
			if c.json() {
				for _, l := range lanes {
					if err := c.line(l); err != nil {
						return err
					}
				}
				return failed
			}
			return errors.Join(c.laneTable(lanes, len(urls) > 1, time.Now()), failed)
		}}
	cmd.Flags().StringSliceVar(&admins, "admin", nil, "admin `URL,...` of the pollers (default: poller.admin_listen)")
	return cmd
}

// admins are the base URLs to ask.
func (c *cli) admins(given []string) ([]string, error) {
	if len(given) == 0 {
		cfg, err := c.read()
		if err != nil {
			return nil, err
		}
		given = []string{cfg.Poller.AdminListen}
	}
	for i, u := range given {
		if !strings.Contains(u, "://") {
			u = "http://" + u
		}
		if !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
			return nil, fmt.Errorf("%w: --admin takes http or https URLs (got %q)", errUsage, given[i])
		}
		given[i] = strings.TrimSuffix(u, "/")
	}
	return given, nil
}

// read is the configuration, of which only an address is needed: nothing of it
// is validated.
func (c *cli) read() (config.Config, error) {
	return config.Load(c.path(), c.env, nil)
}

// lanes asks every poller. One that does not answer does not hide the others;
// the error names all that did not.
func (c *cli) lanes(ctx context.Context, urls []string) (out []laneLine, failed error) {
	client := &http.Client{Timeout: 10 * time.Second}
	for _, u := range urls {
		got, err := askLanes(ctx, client, u)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("poller at %s: %w", u, err))
			continue
		}
		if len(got) == 0 && !c.json() {
			fmt.Fprintf(c.errw, "poller at %s owns no lane: it stands by, or no account is in its partitions\n", u)
		}
		for _, l := range got {
			out = append(out, laneLine{u, l})
		}
	}
	slices.SortStableFunc(out, func(a, b laneLine) int { return cmp.Compare(a.Lane, b.Lane) })
	return out, failed
}

func askLanes(ctx context.Context, client *http.Client, base string) (out []poller.LaneSnapshot, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/lanes", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxLanes)).Decode(&out); err != nil {
		return nil, fmt.Errorf("/lanes: %w", err)
	}
	return out, nil
}

// laneTable prints the table and below it what can be said of freshness.
func (c *cli) laneTable(lanes []laneLine, several bool, now time.Time) error {
	if len(lanes) == 0 {
		return nil // who did not answer is an error of its own
	}
	w := tabwriter.NewWriter(c.out, 2, 4, 2, ' ', 0)
	fmt.Fprint(w, "LANE\tDUE\tIN FLIGHT\tOVERDUE\tHELD\tBUDGET/S\tHINTS/S\tBREAKER\tRETRY-AFTER\tNONCE RESERVED\tOLDEST DUE\tNOTE")
	if several {
		fmt.Fprint(w, "\tPOLLER")
	}
	fmt.Fprintln(w)
	at := events.At(now)
	for _, l := range lanes {
		breaker := l.Breaker
		if l.OpenUntil > at {
			breaker += " " + left(l.OpenUntil.Sub(at))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%.3g\t%s\t%s\t%s\t%s\t%s", l.Lane, l.Due, l.InFlight, l.Overdue, l.Held,
			budget(l), l.HintRate, breaker, until(l.RetryAfter, at), nonce(l), ago(l.OldestDue, at), dash(strings.Join(notes(l), ", ")))
		if several {
			fmt.Fprintf(w, "\t%s", l.Admin)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range lanes {
		fmt.Fprintf(c.out, "\n%s: %s\n", l.Lane, freshness(l))
	}
	return nil
}

// budget is the rate that the provider's refusals taught, and the configured
// one where it differs.
func budget(l laneLine) string {
	if l.Rate < l.ConfiguredRate {
		return fmt.Sprintf("%.3g of %.3g", l.Rate, l.ConfiguredRate)
	}
	return fmt.Sprintf("%.3g", l.Rate)
}

func nonce(l laneLine) string {
	if !l.Serial {
		return "-"
	}
	return fmt.Sprint(l.NonceReserved)
}

// notes are what an operator should not overlook.
func notes(l laneLine) (out []string) {
	if l.NonceAlarm {
		out = append(out, "NONCE REFUSED TWICE: credentials, or another user of the key")
	}
	if !l.Configured {
		out = append(out, "not configured here")
	}
	if l.Paused {
		out = append(out, "paused: answers not acknowledged by Kafka")
	}
	if l.Parked > 0 {
		out = append(out, fmt.Sprintf("%d cannot be asked", l.Parked))
	}
	if l.Refused > 0 {
		out = append(out, fmt.Sprintf("%d unknown hints to refuse", l.Refused))
	}
	if l.SweepFails > 0 {
		out = append(out, fmt.Sprintf("%d sweeps failed", l.SweepFails))
	}
	return out
}

// freshness says what the snapshot allows to say, and what it leaves open.
func freshness(l laneLine) string {
	var s []string
	known := l.AgesSampled - l.AgesUnasked
	switch {
	case l.AgesSampled == 0:
		s = append(s, fmt.Sprintf("with %d requests in the last minute: no open order to have an age", l.LastMinute))
	case known == 0:
		s = append(s, fmt.Sprintf("with %d requests in the last minute: no age known, this poller has asked about none of %d sampled open orders yet",
			l.LastMinute, l.AgesSampled))
	default:
		s = append(s, fmt.Sprintf("with %d requests in the last minute the p99 age is %s, the median %s (time since the last request about it, of %d sampled open orders)",
			l.LastMinute, left(time.Duration(l.AgeP99)*time.Millisecond), left(time.Duration(l.AgeP50)*time.Millisecond), known))
		if l.AgesUnasked > 0 {
			s = append(s, fmt.Sprintf("%d of the sample are not counted: this poller has not asked about them yet", l.AgesUnasked))
		}
	}
	if l.Due > 0 && l.Rate > 0 {
		s = append(s, fmt.Sprintf("%d are due: %s at the whole budget, if nothing else comes due", l.Due,
			left(time.Duration(float64(l.Due)/l.Rate*float64(time.Second)))))
	}
	return strings.Join(s, "; ")
}

// left prints a time span as people say it.
func left(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func until(t, now events.Millis) string {
	if t <= now {
		return "-"
	}
	return left(t.Sub(now))
}

func ago(t, now events.Millis) string {
	if t == 0 || t > now {
		return "-"
	}
	return left(now.Sub(t))
}
