// Package providers says what a ramp provider can be asked and how an answer
// or a delivery becomes an observation. Each provider is one package below this
// one; they never import each other, and only the programs' mains name them.
//
// The half of a provider that parses and verifies does no I/O and reads no
// clock. The half that calls (client.go in each package) makes one request a
// method, follows no redirect, and caps what it reads.
package providers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rampstream/internal/events"
)

// The classes of a delivery's failure. Callers branch with errors.Is and on
// nothing else.
var (
	// ErrUnauthentic: the delivery did not provably come from the provider (401).
	ErrUnauthentic = errors.New("not authentic")
	// ErrBadRequest: unreadable before anything could be verified (400).
	ErrBadRequest = errors.New("bad request")
	// ErrUnsupportedMedia: a content type or encoding the scheme does not have (415).
	ErrUnsupportedMedia = errors.New("unsupported media type")
	// ErrMalformed: authentic but unusable (200 and a dead letter).
	ErrMalformed = errors.New("authentic but unusable")
)

// Reason is the closed-set label that says why a delivery was refused or set
// aside: "signature", "signature_format", "header_duplicate", "header_missing",
// "public_key", "timestamp", "stale", "json_syntax", "json_ambiguous",
// "json_bounds", "number_lossy", "encoding", "no_order_id", "bad_id", "media_type",
// "path_token", "empty_body", "unknown_shape".
type Reason string

// DeliveryError is what ParseWebhook returns: a class above, and the reason as
// a label. Its text never quotes the delivery beyond what is safe to log.
type DeliveryError struct {
	Class  error
	Reason Reason
	Detail string // for rampctl webhook verify; never sent to the caller of ingest
}

func (e *DeliveryError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%s: %v", e.Reason, e.Class)
	}
	return fmt.Sprintf("%s: %s: %v", e.Reason, e.Detail, e.Class)
}

// Unwrap gives the class.
func (e *DeliveryError) Unwrap() error { return e.Class }

// Refuse builds a DeliveryError.
func Refuse(class error, reason Reason, detail string) error {
	return &DeliveryError{Class: class, Reason: reason, Detail: detail}
}

// Delivery is one HTTP request from a provider, read in full.
type Delivery struct {
	Method   string
	RawQuery string
	// PathToken is what follows provider and account in the route
	// (/v1/webhooks/{provider}/{account}/{token}); "" when nothing does. For
	// unsigned callbacks it is a capability that we chose.
	PathToken string
	// Header has canonical MIME keys (Content-Type), as net/http makes them.
	Header map[string][]string
	Body   []byte // the bytes on the wire
	// ReceivedAt is our clock; freshness is judged by it.
	ReceivedAt events.Millis
}

// A WebhookParser authenticates a delivery and says what it means.
type WebhookParser interface {
	// ParseWebhook does no I/O and may be called concurrently. The key's
	// provider and account are the configured ones, whatever the body says. On
	// error, always a *DeliveryError, the Webhook is the zero value. ObservedAt
	// is the delivery's ReceivedAt.
	ParseWebhook(Delivery) (events.Webhook, error)
}

// Answer is what a provider said about one subject. StatusRaw is never empty.
type Answer struct {
	Key       events.Key
	StatusRaw string
	Facts     events.Facts
}

// Question is one thing to ask.
type Question struct {
	Key events.Key
	// Nonce is the number to sign with where the provider wants one (Serial),
	// else 0.
	Nonce int64
}

// A Checker asks the provider where a subject stands.
type Checker interface {
	// Check makes one logical request (a token refresh and one re-login may
	// come with it) and returns the provider's answer, or a *CallError.
	// It may be called concurrently unless Capabilities.Serial.
	Check(ctx context.Context, q Question) (Answer, error)
}

// Page is one page of a sweep.
type Page struct {
	Answers []Answer
	// Next is where to go on; "" at the end.
	Next string
	// Unreadable counts the entries of the page that are not among Answers,
	// because their id cannot be a key or their content makes no sense. One of
	// them must not stop the sweep of all others.
	Unreadable int
}

// A Sweeper lists subjects that we may never have heard of.
type Sweeper interface {
	// Sweep asks for one page from a cursor ("" for the first); errors are *CallError.
	Sweep(ctx context.Context, cursor string) (Page, error)
	// Ack tells the provider that an answer is durable with us (Zumo:
	// synchronised). A provider without such a call does nothing. Ack is called
	// only after Kafka acknowledged every event of the page.
	Ack(ctx context.Context, a Answer) error
}

// CallError is a failed call: its class, and what the caller must respect.
// Its text has no URL, body, token or id in it.
type CallError struct {
	Outcome    events.Outcome
	HTTPStatus int // 0 when no response came
	// RetryAfter is how long the provider asked not to be called; 0 when it
	// did not. Already capped to 24 h, at least 1 s.
	RetryAfter time.Duration
	// Nonce is true when the provider may have refused the nonce, not the
	// credentials (Kanga 9000).
	Nonce bool
	Op    string // which call, e.g. "kanga check payment"
	Err   error  // the cause, already stripped of anything secret; may be nil
}

func (e *CallError) Error() string {
	s := e.Op + ": " + string(e.Outcome)
	if e.HTTPStatus != 0 {
		s += fmt.Sprintf(" (HTTP %d)", e.HTTPStatus)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *CallError) Unwrap() error { return e.Err }

// Capabilities is what one configured account can do. Nil members are things
// the provider's documents do not have, or the configuration left out.
type Capabilities struct {
	Webhook WebhookParser
	// Authenticated is false when every delivery of this route is a hint.
	Authenticated bool
	// CallbackByGET is true where the document does not name the method of the
	// callback: ingest takes GET and HEAD beside POST.
	CallbackByGET bool
	// AnyMedia is true where the document does not name the content type of a
	// signed delivery: the parser judges the body alone.
	AnyMedia  bool
	Orders    Checker
	Customers Checker
	Sweep     Sweeper
	// SweepAcks is true where Sweep.Ack makes a call. Where it is false the
	// poller spends neither a turn nor budget on it.
	SweepAcks bool
	// Serial asks for one call at a time with strictly increasing nonces.
	Serial bool
}

// Provider is what a provider package exports as its variable Provider.
type Provider struct {
	Name       events.Provider
	Vocabulary func(Account) events.Vocabulary // the table, with the account's configured words
	// Validate reports every fault of an account's settings, each as
	// "field: rule (got v)", secrets never quoted.
	Validate func(Account, Policy) []string
	// Open builds the capabilities of a valid account. It does no I/O.
	Open func(Account, Env) (Capabilities, error)
}
