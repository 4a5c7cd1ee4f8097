package proxy

import (
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Rule is one fault for one sort of request.
type Rule struct {
	Key kmsg.Key
	// Client must be part of the client id; "" is any.
	Client string
	// Only, if not nil, looks into the request.
	Only func(kmsg.Request) bool
	// Times is how often the rule is obeyed; 0 is always.
	Times int
	// Chance is how likely each match is obeyed, by a number of [0,1) that Dice
	// gives; a nil Dice obeys all.
	Chance float64
	Dice   func() float64

	// What to do, one of them:

	// Drop forwards the request and loses the answer; the connection ends.
	Drop bool
	// Lose loses the request; the connection ends.
	Lose bool
	// Hold keeps the request until Release and then lets it through; the client's
	// connection ends at once, so that it asks again elsewhere meanwhile.
	Hold bool
	// Delay lets the request wait on its connection.
	Delay time.Duration
	// Answer answers in the broker's place; nil forwards after all.
	Answer func(kmsg.Request) kmsg.Response
	// Edit changes a broker's answer.
	Edit func(kmsg.Response)
	// Mute forwards the request and never answers; the connection stays open.
	Mute bool
	// HaltBefore keeps the request and all that follows on its connection, which
	// stays open: the client stands right before the broker would hear of it.
	HaltBefore bool
	// HaltAfter forwards the request and keeps the answer, and all that follows on
	// the connection, both ways: the client stands right before it would hear of
	// what the broker did. An answer with an error is passed on, as if there were no
	// rule: the client asks again.
	HaltAfter bool

	// Trim, with HaltAfter, changes what is forwarded, again after an error. If it
	// reports that nothing is left, nothing is forwarded: the client stands as by
	// HaltBefore.
	Trim func(kmsg.Request) (some bool)
	// When, with HaltAfter, looks into the answer; one for which it is false is
	// passed on as if there were no rule.
	When func(kmsg.Response) bool

	mu       sync.Mutex
	hits     int
	over     bool
	good     bool
	reached  chan struct{}
	codes    []int16
	released chan struct{}
	waiting  int
	after    sync.WaitGroup
}

// take reports whether a request is the rule's.
func (r *Rule) take(key kmsg.Key, client string, decode func() kmsg.Request) bool {
	if r.Key != key || !contains(client, r.Client) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.Times > 0 && r.hits >= r.Times {
		return false
	}
	if r.Only != nil {
		if req := decode(); req == nil || !r.Only(req) {
			return false
		}
	}
	if r.Dice != nil && r.Dice() >= r.Chance {
		return false
	}
	r.hits++
	if r.Hold {
		r.waiting++
		r.after.Add(1)
		if r.released == nil {
			r.released = make(chan struct{})
		}
	}
	return true
}

// Hits counts how often the rule was obeyed.
func (r *Rule) Hits() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hits
}

// Reached is closed when a client stands where HaltBefore or HaltAfter has it; of
// a rule that does nothing, when an answer without an error was passed on.
func (r *Rule) Reached() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.place()
}

// place makes the channel of Reached; r.mu is held.
func (r *Rule) place() chan struct{} {
	if r.reached == nil {
		r.reached = make(chan struct{})
	}
	return r.reached
}

// reach closes the channel of Reached, once.
func (r *Rule) reach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.place():
	default:
		close(r.reached)
	}
}

// IsReached reports whether Reached is closed.
func (r *Rule) IsReached() bool {
	select {
	case <-r.Reached():
		return true
	default:
		return false
	}
}

// pass notes an answer without an error.
func (r *Rule) pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.good = true
}

// Passed reports whether an answer without an error was passed on, or is about to
// be: whatever the client does because of it comes later. Reached is closed
// afterwards, when the client may have done it.
func (r *Rule) Passed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.good
}

// Codes are the error codes of the answers that HaltAfter kept, as Release gives
// them.
func (r *Rule) Codes() []int16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.codes)
}

// Held counts the requests that wait for Release.
func (r *Rule) Held() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting
}

// gate is closed by Release.
func (r *Rule) gate() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.released == nil { // released meanwhile
		open := make(chan struct{})
		close(open)
		return open
	}
	return r.released
}

// Release ends the rule, lets what is held through and returns the error codes
// that the brokers answered to it, when all have answered: -1 for an answer that
// cannot be read, -2 where the broker's connection was gone, -3 for no answer
// within ten seconds.
func (r *Rule) Release() []int16 {
	r.mu.Lock()
	r.over = true
	if r.released != nil {
		close(r.released)
		r.released = nil
	}
	r.mu.Unlock()
	r.after.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	codes := r.codes
	r.codes = nil
	return codes
}

// through counts one request less that waits.
func (r *Rule) through() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting--
}

func (r *Rule) answered(code int16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.codes = append(r.codes, code)
}
