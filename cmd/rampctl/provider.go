package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/run"
)

// A call is one documented call of a provider as a command.
type call struct {
	use, short, long string
	example          string // without "rampctl provider NAME"
	args             cobra.PositionalArgs
	flags            func(*cobra.Command)
	// clear are the members of the request's body that --dry-run shows as they
	// are. What is not among them is taken for personal or secret.
	clear []string
	// login answers the request that comes before the call's own, in a dry run.
	login func(*http.Request) (body string, ok bool)
	run   func(ctx context.Context, s *session, args []string) (any, error)
}

// session is one call under way.
type session struct {
	cmd     *cobra.Command
	cfg     config.Config
	account providers.Account
	env     providers.Env
	reveal  bool // print the credentials that the call returns
	dry     bool
}

// masked stands for what is not shown.
const masked = "[masked]"

// secret is a credential as the output has it.
func (s *session) secret(v providers.Secret) string {
	if s.reveal || v == "" {
		return v.Reveal()
	}
	return masked
}

// key is a subject of the account, for a Checker.
func (s *session) key(kind events.SubjectKind, id string) (events.Key, error) {
	k := events.Key{Provider: s.account.Provider, Account: s.account.Account, Kind: kind, ID: id}
	if !k.Valid() {
		return events.Key{}, fmt.Errorf("%w: an id is 1-128 of [A-Za-z0-9._:-]", errUsage)
	}
	return k, nil
}

// open builds the capabilities of the account.
func (s *session) open() (providers.Capabilities, error) {
	for _, p := range known() {
		if p.Name == s.account.Provider {
			return p.Open(s.account, s.env)
		}
	}
	return providers.Capabilities{}, fmt.Errorf("%w: no provider %q", errUsage, s.account.Provider)
}

// group makes a command that only has others below it: alone it prints its
// help, and a word that is none of them is a fault of usage.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, a []string) error {
		if len(a) > 0 {
			return fmt.Errorf("%w: %s has no command %q", errUsage, cmd.CommandPath(), a[0])
		}
		return cmd.Help()
	}
	return cmd
}

func (c *cli) provider() *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "provider", Short: "Make the documented calls of a provider, one at a time",
		Long: `Make one call to a provider with the credentials of a configured account, and
print the answer as JSON on standard output.

--dry-run prints the signed request instead and sends nothing: signatures,
tokens and everything personal in it are masked. Personal data is read from
--body (a file, or - for standard input), is sent to the provider and goes
nowhere else; credentials come from the configuration. A credential in an answer
is masked unless --reveal is given.

The calls share the API key with a running poller. Kanga's nonces must increase
over all users of a key, so give people a key of their own, or stop the lane.`,
	})
	cmd.AddCommand(c.providerTest(),
		c.providerCalls("kado", "Kado: orders, quotes, KYC, webhook registration", kadoCalls()),
		c.providerCalls("kanga", "Kanga TPG: payments, estimates, the test call", kangaCalls()),
		c.providerCalls("koinal", "Koinal Checkout: quotes, orders, the authorization hash", koinalCalls()),
		c.providerCalls("kuna", "KunaCore: operations, customers, the widget", kunaCalls()),
		c.providerCalls("zumo", "Zumo: app users, wallets, tokens", zumoCalls()),
	)
	return cmd
}

func (c *cli) providerCalls(name events.Provider, short string, calls []*call) *cobra.Command {
	cmd := group(&cobra.Command{Use: string(name), Short: short, Long: short + ".\nThe routes, and what is known of each, are in docs/providers/" + string(name) + ".md."})
	for _, k := range calls {
		cmd.AddCommand(c.providerCall(name, k))
	}
	return cmd
}

