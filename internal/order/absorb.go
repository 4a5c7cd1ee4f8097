package order

import (
	"slices"

	"rampstream/internal/events"
)

// Change says how the rows of an Absorb differ from those before.
type Change struct {
	Any bool
	// One: they differ in the row at At alone, of which New says that none of its
	// key was there before. Else any of them may.
	One, New bool
	At       int
}

// Absorb is Join(a, b), and how that differs from a. a must be in normal
// form. The result is built in dst, whose length must be 0: it may be a[:0], and
// then a is changed in place. When nothing changed the result is a itself, and
// dst is as it was.
//
// It is for the one case of the hot path, a record's row or two beside a
// state's: what meets a bound, or needs another row looked at, is left to Join.
func Absorb(dst, a, b []events.Evidence) (rows []events.Evidence, c Change) {
	if !smallStep(a, b) {
		rows = Join(a, b)
		if slices.Equal(rows, a) {
			return a, Change{}
		}
		return append(dst, rows...), Change{Any: true}
	}
	for i := range b {
		var did Change
		if a, did = absorbRow(dst, a, &b[i], c.Any); did.Any {
			if dst = a[:0]; c.Any {
				did = Change{Any: true}
			}
			c = did
		}
	}
	return a, c
}

// smallStep reports whether the rows of b can be put among those of a one by
// one: no bound is met, and no row absorbs or follows from others.
func smallStep(a, b []events.Evidence) bool {
	if len(a)+len(b) > maxWords { // also of decisions, and with it no overflow is near
		return false
	}
	intents, hooks := 0, 0
	for i := range b {
		switch b[i].Kind {
		case events.EvidenceForget, events.EvidenceWebhookMore:
			return false
		case events.EvidenceIntent:
			intents++
		case events.EvidenceWebhook:
			hooks++
		}
	}
	for i := range a {
		switch a[i].Kind {
		case events.EvidenceForget:
			return false
		case events.EvidenceWebhookMore:
			if hooks > 0 { // it has the first sighting of every meaning
				return false
			}
		case events.EvidenceIntent:
			intents++
		}
	}
	// Of several intents only the highest revision stays.
	return intents <= 1 && hooks <= 1
}

// absorbRow puts r into a. own says that a is the caller's to change; else the
// change is made in a copy of a in dst.
func absorbRow(dst, a []events.Evidence, r *events.Evidence, own bool) (rows []events.Evidence, c Change) {
	i, found := place(a, r)
	switch {
	case found && !mergeChanges(&a[i], r):
		return a, Change{}
	case !found && r.Kind == events.EvidenceWebhook && meanings(a, i, r) == maxMeanings:
		// The fifth meaning of a word: the more row begins.
		return append(dst, Join(a, []events.Evidence{*r})...), Change{Any: true}
	case !found:
		i = mutatePlace(i, len(a))
		c = Change{Any: true, One: true, New: true, At: i}
		if own || sameMemory(dst, a) {
			return slices.Insert(a, i, *r), c
		}
		return append(append(append(dst, a[:i]...), *r), a[i:]...), c
	case !own && !sameMemory(dst, a):
		a = append(dst, a...)
	}
	mergeRow(&a[i], r)
	return a, Change{Any: true, One: true, At: i}
}

// sameMemory reports whether dst, of length 0, begins where a does.
func sameMemory(dst, a []events.Evidence) bool {
	return len(a) > 0 && cap(dst) > 0 && &dst[:1][0] == &a[0]
}

// place is where r stands in rows, or would.
func place(rows []events.Evidence, r *events.Evidence) (i int, found bool) {
	for i := range rows {
		if c := compareRows(&rows[i], r); c >= 0 {
			return i, c == 0
		}
	}
	return len(rows), false
}

// meanings counts the webhook rows of r's word; i is where r would stand.
func meanings(rows []events.Evidence, i int, r *events.Evidence) (n int) {
	same := func(o *events.Evidence) bool {
		return o.Kind == events.EvidenceWebhook && o.Word == r.Word && o.Listed == r.Listed
	}
	for j := i - 1; j >= 0 && same(&rows[j]); j-- {
		n++
	}
	for j := i; j < len(rows) && same(&rows[j]); j++ {
		n++
	}
	return n
}

// mergeChanges reports whether mergeRow(a, b) would change a.
func mergeChanges(a, b *events.Evidence) bool {
	if mutateFirst(compareSightings(&b.First, &a.First), a.Kind) < 0 {
		return true
	}
	c := mutateTie(compareLast(&b.Last, &a.Last))
	return c > 0 || (c == 0 && a.Facts != b.Facts && b.Facts.Digest() > a.Facts.Digest())
}
