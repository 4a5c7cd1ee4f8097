package codec

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"rampstream/internal/events"
)

// faults collects the first thing that is wrong with a value. Values are
// checked by the same functions before they are written and after they are
// read, so that nothing is written that cannot be read again. It names fields
// and rules and never quotes what a field holds.
type faults struct{ err error }

func (f *faults) add(field, rule string) {
	if f.err == nil {
		f.err = fmt.Errorf("%s: %s", field, rule)
	}
}

// of returns the fault, if any, under the class of the direction.
func (f *faults) of(record string, class error) error {
	if f.err == nil {
		return nil
	}
	return fmt.Errorf("codec: %s: %v: %w", record, f.err, class)
}

func (f *faults) require(ok bool, field, rule string) {
	if !ok {
		f.add(field, rule)
	}
}

// text wants UTF-8: Avro strings are, and readers in other languages replace
// or refuse what is not.
//
// Most columns of most records are absent: that much is inlined, here and in
// amount.
func (f *faults) text(field, s string) {
	if s != "" {
		f.utf8(field, s)
	}
}

func (f *faults) utf8(field, s string) {
	if !ascii(s) && !utf8.ValidString(s) {
		f.add(field, "not UTF-8")
	}
}

// ascii looks at eight bytes at a time, the last of them twice if need be: what
// nearly all texts are is found out in a third of the time of utf8.ValidString.
func ascii(s string) bool {
	const high = 0x8080808080808080
	n := len(s)
	if n < 8 {
		for i := range n {
			if s[i] >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}
	bits := word(s[n-8:])
	for ; len(s) >= 8; s = s[8:] {
		bits |= word(s)
	}
	return bits&high == 0
}

// word is the first eight bytes of s; the compiler makes it one load.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func (f *faults) amount(field string, a events.Amount) {
	if a != "" {
		f.decimal(field, string(a))
	}
}

func (f *faults) decimal(field, s string) {
	if !plainDecimal(s) {
		f.add(field, "not a plain decimal")
	}
}

func (f *faults) yesNo(field, word string) {
	f.require(word == "" || word == "true" || word == "false", field, "not true or false")
}

// items bounds an array, as reading it does.
func (f *faults) items(field string, n int) {
	f.require(n <= maxItems, field, "too many items")
}

// Instants that every engine can show: the years 0 to 9999.
const (
	minTime events.Millis = -62167219200000
	maxTime events.Millis = 253402300799999
)

// at wants an instant that can be shown; absent is fine.
func (f *faults) at(field string, m events.Millis) {
	if m < minTime || m > maxTime {
		f.add(field, "not in the years 0 to 9999")
	}
}

// clock wants an instant of our own clock, which is after 1970.
func (f *faults) clock(field string, m events.Millis) {
	if m <= 0 || m > maxTime {
		f.add(field, "absent, or not in the years 1970 to 9999")
	}
}

// status wants one of the closed set: any other number has the word of UNKNOWN.
func (f *faults) status(field string, s events.Status) {
	f.require(s == events.StatusUnknown || s.String() != events.StatusUnknown.String(), field, "not a status")
}

func (f *faults) key(k events.Key) {
	if !k.Valid() {
		f.add("key", "a part is not 1-128 of [A-Za-z0-9._:-]")
	}
}

// maxEventID bounds an event id, which merchants may choose for their intents.
const maxEventID = 128

func (f *faults) eventID(id events.EventID) {
	if len(id) == 0 || len(id) > maxEventID || !utf8.ValidString(string(id)) {
		f.add("event_id", "not 1 to 128 bytes of UTF-8")
	}
}

// The words of closed sets, as they are read.

func statusOf(f *faults, field, word string) events.Status {
	s, ok := events.ParseStatus(word)
	f.require(ok, field, "not a status")
	return s
}

func trustOf(f *faults, word string) events.Trust {
	switch word {
	case events.TrustHint.String():
	case events.TrustSigned.String():
		return events.TrustSigned
	default:
		f.add("trust", "not HINT or SIGNED")
	}
	return events.TrustHint
}

func causeOf(f *faults, word string) events.Cause {
	cause, ok := events.ParseCause(word)
	f.require(ok, "cause", "not schedule, hint, sweep or confirm")
	return cause
}

func intentKindOf(f *faults, word string) events.IntentKind {
	kind, ok := events.ParseIntentKind(word)
	f.require(ok, "kind", "not EXPECT, FORGET or DECIDE")
	return kind
}

func evidenceKindOf(f *faults, word string) events.EvidenceKind {
	kind, ok := events.ParseEvidenceKind(word)
	f.require(ok, "kind", "not a kind of evidence")
	return kind
}

// keyOf is the key that the columns of a subject say; key and parts must agree.
func keyOf(f *faults, key, provider, account, subject, id string) events.Key {
	k := events.Key{Provider: events.Provider(provider), Account: events.Account(account), ID: id}
	switch subject {
	case events.Order.String():
	case events.Customer.String():
		k.Kind = events.Customer
	default:
		f.add("subject", "not order or customer")
	}
	f.key(k)
	f.require(events.Named(k, key), "key", "disagrees with its parts")
	return k
}

func validOutcome(o events.Outcome) bool { return slices.Contains(outcomes, o) }

var outcomes = events.Outcomes()

func validDiscrepancy(t events.DiscrepancyType) bool { return slices.Contains(discrepancyTypes, t) }

var discrepancyTypes = events.DiscrepancyTypes()

// plainDecimal is events.Amount.Valid without its allocations; a test holds
// them equal.
func plainDecimal(s string) bool {
	const maxDigits = 80
	neg := len(s) > 0 && s[0] == '-'
	if neg {
		s = s[1:]
	}
	point, zero := -1, true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && point < 0:
			point = i
		case c < '0' || c > '9':
			return false
		case c != '0':
			zero = false
		}
	}
	whole, digits := len(s), len(s)
	if point >= 0 {
		whole, digits = point, digits-1
		if point == len(s)-1 {
			return false
		}
	}
	switch {
	case whole == 0, whole > 1 && s[0] == '0', digits > maxDigits:
		return false
	}
	return !neg || !zero
}