func (c *cli) providerCall(name events.Provider, k *call) *cobra.Command {
	var account string
	var dry, reveal bool
	var timeout time.Duration
	cmd := &cobra.Command{Use: k.use, Short: k.short, Long: k.short + ".\n" + k.long, Args: args(k.args)}
	if k.example != "" {
		cmd.Example = "  rampctl provider " + string(name) + " " + k.example
	}
	cmd.Flags().StringVar(&account, "account", "", "the account, as acme or "+string(name)+"/acme; not needed where only one is configured")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the signed request, masked, and send nothing")
	cmd.Flags().BoolVar(&reveal, "reveal", false, "print the credentials of the answer")
	cmd.Flags().DurationVar(&timeout, "timeout", 15*time.Second, "of each request, body included")
	if k.flags != nil {
		k.flags(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, a []string) error {
		cfg, acc, err := c.pick(name, account, "api")
		if err != nil {
			return err
		}
		s := &session{cmd: cmd, cfg: cfg, account: acc, reveal: reveal, dry: dry}
		s.env = providers.Env{
			HTTP: httpx.New(httpx.Options{AllowInsecure: acc.API.AllowInsecure, Timeout: timeout}), Now: time.Now, WebhookURL: cfg.WebhookURL(acc),
		}
		if dry {
			return c.dryRun(cmd.Context(), s, k, a)
		}
		result, err := k.run(cmd.Context(), s, a)
		if err != nil {
			return callFault(err)
		}
		return c.document(result)
	}
	return cmd
}

// dryRun makes the call over a transport that keeps the requests.
func (c *cli) dryRun(ctx context.Context, s *session, k *call, a []string) error {
	t := &recorder{login: k.login, clear: k.clear}
	s.env.HTTP = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	result, err := k.run(ctx, s, a)
	if len(t.seen) > 0 { // what became of the call is the recorder's doing
		return c.document(map[string]any{"dry_run": true, "requests": t.seen})
	}
	if err != nil {
		return callFault(err)
	}
	return c.document(result) // it makes no request: what it would print
}

// callFault makes a call that was refused before it was sent one of usage.
func callFault(err error) error {
	var failed *providers.CallError
	if errors.As(err, &failed) && failed.Outcome == events.OutcomeRejected && failed.HTTPStatus == 0 {
		return run.Config(err)
	}
	return err
}

// document prints one JSON document: indented for people, a line for programs.
func (c *cli) document(v any) error {
	b, err := plainJSON(v)
	if err != nil {
		return err
	}
	if !c.json() {
		var indented bytes.Buffer
		if err := json.Indent(&indented, b, "", "  "); err != nil {
			return fmt.Errorf("json: %w", err)
		}
		b = indented.Bytes()
	}
	_, err = fmt.Fprintf(c.out, "%s\n", b)
	return err
}

// plainJSON leaves the ampersands of URLs as they are: people copy them.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// pick finds an account of the configuration and reports the faults of the
// section that is needed, "api" or "webhook"; those of others do not matter here.
func (c *cli) pick(name events.Provider, selected, section string) (config.Config, providers.Account, error) {
	cfg, err := c.config()
	if err != nil {
		return config.Config{}, providers.Account{}, err
	}
	if p, a, found := strings.Cut(selected, "/"); found {
		if name != "" && events.Provider(p) != name {
			return config.Config{}, providers.Account{}, fmt.Errorf("%w: --account names %s, the command %s", errUsage, p, name)
		}
		name, selected = events.Provider(p), a
	}
	var found []int
	var configured []string
	for i, a := range cfg.Accounts {
		configured = append(configured, string(events.LaneOf(a.Provider, a.Account)))
		if (name == "" || a.Provider == name) && (selected == "" || a.Account == events.Account(selected)) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return config.Config{}, providers.Account{}, fmt.Errorf("%w: --account: no such account; configured are %v", errUsage, configured)
	case 1:
	default:
		return config.Config{}, providers.Account{}, fmt.Errorf("%w: --account must name one of %v", errUsage, configured)
	}
	return cfg, cfg.Accounts[found[0]], accountFaults(cfg, found[0], section)
}

// config reads the configuration without judging it.
func (c *cli) config() (config.Config, error) {
	return config.Load(c.path(), c.env, nil)
}

// accountFaults are those of one account's section.
func accountFaults(cfg config.Config, i int, section string) error {
	var all *config.Error
	if !errors.As(cfg.Validate(config.ForAll, known(), providers.Policy{}), &all) {
		return nil
	}
	prefix := fmt.Sprintf("accounts[%d].", i)
	mine := slices.DeleteFunc(slices.Clone(all.Faults), func(f string) bool {
		return !strings.HasPrefix(f, prefix+section) && !strings.HasPrefix(f, prefix+"provider") && !strings.HasPrefix(f, prefix+"account")
	})
	if len(mine) == 0 {
		return nil
	}
	return &config.Error{Faults: mine}
}
