package codec_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"rampstream/internal/codec"
	"rampstream/internal/events"
)

// Columns that are absent are skipped in runs. So each fact is stated alone: a
// run ends before it, begins after it, or reaches to the end of the value. And
// what may stand where a null is stands there: the other branch, one that is not
// there, a text of less than no length, a null of two bytes; or nothing, not even what comes after it.
func TestReader_skipsOnlyWhatIsAbsent(t *testing.T) {
	p := newPair(t)
	for _, name := range []string{"Webhook", "StatusCheck", "Intent", "OrderState", "CustomerState"} {
		t.Run(name, func(t *testing.T) {
			r, stated := recordOf(t, name), 0
			for _, facts := range factsAlone() {
				b, err := r.encode(p.fast, withFacts(name, facts))
				if errors.Is(err, codec.ErrInvalid) {
					continue // one that this record has no column for
				}
				if err != nil || !p.agree(t, r, b) {
					t.Fatalf("%+v is refused (%v)", facts, err)
				}
				stated++
				for i := len(frameOf(name)); i < len(b); i++ {
					p.agree(t, r, b[:i])
					if b[i] != 0 {
						continue
					}
					for _, other := range [][]byte{nil, {2}, {4}, {2, 1}, {0x80, 0}, {0xff, 1}} {
						p.agree(t, r, slices.Concat(b[:i], other, b[i+1:]))
					}
					p.agree(t, r, slices.Insert(bytes.Clone(b), i, 0))
				}
			}
			if stated < 10 {
				t.Errorf("%d facts were stated alone", stated)
			}
		})
	}
}

// factsAlone are no facts, and each fact alone.
func factsAlone() []events.Facts {
	all := []events.Facts{{}}
	full := reflect.ValueOf(fullFacts())
	for i := range full.NumField() {
		var one events.Facts
		reflect.ValueOf(&one).Elem().Field(i).Set(full.Field(i))
		all = append(all, one)
	}
	return all
}

// withFacts is the smallest value of the record with the facts wherever it has
// some; of a state, with a row that was last said beside one that was not.
func withFacts(name string, facts events.Facts) any {
	switch v := samples()[name+"-minimal"].(type) {
	case events.Webhook:
		v.Facts = facts
		return v
	case events.StatusCheck:
		v.Facts = facts
		return v
	case events.Intent:
		v.Facts = facts
		return v
	case events.State:
		v.Facts, v.Expected = facts, facts
		seen := events.Sighting{At: 1, EventID: "e", Topic: "t"}
		v.Evidence = []events.Evidence{
			{Kind: events.EvidencePoll, Word: "w", First: seen, Last: seen, Facts: facts},
			{Kind: events.EvidenceIntent, First: seen, Revision: 1, Facts: facts},
		}
		return v
	}
	panic("no facts in " + name)
}
