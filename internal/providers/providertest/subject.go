package providertest

import (
	"context"
	"net/http"
	"reflect"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Subject is one provider as the suite sees it.
type Subject struct {
	Provider providers.Provider
	// Signed are accounts whose deliveries are verified: one for each scheme,
	// reading and strictness that the settings can ask for.
	Signed []Signed
	// Hinted are accounts that say trust: hint, with and without a path token.
	Hinted []Hinted
	// Calls are all calls of the client, the checks and sweeps included.
	Calls []Call
	// Secrets are all settings that hold a credential.
	Secrets []Setting
	// Printed are credentials that stand in the provider's documents. Secrets
	// refuses them outside the demo.
	Printed []providers.Secret
	// Without names the fields left empty, each with the document's reason.
	Without map[string]string
}

// Signed is a route whose deliveries are verified.
type Signed struct {
	Name    string
	Account providers.Account
	// Other is another account of the provider, with other secrets.
	Other providers.Account
	// WebhookURL is what ingest derives from its public URL, for both accounts.
	WebhookURL string
	// Sign is the provider: the delivery of a body under the account's first
	// secret at an instant, which is also when it is received. It must be able
	// to sign bodies that are not even JSON.
	Sign func(a providers.Account, body []byte, at events.Millis) providers.Delivery
	// SignatureHeader carries the signature, in canonical MIME form.
	SignatureHeader string
	// Covered are the other headers that are signed or must be the account's.
	Covered []string
	// Methods are the documented methods; others are refused.
	Methods []string
	// Kind is what deliveries are about.
	Kind events.SubjectKind
	// Body is an honest body about a subject, an object with a status word or
	// event type. It carries CanaryName, CanaryEmail and CanaryAddress where
	// personal data would stand.
	Body func(id, word string) []byte
	// Words are the documented words that Body takes.
	Words []Word
	// Amount is an honest body with the literal of a number in it, and AmountOf
	// finds it among the facts.
	Amount   func(literal string) []byte
	AmountOf func(events.Facts) events.Amount
	// Canonical is the spelling of a body that the signature covers; ok is
	// false for a body that has none. Left empty where the bytes are signed.
	Canonical func(body []byte) (canonical []byte, ok bool)
	// Window is how far the signed time may be from ours, either way.
	Window time.Duration
	// Stale is what becomes of a delivery outside the window.
	Stale Stale
	// Without names the fields left empty, each with the document's reason.
	Without map[string]string
}

// Word is a documented word of deliveries.
type Word struct {
	Word   string
	Raw    string // StatusRaw; "" for Word itself
	Status events.Status
}

// Stale is what a route does with an authentic delivery that is too old or new.
type Stale int

// The two treatments.
const (
	StaleIsHint    Stale = iota + 1 // kept as a HINT, reason "stale"
	StaleIsRefused                  // ErrUnauthentic, reason "stale"
)

// Hinted is a route whose deliveries nothing verifies.
type Hinted struct {
	Name    string
	Account providers.Account
	Kind    events.SubjectKind
	// Deliver is an honest delivery about a subject, received at an instant.
	Deliver func(a providers.Account, id string, at events.Millis) providers.Delivery
	// Reason is the HintReason.
	Reason string
	// PathToken is the account's path token, which Deliver puts into its route.
	PathToken string
	// Without names the fields left empty, each with the document's reason.
	Without map[string]string
}

// Call is one call of a client.
type Call struct {
	Name string
	// Account is a valid account with credentials. The suite points its
	// api.base_url at a server of its own.
	Account providers.Account
	// Open builds a client and returns the call. The call may be made many
	// times, also concurrently. It is about the subject CanaryID where it is
	// about one; its result is a providers.Answer or Page where it checks or sweeps.
	Open func(a providers.Account, env providers.Env) (func(context.Context) (any, error), error)
	// Request is the documented method and path, as "GET /orders/canary-id-0001".
	Request string
	// Good is the body of a 200 with which the call succeeds.
	Good string
	// Bodyless is OutcomeOK where every 2xx is a success whatever its body, and
	// OutcomeMalformed where the body matters.
	Bodyless events.Outcome
	// Attempts is how many requests one call makes while the provider answers
	// 503: 1 for calls that change something or burn a nonce, else 3.
	Attempts int
	// Login answers the requests that come before the call's own; ok is false
	// for the call's own.
	Login func(*http.Request) (reply Reply, ok bool)
	// Tokens are credentials that Login hands out. No error has them.
	Tokens []string
	// Failures are the documented failures, and those that the documents make possible.
	Failures []Failure
	// Statuses are the HTTP statuses whose meaning differs from the usual one.
	Statuses map[int]events.Outcome
	// Other is a good answer about another subject than the one asked about.
	Other string
	// Unknown is a good answer with the status word UnknownWord.
	Unknown string
	// Without names the fields left empty, each with the document's reason.
	Without map[string]string
}

// Reply is an answer of the provider.
type Reply struct {
	Status int // 0 is 200
	Body   string
	Header http.Header
}

// Failure is a reply that is one.
type Failure struct {
	Name  string
	Reply Reply
	Want  events.Outcome
}

// Setting is one credential of the configuration.
type Setting struct {
	Name string // as "webhook.secrets[0]"
	// Account is valid; Set replaces its credential.
	Account providers.Account
	Set     func(*providers.Account, providers.Secret)
	// Least is the fewest bytes that are accepted.
	Least int
	// Required says what an account without the credential would be, "" where
	// it is no fault.
	Required string
	// Without names the fields left empty, each with the document's reason.
	Without map[string]string
}

// leastReason is the fewest bytes that can be a reason.
const leastReason = 20

// complete fails for every exported field of the struct v that is neither
// filled nor excused, and for every excuse that excuses nothing.
func complete(t *testing.T, what string, v any) {
	t.Helper()
	for _, fault := range incomplete(v) {
		t.Errorf("%s: %s", what, fault)
	}
}

func incomplete(v any) []string {
	var faults []string
	s := reflect.ValueOf(v)
	without, _ := s.FieldByName("Without").Interface().(map[string]string)
	for i := range s.NumField() {
		name := s.Type().Field(i).Name
		if name == "Without" {
			continue
		}
		reason, excused := without[name]
		switch empty := isEmpty(s.Field(i)); {
		case empty && !excused:
			faults = append(faults, name+" is empty, and Without gives no reason")
		case !empty && excused:
			faults = append(faults, name+" is filled, and Without excuses it")
		case excused && len(reason) < leastReason:
			faults = append(faults, name+": the reason is no sentence")
		}
	}
	for name := range without {
		if !s.FieldByName(name).IsValid() {
			faults = append(faults, name+" is excused and is no field")
		}
	}
	return faults
}

// isEmpty: the zero Kind is Order and the zero Status is a claim too, so enums
// that start at zero count as filled.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() == 0
	case reflect.Uint8:
		return false
	}
	return v.IsZero()
}
