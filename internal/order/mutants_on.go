//go:build mutant

package order

import (
	"cmp"
	"time"

	"github.com/cockroachdb/apd/v3"

	"rampstream/internal/events"
)

// planted names the fault of this build:
//
//	go test -tags mutant -ldflags "-X rampstream/internal/order.planted=last_receipt" ./internal/order ./internal/oracle
//
// must fail. Any other name is no fault, and all tests pass.
var planted string

// mutateFirst: of a webhook the last receipt counts, not the first.
func mutateFirst(c int, kind events.EvidenceKind) int {
	if planted == "last_receipt" && kind == events.EvidenceWebhook {
		return -c
	}
	return c
}

// mutateTie: of two sightings of one event the later argument counts, so that
// the order of Join's arguments matters.
func mutateTie(c int) int {
	if planted == "argument_order" && c == 0 {
		return 1
	}
	return c
}

// mutatePlace: rows stand, and are encoded, as they came.
func mutatePlace(i, n int) int {
	if planted == "unsorted_encode" {
		return n
	}
	return i
}

// mutateAmounts: amounts compare as floating point numbers.
func mutateAmounts(c int, x, y *apd.Decimal) int {
	if planted == "float_amounts" {
		f, _ := x.Float64()
		g, _ := y.Float64()
		return cmp.Compare(f, g)
	}
	return c
}

// mutateSince: a state holds since it was viewed.
func mutateSince(since *events.Millis) {
	if planted == "clock_in_view" {
		*since = max(*since, events.At(time.Now()))
	}
}

// mutateTrust: what nobody verified is believed.
func mutateTrust(t events.Trust) events.Trust {
	if planted == "hint_applied" {
		return events.TrustSigned
	}
	return t
}
