package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// A Publisher makes records durable.
type Publisher interface {
	// Publish returns the records as they were acknowledged by all in-sync
	// replicas, with partition, offset and timestamp, in the order of rs. It
	// returns soon after ctx is done, with stream.ErrTransient: the records may
	// still land. stream.ErrTooLarge and stream.ErrRefused mean that they did
	// not. It may be called concurrently and must not change rs.
	Publish(ctx context.Context, rs ...stream.Record) ([]stream.Record, error)
}

// An Encoder turns events into record values. It may be called concurrently.
type Encoder interface {
	EncodeWebhook(events.Webhook) ([]byte, error)
	EncodeIntent(events.Intent) ([]byte, error)
}

// Media is the content type that a route takes.
type Media uint8

// The content types of routes.
const (
	// MediaJSON: exactly one Content-Type, application/json, parameters allowed.
	MediaJSON Media = iota
	// MediaAny: at most one Content-Type, which the parser judges; the body may
	// be empty. For callbacks whose content type no document names.
	MediaAny
)

// Route is one account whose deliveries are taken.
type Route struct {
	Provider events.Provider
	Account  events.Account
	Parser   providers.WebhookParser
	// Authenticated is false where every delivery is a hint.
	Authenticated bool
	// GET admits GET and HEAD beside POST, for a provider whose document does
	// not name the method of its callback (Kanga).
	GET   bool
	Media Media
	// PathToken admits a last path element, which the parser compares.
	PathToken bool
	// AllowFrom are the networks whose deliveries are taken; nil takes all.
	AllowFrom []netip.Prefix
}

// Token is one bearer token of the intents routes.
type Token struct {
	Name     string // the Source of its intents; a part of keys' alphabet
	Secret   providers.Secret
	Accounts []events.Lane // what it may write about
}

// Config is what the program serves. New takes it as a snapshot: one request
// sees one configuration.
type Config struct {
	Topics stream.Topics
	Limits Limits
	Routes []Route
	Tokens []Token
	// Accounts are all configured accounts: an intent may be about one that
	// has no webhook route.
	Accounts []events.Lane
	// TrustedProxies are the networks of our own proxies: what one of them says
	// about whom it speaks for is believed, where a route has an AllowFrom.
	TrustedProxies []netip.Prefix
	// RawDeadLetters keeps the body of an unusable delivery instead of its digest.
	RawDeadLetters bool
}

// Limits are the bounds of one process.
type Limits struct {
	Body        int64 // bytes of one webhook body
	Intent      int64 // bytes of one intent body
	InFlight    int   // requests being verified and published; InFlight*Body bounds all bodies
	Connections int
	HeaderBytes int // request line and header block

	ReadHeader, Read, Write, Idle time.Duration

	Publish time.Duration // from verified to acknowledged, then 503
	Drain   time.Duration // after SIGTERM

	HintEvery time.Duration // one hint an order in this time
	HintRate  float64       // hints a second and account
	HintBurst int

	ClockMargin time.Duration // how far the clock may be off before readiness ends
	// ReplayWindow is how long an identical delivery is answered from its
	// receipt. After it the delivery is published again.
	ReplayWindow time.Duration
	// Remember bounds the memories of recent event ids and hinted keys, each.
	Remember int
}

// DefaultLimits are the documented defaults. 8 s to publish stays below the
// 10 s that the most impatient senders wait; Write is above Read + Publish so
// that a late 503 still gets out.
func DefaultLimits() Limits {
	return Limits{
		Body: 256 << 10, Intent: 16 << 10, InFlight: 512, Connections: 4096, HeaderBytes: 16 << 10,
		ReadHeader: 5 * time.Second, Read: 10 * time.Second, Write: 20 * time.Second, Idle: time.Minute,
		Publish: 8 * time.Second, Drain: 25 * time.Second,
		HintEvery: time.Minute, HintRate: 10, HintBurst: 100,
		ClockMargin: 5 * time.Second, ReplayWindow: 10 * time.Minute, Remember: 100_000,
	}
}

// maxBodyCap is the ceiling of a body: no documented delivery is above 20 KB,
// and the topics take records of 1 MiB.
const maxBodyCap = 1 << 20

// Deps is what the program needs from outside. Publisher and Encoder are
// required; the rest has a default.
type Deps struct {
	Publisher Publisher
	Encoder   Encoder
	// Healthy asks whether Kafka can be reached; nil means nobody knows.
	Healthy func(context.Context) error
	Now     func() time.Time
	// Rand gives numbers in [0, 1) for jitter. It may be called concurrently.
	Rand    func() float64
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil registers nowhere
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	l := c.Limits
	if l.Body < 1 || l.Body > maxBodyCap {
		fault("ingest.limits.body: 1 to %d bytes (got %d)", maxBodyCap, l.Body)
	}
	if l.Intent < 1 || l.InFlight < 1 || l.Connections < 1 || l.HeaderBytes < minHeaderBytes || l.Remember < 1 {
		fault("ingest.limits: intent, in_flight, connections and remember must be positive, header_bytes at least %d", minHeaderBytes)
	}
	if l.Publish <= 0 || l.Write <= l.Publish {
		fault("ingest.limits.write: must be above publish (got %v and %v)", l.Write, l.Publish)
	}
	seen := map[events.Lane]bool{}
	for _, r := range c.Routes {
		lane := events.LaneOf(r.Provider, r.Account)
		switch {
		case !events.ValidPart(string(r.Provider)) || !events.ValidPart(string(r.Account)):
			fault("accounts: provider and account must be 1-128 of [A-Za-z0-9._:-] (got %q)", lane)
		case r.Parser == nil:
			fault("accounts[%s]: no verifier; write webhook.trust: hint to take its deliveries as hints", lane)
		case seen[lane]:
			fault("accounts[%s]: configured twice", lane)
		}
		seen[lane] = true
	}
	faults = append(faults, validateTokens(c.Tokens)...)
	return errors.Join(faults...)
}

// minTokenBytes keeps a bearer token out of reach of guessing.
const minTokenBytes = 16

func validateTokens(tokens []Token) (faults []error) {
	names, secrets := map[string]bool{}, map[string]bool{}
	for i, t := range tokens {
		if !events.ValidPart(t.Name) || names[t.Name] {
			faults = append(faults, fmt.Errorf("ingest.tokens[%d].name: unique, 1-128 of [A-Za-z0-9._:-]", i))
		}
		if len(t.Secret.Reveal()) < minTokenBytes || secrets[t.Secret.Reveal()] {
			faults = append(faults, fmt.Errorf("ingest.tokens[%d]: token must be unique and have at least %d bytes", i, minTokenBytes))
		}
		if len(t.Accounts) == 0 {
			faults = append(faults, fmt.Errorf("ingest.tokens[%d].accounts: at least one provider/account", i))
		}
		names[t.Name], secrets[t.Secret.Reveal()] = true, true
	}
	return faults
}
