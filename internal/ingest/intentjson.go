package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"rampstream/internal/events"
)

// FieldError is why a body is not an intent.
type FieldError struct {
	Field string // dotted path, as "fiat.amount"; "" for the body as a whole
	Rule  string // what must hold; never quotes a value
	// Value is true when the shape is right and the value is not (422, else 400).
	Value bool
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Rule
	}
	return e.Field + " " + e.Rule
}

// The fields of both bodies. Amounts are strings or numbers, revision a
// number, everything else a string.
const (
	ruleAmount  = "must be a decimal amount, not negative"
	ruleKeyPart = "must be 1-128 of [A-Za-z0-9._:-]"
	ruleCode    = "must be 1-32 of [A-Za-z0-9._:-]"
	ruleRef     = "must be 1-128 printable ASCII characters without an at sign"
)

// ParseIntent reads the body of POST /v1/orders or /v1/customers strictly: one
// JSON object, no unknown, repeated or null member, names in exact case.
// Amounts keep their literal. Source and ObservedAt are left to the caller; on
// error, always a *FieldError, the Intent is the zero value.
func ParseIntent(kind events.SubjectKind, body []byte) (events.Intent, error) {
	fields, err := flatten(body)
	if err != nil {
		return events.Intent{}, err
	}
	in := events.Intent{Kind: events.Expect, Key: events.Key{Kind: kind}}
	setters := orderFields(&in)
	required := []string{"provider", "account", "order_id"}
	if kind == events.Customer {
		setters = customerFields(&in)
		required[2] = "customer_id"
	}
	for _, f := range fields {
		set, known := setters[f.name]
		if !known {
			return events.Intent{}, &FieldError{Field: clipField(f.name), Rule: "is not a field of this request"}
		}
		if err := set(f); err != nil {
			return events.Intent{}, err
		}
	}
	for _, name := range required {
		if !hasField(fields, name) {
			return events.Intent{}, &FieldError{Field: name, Rule: "is required"}
		}
	}
	if err := checkAmounts(in.Facts); err != nil {
		return events.Intent{}, err
	}
	in.EventID = events.EventID(in.ContentHash())
	return in, nil
}

// checkAmounts refuses amounts that could not be compared with anything.
func checkAmounts(f events.Facts) error {
	if f.FiatAmount != "" && f.FiatCurrency == "" {
		return &FieldError{Field: "fiat.currency", Rule: "is required beside fiat.amount", Value: true}
	}
	if (f.CryptoAmount != "" || f.CryptoReceiveMin != "") && f.CryptoAsset == "" {
		return &FieldError{Field: "crypto.asset", Rule: "is required beside an amount", Value: true}
	}
	return nil
}

type setter func(field) error

func orderFields(in *events.Intent) map[string]setter {
	f := &in.Facts
	return map[string]setter{
		"provider": text((*string)(&in.Key.Provider), events.ValidPart, ruleKeyPart),
		"account":  text((*string)(&in.Key.Account), events.ValidPart, ruleKeyPart),
		"order_id": text(&in.Key.ID, events.ValidPart, ruleKeyPart),

		"merchant_ref": text(&f.MerchantRef, validRef, ruleRef),
		"revision":     revision(&in.Revision),
		"customer_id":  text(&f.CustomerID, events.ValidPart, ruleKeyPart),
		"side":         text(&f.Side, func(s string) bool { return s == "buy" || s == "sell" }, `must be "buy" or "sell"`),

		"fiat":               object,
		"fiat.amount":        amount(&f.FiatAmount),
		"fiat.currency":      text(&f.FiatCurrency, validCode, ruleCode),
		"crypto":             object,
		"crypto.amount":      amount(&f.CryptoAmount),
		"crypto.asset":       text(&f.CryptoAsset, validCode, ruleCode),
		"crypto.network":     text(&f.CryptoNetwork, validCode, ruleCode),
		"crypto.receive_min": amount(&f.CryptoReceiveMin),
	}
}

func customerFields(in *events.Intent) map[string]setter {
	return map[string]setter{
		"provider":     text((*string)(&in.Key.Provider), events.ValidPart, ruleKeyPart),
		"account":      text((*string)(&in.Key.Account), events.ValidPart, ruleKeyPart),
		"customer_id":  text(&in.Key.ID, events.ValidPart, ruleKeyPart),
		"customer_ref": text(&in.Facts.CustomerRef, validRef, ruleRef),
	}
}

