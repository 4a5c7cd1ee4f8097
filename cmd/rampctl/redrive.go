package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"rampstream/internal/app"
	"rampstream/internal/events"
	"rampstream/internal/kafka"
	"rampstream/internal/redrive"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

// redriveFlags are the selection, and what to do with it.
type redriveFlags struct {
	at, since, until string
	topics           []string
	filter           redrive.Filter
	all, execute     bool
	rate             float64
}

func (c *cli) redrive() *cobra.Command {
	var f redriveFlags
	cmd := &cobra.Command{
		Use: "redrive [--at COORDINATES | filters | --all] [--execute]", Short: "Bring dead letters back to the topic they came from",
		Long: `Say what would become of dead letters if they were read again now, by the
reconciler of this version with this configuration and the present registry and
states. With --execute, write those that would join a state, or make the poller
ask, back to their topic: key, value and headers as they were, in the partition
of the key. Nothing is written without --execute.

outcome           written  meaning
joins             yes      its evidence enters a state
asks              yes      a hint: the poller is asked to look
changes_nothing   no       what it says is known already
fails             no       it would be set aside again; the class says why
parked            no       it was redriven 3 times and set aside each time
cannot            no       there are no bytes, or no topic to bring it back to

A dead letter is redriven once: the redriven record names it, so a run that was
ended may simply be run again.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(time.Now()); err != nil {
				return run.Config(fmt.Errorf("%w: %w", errUsage, err))
			}
			return c.runRedrive(cmd.Context(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.at, "at", "", "one dead letter: PARTITION-OFFSET or topic-PARTITION-OFFSET in the dead-letter topic")
	fl.StringSliceVar(&f.topics, "topic", nil, "came from this topic, by its full or short name")
	fl.StringSliceVar(&f.filter.Classes, "class", nil, "was set aside as this: WRONG_PARTITION, UNDECODABLE, UNKNOWN_SCHEMA, ...")
	fl.StringVar(&f.filter.KeyPrefix, "key-prefix", "", "its key begins so, for example kado/acme/")
	fl.StringVar(&f.since, "since", "", "was set aside since: 24h or 7d (ago), or RFC 3339")
	fl.StringVar(&f.until, "until", "", "was set aside before: 1h or 7d (ago), or RFC 3339")
	fl.IntVar(&f.filter.Limit, "limit", redrive.DefaultLimit, "write at most so many, the oldest first; what cannot be brought back does not count")
	fl.BoolVar(&f.all, "all", false, "all dead letters; without it --execute wants a filter")
	fl.BoolVar(&f.execute, "execute", false, "write; without it only the forecast is printed")
	fl.Float64Var(&f.rate, "rate", 100, "records a second")
	return cmd
}

// check completes the filter; all faults at once.
func (f *redriveFlags) check(now time.Time) error {
	var faults []error
	require := func(ok bool, rule string) {
		if !ok {
			faults = append(faults, errors.New(rule))
		}
	}
	var err error
	if f.filter.Since, err = moment(f.since, now); err != nil {
		faults = append(faults, fmt.Errorf("--since %w", err))
	}
	if f.filter.Until, err = moment(f.until, now); err != nil {
		faults = append(faults, fmt.Errorf("--until %w", err))
	}
	filtered := len(f.topics) > 0 || len(f.filter.Classes) > 0 || f.filter.KeyPrefix != "" || f.since != "" || f.until != ""
	require(f.at == "" || !filtered && !f.all, "--at: names one dead letter, no filter goes with it")
	require(!f.all || !filtered, "--all: no filter goes with it")
	require(!f.execute || f.at != "" || filtered || f.all, "--execute: needs --at, a filter, or --all")
	require(f.rate > 0, "--rate: above 0")
	require(f.filter.Limit > 0, "--limit: above 0")
	for i, class := range f.filter.Classes {
		f.filter.Classes[i] = strings.ToUpper(class)
	}
	return errors.Join(faults...)
}

// names resolves what needs the configured topics.
func (f *redriveFlags) names(t stream.Topics) error {
	for _, name := range f.topics {
		full, err := topicNamed(t, name)
		if err != nil {
			return run.Config(err)
		}
		f.filter.Topics = append(f.filter.Topics, full)
	}
	if f.at == "" {
		return nil
	}
	text := f.at
	if !strings.HasPrefix(text, t.DeadLetter+"-") {
		text = t.DeadLetter + "-" + text
	}
	at, err := stream.ParseCoordinate(text)
	if err != nil || at.Topic != t.DeadLetter {
		return run.Config(fmt.Errorf("%w: --at: PARTITION-OFFSET of %s (got %q)", errUsage, t.DeadLetter, f.at))
	}
	f.filter.At = &at
	return nil
}

func (c *cli) runRedrive(ctx context.Context, f redriveFlags) error {
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := f.names(r.Topics); err != nil {
		return err
	}
	rules, err := app.Rules(r.cfg, known())
	if err != nil {
		return run.Config(err)
	}
	reg, err := app.OpenRegistry(r.cfg)
	if err != nil {
		return err
	}
	// The forecast writes states into memory, so it wants the schemas that the
	// reconciler writes with.
	cd, err := app.OpenCodec(ctx, r.cfg, reg)
	if err != nil {
		return err
	}
	d := redrive.Redriver{Log: r.log, Codec: cd, Rules: rules, Topics: r.Topics, Partitions: r.Partitions,
		BelieveOrigin: r.cfg.Reconciler.BelieveOrigin, Now: time.Now}
	if !f.execute {
		return d.Pages(ctx, f.filter, c.forecast)
	}
	pub, err := kafka.OpenProducer(ctx, kafkaConfig(r.cfg), kafka.ProducerOptions{Topics: r.Topics.Inputs(), CoPartitioned: r.Topics.CoPartitioned()})
	if err != nil {
		return err
	}
	limit := rate.NewLimiter(rate.Limit(f.rate), 1)
	err = d.Pages(ctx, f.filter, func(sel redrive.Selection, steps []redrive.Step) error { return c.write(ctx, sel, steps, pub, limit) })
	return errors.Join(err, closeProducer(pub))
}

// forecast prints what would become of each, and writes nothing.
func (c *cli) forecast(sel redrive.Selection, steps []redrive.Step) error {
	for _, s := range steps {
		if err := c.step(s, nil); err != nil {
			return err
		}
	}
	c.redriveSummary(sel, steps, 0, false)
	return nil
}

// write brings back what can be, and prints each with where it stands now.
func (c *cli) write(ctx context.Context, sel redrive.Selection, steps []redrive.Step, pub redrive.Publisher, limit *rate.Limiter) error {
	for _, s := range steps {
		if s.Outcome.Written() {
			continue
		}
		if err := c.step(s, nil); err != nil {
			return err
		}
	}
	n, err := redrive.Write(ctx, steps, pub, limit, func(s redrive.Step, acked stream.Record) error { return c.step(s, &acked) })
	c.redriveSummary(sel, steps, n, true)
	return err
}

func (c *cli) redriveSummary(sel redrive.Selection, steps []redrive.Step, written int, executed bool) {
	count := map[redrive.Outcome]int{}
	for _, s := range steps {
		count[s.Outcome]++
	}
	var parts []string
	for _, o := range []redrive.Outcome{redrive.Joins, redrive.Asks, redrive.Nothing, redrive.Fails, redrive.Parked, redrive.Cannot} {
		if count[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[o], o))
		}
	}
	fmt.Fprintf(c.errw, "%d dead letters: %s; %d redriven before\n", len(steps), dash(strings.Join(parts, ", ")), sel.Done)
	if sel.Foreign > 0 {
		fmt.Fprintf(c.errw, "%d records of the topic are not dead letters of these programs\n", sel.Foreign)
	}
	if sel.More {
		fmt.Fprintln(c.errw, "there are more: the limit left them out")
	}
	switch {
	case executed:
		fmt.Fprintf(c.errw, "%d written\n", written)
	case count[redrive.Joins]+count[redrive.Asks] > 0:
		fmt.Fprintf(c.errw, "nothing was written; --execute writes %d\n", count[redrive.Joins]+count[redrive.Asks])
	}
}

// redriveLine is one dead letter with -o json.
type redriveLine struct {
	DeadLetter string `json:"dead_letter"`
	SetAside   string `json:"set_aside_at"`
	Source     string `json:"source"`
	Class      string `json:"class"`
	Key        string `json:"key"`
	Outcome    string `json:"outcome"`
	Partition  *int32 `json:"partition,omitempty"` // of the key; absent where nothing is brought back
	Rekeyed    bool   `json:"rekeyed,omitempty"`
	From       string `json:"from_status,omitempty"`
	To         string `json:"to_status,omitempty"`
	DecidedBy  string `json:"decided_by,omitempty"`
	Again      string `json:"would_be,omitempty"` // the class as which it would be set aside again
	Why        string `json:"why,omitempty"`
	Redrives   int    `json:"redrives"`
	Written    string `json:"written,omitempty"` // where it stands now
}

func lineOf(s redrive.Step, acked *stream.Record) redriveLine {
	l := redriveLine{
		DeadLetter: s.At.String(), SetAside: clock(events.Millis(s.SetAsideMs)), Source: s.Source.At().String(), Class: s.Letter.Class,
		Key: printable(s.Source.Key), Outcome: string(s.Outcome), Again: s.Again, Why: s.Why, Redrives: s.Source.Redrives(),
	}
	if s.To >= 0 {
		l.Partition, l.Rekeyed = &s.To, s.From != s.To
	}
	if s.Before != s.After {
		l.From, l.To, l.DecidedBy = s.Before.String(), s.After.String(), s.DecidedBy
	}
	if acked != nil {
		l.Written = acked.At().String()
	}
	return l
}

// plainText is foreign text for a terminal: what steers one is escaped.
func plainText(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// step prints one dead letter; acked is where it was written, nil where it was
// not.
func (c *cli) step(s redrive.Step, acked *stream.Record) error {
	l := lineOf(s, acked)
	if c.json() {
		return c.line(l)
	}
	text := fmt.Sprintf("%s  %s of %s (%s): %s", l.DeadLetter, dash(plainText(l.Key)), plainText(l.Source), plainText(l.Class), l.Outcome)
	if l.Rekeyed {
		text += fmt.Sprintf(", partition %d -> %d", s.From, s.To)
	}
	if l.To != "" {
		text += fmt.Sprintf(", %s -> %s (%s)", l.From, l.To, l.DecidedBy)
	}
	if l.Again != "" {
		text += ", " + plainText(l.Again)
	}
	if l.Why != "" {
		text += ": " + plainText(l.Why)
	}
	if l.Written != "" {
		text += ", written as " + l.Written
	}
	_, err := fmt.Fprintln(c.out, text)
	return err
}
