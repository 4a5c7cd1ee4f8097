package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/kafka"
	"rampstream/internal/providers"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

// intentFlags are what an operator must say beside the key.
type intentFlags struct{ status, reason, operator string }

func (f *intentFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, kept in the state: no personal data (required)")
	cmd.Flags().StringVar(&f.operator, "operator", "", "who, an opaque id of [A-Za-z0-9._:-] (required)")
}

func (c *cli) forget() *cobra.Command {
	var f intentFlags
	cmd := &cobra.Command{
		Use: "forget KEY --reason TEXT --operator ID", Short: "Erase what is known about an order or customer, for good",
		Long: `Publish a FORGET. The state loses every fact at once and the provider is not
asked any more; nothing that arrives later brings it back. The input topics
keep their records until retention ends, and a stub of the state stands until
then. "rampctl orders erasure KEY" says what is still stored, and until when.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			in, err := f.intent(a[0], events.Forget)
			if err != nil {
				return run.Config(fmt.Errorf("%w: %w", errUsage, err))
			}
			return c.publishIntent(cmd.Context(), in)
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) decide() *cobra.Command {
	var f intentFlags
	cmd := &cobra.Command{
		Use: "decide KEY --status STATUS --reason TEXT --operator ID", Short: "Settle a dispute about an order",
		Long: `Publish a DECIDE. It settles a dispute that stands now, and nothing else; what
is first said after it opens the dispute again.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			in, err := f.intent(a[0], events.Decide)
			if err != nil {
				return run.Config(fmt.Errorf("%w: %w", errUsage, err))
			}
			return c.publishIntent(cmd.Context(), in)
		},
	}
	cmd.Flags().StringVar(&f.status, "status", "", "COMPLETED, FAILED, CANCELLED, EXPIRED or REFUNDED (required)")
	f.add(cmd)
	return cmd
}

// check says what is wrong with who and why.
func (f intentFlags) check() error {
	var faults []error
	if strings.TrimSpace(f.reason) == "" || len(f.reason) > 500 {
		faults = append(faults, errors.New("--reason: required, at most 500 bytes"))
	}
	if strings.Contains(f.reason, "@") {
		faults = append(faults, errors.New("--reason: no mail address: it is kept for good; name the ticket"))
	}
	// The form of a key part has no room for a mail address or a full name.
	if !events.ValidPart(f.operator) {
		faults = append(faults, errors.New("--operator: required, 1-128 of [A-Za-z0-9._:-]"))
	}
	return errors.Join(faults...)
}

// intent checks the command line, all faults at once.
func (f intentFlags) intent(arg string, kind events.IntentKind) (events.Intent, error) {
	key, err := events.ParseKey(arg)
	faults := []error{err}
	require := func(ok bool, rule string) {
		if !ok {
			faults = append(faults, errors.New(rule))
		}
	}
	faults = append(faults, f.check())
	in := events.Intent{Key: key, Kind: kind, Operator: f.operator, Reason: f.reason, Source: "rampctl"}
	if kind == events.Decide {
		in.Status, _ = events.ParseStatus(strings.ToUpper(f.status))
		require(in.Status.Terminal(), fmt.Sprintf("--status: a terminal status (got %q)", f.status))
		require(key.Kind == events.Order, "KEY: customers have no disputes")
	}
	in.ObservedAt = events.At(time.Now())
	in.EventID = events.EventID(events.Digest("rampctl", in.ContentHash(), strconv.FormatInt(int64(in.ObservedAt), 10)))
	return in, errors.Join(faults...)
}

// publishIntent writes one intent and prints its receipt, the shape of which
// is that of ingest's.
func (c *cli) publishIntent(ctx context.Context, in events.Intent) error {
	cfg, err := c.load("rampctl")
	if err != nil {
		return err
	}
	reg, err := app.OpenRegistry(cfg)
	if err != nil {
		return err
	}
	cd, err := app.OpenCodec(ctx, cfg, reg)
	if err != nil {
		return err
	}
	if err := c.warnOfState(ctx, cfg, in); err != nil {
		return err
	}
	value, err := cd.EncodeIntent(in)
	if err != nil {
		return err
	}
	topics := cfg.Topics.Names()
	p, err := kafka.OpenProducer(ctx, kafkaConfig(cfg), kafka.ProducerOptions{Topics: []string{topics.Intent}, CoPartitioned: topics.CoPartitioned()})
	if err != nil {
		return err
	}
	acked, err := p.Publish(ctx, stream.Record{
		Topic: topics.Intent, Partition: stream.Auto, Key: []byte(in.Key.String()), Value: value,
		Headers: []stream.Header{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(in.EventID)},
			{Key: "ce_source", Value: []byte("/rampstream/rampctl")}, {Key: "ce_type", Value: []byte("rampstream.v1.Intent")},
			{Key: "content-type", Value: []byte("application/avro")},
		},
	})
	if err := errors.Join(err, closeProducer(p)); err != nil {
		return fmt.Errorf("publish %s of %s: %w", in.Kind, in.Key, err)
	}
	return c.line(struct {
		EventID   events.EventID `json:"event_id"`
		Topic     string         `json:"topic"`
		Partition int32          `json:"partition"`
		Offset    int64          `json:"offset"`
	}{in.EventID, acked[0].Topic, acked[0].Partition, acked[0].Offset})
}

// warnOfState says on stderr when an intent will not do what it seems to ask.
// It is published all the same: the state may be about to change. One about an
// account that nothing is known of is a slip of the fingers.
func (c *cli) warnOfState(ctx context.Context, cfg config.Config, in events.Intent) error {
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	st, ok, err := r.State(ctx, in.Key)
	switch {
	case err != nil:
		return err
	case !ok && !configured(cfg, in.Key):
		return run.Config(fmt.Errorf("%w: %s has no state, and the account %s is not configured", errUsage, in.Key, in.Key.Lane()))
	case !ok:
		fmt.Fprintf(c.errw, "warning: %s has no state in %s: is the key what you mean?\n", in.Key, stateTopic(r.Topics, in.Key.Kind))
	case in.Kind == events.Decide && st.Status != events.StatusDisputed:
		fmt.Fprintf(c.errw, "warning: %s is %s (%s), not DISPUTED: the decision settles nothing unless a dispute began before it\n", in.Key, st.Status, st.DecidedBy)
	}
	return nil
}

// configured reports whether the account of a key is.
func configured(cfg config.Config, key events.Key) bool {
	return slices.ContainsFunc(cfg.Accounts, func(a providers.Account) bool { return a.Provider == key.Provider && a.Account == key.Account })
}
