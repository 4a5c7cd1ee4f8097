package codec

import (
	"fmt"
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
func (f *faults) text(field, s string) {
	if !utf8.ValidString(s) {
		f.add(field, "not UTF-8")
	}
}

func (f *faults) amount(field string, a events.Amount) {
	if a != "" && !plainDecimal(string(a)) {
		f.add(field, "not a plain decimal")
	}
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

func (f *faults) status(field string, s events.Status) {
	if back, ok := events.ParseStatus(s.String()); !ok || back != s {
		f.add(field, "not a status")
	}
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
