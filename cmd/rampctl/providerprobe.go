package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
)

// probeID is a subject that no provider knows.
const probeID = "rampctl-probe"

// A probe is the harmless call that tells whether an account's credentials work.
type probe struct {
	call string
	make func(ctx context.Context, s *session) error
	// proves is false where the call succeeds without credentials.
	proves func(providers.Account) bool
}

// probes have one harmless call for each provider: it changes nothing, and what
// it asks about does not exist.
var probes = map[events.Provider]probe{
	"kado": {"kyc-status", func(_ context.Context, s *session) error {
		kind := events.Customer
		if s.account.API.PrivateKey == "" {
			kind = events.Order // the public route: there are no credentials to try
		}
		_, err := s.check(kind, probeID, 0)
		return err
	}, func(a providers.Account) bool { return a.API.PrivateKey != "" }},
	"kanga": {"check", func(_ context.Context, s *session) error {
		_, err := s.check(events.Order, probeID, s.env.Now().UnixMilli())
		return err
	}, always},
	"koinal": {"status", func(_ context.Context, s *session) error {
		_, err := s.check(events.Order, probeID, 0)
		return err
	}, always},
	"kuna": {"operation", func(_ context.Context, s *session) error {
		_, err := s.check(events.Order, probeID, 0)
		return err
	}, always},
	"zumo": {"token", func(ctx context.Context, s *session) error {
		c, err := zumoClient(s)
		if err != nil {
			return err
		}
		_, err = c.Login(ctx)
		return err
	}, always},
}

func always(providers.Account) bool { return true }

// errProbe is returned where the provider refused credentials or did not answer.
var errProbe = errors.New("not every account's credentials were accepted")

// probed is a line of the output.
type probed struct {
	Account     string `json:"account"`
	Call        string `json:"call"`
	Credentials string `json:"credentials"` // accepted, refused, unclear, none, failed
	Outcome     string `json:"outcome,omitempty"`
	HTTPStatus  int    `json:"http_status,omitempty"`
	Note        string `json:"note,omitempty"`
}

func (c *cli) providerTest() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use: "test", Short: "Try the credentials of an account with one harmless call", Args: args(cobra.NoArgs),
		Long: `Makes one call that changes nothing, about a subject that does not exist, and
prints what became of it. Exit code 1 where credentials are refused or the
provider does not answer. Kado asks for a KYC status, Kanga checks a payment
(which burns a nonce), Koinal and Kuna ask for an order, Zumo logs in.

  accepted  the provider answered as it does to us
  refused   it did not believe the credentials
  unclear   it answered, but its documents do not say what that means
  none      the call needs no credentials; it says that the provider is there
  failed    it did not answer, or not as a provider`,
		Example: "  rampctl provider test --account kanga/shop",
	}
	cmd.Flags().StringVar(&account, "account", "", "as kado/acme; where empty, all accounts one after the other")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		names := []string{account}
		if account == "" {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			names = nil
			for _, a := range cfg.Accounts {
				names = append(names, string(events.LaneOf(a.Provider, a.Account)))
			}
		}
		bad := false
		for _, name := range names {
			p, err := c.probe(cmd, name)
			if err != nil {
				return err
			}
			bad = bad || p.Credentials == "refused" || p.Credentials == "failed"
			if err := c.document(p); err != nil {
				return err
			}
		}
		if bad {
			return errProbe
		}
		return nil
	}
	return cmd
}

func (c *cli) probe(cmd *cobra.Command, name string) (probed, error) {
	cfg, a, err := c.pick("", name, "api")
	if err != nil {
		return probed{}, fmt.Errorf("%s: %w", name, err)
	}
	s := &session{cmd: cmd, cfg: cfg, account: a, env: providers.Env{
		HTTP: httpx.New(httpx.Options{AllowInsecure: a.API.AllowInsecure}), Now: time.Now, WebhookURL: cfg.WebhookURL(a),
	}}
	defer s.env.HTTP.CloseIdleConnections()
	p := probes[a.Provider]
	out := probed{Account: string(events.LaneOf(a.Provider, a.Account)), Call: p.call, Outcome: string(events.OutcomeOK)}
	err = p.make(cmd.Context(), s)
	var failed *providers.CallError
	if errors.Is(err, errNoCall) {
		out.Credentials, out.Outcome, out.Note = "none", "", errNoCall.Error()
		return out, nil
	}
	if err != nil && !errors.As(err, &failed) {
		return probed{}, fmt.Errorf("%s: %w", out.Account, err)
	}
	if failed != nil {
		out.Outcome, out.HTTPStatus = string(failed.Outcome), failed.HTTPStatus
	}
	out.Credentials, out.Note = judge(events.Outcome(out.Outcome), failed != nil && failed.Nonce)
	if !p.proves(a) && out.Credentials == "accepted" {
		out.Credentials, out.Note = "none", "the account has no keys: only public routes can be called"
	}
	return out, nil
}

// judge says what an outcome tells about the credentials.
func judge(o events.Outcome, nonce bool) (credentials, note string) {
	switch o {
	case events.OutcomeOK:
		return "accepted", ""
	case events.OutcomeNotFound:
		return "accepted", "it does not know the subject, as a server that is not the provider's would not: is api.base_url right?"
	case events.OutcomeUnauthorized:
		if nonce {
			return "refused", "or another user of the API key has used a higher nonce"
		}
		return "refused", ""
	case events.OutcomeRejected, events.OutcomeProvider, events.OutcomeMalformed, events.OutcomeMismatch:
		return "unclear", "the documents do not say how an unknown subject is answered, or a path is wrong"
	}
	return "failed", ""
}
