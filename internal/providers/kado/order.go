package kado

import (
	"errors"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// order is what we keep of an order object: the data of a webhook, and the
// data of the order status route, which are the same by the document.
type order struct {
	id    string
	word  string // "<paymentStatus>+<transferStatus>[+<machineStatusField>]"; "" when it states none
	facts events.Facts
}

var (
	errNoID  = errors.New("no order id")
	errBadID = errors.New("order id is not usable as a key")
)

// readOrder takes the whitelisted fields and nothing else: no wallet or
// deposit address, no memo, no free text. The error is one of those above; an
// unusable optional field is left out, except an amount, because a wrong or
// missing one would be believed.
func readOrder(data jsonx.Value) (order, error) {
	id, err := orderID(data, "id", "_id", "orderId")
	if err != nil {
		return order{}, err
	}
	o := order{id: id, word: statusWord(data)}
	f := &o.facts
	f.TxHash = providers.Token(data.Get("txHash"), 128)
	f.CryptoNetwork = label(data.Get("blockchain"), 64)
	f.CustomerID = providers.Token(data.Get("userRef"), 128)
	f.ProviderCreatedAt = instant(data.Get("createdAt"))
	if strings.HasPrefix(o.word, "success+failed") {
		f.FundsTaken = "true"
	}
	if err := readAmounts(f, data); err != nil {
		return order{}, err
	}
	return o, nil
}

// orderID is the first of names that is there and not null.
func orderID(data jsonx.Value, names ...string) (string, error) {
	for _, name := range names {
		v := data.Get(name)
		if v.Kind() == jsonx.Absent || v.IsNull() {
			continue
		}
		id, ok := v.Text()
		if !ok || !usableID(id) {
			return "", errBadID
		}
		return id, nil
	}
	return "", errNoID
}

// usableID excludes, beyond what a key excludes, the two names that mean
// another place in the path of a URL.
func usableID(id string) bool { return events.ValidPart(id) && id != "." && id != ".." }

// statusWord is the status that an order object states. A member that is not
// there counts as null; without any there is no word.
func statusWord(data jsonx.Value) string {
	payment, transfer, machine := data.Get("paymentStatus"), data.Get("transferStatus"), data.Get("machineStatusField")
	if payment.Kind() == jsonx.Absent && transfer.Kind() == jsonx.Absent && machine.Kind() == jsonx.Absent {
		return ""
	}
	p, pok := word(payment)
	t, tok := word(transfer)
	if !pok || !tok {
		return ""
	}
	pair := p + "+" + t
	if _, decides := decided[pair]; decides {
		return pair
	}
	if m, ok := word(machine); ok && m != "null" {
		return pair + "+" + m
	}
	return pair
}

// decided are the pairs that have a meaning without machineStatusField.
var decided = Vocabulary(zeroAccount).Orders

// maxWord bounds a status word; the longest seen has 21 bytes.
const maxWord = 40

// word reads a status word. ok is false for what is neither null nor a short
// identifier: free text must not become a status.
func word(v jsonx.Value) (string, bool) {
	if v.Kind() == jsonx.Absent || v.IsNull() {
		return "null", true
	}
	s := providers.Token(v, maxWord)
	return s, s != ""
}

// readAmounts assigns payAmount and recvAmount to the fiat and the crypto
// side. What is which depends on the direction, so an order whose direction
// cannot be told keeps no amount.
func readAmounts(f *events.Facts, data jsonx.Value) error {
	pay, err := readAmount(data.Get("payAmount"))
	if err != nil {
		return err
	}
	recv, err := readAmount(data.Get("recvAmount"))
	if err != nil {
		return err
	}
	symbol := providers.Token(data.At("cryptoCurrency", "symbol"), 32)
	f.Side = side(data, symbol, pay.unit, recv.unit)
	f.CryptoAsset = symbol
	switch f.Side {
	case "buy":
		f.FiatAmount, f.FiatCurrency = pay.amount, pay.unit
		f.CryptoAmount = recv.amount
	case "sell":
		f.FiatAmount, f.FiatCurrency = recv.amount, recv.unit
		f.CryptoAmount = pay.amount
		recv = pay
	default:
		return nil
	}
	if recv.unit != "" {
		f.CryptoAsset = recv.unit
	}
	return nil
}

// side is "buy" when fiat is paid and crypto received, "sell" the other way
// round, "" when it cannot be told. The unit that names the order's crypto
// currency is the best sign; orderType and type are asked where no unit does.
// A unit and a type that contradict each other tell nothing.
func side(data jsonx.Value, symbol, payUnit, recvUnit string) string {
	stated := ""
	for _, name := range []string{"orderType", "type"} {
		if s := strings.ToLower(providers.Token(data.Get(name), 32)); stated == "" && (s == "buy" || s == "sell") {
			stated = s
		}
	}
	seen := ""
	switch {
	case symbol == "" || payUnit == recvUnit:
	case recvUnit == symbol:
		seen = "buy"
	case payUnit == symbol:
		seen = "sell"
	}
	switch {
	case seen == "" || seen == stated:
		return stated
	case stated == "":
		return seen
	}
	return ""
}

type amount struct {
	amount events.Amount // "" when absent, which is not zero
	unit   string
}

// readAmount reads an amount with its unit. Decimal strings are not documented, but
// unmistakable.
func readAmount(v jsonx.Value) (amount, error) {
	n, err := providers.ReadAmount(v.Get("amount"))
	return amount{n, providers.Token(v.Get("unit"), 32)}, err
}

// label is a token that may have single inner blanks ("cosmos hub"), else "".
func label(v jsonx.Value, limit int) string {
	s, ok := v.Text()
	if !ok || len(s) > limit {
		return ""
	}
	for part := range strings.SplitSeq(s, " ") {
		if !events.ValidPart(part) {
			return ""
		}
	}
	return s
}

// instant reads an RFC 3339 time; absent for everything else.
func instant(v jsonx.Value) events.Millis {
	s, ok := v.Text()
	if !ok || len(s) > 40 {
		return 0
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0
	}
	return events.At(t)
}
