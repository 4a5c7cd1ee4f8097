package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/koinal"
)

func koinalCalls() []*call {
	return []*call{koinalQuote(), koinalCreate(), koinalStatus(), koinalToken()}
}

func koinalClient(s *session) (*koinal.Client, error) { return koinal.NewClient(s.account, s.env) }

func koinalQuote() *call {
	var q koinal.QuoteRequest
	var fiat, crypto string
	return &call{
		use: "quote", short: "Ask for a price", args: cobra.NoArgs, example: "quote --fiat-amount 1000 --fiat USD --crypto BTC --account shop",
		long: `POST to api.paths.quote. Exactly one of the amounts is given. The quote's token,
which redeems it in create-order, is printed with --reveal only.`,
		clear: []string{"currency", "cryptocurrency", "currency_amount", "cryptocurrency_amount"},
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&fiat, "fiat-amount", "", "a decimal")
			f.StringVar(&q.FiatCurrency, "fiat", "", "as USD")
			f.StringVar(&crypto, "crypto-amount", "", "a decimal")
			f.StringVar(&q.CryptoAsset, "crypto", "", "as BTC")
		},
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			var err error
			if q.FiatAmount, err = amountOf("fiat-amount", fiat); err != nil {
				return nil, err
			}
			if q.CryptoAmount, err = amountOf("crypto-amount", crypto); err != nil {
				return nil, err
			}
			c, err := koinalClient(s)
			if err != nil {
				return nil, err
			}
			got, err := c.Quote(ctx, q)
			if err != nil {
				return nil, err
			}
			return object{
				{"fiat_amount", got.FiatAmount}, {"fiat_currency", got.FiatCurrency}, {"crypto_amount", got.CryptoAmount},
				{"crypto_asset", got.CryptoAsset}, {"token", s.secret(got.Token)},
			}, nil
		},
	}
}

// koinalOrder is the body of create-order.
type koinalOrder struct {
	QuoteToken        string `json:"quote_token"`
	CryptoAsset       string `json:"crypto_asset"`
	WalletAddress     string `json:"wallet_address"`
	DestinationTag    string `json:"destination_tag"`
	CustomerIP        string `json:"customer_ip"`
	CustomerReference string `json:"customer_reference"`
}

func koinalCreate() *call {
	var body string
	return &call{
		use: "create-order", short: "Redeem a quote, and print where to send the customer", args: cobra.NoArgs, example: "create-order --body order.json --account shop",
		long: `POST to api.paths.order. Not idempotent.
--body is an object with quote_token, crypto_asset, wallet_address, customer_ip,
and where needed destination_tag (XRP only) and customer_reference.`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&body, "body", "", "file with the order, or - for standard input")
		},
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			var o koinalOrder
			if err := s.body(body, &o); err != nil {
				return nil, err
			}
			ip, err := netip.ParseAddr(o.CustomerIP)
			if err != nil { // its text quotes the address
				return nil, fmt.Errorf("%w: --body: customer_ip is no IP address", errUsage)
			}
			c, err := koinalClient(s)
			if err != nil {
				return nil, err
			}
			got, err := c.CreateOrder(ctx, koinal.OrderRequest{
				QuoteToken: providers.Secret(o.QuoteToken), CryptoAsset: o.CryptoAsset, WalletAddress: o.WalletAddress,
				DestinationTag: o.DestinationTag, CustomerIP: ip, CustomerReference: o.CustomerReference,
			})
			if err != nil {
				return nil, err
			}
			return object{{"checkout_url", s.maskedURL(got.URL)}, {"order_id", got.OrderID}}, nil
		},
	}
}

func koinalStatus() *call {
	return &call{
		use: "status ORDER-ID", short: "Ask for the status of an order", args: cobra.ExactArgs(1), example: "status 123 --account shop",
		long: "GET of api.paths.status.",
		run: func(_ context.Context, s *session, a []string) (any, error) {
			return s.check(events.Order, a[0], 0)
		},
	}
}

func koinalToken() *call {
	var reference string
	return &call{
		use: "token", short: "Make the authorization hash of this moment", args: cobra.NoArgs, example: "token --reveal --account shop",
		long: `Makes no request. The hash says nothing about a request and has no documented
expiry: whoever has it can call as the merchant. It is printed with --reveal only.`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&reference, "reference", "", "customer_reference; where empty, that of the account")
		},
		run: func(_ context.Context, s *session, _ []string) (any, error) {
			c, err := koinalClient(s)
			if err != nil {
				return nil, err
			}
			token, err := c.Token(reference)
			if err != nil {
				return nil, fmt.Errorf("%w: --reference: %w", errUsage, err)
			}
			return object{{"token", s.secret(token)}}, nil
		},
	}
}
