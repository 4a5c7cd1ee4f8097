package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/providers/kado"
)

func kadoCalls() []*call {
	return []*call{
		{
			use: "order ORDER-ID", short: "Ask for the status of an order", args: cobra.ExactArgs(1), example: "order 6408fd3e24c501549aaac9fd --account acme",
			long: "GET /v2/public/orders/:id. The route is public: whoever knows an id may read the order.",
			run: func(_ context.Context, s *session, a []string) (any, error) {
				return s.check(events.Order, a[0], 0)
			},
		},
		kadoQuote(),
		{
			use: "kyc-status USER-ID", short: "Ask for the KYC level of a customer", args: cobra.ExactArgs(1), example: "kyc-status u1 --account acme",
			long: "GET /v1/partner/kyc/:userId, signed.",
			run: func(_ context.Context, s *session, a []string) (any, error) {
				return s.check(events.Customer, a[0], 0)
			},
		},
		kadoByRef(),
		kadoPerson("kyc-submit", "Send all that is known of a customer, and print Kado's userId", "POST /v1/partner/kyc/submit, signed. Not idempotent.",
			func(ctx context.Context, c *kado.Client, p kado.Person) (string, error) { return c.SubmitKYC(ctx, p) }),
		kadoPerson("kyc-init-partial", "Send what is known of a customer so far; the phone may be missing", "POST /v1/partner/kyc/init-partial, signed. Not idempotent.",
			func(ctx context.Context, c *kado.Client, p kado.Person) (string, error) {
				return c.InitPartialKYC(ctx, p)
			}),
		kadoUpload(),
		kadoWebhook(),
	}
}

func kadoClient(s *session) (*kado.Client, error) { return kado.NewClient(s.account, s.env) }

func kadoByRef() *call {
	return &call{
		use: "kyc-status-by-ref USER-REF", short: "Ask for the KYC level of a customer by our own reference of it", args: cobra.ExactArgs(1),
		example: "kyc-status-by-ref c6e2e802-edfb-4478-9ae9-33fae16b7c0a --account acme",
		long:    "GET of api.paths.kyc_by_user_ref, signed. Kado's document names the call and gives no path.",
		run: func(ctx context.Context, s *session, a []string) (any, error) {
			c, err := kadoClient(s)
			if err != nil {
				return nil, err
			}
			got, err := c.KYCByUserRef(ctx, a[0])
			if err != nil {
				return nil, err
			}
			return object{{"level", got.Level}, {"docs_uploaded", got.DocsUploaded}, {"user_id", got.UserID}}, nil
		},
	}
}

func kadoQuote() *call {
	var q kado.QuoteRequest
	var amount string
	return &call{
		use: "quote", short: "Ask for a price", args: cobra.NoArgs,
		long:    "GET /v2/ramp/quote, with X-Widget-Id where api.widget_id is set, else signed.",
		example: "quote --type buy --method ach --amount 100 --asset USDC --blockchain solana --currency USD",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&q.TransactionType, "type", "buy", "buy or sell")
			f.StringVar(&q.FiatMethod, "method", "", "ach, wire, sepa, pix, debit_card, ...")
			f.StringVar(&amount, "amount", "", "a decimal")
			f.StringVar(&q.Asset, "asset", "", "as USDC")
			f.StringVar(&q.Blockchain, "blockchain", "", "as solana")
			f.StringVar(&q.Currency, "currency", "USD", "of the fiat side")
			f.StringVar(&q.Partner, "partner", "", "left out where empty")
		},
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			var err error
			if q.Amount, err = amountOf("amount", amount); err != nil {
				return nil, err
			}
			c, err := kadoClient(s)
			if err != nil {
				return nil, err
			}
			got, err := c.Quote(ctx, q)
			if err != nil {
				return nil, err
			}
			return object{
				{"asset", got.Asset}, {"price", got.Price}, {"price_unit", got.PriceUnit}, {"total_fee", got.TotalFee}, {"total_fee_unit", got.TotalFeeUnit},
				{"receive", got.Receive}, {"receive_unit", got.ReceiveUnit}, {"receive_unit_count", got.ReceiveUnitCount},
			}, nil
		},
	}
}

