package order

import (
	"cmp"
	"slices"
	"strings"

	"rampstream/internal/events"
)

// Join returns the least evidence that knows everything a and b know. It is
// commutative, associative and idempotent, and its result is in normal form:
// sorted by Evidence.Compare, one row a key, within the bounds. Neither
// argument is changed. Rows that did not come from this package's From
// functions or a Join may come in any order.
func Join(a, b []events.Evidence) []events.Evidence {
	if len(a)+len(b) == 0 {
		return nil
	}
	rows := make([]events.Evidence, 0, len(a)+len(b))
	rows = append(append(rows, a...), b...)
	if f, ok := forgotten(rows); ok {
		return []events.Evidence{f}
	}
	slices.SortFunc(rows, events.Evidence.Compare)
	rows = mergeEqual(rows)
	rows = latestIntents(rows)
	rows = boundWords(rows)
	return boundMeanings(rows)
}

// forgotten finds the FORGET that absorbs everything: the earliest, so that it
// does not matter which was seen first.
func forgotten(rows []events.Evidence) (f events.Evidence, found bool) {
	for _, r := range rows {
		if r.Kind != events.EvidenceForget {
			continue
		}
		if c := r.First.Compare(f.First); !found || c < 0 || (c == 0 && r.Digest < f.Digest) {
			f, found = r, true
		}
	}
	return f, found
}

// mergeEqual merges neighbours with one key.
func mergeEqual(rows []events.Evidence) []events.Evidence {
	out := rows[:0]
	for _, r := range rows {
		if n := len(out); n > 0 && out[n-1].Compare(r) == 0 {
			mergeRow(&out[n-1], &r)
			continue
		}
		out = append(out, r)
	}
	return out
}

// mergeRow joins b to a, of one key: the earliest first, the latest last, and of
// polls the facts at the latest.
func mergeRow(a, b *events.Evidence) {
	if mutateFirst(compareSightings(&b.First, &a.First), a.Kind) < 0 {
		a.First = b.First
	}
	c := mutateTie(compareLast(&b.Last, &a.Last))
	// One sighting, or one digest, with two sets of facts cannot come from one
	// log; the digest keeps the choice independent of order all the same.
	if c > 0 || (c == 0 && a.Facts != b.Facts && b.Facts.Digest() > a.Facts.Digest()) {
		a.Last, a.Facts = b.Last, b.Facts
	}
}

// compareLast orders latest sightings. Of two copies of one event (equal time
// and id) the one with the smaller coordinates counts, as it does for first
// sightings: a record that was written twice must not change a state.
func compareLast(a, b *events.Sighting) int {
	if a.At != b.At {
		return cmp.Compare(a.At, b.At)
	}
	if c := strings.Compare(string(a.EventID), string(b.EventID)); c != 0 {
		return c
	}
	return b.Compare(*a)
}

// latestOf is the greater by compareLast; the zero sighting is none.
func latestOf(a, b events.Sighting) events.Sighting {
	none := events.Sighting{}
	if a == none || (b != none && compareLast(&b, &a) > 0) {
		return b
	}
	return a
}

// latestIntents keeps the intents of the highest revision, at most maxMeanings
// of them: two are a conflict already.
func latestIntents(rows []events.Evidence) []events.Evidence {
	highest, any := int64(0), false
	for _, r := range rows {
		if r.Kind == events.EvidenceIntent && (!any || r.Revision > highest) {
			highest, any = r.Revision, true
		}
	}
	if !any {
		return rows
	}
	kept := 0
	return slices.DeleteFunc(rows, func(r events.Evidence) bool {
		if r.Kind != events.EvidenceIntent {
			return false
		}
		if r.Revision == highest {
			kept++
		}
		return r.Revision != highest || kept > maxMeanings
	})
}