func text(dst *string, valid func(string) bool, rule string) setter {
	return func(f field) error {
		s, ok := f.value.(string)
		if !ok {
			return &FieldError{Field: f.name, Rule: "must be a string"}
		}
		if !valid(s) {
			return &FieldError{Field: f.name, Rule: rule, Value: true}
		}
		*dst = s
		return nil
	}
}

func amount(dst *events.Amount) setter {
	return func(f field) error {
		var literal string
		switch v := f.value.(type) {
		case string:
			literal = v
		case json.Number:
			literal = v.String()
		default:
			return &FieldError{Field: f.name, Rule: "must be a string or a number"}
		}
		a, err := events.ParseAmount(literal)
		if err != nil || strings.HasPrefix(string(a), "-") {
			return &FieldError{Field: f.name, Rule: ruleAmount, Value: true}
		}
		*dst = a
		return nil
	}
}

func revision(dst *int64) setter {
	return func(f field) error {
		n, ok := f.value.(json.Number)
		if !ok {
			return &FieldError{Field: f.name, Rule: "must be a number"}
		}
		v, err := strconv.ParseInt(n.String(), 10, 64)
		if err != nil || v < 0 {
			return &FieldError{Field: f.name, Rule: "must be a whole number, not negative", Value: true}
		}
		*dst = v
		return nil
	}
}

func object(f field) error {
	if f.value != nil {
		return &FieldError{Field: f.name, Rule: "must be an object"}
	}
	return nil
}

func validCode(s string) bool { return len(s) <= 32 && events.ValidPart(s) }

// validRef admits what reference numbers look like. An at sign would be an
// e-mail address, and references end up in topics.
func validRef(s string) bool {
	if len(s) == 0 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '@' {
			return false
		}
	}
	return true
}

// field is one member: value is a string, a json.Number, a bool, or nil for an
// object, whose members follow with dotted names.
type field struct {
	name  string
	value any
}

func hasField(fields []field, name string) bool {
	for _, f := range fields {
		if f.name == name {
			return true
		}
	}
	return false
}

// maxFields bounds the members of a body: there are 16 names.
const maxFields = 32

// flatten lists the members of a JSON object with at most one level of nested
// objects. encoding/json's struct decoding matches names in any case and lets
// the last duplicate win, so tokens are read instead.
func flatten(body []byte) ([]field, error) {
	if !utf8.Valid(body) {
		return nil, &FieldError{Rule: "the body must be UTF-8"}
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, &FieldError{Rule: "the body must be one JSON object"}
	}
	fields, err := members(dec, "", nil)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &FieldError{Rule: "the body must be one JSON object"}
	}
	return fields, nil
}

func members(dec *json.Decoder, prefix string, fields []field) ([]field, error) {
	for {
		t, err := dec.Token()
		if err != nil {
			return nil, &FieldError{Rule: "the body is not valid JSON"}
		}
		if t == json.Delim('}') {
			return fields, nil
		}
		name, ok := t.(string)
		if !ok {
			return nil, &FieldError{Rule: "the body is not valid JSON"}
		}
		if strings.Contains(name, ".") { // else "fiat.amount" could be said in two ways
			return nil, &FieldError{Field: clipField(name), Rule: "is not a field of this request"}
		}
		name = prefix + name
		if hasField(fields, name) || len(fields) >= maxFields {
			return nil, &FieldError{Field: clipField(name), Rule: "is repeated or one too many"}
		}
		if fields, err = member(dec, prefix, name, fields); err != nil {
			return nil, err
		}
	}
}

func member(dec *json.Decoder, prefix, name string, fields []field) ([]field, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, &FieldError{Rule: "the body is not valid JSON"}
	}
	switch v := t.(type) {
	case json.Delim:
		if v != '{' || prefix != "" {
			return nil, &FieldError{Field: clipField(name), Rule: "has a type that no field has"}
		}
		return members(dec, name+".", append(fields, field{name, nil}))
	case nil:
		return nil, &FieldError{Field: clipField(name), Rule: "must not be null: leave it out"}
	default:
		return append(fields, field{name, v}), nil
	}
}

// clipField keeps a foreign field name short and printable in an answer.
func clipField(name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
}
