package kuna

import (
	"errors"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// The causes of an answer that cannot be used. They never quote it.
var (
	errData      = errors.New("data has another shape")
	errID        = errors.New("id is not an id")
	errStatus    = errors.New("status is not a word")
	errAmount    = errors.New("amount is not a decimal")
	errToken     = errors.New("token is not a token")
	errAmbiguous = errors.New("the id more than once")
)

// The operation types whose two sides have a direction that is documented.
const (
	typeOnRamp    = "DepositWithExchange"
	typeOffRamp   = "WithdrawWithExchange"
	typeBuyToSend = "BuyToSendCrypto"
	typeExchange  = "CryptoExchange"
)

// data opens the envelope. A failure's shape is not documented, so an answer
// without data of the wanted kind is unusable.
func data(body []byte, want jsonx.Kind) (jsonx.Value, error) {
	v, err := jsonx.Parse(body)
	if err != nil {
		return jsonx.Value{}, err
	}
	d := v.Get("data")
	if d.Kind() != want {
		return jsonx.Value{}, errData
	}
	return d, nil
}

// operation is one element of operation/details and operation/find.
type operation struct {
	id     string
	status string
	facts  events.Facts
}

func readOperation(f fields, v jsonx.Value) (operation, error) {
	id, ok := f.get(v, "id").Text()
	if !ok || !events.ValidPart(id) {
		return operation{}, errID
	}
	status, ok := f.get(v, "status").Text()
	if !ok || !providers.IsWord(status, maxWord) {
		return operation{}, errStatus
	}
	facts, err := operationFacts(f, v)
	if err != nil {
		return operation{}, err
	}
	return operation{id: id, status: status, facts: facts}, nil
}

// operationFacts reads the whitelisted members. Which side of an operation is
// money and which is crypto follows from its type alone; for types whose sides
// no document explains (Deposit, Withdraw, Transfer) no amount is stated at
// all, because one in the wrong field would be compared with the wrong intent.
func operationFacts(names fields, v jsonx.Value) (events.Facts, error) {
	source, err := side(names.get(v, "sourceAmount"), names.get(v, "sourceAsset"))
	if err != nil {
		return events.Facts{}, err
	}
	target, err := side(names.get(v, "targetAmount"), names.get(v, "targetAsset"))
	if err != nil {
		return events.Facts{}, err
	}
	f := events.Facts{
		ExternalID:        optional(names.get(v, "externalId")),
		WalletID:          optional(names.get(v, "walletId")),
		ProviderCreatedAt: instant(names.get(v, "createdAt")),
	}
	switch kind, _ := names.get(v, "type").Text(); kind {
	case typeOnRamp, typeBuyToSend:
		f.Side = "buy"
		f.FiatAmount, f.FiatCurrency = source.amount, source.asset
		f.CryptoAmount, f.CryptoAsset = target.amount, target.asset
	case typeOffRamp:
		f.Side = "sell"
		f.CryptoAmount, f.CryptoAsset = source.amount, source.asset
		f.FiatAmount, f.FiatCurrency = target.amount, target.asset
	case typeExchange: // crypto on both sides: what is received
		f.CryptoAmount, f.CryptoAsset = target.amount, target.asset
	}
	return f, nil
}

type money struct {
	amount events.Amount
	asset  string
}

// side reads an amount and its asset, both optional. An amount that is there
// and is no decimal makes the operation unusable: without it, it would pass
// for one whose amount fits.
func side(a, asset jsonx.Value) (money, error) {
	m := money{asset: optional(asset)}
	if a.Kind() == jsonx.Absent || a.IsNull() {
		return m, nil
	}
	literal, ok := a.Text()
	if !ok {
		literal, ok = a.Literal()
	}
	amount, err := events.ParseAmount(literal)
	if !ok || err != nil {
		return money{}, errAmount
	}
	m.amount = amount
	return m, nil
}

// Customer is what a partner needs to go on with a customer. Everything
// personal in the answer is left behind.
type Customer struct {
	ID                 string
	WalletID           string
	ExternalID         string
	VerificationStatus string
	WalletStatus       string
	CreatedAt          events.Millis
}

func readCustomer(f fields, body []byte) (Customer, error) {
	d, err := data(body, jsonx.Object)
	if err != nil {
		return Customer{}, err
	}
	id, ok := f.get(d, "id").Text()
	if !ok || !events.ValidPart(id) {
		return Customer{}, errID
	}
	c := Customer{
		ID:                 id,
		WalletID:           optional(f.get(d, "walletId")),
		ExternalID:         optional(f.get(d, "externalId")),
		VerificationStatus: optional(f.get(d, "verificationStatus")),
		WalletStatus:       optional(f.get(d, "walletStatus")),
		CreatedAt:          instant(f.get(d, "createdAt")),
	}
	if c.VerificationStatus == "" && c.WalletStatus == "" {
		return Customer{}, errStatus
	}
	return c, nil
}

func (c Customer) facts() events.Facts {
	return events.Facts{
		ExternalID: c.ExternalID, WalletID: c.WalletID, ProviderCreatedAt: c.CreatedAt,
		VerificationStatus: c.VerificationStatus, WalletStatus: c.WalletStatus,
	}
}

// optional is a member that need not be there. One that could not stand in a
// record counts as not stated.
func optional(v jsonx.Value) string {
	s, ok := v.Text()
	if !ok || !providers.IsWord(s, maxWord) {
		return ""
	}
	return s
}

// instant reads an RFC 3339 time; absent when it is anything else.
func instant(v jsonx.Value) events.Millis {
	s, _ := v.Text()
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0
	}
	return events.At(t)
}

// maxWord bounds a word or id in a record, in bytes.
const maxWord = 128
