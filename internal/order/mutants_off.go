//go:build !mutant

package order

import (
	"github.com/cockroachdb/apd/v3"

	"rampstream/internal/events"
)

// The mutations are nothing here, and the compiler removes them. mutants_on.go
// has what tests must notice: scripts/mutants.

func mutateFirst(c int, _ events.EvidenceKind) int { return c }
func mutateTie(c int) int                          { return c }
func mutatePlace(i, _ int) int                     { return i }
func mutateAmounts(c int, _, _ *apd.Decimal) int   { return c }
func mutateSince(_ *events.Millis)                 {}
func mutateTrust(t events.Trust) events.Trust      { return t }