func kadoPerson(name, short, long string, send func(context.Context, *kado.Client, kado.Person) (string, error)) *call {
	var body string
	return &call{
		use: name, short: short, args: cobra.NoArgs, example: name + " --body person.json --account acme",
		long: long + `
--body is an object with Kado's own members: firstName, middleName, lastName,
phone, email, address {street1, street2, postalCode, city, state, country},
dateOfBirth, ssn.`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&body, "body", "", "file with the customer, or - for standard input")
		},
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			var p kado.Person
			if err := s.body(body, &p); err != nil {
				return nil, err
			}
			c, err := kadoClient(s)
			if err != nil {
				return nil, err
			}
			id, err := send(ctx, c, p)
			if err != nil {
				return nil, err
			}
			return object{{"user_id", id}}, nil
		},
	}
}

func kadoUpload() *call {
	var d kado.Documents
	files := map[string]*string{"front": new(string), "back": new(string), "profile": new(string)}
	return &call{
		use: "kyc-upload-docs USER-ID", short: "Send the images of a customer's documents", args: cobra.ExactArgs(1),
		long:    "POST /v2/partner/kyc/:userId/upload-docs, multipart. The images are streamed and not signed; give --timeout for large ones.",
		example: "kyc-upload-docs u1 --type passport --front page.jpg --timeout 2m",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&d.Type, "type", "", "license, identificationCard or passport")
			f.StringVar(&d.MediaType, "media-type", "", "of the images; image/jpeg where empty")
			f.StringVar(files["front"], "front", "", "image of the front")
			f.StringVar(files["back"], "back", "", "image of the back, if there is one")
			f.StringVar(files["profile"], "profile", "", "image of the customer, if there is one")
		},
		run: func(ctx context.Context, s *session, a []string) (any, error) {
			for name, into := range map[string]*io.Reader{"front": &d.Front, "back": &d.Back, "profile": &d.Profile} {
				if *files[name] == "" {
					continue
				}
				f, err := os.Open(*files[name])
				if err != nil {
					return nil, fmt.Errorf("%w: --%s: %w", errUsage, name, err)
				}
				defer f.Close()
				*into = f
			}
			c, err := kadoClient(s)
			if err != nil {
				return nil, err
			}
			return done(c.UploadDocuments(ctx, a[0], d))
		},
	}
}

func kadoWebhook() *call {
	var target string
	var which int
	return &call{
		use: "configure-webhook", short: "Register the URL and the secret that Kado signs webhooks with", args: cobra.NoArgs,
		long: `POST /v1/partner/configure-webhook, signed. From then on Kado signs with the
new secret. To change it without losing a delivery: add the new one second in
webhook.secrets on every ingest, register it with --secret 2, then swap the two.`,
		example: "configure-webhook --secret 2 --account acme", clear: []string{"webhookUrl"},
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&target, "url", "", "where empty: webhook.url, else ingest.public_url and the route")
			cmd.Flags().IntVar(&which, "secret", 1, "which of webhook.secrets, counted from 1")
		},
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			secrets := s.account.Webhook.Secrets
			if which < 1 || which > len(secrets) {
				return nil, fmt.Errorf("%w: --secret %d: webhook.secrets has %d", errUsage, which, len(secrets))
			}
			if target == "" {
				if target = s.account.Webhook.URL; target == "" {
					target = s.env.WebhookURL
				}
			}
			if target == "" {
				return nil, fmt.Errorf("%w: --url: %w", errUsage, errors.New("neither webhook.url nor ingest.public_url is set"))
			}
			c, err := kadoClient(s)
			if err != nil {
				return nil, err
			}
			return done(c.ConfigureWebhook(ctx, target, secrets[which-1]))
		},
	}
}
