package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/ingest"
	"rampstream/internal/providers"
)

func (c *cli) webhook() *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "webhook", Short: "Debug webhooks: verify a saved request, sign a body, send it",
		Long: `Say why a delivery was refused, make one that is accepted, and send it.

A saved request is HTTP text: a request line, headers, an empty line, and the
body as it came. The secrets are those of the configured account. Nothing that
these commands print has a secret in it; sign prints signatures.`,
	})
	cmd.AddCommand(c.webhookVerify(), c.webhookSign(), c.webhookSend())
	return cmd
}

// errRefused: the delivery would not be believed.
var errRefused = errors.New("the delivery is refused")

// errHint: the delivery would be a hint, on a route that verifies.
var errHint = errors.New("the delivery is a hint only")

// route is the parser of an account.
func (c *cli) route(selected string) (providers.Account, providers.Capabilities, string, error) {
	cfg, a, err := c.pick("", selected, "webhook")
	if err != nil {
		return providers.Account{}, providers.Capabilities{}, "", err
	}
	url := cfg.WebhookURL(a)
	s := &session{account: a, env: providers.Env{Now: time.Now, WebhookURL: url}}
	caps, err := s.open()
	if err == nil && caps.Webhook == nil {
		err = fmt.Errorf("%w: the account's route is not configured: set webhook.url or ingest.public_url", errUsage)
	}
	return a, caps, url, err
}

// verdict is what verify prints.
type verdict struct {
	Account   string     `json:"account"`
	Accepted  bool       `json:"accepted"`
	Answer    int        `json:"answer"` // what ingest answers
	Reason    string     `json:"reason,omitempty"`
	Detail    string     `json:"detail,omitempty"`
	Key       string     `json:"key,omitempty"`
	Trust     string     `json:"trust,omitempty"`
	Hint      string     `json:"hint_reason,omitempty"`
	Scheme    string     `json:"scheme,omitempty"`
	StatusRaw string     `json:"status_raw,omitempty"`
	Status    string     `json:"status,omitempty"`
	EventID   string     `json:"event_id,omitempty"`
	Facts     any        `json:"facts,omitempty"`
	Notes     []string   `json:"notes,omitempty"`
	Steps     []stepLine `json:"steps"`
}

type stepLine struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Aside  bool   `json:"aside,omitempty"`
	Detail string `json:"detail,omitempty"`
}

func (c *cli) webhookVerify() *cobra.Command {
	var account, at string
	cmd := &cobra.Command{
		Use: "verify FILE|-", Short: "Say whether a saved request is believed, and which check fails", Args: args(cobra.ExactArgs(1)),
		Long: `Verify a saved request as ingest would, and list every check and every reading
of the provider's document that was tried.

  ok     the check passes; of the signature lines, one is enough
  FAIL   it does not
  aside  a reading that this account does not accept and that fits all the same:
         it says what the sender does differently

The account is the one in the request's path (/v1/webhooks/provider/account)
unless --account names it. Without --at, freshness is judged as of now: give the
time at which the request was received. Exit code 1 where ingest would refuse it
or keep it as a hint on a route that verifies.`,
		Example: "  rampctl webhook verify delivery.http --at 2024-05-01T12:00:00Z",
	}
	cmd.Flags().StringVar(&account, "account", "", "as kado/acme; where empty, that of the request's path")
	cmd.Flags().StringVar(&at, "at", "", "when it was received, RFC 3339 or milliseconds; where empty, now")
	cmd.RunE = func(cmd *cobra.Command, a []string) error {
		b, err := readInput(a[0], cmd.InOrStdin())
		if err != nil {
			return err
		}
		saved, err := parseRequest(b)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errUsage, a[0], err)
		}
		received, err := instantOr(at, time.Now())
		if err != nil {
			return err
		}
		if account == "" {
			account = saved.account
		}
		acc, caps, _, err := c.route(account)
		if err != nil {
			return err
		}
		v := judgeDelivery(acc, caps, saved, received)
		if err := c.printVerdict(v); err != nil {
			return err
		}
		switch {
		case !v.Accepted:
			return errRefused
		case caps.Authenticated && v.Trust == events.TrustHint.String():
			return errHint
		}
		return nil
	}
	return cmd
}

