package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/providers/kuna"
)

func kunaCalls() []*call {
	calls := []*call{kunaLogin(), kunaOperation(), kunaOperations(), kunaCustomer(), kunaCreate(), kunaRampToken(), kunaInvalidate(), kunaWidget()}
	for _, k := range calls {
		k.login = func(r *http.Request) (string, bool) {
			// Of all calls the log-in alone names the merchant in a header.
			return `{"data":{"accessToken":"dry-run"}}`, r.Header.Get("merchant_id") != ""
		}
	}
	return calls
}

func kunaClient(s *session) (*kuna.Client, error) { return kuna.NewClient(s.account, s.env) }

func kunaLogin() *call {
	return &call{
		use: "login", short: "Log in, and print until when the token is good", args: cobra.NoArgs, example: "login --account shop",
		long: "POST /v2/auth/login. The token is printed with --reveal only. An account with an API key has no login.",
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			c, err := kunaClient(s)
			if err != nil {
				return nil, err
			}
			token, expires, err := c.Login(ctx)
			if err != nil {
				return nil, err
			}
			out := object{{"access_token", s.secret(token)}}
			if !expires.IsZero() {
				out = append(out, member{"usable_until", expires.UTC().Format(time.RFC3339)})
			}
			return out, nil
		},
	}
}

func kunaOperation() *call {
	return &call{
		use: "operation OPERATION-ID", short: "Ask what became of an operation", args: cobra.ExactArgs(1), example: "operation 0b1c2d3e-1111-4222-8333-444455556666",
		long: "POST /v2/operation/details.", clear: []string{"id"},
		run: func(_ context.Context, s *session, a []string) (any, error) {
			return s.check(events.Order, a[0], 0)
		},
	}
}

func kunaOperations() *call {
	var f kuna.Filter
	var skip, take int
	return &call{
		use: "operations", short: "List operations, one page", args: cobra.NoArgs, example: "operations --status OnHold --take 20",
		long:  "POST /v2/operation/find. Without filters it lists everything.",
		clear: []string{"type", "status", "walletId", "externalId", "targetAsset", "sourceAsset", "dateFrom", "dateTo"},
		flags: func(cmd *cobra.Command) {
			fl := cmd.Flags()
			fl.StringVar(&f.Type, "type", "", "as DepositWithExchange")
			fl.StringVar(&f.Status, "status", "", "as OnHold")
			fl.StringVar(&f.WalletID, "wallet", "", "walletId")
			fl.StringVar(&f.ExternalID, "external-id", "", "externalId")
			fl.StringVar(&f.TargetAsset, "target", "", "targetAsset")
			fl.StringVar(&f.SourceAsset, "source", "", "sourceAsset")
			fl.StringVar(&f.DateFrom, "from", "", "created from, ISO 8601")
			fl.StringVar(&f.DateTo, "to", "", "created until, ISO 8601")
			fl.IntVar(&skip, "skip", 0, "entries to leave out")
			fl.IntVar(&take, "take", 50, "entries at most")
		},
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			if skip < 0 || take < 1 {
				return nil, fmt.Errorf("%w: --skip and --take must not be negative, --take not 0", errUsage)
			}
			c, err := kunaClient(s)
			if err != nil {
				return nil, err
			}
			page, total, err := c.Find(ctx, f, skip, take)
			if err != nil {
				return nil, err
			}
			rows := []any{}
			for _, a := range page.Answers {
				rows = append(rows, answerOf(a, s.vocabulary()))
			}
			return object{{"operations", rows}, {"entries", total}, {"unreadable", page.Unreadable}}, nil
		},
	}
}

func kunaCustomer() *call {
	return &call{
		use: "customer CUSTOMER-ID", short: "Ask for the verification and wallet status of a customer", args: cobra.ExactArgs(1),
		example: "customer d2f1a123-4567-8901-bcde-f23456789abc", long: "POST /v2/customer/details.", clear: []string{"id"},
		run: func(_ context.Context, s *session, a []string) (any, error) {
			return s.check(events.Customer, a[0], 0)
		},
	}
}

func kunaCreate() *call {
	var body string
	return &call{
		use: "create-customer", short: "Create a customer", args: cobra.NoArgs, example: "create-customer --body customer.json",
		long: `POST /v2/customer/create. Not idempotent: the e-mail is unique, so after a
timeout look the customer up first.
--body is an object with Kuna's own members: email, phoneNumber, firstName,
lastName, comment, externalId, referralId, country, verificationDocumentId,
residenceAddress, itn.`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&body, "body", "", "file with the customer, or - for standard input")
		},
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			var n kuna.NewCustomer
			if err := s.body(body, &n); err != nil {
				return nil, err
			}
			c, err := kunaClient(s)
			if err != nil {
				return nil, err
			}
			got, err := c.CreateCustomer(ctx, n)
			if err != nil {
				return nil, err
			}
			return object{
				{"customer_id", got.ID}, {"wallet_id", got.WalletID}, {"external_id", got.ExternalID}, {"verification_status", got.VerificationStatus},
				{"wallet_status", got.WalletStatus}, {"provider_created_at", clock(got.CreatedAt)},
			}, nil
		},
	}
}

func kunaRampToken() *call {
	var agent string
	return &call{
		use: "ramp-token CUSTOMER-ID", short: "Make the token of a customer for the widget", args: cobra.ExactArgs(1),
		example: `ramp-token d2f1a123-4567-8901-bcde-f23456789abc --user-agent "Mozilla/5.0 ..." --reveal`, clear: []string{"customerId"},
		long: "POST /v2/ramp/token. The token is good for days; it is printed with --reveal only.",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&agent, "user-agent", "", "that of the customer's browser")
		},
		run: func(ctx context.Context, s *session, a []string) (any, error) {
			c, err := kunaClient(s)
			if err != nil {
				return nil, err
			}
			token, err := c.RampToken(ctx, a[0], agent)
			if err != nil {
				return nil, err
			}
			return object{{"token", s.secret(token)}}, nil
		},
	}
}

func kunaInvalidate() *call {
	return &call{
		use: "invalidate CUSTOMER-ID", short: "End a customer's authorisation in the widget", args: cobra.ExactArgs(1),
		example: "invalidate d2f1a123-4567-8901-bcde-f23456789abc", long: "POST /v2/ramp/invalidate.", clear: []string{"customerId"},
		run: func(ctx context.Context, s *session, a []string) (any, error) {
			c, err := kunaClient(s)
			if err != nil {
				return nil, err
			}
			return done(c.InvalidateRampToken(ctx, a[0]))
		},
	}
}

func kunaWidget() *call {
	var token string
	return &call{
		use: "widget-url INSTITUTION-ID", short: "Build the address that opens the widget for a customer", args: cobra.ExactArgs(1),
		example: "widget-url xyz98765-4321-0abc-def0-ghijklmnopqr --token token.txt --reveal",
		long:    "Makes no request. The address holds the token, so it is whole with --reveal only. api.paths.widget is the page.",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&token, "token", "", "file with the token of ramp-token, or - for standard input")
		},
		run: func(_ context.Context, s *session, a []string) (any, error) {
			t, err := s.token("token", token)
			if err != nil {
				return nil, err
			}
			c, err := kunaClient(s)
			if err != nil {
				return nil, err
			}
			address, err := c.WidgetURL(a[0], t)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errUsage, err)
			}
			return object{{"url", s.maskedURL(address, "institutionId")}}, nil
		},
	}
}
