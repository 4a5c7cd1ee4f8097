package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rampstream/internal/app"
	"rampstream/internal/kafka"
	"rampstream/internal/run"
)

func (c *cli) acls() *cobra.Command {
	var who app.Principals
	cmd := &cobra.Command{Use: "acls", Short: "List and create the rights that the programs need",
		Long: `The rights that each program needs on this configuration's topics, groups and
transactional ids, and no more. Name the principals by the flags; one that is
"" is left out. docs/ACLS.md says what each right is for.`}
	f := cmd.PersistentFlags()
	f.StringVar(&who.Ingest, "ingest", "User:ingest", "principal of ingest")
	f.StringVar(&who.Poller, "poller", "User:poller", "principal of poller")
	f.StringVar(&who.Reconciler, "reconciler", "User:reconciler", "principal of reconciler")
	f.StringVar(&who.Operator, "operator", "", "principal of whoever operates with rampctl")
	f.StringVar(&who.Viewer, "viewer", "", "principal of whoever reads the topics")
	f.StringVar(&who.Merchant, "merchant", "", "principal of whoever produces intents by themselves")
	var offline bool
	plan := &cobra.Command{Use: "plan", Short: "Print the rights that are missing, as commands of kafka-acls.sh", Args: args(cobra.NoArgs),
		Long: `Print the rights that no ACL of the cluster gives in so many words, as commands
of kafka-acls.sh, or as JSON lines with -o json. With --offline all of them,
without asking the cluster.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load("rampctl")
			if err != nil {
				return err
			}
			acls, err := aclsOf(app.ACLs(cfg, who))
			if err == nil && !offline {
				acls, err = kafka.MissingACLs(cmd.Context(), kafkaConfig(cfg), acls)
			}
			if err != nil {
				return err
			}
			return c.printACLs(cfg.Kafka.Brokers[0], acls)
		}}
	plan.Flags().BoolVar(&offline, "offline", false, "print all, without asking the cluster")
	apply := &cobra.Command{Use: "apply", Short: "Create the rights that are missing; takes none away", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load("rampctl")
			if err != nil {
				return err
			}
			acls, err := aclsOf(app.ACLs(cfg, who))
			if err != nil {
				return err
			}
			if acls, err = kafka.MissingACLs(cmd.Context(), kafkaConfig(cfg), acls); err != nil {
				return err
			}
			if err := kafka.ApplyACLs(cmd.Context(), kafkaConfig(cfg), acls); err != nil {
				return err
			}
			fmt.Fprintf(c.errw, "%d rights created\n", len(acls))
			return nil
		}}
	cmd.AddCommand(plan, apply)
	return cmd
}

// aclsOf refuses principals that are none.
func aclsOf(acls []kafka.ACL) ([]kafka.ACL, error) {
	for _, a := range acls {
		if kind, name, ok := strings.Cut(a.Principal, ":"); !ok || kind == "" || name == "" {
			return nil, run.Config(fmt.Errorf("%w: a principal is Type:name, mostly User:name (got %q)", errUsage, a.Principal))
		}
	}
	return acls, nil
}

func (c *cli) printACLs(broker string, acls []kafka.ACL) error {
	for _, a := range acls {
		if c.json() {
			pattern := "literal"
			if a.Prefixed {
				pattern = "prefixed"
			}
			err := c.line(struct {
				Principal string `json:"principal"`
				Operation string `json:"operation"`
				Resource  string `json:"resource"`
				Name      string `json:"name"`
				Pattern   string `json:"pattern"`
			}{a.Principal, a.Operation, string(a.Resource), a.Name, pattern})
			if err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintln(c.out, a.Command(broker)); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.errw, "%d rights\n", len(acls))
	return nil
}