// judgeDelivery asks the parser, and then how it came to its answer.
func judgeDelivery(a providers.Account, caps providers.Capabilities, saved request, at events.Millis) verdict {
	d := saved.delivery(at)
	v := verdict{Account: string(events.LaneOf(a.Provider, a.Account)), Notes: saved.notes, Answer: http.StatusOK}
	w, err := caps.Webhook.ParseWebhook(d)
	var refused *providers.DeliveryError
	switch {
	case errors.As(err, &refused):
		v.Reason, v.Detail, v.Answer = string(refused.Reason), refused.Detail, answerTo(err)
	case err != nil:
		v.Reason, v.Answer = "error", http.StatusInternalServerError
	default:
		v.Accepted, v.Key, v.Trust, v.Hint, v.Scheme = true, w.Key.String(), w.Trust.String(), w.HintReason, w.Scheme
		v.StatusRaw, v.EventID = w.StatusRaw, string(w.EventID)
		if facts := factMap(w.Facts); facts != nil {
			v.Facts = facts
		}
		if w.StatusRaw != "" {
			v.Status = w.Status.String()
		}
	}
	if !ingest.RouteOf(a, caps).Media.Takes(d.Header["Content-Type"]) {
		if v.Accepted {
			v = verdict{Account: v.Account, Notes: v.Notes, Reason: "media_type", Detail: "content type"}
		}
		v.Answer = http.StatusUnsupportedMediaType
		v.Notes = append(v.Notes, "ingest answers 415 before it looks further: it wants one Content-Type, application/json")
	}
	if dbg, ok := caps.Webhook.(providers.WebhookDebugger); ok {
		for _, s := range dbg.ExplainWebhook(d, saved.path) {
			v.Steps = append(v.Steps, stepLine(s))
		}
	} else {
		v.Steps = append(v.Steps, stepLine{Name: "the subject can be read", OK: err == nil, Detail: "nothing verifies this provider's deliveries: every one is a hint"})
	}
	return v
}

// answerTo is the status with which ingest answers a refusal.
func answerTo(err error) int {
	switch {
	case errors.Is(err, providers.ErrUnauthentic):
		return http.StatusUnauthorized
	case errors.Is(err, providers.ErrUnsupportedMedia):
		return http.StatusUnsupportedMediaType
	case errors.Is(err, providers.ErrMalformed):
		return http.StatusOK // and a dead letter
	}
	return http.StatusBadRequest
}

func (c *cli) printVerdict(v verdict) error {
	if c.json() {
		return c.line(v)
	}
	for _, s := range v.Steps {
		mark, detail := "ok", ""
		switch {
		case s.Aside:
			mark = "aside"
		case !s.OK:
			mark = "FAIL"
		}
		if s.Detail != "" {
			detail = " (" + s.Detail + ")"
		}
		fmt.Fprintf(c.out, "%-5s  %s%s\n", mark, s.Name, detail)
	}
	for _, n := range v.Notes {
		fmt.Fprintf(c.out, "note: %s\n", n)
	}
	if !v.Accepted {
		letter := ""
		if v.Answer == http.StatusOK {
			letter = " and a dead letter"
		}
		_, err := fmt.Fprintf(c.out, "refused by %s: %s %s: ingest answers %d%s\n", v.Account, v.Reason, v.Detail, v.Answer, letter)
		return err
	}
	why := v.Scheme
	if v.Hint != "" {
		why = v.Hint
	}
	_, err := fmt.Fprintf(c.out, "accepted by %s as %s (%s): %s, status %s\n", v.Account, v.Trust, why, v.Key, dash(v.StatusRaw))
	return err
}

// instantOr reads a time of the command line.
func instantOr(s string, now time.Time) (events.Millis, error) {
	if s == "" {
		return events.At(now), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return events.At(t), nil
	}
	var ms int64
	if err := json.Unmarshal([]byte(s), &ms); err != nil || ms <= 0 {
		return 0, fmt.Errorf("%w: --at wants RFC 3339 or milliseconds since 1970", errUsage)
	}
	return events.Millis(ms), nil
}
