package order

import "rampstream/internal/events"

// The comparisons by pointer, for the test that holds them equal to the ones by
// value.
var (
	CompareRows      = compareRows
	CompareSightings = compareSightings
	None             = none
)

// Meaning is what the rules take a word of key's lane for.
func Meaning(r *Rules, key events.Key, word string) (st events.Status, listed bool) {
	return r.lane(&key).meaning(key.Kind, word)
}