// boundWords keeps the smallest words of each source, listed and unlisted ones
// apart: garbage, however much of it, pushes out garbage. What is listed is a
// property of the record, not of our table, so the laws hold: each of the two
// is bounded by bytes alone. The overflow row keeps the first and the last
// sighting of all that was dropped: without the last, a provider that answers
// ever new words would be asked again at once for ever.
func boundWords(rows []events.Evidence) []events.Evidence {
	for _, listed := range [...]bool{false, true} {
		rows = boundKinds(rows, sourceWebhook, listed, events.EvidenceWebhook, events.EvidenceWebhookMore)
		rows = boundKinds(rows, sourcePoll, listed, events.EvidencePoll)
	}
	return boundDecisions(rows)
}

func boundKinds(rows []events.Evidence, source string, listed bool, kinds ...events.EvidenceKind) []events.Evidence {
	var words []string
	bounded := func(r *events.Evidence) bool { return r.Listed == listed && slices.Contains(kinds, r.Kind) }
	for i := range rows {
		if bounded(&rows[i]) {
			words = append(words, rows[i].Word)
		}
	}
	if len(words) <= maxWords {
		return rows
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) <= maxWords {
		return rows
	}
	return overflow(rows, source, func(r events.Evidence) bool {
		return bounded(&r) && r.Word > words[maxWords-1]
	})
}

func boundDecisions(rows []events.Evidence) []events.Evidence {
	n := 0
	for _, r := range rows {
		if r.Kind == events.EvidenceDecision {
			n++
		}
	}
	if n <= maxDecisions {
		return rows
	}
	seen := 0
	return overflow(rows, sourceDecision, func(r events.Evidence) bool {
		if r.Kind == events.EvidenceDecision {
			seen++
		}
		return r.Kind == events.EvidenceDecision && seen > maxDecisions
	})
}

// overflow removes the rows that drop names and merges their first sightings
// into the overflow row of source.
func overflow(rows []events.Evidence, source string, drop func(events.Evidence) bool) []events.Evidence {
	extra := events.Evidence{Kind: events.EvidenceOverflow, Word: source}
	rows = slices.DeleteFunc(rows, func(r events.Evidence) bool {
		if !drop(r) {
			return false
		}
		extra.First, extra.Last = earlier(extra.First, r.First), latestOf(extra.Last, r.Last)
		return true
	})
	return insert(rows, extra)
}

// boundMeanings keeps, of each webhook word, the meanings with the smallest
// digests. The more row of the word keeps the first sighting of all of them,
// dropped or kept.
func boundMeanings(rows []events.Evidence) []events.Evidence {
	var more []events.Evidence
	for i := 0; i < len(rows) && rows[i].Kind == events.EvidenceWebhook; {
		j := i
		for j < len(rows) && rows[j].Kind == events.EvidenceWebhook && rows[j].Word == rows[i].Word && rows[j].Listed == rows[i].Listed {
			j++
		}
		m := events.Evidence{Kind: events.EvidenceWebhookMore, Word: rows[i].Word, Listed: rows[i].Listed}
		_, known := slices.BinarySearchFunc(rows, m, events.Evidence.Compare)
		if known || j-i > maxMeanings {
			for _, r := range rows[i:j] {
				m.First = earlier(m.First, r.First)
			}
			more = append(more, m)
		}
		if j-i > maxMeanings {
			rows = slices.Delete(rows, i+maxMeanings, j)
			j = i + maxMeanings
		}
		i = j
	}
	for _, m := range more {
		rows = insert(rows, m)
	}
	return rows
}

// insert puts r into sorted rows, merging it with a row of its key.
func insert(rows []events.Evidence, r events.Evidence) []events.Evidence {
	i, found := slices.BinarySearchFunc(rows, r, events.Evidence.Compare)
	if found {
		mergeRow(&rows[i], &r)
		return rows
	}
	return slices.Insert(rows, i, r)
}

// earlier is the smaller sighting; the zero sighting is none.
func earlier(a, b events.Sighting) events.Sighting {
	if a == (events.Sighting{}) || (b != (events.Sighting{}) && b.Compare(a) < 0) {
		return b
	}
	return a
}
