package poller

import (
	"errors"
	"fmt"
)

// assignment is what the group gave us, as far as readiness is concerned: a
// poller whose restore fails again and again owns nothing and asks nobody, as
// one that stands by does.
type assignment struct {
	known bool           // there is one, if only of nothing
	left  map[int32]bool // to be restored
	held  map[int32]bool // restored
}

// assigned begins one; no partition at all is to stand by.
func (a *assignment) assigned(partitions []int32) {
	*a = assignment{known: true, left: map[int32]bool{}}
	for _, n := range partitions {
		a.left[n] = true
	}
}

func (a *assignment) restored(n int32) {
	a.known = true
	delete(a.left, n)
	if a.held == nil {
		a.held = map[int32]bool{}
	}
	a.held[n] = true
}

// revoked ends it with the last of its partitions.
func (a *assignment) revoked(partitions []int32) {
	for _, n := range partitions {
		delete(a.left, n)
		delete(a.held, n)
	}
	a.known = len(a.left)+len(a.held) > 0
}

// err says what is missing, nil for nothing.
func (a *assignment) err() error {
	switch {
	case !a.known:
		return errors.New("poller: no assignment yet")
	case len(a.left) > 0:
		return fmt.Errorf("poller: %d partitions are to be restored", len(a.left))
	}
	return nil
}
