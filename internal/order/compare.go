package order

import (
	"strings"

	"rampstream/internal/events"
)

// The comparisons of events.Sighting and events.Evidence by pointer: a row is
// half a kilobyte, and is compared often. A test holds them equal.

// compareSightings is a.Compare(*b). Most sightings differ in their time.
func compareSightings(a, b *events.Sighting) int {
	switch {
	case a.At < b.At:
		return -1
	case a.At > b.At:
		return 1
	}
	return a.Compare(*b)
}

// compareRows is a.Compare(*b).
func compareRows(a, b *events.Evidence) int {
	switch {
	case a.Kind < b.Kind:
		return -1
	case a.Kind > b.Kind:
		return 1
	}
	if c := strings.Compare(a.Word, b.Word); c != 0 {
		return c
	}
	if a.Listed != b.Listed {
		if b.Listed {
			return -1
		}
		return 1
	}
	return strings.Compare(a.Digest, b.Digest)
}

// earlierOf is earlier by pointer.
func earlierOf(a, b *events.Sighting) *events.Sighting {
	if none(a) || (!none(b) && compareSightings(b, a) < 0) {
		return b
	}
	return a
}

// laterOf is the greater sighting by pointer; the zero sighting is none.
func laterOf(a, b *events.Sighting) *events.Sighting {
	if compareSightings(b, a) > 0 {
		return b
	}
	return a
}
