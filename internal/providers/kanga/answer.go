package kanga

import (
	"errors"
	"strconv"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// The causes of an answer that cannot be used. They never quote it.
var (
	errResult   = errors.New("no result in the answer")
	errState    = errors.New("state is not a word")
	errAmount   = errors.New("amount is not a decimal string")
	errCurrency = errors.New("currency is not a word")
	errToken    = errors.New("paymentToken is not a token")
	errShape    = errors.New("answer has another shape")
)

// reply is the envelope of every signed call. The document's failures say
// result "fail" and a code; which HTTP status they come with is not stated.
type reply struct {
	ok   bool
	code int // of a failure; 0 when it states none that can be read
	body jsonx.Value
}

// readReply reads the envelope. Anything but an object with result "ok" or
// "fail" is an error: a proxy's page, an empty body, an array.
func readReply(body []byte) (reply, error) {
	v, err := jsonx.Parse(body)
	if err != nil {
		return reply{}, err
	}
	switch word, _ := v.Get("result").Text(); word {
	case "ok":
		return reply{ok: true, body: v}, nil
	case "fail":
		return reply{code: number(v.Get("code")), body: v}, nil
	}
	return reply{}, errResult
}

// number reads a code that is a number in the document and may be a string.
func number(v jsonx.Value) int {
	s, ok := v.Literal()
	if !ok {
		s, _ = v.Text()
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// payment is what CHECK PAYMENT says. It has no id: the answer belongs to the
// question it answers and to nothing else.
type payment struct {
	state string
	facts events.Facts
}

// readPayment reads a successful answer. An amount that is no decimal makes the
// whole answer unusable: the payer may have written it, and a payment without
// an amount would pass for one whose amount fits.
func readPayment(v jsonx.Value) (payment, error) {
	state, ok := v.Get("state").Text()
	if !ok || !providers.IsWord(state, maxWord) {
		return payment{}, errState
	}
	literal, ok := v.Get("amount").Text()
	if !ok {
		return payment{}, errAmount
	}
	amount, err := events.ParseAmount(literal)
	if err != nil {
		return payment{}, errAmount
	}
	currency, ok := v.Get("currency").Text()
	if !ok || !providers.IsWord(currency, maxWord) {
		return payment{}, errCurrency
	}
	return payment{state: state, facts: events.Facts{CryptoAmount: amount, CryptoAsset: currency}}, nil
}

// Estimate is the price of a payment in one currency.
type Estimate struct {
	Currency string
	Amount   events.Amount
}

// readEstimates reads the object of currency and price pairs, in its order.
func readEstimates(body []byte) ([]Estimate, error) {
	v, err := jsonx.Parse(body)
	if err != nil {
		return nil, err
	}
	if v.Kind() != jsonx.Object {
		return nil, errShape
	}
	var out []Estimate
	for _, m := range v.Members() {
		literal, ok := m.Value.Text()
		if !ok || !providers.IsWord(m.Key, maxWord) {
			return nil, errShape
		}
		amount, err := events.ParseAmount(literal)
		if err != nil {
			return nil, errAmount
		}
		out = append(out, Estimate{Currency: strings.Clone(m.Key), Amount: amount})
	}
	if len(out) == 0 { // no price is no estimate
		return nil, errShape
	}
	return out, nil
}

// maxWord bounds a state or currency; the longest documented has 10 bytes.
const maxWord = 64
