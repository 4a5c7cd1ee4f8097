package events

import (
	"fmt"
	"strings"
)

// Provider is the name of a ramp provider as it stands in keys, routes and
// configuration: kado, kanga, koinal, kuna or zumo.
type Provider string

// Account names one set of credentials with a provider. It comes from the
// route or the configuration, never from a provider's payload.
type Account string

// Lane is one account at one provider, "provider/account": the unit that owns
// an API key's rate limit, nonce and token. A lane is never split.
type Lane string

// SubjectKind says whether a key names an order or a customer.
type SubjectKind uint8

// The two kinds of subject that have a state.
const (
	Order SubjectKind = iota
	Customer
)

// String is the word used in records: "order" or "customer".
func (k SubjectKind) String() string {
	if k == Customer {
		return "customer"
	}
	return "order"
}

// Key identifies one order or customer. Its string form is the Kafka record
// key. The zero Key is not valid.
type Key struct {
	Provider Provider
	Account  Account
	Kind     SubjectKind
	ID       string
}

// maxPart bounds one part of a key, in bytes.
const maxPart = 128

// ValidPart reports whether s may be a part of a key: 1 to 128 bytes of
// [A-Za-z0-9._:-]. The slash is not among them, so no id can forge a key of
// another account.
func ValidPart(s string) bool {
	if len(s) == 0 || len(s) > maxPart {
		return false
	}
	for i := range len(s) {
		if !inPart[s[i]] {
			return false
		}
	}
	return true
}

// inPart says which bytes may stand in a part of a key. Every key of every record
// is looked at, when it is read and when it is written.
var inPart = func() (t [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") {
		t[c] = true
	}
	return t
}()

// Valid reports whether every part of k may stand in a record key.
func (k Key) Valid() bool {
	return k.Kind <= Customer && ValidPart(string(k.Provider)) && ValidPart(string(k.Account)) && ValidPart(k.ID)
}

// String is the record key: provider/account/orderID for an order,
// provider/account/customer/ID for a customer.
func (k Key) String() string {
	if k.Kind == Customer {
		return string(k.Provider) + "/" + string(k.Account) + "/customer/" + k.ID
	}
	return string(k.Provider) + "/" + string(k.Account) + "/" + k.ID
}

// Named reports whether text is k.String(), without making that.
func Named[T string | []byte](k Key, text T) bool {
	for _, part := range [...]string{string(k.Provider), string(k.Account)} {
		n := len(part)
		if len(text) <= n || string(text[:n]) != part || text[n] != '/' {
			return false
		}
		text = text[n+1:]
	}
	if k.Kind == Customer {
		const kind = "customer/"
		if len(text) < len(kind) || string(text[:len(kind)]) != kind {
			return false
		}
		text = text[len(kind):]
	}
	return string(text) == k.ID
}

// Lane is the lane that answers for k.
func (k Key) Lane() Lane { return LaneOf(k.Provider, k.Account) }

// LaneOf names the lane of an account.
func LaneOf(p Provider, a Account) Lane { return Lane(string(p) + "/" + string(a)) }

// Split is the inverse of LaneOf. On a lane that LaneOf did not make the
// account is empty.
func (l Lane) Split() (Provider, Account) {
	p, a, _ := strings.Cut(string(l), "/")
	return Provider(p), Account(a)
}

// ParseKey is the strict inverse of Key.String. The error never quotes more
// than the shape of s.
func ParseKey(s string) (Key, error) {
	parts := strings.Split(s, "/")
	var k Key
	switch {
	case len(parts) == 3:
		k = Key{Provider(parts[0]), Account(parts[1]), Order, parts[2]}
	case len(parts) == 4 && parts[2] == "customer":
		k = Key{Provider(parts[0]), Account(parts[1]), Customer, parts[3]}
	default:
		return Key{}, fmt.Errorf("key of %d parts: want provider/account/order or provider/account/customer/id", len(parts))
	}
	if !k.Valid() {
		return Key{}, fmt.Errorf("key has a part that is not 1-%d of [A-Za-z0-9._:-]", maxPart)
	}
	return k, nil
}
