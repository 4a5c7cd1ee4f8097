package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kanga"
)

func kangaCalls() []*call {
	return []*call{kangaCheck(), kangaEstimate(), kangaStart(), kangaCreate(), kangaTest()}
}

func kangaClient(s *session) (*kanga.Client, error) { return kanga.NewClient(s.account, s.env) }

// nonceFlag is the number that a signed call burns.
func nonceFlag(cmd *cobra.Command, nonce *int64) {
	cmd.Flags().Int64Var(nonce, "nonce", 0, "above that of every call before; where 0, milliseconds since 1970")
}

func nonceOr(nonce int64, now time.Time) (int64, error) {
	switch {
	case nonce < 0:
		return 0, fmt.Errorf("%w: %w", errUsage, errNonce)
	case nonce == 0:
		return now.UnixMilli(), nil
	}
	return nonce, nil
}

func kangaCheck() *call {
	var nonce int64
	return &call{
		use: "check TRANSACTION-KEY", short: "Ask what became of a payment (CHECK PAYMENT)", args: cobra.ExactArgs(1), example: "check order-1 --account shop",
		long:  "POST /api/v2/tpg/transaction, signed. Burns a nonce.",
		clear: []string{"id", "nonce"},
		flags: func(cmd *cobra.Command) { nonceFlag(cmd, &nonce) },
		run: func(_ context.Context, s *session, a []string) (any, error) {
			n, err := nonceOr(nonce, s.env.Now())
			if err != nil {
				return nil, err
			}
			return s.check(events.Order, a[0], n)
		},
	}
}

func kangaEstimate() *call {
	return &call{
		use: "estimate CURRENCY QUANTITY", short: "Ask what a payment costs in each currency (GET PRICE ESTIMATE)", args: cobra.ExactArgs(2),
		example: "estimate oPLN 100 --account shop", long: "POST /api/tpg/price/estimate, the one unsigned call.", clear: []string{"token", "quantity"},
		run: func(ctx context.Context, s *session, a []string) (any, error) {
			quantity, err := amountOf("quantity", a[1])
			if err != nil {
				return nil, err
			}
			c, err := kangaClient(s)
			if err != nil {
				return nil, err
			}
			estimates, err := c.PriceEstimate(ctx, a[0], quantity)
			if err != nil {
				return nil, err
			}
			out := object{}
			for _, e := range estimates {
				out = append(out, member{e.Currency, e.Amount})
			}
			return out, nil
		},
	}
}

// kangaPayer is the body of start-url: what concerns the payer, and the token.
type kangaPayer struct {
	Name         string `json:"name"`
	Email        string `json:"email"`
	PaymentToken string `json:"paymentToken"`
}

func kangaStart() *call {
	var p kanga.StartPayment
	var amount, body string
	return &call{
		use: "start-url TRANSACTION-KEY", short: "Build the address of the payment page (START PAYMENT)", args: cobra.ExactArgs(1),
		long: `Makes no request. The page is unsigned: the payer can change every field of it.
--body is an object with name, email and paymentToken, each optional; they are
masked in the printed address unless --reveal is given.`,
		example: "start-url order-1 --currency oPLN --amount 10.50 --account shop",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&p.Currency, "currency", "", "the settlement currency")
			f.StringVar(&amount, "amount", "", "a decimal above 0")
			f.StringVar(&p.ForceCurrency, "force-currency", "", "the one currency to pay in")
			f.StringVar(&body, "body", "", "file with name, email and paymentToken, or - for standard input")
		},
		run: func(_ context.Context, s *session, a []string) (any, error) {
			var payer kangaPayer
			if body != "" {
				if err := s.body(body, &payer); err != nil {
					return nil, err
				}
			}
			var err error
			if p.Amount, err = amountOf("amount", amount); err != nil {
				return nil, err
			}
			p.TransactionKey, p.Name, p.Email, p.PaymentToken = a[0], payer.Name, payer.Email, providers.Secret(payer.PaymentToken)
			c, err := kangaClient(s)
			if err != nil {
				return nil, err
			}
			page, err := c.StartURL(p)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errUsage, err)
			}
			return object{{"url", s.maskedURL(page, "currency", "amount", "transactionKey", "forceCurrency")}}, nil
		},
	}
}

// maskedURL hides the parameters that are not clear, unless --reveal is given.
func (s *session) maskedURL(address string, clear ...string) string {
	u, err := url.Parse(address)
	if err != nil || s.reveal {
		return address
	}
	q := u.Query()
	for name := range q {
		if !slices.Contains(clear, name) {
			q.Set(name, masked)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func kangaCreate() *call {
	var nonce int64
	return &call{
		use: "create-payment", short: "Make a payment token (CREATE PAYMENT)", args: cobra.NoArgs, example: "create-payment --reveal --account shop",
		long: "POST /api/v2/tpg/create/payment, signed. Burns a nonce. The token is printed with --reveal only.", clear: []string{"nonce"},
		flags: func(cmd *cobra.Command) { nonceFlag(cmd, &nonce) },
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			n, err := nonceOr(nonce, s.env.Now())
			if err != nil {
				return nil, err
			}
			c, err := kangaClient(s)
			if err != nil {
				return nil, err
			}
			token, err := c.CreatePaymentToken(ctx, n)
			if err != nil {
				return nil, err
			}
			return object{{"payment_token", s.secret(token)}}, nil
		},
	}
}

func kangaTest() *call {
	var nonce int64
	return &call{
		use: "test", short: "Make the documented test call", args: cobra.NoArgs, example: "test --account shop",
		long:  "POST /api/v2/test, signed with the documentation's own key: it says that signing works, and nothing of the account's credentials.",
		clear: []string{"appId", "nonce"},
		flags: func(cmd *cobra.Command) { nonceFlag(cmd, &nonce) },
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			n, err := nonceOr(nonce, s.env.Now())
			if err != nil {
				return nil, err
			}
			c, err := kangaClient(s)
			if err != nil {
				return nil, err
			}
			return done(c.Test(ctx, n))
		},
	}
}
