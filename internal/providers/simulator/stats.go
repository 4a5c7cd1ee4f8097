package simulator

import (
	"maps"
	"math"
	"time"

	"rampstream/internal/events"
)

// Stats counts what really happened, not what was planned.
type Stats struct {
	// Injected counts faults when they take effect: a lost webhook when it was
	// due, a reordered one when it went out after a later one.
	Injected map[Fault]int
	// Answers counts what our webhooks were answered with, by HTTP status; 0
	// is no answer at all.
	Answers map[int]int
	// Sent counts attempts, Acknowledged webhooks answered with exactly 200,
	// Repeated attempts after the first, GivenUp webhooks never acknowledged.
	Sent, Acknowledged, Repeated, GivenUp int
	// ForgeriesRefused counts bad signatures answered with 401,
	// ForgeriesAccepted those answered with anything of 200 to 299.
	ForgeriesRefused, ForgeriesAccepted int
	// Calls counts API calls by class.
	Calls map[Class]int
	// NonceViolations counts nonces that did not increase, Overlaps calls that
	// began while another of the same account was in flight, RedirectsFollowed
	// requests that arrived where a redirect pointed.
	NonceViolations, Overlaps, RedirectsFollowed int
}

func newStats() Stats {
	return Stats{Injected: map[Fault]int{}, Answers: map[int]int{}, Calls: map[Class]int{}}
}

// Stats is a copy of the counters.
func (w *World) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Injected, s.Answers, s.Calls = maps.Clone(s.Injected), maps.Clone(s.Answers), maps.Clone(s.Calls)
	return s
}

// Class is how a call ended, by the provider's own judgement.
type Class string

// The classes of calls.
const (
	ClassOK           Class = "ok"
	ClassUnauthorized Class = "unauthorized"
	ClassNonce        Class = "nonce" // refused for its nonce
	ClassNotFound     Class = "not_found"
	ClassBadRequest   Class = "bad_request" // a body, method or path that the documents do not have
	ClassRateLimited  Class = "rate_limited"
)

// Call is one request to an account's API.
type Call struct {
	Start, End time.Time // by the clock of the world
	Op         string    // what was asked, e.g. "order"; "" for an unknown path
	Method     string
	Path       string // without the query
	Subject    string // the id that was asked about
	Nonce      int64  // 0 when there is none
	Class      Class
	HTTPStatus int   // as the provider meant to answer, before Fault
	Fault      Fault // "" for none
	// RetryAfter is for how long the answer asked not to be called again; 0
	// where it did not, or in words that say nothing.
	RetryAfter time.Duration
	// Overlap is how many other calls of the account were in flight when this
	// one began.
	Overlap int
	// NonceViolation is true when a well-signed call's nonce did not increase.
	NonceViolation bool
}

// Calls lists the calls of an account in the order in which they began to be
// served, as many as Options.Keep allows.
func (w *World) Calls(p events.Provider, name events.Account) []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts[events.LaneOf(p, name)]
	if a == nil {
		return nil
	}
	out := make([]Call, len(a.calls))
	for i, c := range a.calls {
		out[i] = *c
	}
	return out
}

// budget is a token bucket on the world's clock.
type budget struct {
	rate   float64 // calls a second, and the burst; 0 is no limit
	tokens float64
	at     time.Time
}

func (b *budget) take(now time.Time) bool {
	if b.rate <= 0 {
		return true
	}
	burst := math.Max(1, b.rate)
	if b.at.IsZero() {
		b.tokens = burst
	} else {
		b.tokens = math.Min(burst, b.tokens+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
