package koinal

import (
	"errors"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// orderFields are the members of an order that we read, under the names that
// the quote example of the document uses where it has them. transaction_id and
// customer_reference and status are ours: the document describes them without
// a name.
var orderFields = []string{
	"id", "status", "currency_amount", "currency", "cryptocurrency_amount", "cryptocurrency", "transaction_id",
	"customer_reference",
}

// callFields are names in requests and answers of the API. Only token,
// cryptocurrency_amount and currency_amount are in the document.
var callFields = []string{"token", "token_header", "wallet_address", "destination_tag", "ip_address", "checkout_url", "timestamp_unit", "auth_scheme"}

// fields maps our name of a field to the configured one.
type fields map[string]string

func newFields(configured map[string]string) fields {
	f := fields{"token_header": "Token", "timestamp_unit": "ms"}
	for k, v := range configured {
		f[k] = v
	}
	return f
}

// ofStatus are the names in an answer of the status call. The document shows
// the names of a quote and has lost those of a status: they need not be the same.
func (f fields) ofStatus() fields {
	out := fields{}
	for _, field := range orderFields {
		if n := f[statusPrefix+field]; n != "" {
			out[field] = n
		} else if n := f[field]; n != "" {
			out[field] = n
		}
	}
	return out
}

// statusPrefix begins the names of api.fields that only the status call has.
const statusPrefix = "status_"

func statusFields() []string {
	var out []string
	for _, field := range orderFields {
		out = append(out, statusPrefix+field)
	}
	return out
}

func (f fields) name(field string) string {
	if n := f[field]; n != "" {
		return n
	}
	return field
}

// get follows the configured name, whose points lead into objects.
func (f fields) get(v jsonx.Value, field string) jsonx.Value {
	return v.At(strings.Split(f.name(field), ".")...)
}

// put is the inverse of get for a request.
func (f fields) put(body map[string]any, field string, value any) {
	path := strings.Split(f.name(field), ".")
	for _, name := range path[:len(path)-1] {
		inner, ok := body[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			body[name] = inner
		}
		body = inner
	}
	body[path[len(path)-1]] = value
}

var (
	errNoID   = errors.New("no order id")
	errBadID  = errors.New("order id is not usable as a key")
	errStatus = errors.New("status is no word")
)

// order is what we keep of an order.
type order struct {
	id     string
	status string // "" when it states none
	facts  events.Facts
}

// read takes the whitelisted fields. The errors are those above: an unusable
// optional field is left out, except an amount, because a wrong or missing one
// would be believed.
func (f fields) read(v jsonx.Value) (order, error) {
	id, err := readID(f.get(v, "id"))
	if err != nil {
		return order{}, err
	}
	status, err := readStatus(f.get(v, "status"))
	if err != nil {
		return order{}, err
	}
	o := order{id: id, status: status, facts: events.Facts{
		FiatCurrency: providers.Token(f.get(v, "currency"), 32), CryptoAsset: providers.Token(f.get(v, "cryptocurrency"), 32),
		TxHash: providers.Token(f.get(v, "transaction_id"), 128), CustomerID: providers.Token(f.get(v, "customer_reference"), 128),
		Side: "buy", // the product only sells crypto to customers
	}}
	if o.facts.FiatAmount, err = providers.ReadAmount(f.get(v, "currency_amount")); err != nil {
		return order{}, err
	}
	if o.facts.CryptoAmount, err = providers.ReadAmount(f.get(v, "cryptocurrency_amount")); err != nil {
		return order{}, err
	}
	return o, nil
}

// readID accepts a string and a whole number, whose literal is the id.
func readID(v jsonx.Value) (string, error) {
	if v.Kind() == jsonx.Absent || v.IsNull() {
		return "", errNoID
	}
	if literal, ok := v.Literal(); ok {
		if len(literal) > 40 || strings.Trim(literal, "0123456789") != "" {
			return "", errBadID
		}
		return literal, nil
	}
	s, ok := v.Text()
	if !ok || !usableID(s) {
		return "", errBadID
	}
	return s, nil
}

// usableID excludes, beyond what a key excludes, the two names that mean
// another place in the path of a URL.
func usableID(id string) bool { return events.ValidPart(id) && id != "." && id != ".." }

// maxStatus bounds a status word: free text must not become one.
const maxStatus = 40

func readStatus(v jsonx.Value) (string, error) {
	if v.Kind() == jsonx.Absent || v.IsNull() {
		return "", nil
	}
	s, ok := v.Text()
	if !ok || !statusWord(s) {
		return "", errStatus
	}
	return s, nil
}

// statusWord admits single inner blanks: "in progress".
func statusWord(s string) bool {
	for part := range strings.SplitSeq(s, " ") {
		if !events.ValidPart(part) {
			return false
		}
	}
	return len(s) <= maxStatus
}
