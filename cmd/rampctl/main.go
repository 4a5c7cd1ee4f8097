// Command rampctl is the operator's tool: it runs the demo, prepares topics and
// schemas, and answers why an order is in the state it is in.
//
// stdout is data, stderr is talk. Exit codes: 0 done, 1 failed, 2 usage or
// configuration, 3 differences found, 4 the platform refuses, 5 loss detected.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"rampstream/internal/run"
	"rampstream/internal/telemetry"
)

func main() {
	run.Main("rampctl", func(ctx context.Context) error {
		return execute(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	})
}

// errUsage marks faults of the command line.
var errUsage = errors.New("usage")

// execute runs one command line. Everything it prints goes to out and errw.
func execute(ctx context.Context, args, env []string, out, errw io.Writer) error {
	c := &cli{env: env, out: out, errw: errw}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errw)
	return usage(root.ExecuteContext(ctx))
}

// usage marks a fault of the command line as one of configuration.
func usage(err error) error {
	if errors.Is(err, errUsage) {
		return run.Config(err)
	}
	return err
}

// groups makes a command that only has subcommands refuse a word that names
// none, at every level: left to itself the library would print help and exit 0.
func groups(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		groups(sub)
	}
	if !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.Args = func(cmd *cobra.Command, a []string) error {
		if len(a) > 0 {
			return fmt.Errorf("%w: %s has no command %q; see %s --help", errUsage, cmd.CommandPath(), a[0], cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// cli is what every command shares.
type cli struct {
	env       []string
	out, errw io.Writer
	file      string // -c
	named     bool   // somebody wrote -c
	output    string // -o
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use: "rampctl", Short: "Operate rampstream: run the demo, prepare topics and schemas, ask why an order is where it is",
		SilenceUsage: true, SilenceErrors: true, Version: telemetry.Build(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			c.named = cmd.Flags().Changed("config")
			if c.output != "text" && c.output != "json" {
				return fmt.Errorf("%w: -o takes text or json (got %q)", errUsage, c.output)
			}
			return nil
		},
	}
	root.PersistentFlags().StringVarP(&c.file, "config", "c", "rampstream.yaml", "configuration file")
	root.PersistentFlags().StringVarP(&c.output, "output", "o", "text", "text or json")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(c.provider(), c.webhook())
	root.AddCommand(c.demo(), c.topics(), c.schemas(), c.configuration(), c.orders(), c.discrepancies(), c.tail(), c.poller(), c.timeline(), c.audit(), c.redrive(), c.acls(), c.doctor(), c.positions())
	groups(root)
	return root
}

func (c *cli) json() bool { return c.output == "json" }

// args wraps a cobra check so that its fault is one of usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		return nil
	}
}
