package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/kafka"
	"rampstream/internal/run"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

func specs(cfg config.Config) []kafka.TopicSpec {
	return kafka.Specs(cfg.Topics.Names(), cfg.Topics.Partitions, cfg.Topics.Replicas)
}

func (c *cli) topics() *cobra.Command {
	cmd := &cobra.Command{Use: "topics", Short: "Plan, create and check the topics"}
	plan := &cobra.Command{Use: "plan", Short: "Say what topics apply would do", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load("rampctl")
			if err != nil {
				return err
			}
			changes, err := kafka.PlanTopics(cmd.Context(), kafkaConfig(cfg), specs(cfg))
			if err != nil {
				return err
			}
			if err := c.printChanges(changes); err != nil {
				return err
			}
			c.countChanges(changes)
			return nil
		}}
	apply := &cobra.Command{Use: "apply", Short: "Create missing topics and correct their settings", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load("rampctl")
			if err != nil {
				return err
			}
			changes, err := kafka.PlanTopics(cmd.Context(), kafkaConfig(cfg), specs(cfg))
			if err != nil {
				return err
			}
			if err := kafka.ApplyTopics(cmd.Context(), kafkaConfig(cfg), changes); err != nil {
				return err
			}
			if err := c.printChanges(changes); err != nil {
				return err
			}
			fmt.Fprintf(c.errw, "%d changes applied\n", len(changes))
			return nil
		}}
	cmd.AddCommand(plan, apply, c.checkTopics())
	return cmd
}

func (c *cli) checkTopics() *cobra.Command {
	return &cobra.Command{Use: "check", Short: "Compare the topics with what rampstream needs (exit 4 if they differ)", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load("rampctl")
			if err != nil {
				return err
			}
			problems, err := kafka.CheckTopics(cmd.Context(), kafkaConfig(cfg), specs(cfg))
			if err != nil {
				return err
			}
			for _, p := range problems {
				if err := c.sentence(struct {
					Problem string `json:"problem"`
				}{p}, p); err != nil {
					return err
				}
			}
			if len(problems) > 0 {
				return fmt.Errorf("%d problems, see above: %w", len(problems), stream.ErrRefused)
			}
			fmt.Fprintln(c.errw, "all topics are as they should be")
			return nil
		}}
}

// sentence prints one line of an answer, as an object with -o json.
func (c *cli) sentence(object any, text string) error {
	if c.json() {
		return c.line(object)
	}
	_, err := fmt.Fprintln(c.out, text)
	return err
}

func (c *cli) printChanges(changes []kafka.Change) error {
	for _, ch := range changes {
		err := c.sentence(struct {
			Topic string `json:"topic"`
			Kind  string `json:"kind"`
			Key   string `json:"key,omitempty"`
			From  string `json:"from,omitempty"`
			To    string `json:"to,omitempty"`
			Text  string `json:"text"`
		}{ch.Topic, ch.Kind.String(), ch.Key, ch.From, ch.To, ch.Text}, ch.Text)
		if err != nil {
			return err
		}
	}
	return nil
}

// schemaLine is what is known of one subject; its id is null where there is none.
type schemaLine struct {
	Subject string `json:"subject"`
	ID      *int   `json:"id"`
	// Fits is false where the registry would not take the schema.
	Fits bool `json:"could_be_registered"`
}

// countChanges says how many there are, and how many of them topics apply refuses.
func (c *cli) countChanges(changes []kafka.Change) {
	refused := 0
	for _, ch := range changes {
		if ch.Kind == kafka.ChangeRefused {
			refused++
		}
	}
	fmt.Fprintf(c.errw, "%d changes\n", len(changes))
	if refused > 0 {
		fmt.Fprintf(c.errw, "%d of them are for a person: topics apply makes none before they are made\n", refused)
	}
}

func (c *cli) schemas() *cobra.Command {
	cmd := &cobra.Command{Use: "schemas", Short: "Register and check the Avro schemas"}
	register := &cobra.Command{Use: "register", Short: "Register every schema with its compatibility level", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load("rampctl")
			if err != nil {
				return err
			}
			reg, err := app.OpenRegistry(cfg)
			if err != nil {
				return err
			}
			ids, err := app.RegisterSchemas(cmd.Context(), cfg, reg)
			for _, s := range app.Subjects(cfg.Topics.Names()) {
				if id, ok := ids[s.Name]; ok {
					err = errors.Join(err, c.sentence(schemaLine{s.Name, &id, true}, fmt.Sprintf("%s %d", s.Name, id)))
				}
			}
			return err
		}}
	check := &cobra.Command{Use: "check", Short: "Check that every schema is registered, and say of others whether they could be (exit 4 if one is not)", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.checkSchemas(cmd.Context()) }}
	cmd.AddCommand(register, check)
	return cmd
}

func (c *cli) checkSchemas(ctx context.Context) error {
	cfg, err := c.load("rampctl")
	if err != nil {
		return err
	}
	reg, err := app.OpenRegistry(cfg)
	if err != nil {
		return err
	}
	var refused []string
	for _, s := range app.Subjects(cfg.Topics.Names()) {
		text := schemas.Text(s.Schema)
		id, err := reg.Lookup(ctx, s.Name, text)
		if err == nil {
			if err := c.sentence(schemaLine{s.Name, &id, true}, fmt.Sprintf("%s: id %d", s.Name, id)); err != nil {
				return err
			}
			continue
		}
		if !errors.Is(err, kafka.ErrNotRegistered) {
			return err
		}
		switch err = reg.Check(ctx, s.Name, text); {
		case err == nil:
			err = c.sentence(schemaLine{s.Name, nil, true}, s.Name+": not registered")
		case errors.Is(err, kafka.ErrNotCompatible):
			refused = append(refused, err.Error())
			err = c.sentence(schemaLine{s.Name, nil, false}, s.Name+": not registered, and not compatible with what is")
		}
		if err != nil {
			return err
		}
	}
	if len(refused) > 0 { // to register the others would end at the first of these
		return errors.Join(fmt.Errorf("%d schemas could not be registered: %w", len(refused), stream.ErrRefused), errors.New(strings.Join(refused, "\n")))
	}
	_, err = app.OpenCodec(ctx, cfg, reg) // counts what is missing and asks back what each id means
	return err
}

func (c *cli) configuration() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Validate and print the configuration"}
	var program string
	validate := &cobra.Command{Use: "validate", Short: "Report every fault of the configuration (exit 2 if there is one)", Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if known := []string{config.ForIngest, config.ForPoller, config.ForReconciler, config.ForRampctl, config.ForAll}; !slices.Contains(known, program) {
				return fmt.Errorf("%w: --program %q is none of %s", errUsage, program, strings.Join(known, ", "))
			}
			if _, err := c.load(program); err != nil {
				return run.Config(err)
			}
			fmt.Fprintln(c.errw, "configuration is valid")
			return nil
		}}
	validate.Flags().StringVar(&program, "program", config.ForAll, "ingest, poller, reconciler, rampctl or all")
	show := &cobra.Command{Use: "print", Short: "Print the effective configuration, secrets redacted", Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if c.json() {
				return run.Config(fmt.Errorf("%w: config print is YAML, there is no JSON of it", errUsage))
			}
			cfg, err := c.load("rampctl")
			if err != nil {
				return run.Config(err)
			}
			return cfg.Print(c.out)
		}}
	cmd.AddCommand(validate, show)
	return cmd
}
