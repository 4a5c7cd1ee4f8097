package koinal

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// QuoteRequest asks for a price; exactly one of the amounts is stated.
type QuoteRequest struct {
	FiatAmount   events.Amount
	FiatCurrency string // as USD
	CryptoAmount events.Amount
	CryptoAsset  string // as BTC
}

// Quote is Koinal's offer.
type Quote struct {
	FiatAmount   events.Amount
	FiatCurrency string
	CryptoAmount events.Amount
	CryptoAsset  string
	Token        providers.Secret // redeems the quote in CreateOrder
}

// Quote asks for a price. POST is inferred: the document shows a request body.
func (c *Client) Quote(ctx context.Context, q QuoteRequest) (Quote, error) {
	const op = "koinal quote"
	body := map[string]any{}
	if q.FiatCurrency != "" {
		c.fields.put(body, "currency", q.FiatCurrency)
	}
	if q.CryptoAsset != "" {
		c.fields.put(body, "cryptocurrency", q.CryptoAsset)
	}
	switch {
	case q.FiatAmount.Valid() && q.CryptoAmount == "":
		c.fields.put(body, "currency_amount", json.Number(q.FiatAmount)) // its literal, digit by digit
	case q.CryptoAmount.Valid() && q.FiatAmount == "":
		c.fields.put(body, "cryptocurrency_amount", json.Number(q.CryptoAmount))
	default:
		return Quote{}, rejected(op, errors.New("want exactly one decimal amount"))
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return Quote{}, rejected(op, errors.New("body cannot be encoded"))
	}
	data, err := c.do(ctx, request{op: op, route: c.routes["quote"], body: encoded})
	if err != nil {
		return Quote{}, err
	}
	fiat, err1 := providers.ReadAmount(c.fields.get(data, "currency_amount"))
	crypto, err2 := providers.ReadAmount(c.fields.get(data, "cryptocurrency_amount"))
	quoteToken := providers.Token(c.fields.get(data, "token"), 128)
	if err1 != nil || err2 != nil || quoteToken == "" {
		return Quote{}, malformedAnswer(op, http.StatusOK, errors.New("quote has no usable amounts and token"))
	}
	return Quote{
		FiatAmount: fiat, FiatCurrency: providers.Token(c.fields.get(data, "currency"), 32), CryptoAmount: crypto,
		CryptoAsset: providers.Token(c.fields.get(data, "cryptocurrency"), 32), Token: providers.Secret(quoteToken),
	}, nil
}

// OrderRequest redeems a quote. It holds personal data and prints as such.
type OrderRequest struct {
	QuoteToken    providers.Secret
	CryptoAsset   string // of the quote; decides whether a destination tag is allowed
	WalletAddress string
	// DestinationTag is for XRP only, a decimal of 32 bits; "0" is a tag, "" is
	// none. An address of a custodian without its tag loses the money.
	DestinationTag string
	CustomerIP     netip.Addr
	// CustomerReference is ours for the customer, see SafeReference; "" for the
	// account's.
	CustomerReference string
}

// String hides the address and IP.
func (OrderRequest) String() string { return "[personal data]" }

// GoString hides the address and IP from %#v.
func (OrderRequest) GoString() string { return "[personal data]" }

// Checkout is where to send the customer.
type Checkout struct {
	URL string
	// OrderID is "" when the answer has none: the document does not say
	// whether it does, nor how else to learn it.
	OrderID string
}

// CreateOrder redeems a quote. Not idempotent: do not repeat it blindly.
func (c *Client) CreateOrder(ctx context.Context, r OrderRequest) (Checkout, error) {
	const op = "koinal create order"
	if err := r.check(); err != nil {
		return Checkout{}, rejected(op, err)
	}
	body := map[string]any{}
	c.fields.put(body, "token", r.QuoteToken.Reveal())
	c.fields.put(body, "wallet_address", r.WalletAddress)
	c.fields.put(body, "ip_address", r.CustomerIP.String())
	if r.DestinationTag != "" {
		c.fields.put(body, "destination_tag", r.DestinationTag)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return Checkout{}, rejected(op, errors.New("body cannot be encoded"))
	}
	data, err := c.do(ctx, request{
		op: op, route: c.routes["order"], body: encoded, reference: r.CustomerReference, quote: r.QuoteToken,
	})
	if err != nil {
		return Checkout{}, err
	}
	target, _ := c.fields.get(data, "checkout_url").Text()
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return Checkout{}, malformedAnswer(op, http.StatusOK, errors.New("answer has no https checkout URL"))
	}
	id, _ := readID(c.fields.get(data, "id"))
	return Checkout{URL: target, OrderID: id}, nil
}

func (r OrderRequest) check() error {
	switch {
	case !events.ValidPart(r.QuoteToken.Reveal()):
		return errors.New("quote token is not usable")
	case r.WalletAddress == "" || len(r.WalletAddress) > 256 || !printable(r.WalletAddress):
		return errors.New("wallet address is not usable")
	case !r.CustomerIP.IsValid():
		return errors.New("customer IP is missing")
	case r.DestinationTag != "" && r.CryptoAsset != "XRP":
		return errors.New("destination tag is for XRP only")
	case r.DestinationTag != "":
		n, err := strconv.ParseUint(r.DestinationTag, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != r.DestinationTag {
			return errors.New("destination tag is not a decimal of 32 bits")
		}
	}
	return nil
}
