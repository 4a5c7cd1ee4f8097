package oracle

import (
	"slices"
	"strings"

	"rampstream/internal/events"
)

// Evidence is the rows that a state of h has, sorted.
func (h *History) Evidence() []events.Evidence {
	if len(h.forgets) > 0 {
		f := earliest(h.forgets)
		return []events.Evidence{{Kind: events.EvidenceForget, Digest: f.digest, First: f.at, Operator: f.operator, Reason: f.reason}}
	}
	var rows []events.Evidence
	for _, listed := range []bool{false, true} { // each has bounds of its own
		is := func(r record) bool { return r.listed == listed }
		rows = append(rows, webhookRows(where(h.webhooks, is), listed)...)
		rows = append(rows, pollRows(where(h.polls, is), listed)...)
	}
	rows = mergeOverflow(rows)
	rows = append(rows, intentRows(h.intents)...)
	rows = append(rows, decisionRows(h.decides)...)
	for source, all := range map[string][]record{"webhook": h.webhooks, "poll": h.polls, "intent": h.intents, "decision": h.decides} {
		ahead := slices.DeleteFunc(slices.Clone(all), func(r record) bool { return !r.future })
		if len(ahead) > 0 {
			rows = append(rows, events.Evidence{Kind: events.EvidenceFuture, Word: source, First: earliest(ahead).at, Last: newest(ahead).at})
		}
	}
	slices.SortFunc(rows, func(a, b events.Evidence) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		if a.Word != b.Word {
			return strings.Compare(a.Word, b.Word)
		}
		if a.Listed != b.Listed {
			return map[bool]int{false: -1, true: 1}[a.Listed]
		}
		return strings.Compare(a.Digest, b.Digest)
	})
	return rows
}

// mergeOverflow makes one overflow row of those of listed and unlisted words.
func mergeOverflow(rows []events.Evidence) (out []events.Evidence) {
	at := map[string]int{}
	for _, row := range rows {
		i, twice := at[row.Word]
		switch {
		case row.Kind != events.EvidenceOverflow:
		case !twice:
			at[row.Word] = len(out)
		default:
			a, b := record{at: out[i].First}, record{at: row.First}
			out[i].First = earliest([]record{a, b}).at
			if row.Last != (events.Sighting{}) {
				out[i].Last = newest([]record{{at: out[i].Last}, {at: row.Last}}).at
			}
			continue
		}
		out = append(out, row)
	}
	return out
}

func webhookRows(all []record, listed bool) (rows []events.Evidence) {
	kept, dropped := smallest(all, 64, func(r record) string { return r.word })
	for _, word := range names(kept, func(r record) string { return r.word }) {
		said := where(kept, func(r record) bool { return r.word == word })
		meanings := names(said, func(r record) string { return r.digest })
		if len(meanings) > 4 {
			rows = append(rows, events.Evidence{Kind: events.EvidenceWebhookMore, Word: word, Listed: listed, First: earliest(said).at})
			meanings = meanings[:4]
		}
		for _, digest := range meanings {
			f := earliest(where(said, func(r record) bool { return r.digest == digest }))
			rows = append(rows, events.Evidence{Kind: events.EvidenceWebhook, Word: word, Listed: listed, Digest: digest, First: f.at, Facts: f.facts})
		}
	}
	if len(dropped) > 0 {
		rows = append(rows, events.Evidence{Kind: events.EvidenceOverflow, Word: "webhook", First: earliest(dropped).at})
	}
	return rows
}

func pollRows(all []record, listed bool) (rows []events.Evidence) {
	kept, dropped := smallest(all, 64, func(r record) string { return r.word })
	for _, word := range names(kept, func(r record) string { return r.word }) {
		said := where(kept, func(r record) bool { return r.word == word })
		last := newest(said)
		rows = append(rows, events.Evidence{Kind: events.EvidencePoll, Word: word, Listed: listed, First: earliest(said).at, Last: last.at, Facts: last.facts})
	}
	if len(dropped) > 0 {
		rows = append(rows, events.Evidence{Kind: events.EvidenceOverflow, Word: "poll", First: earliest(dropped).at, Last: newest(dropped).at})
	}
	return rows
}

func intentRows(all []record) (rows []events.Evidence) {
	var highest int64
	for _, r := range all {
		highest = max(highest, r.revision)
	}
	all = where(all, func(r record) bool { return r.revision == highest })
	kept, _ := smallest(all, 4, func(r record) string { return r.digest })
	for _, digest := range names(kept, func(r record) string { return r.digest }) {
		f := earliest(where(kept, func(r record) bool { return r.digest == digest }))
		rows = append(rows, events.Evidence{Kind: events.EvidenceIntent, Digest: digest, First: f.at, Revision: f.revision, Facts: f.facts})
	}
	return rows
}

func decisionRows(all []record) (rows []events.Evidence) {
	// "\x00" sorts before every byte of a word, so this sorts by word, then digest.
	name := func(r record) string { return r.word + "\x00" + r.digest }
	kept, dropped := smallest(all, 64, name)
	for _, n := range names(kept, name) {
		said := where(kept, func(r record) bool { return name(r) == n })
		f := earliest(said)
		rows = append(rows, events.Evidence{Kind: events.EvidenceDecision, Word: f.word, Digest: f.digest, First: f.at, Last: newest(said).at,
			Operator: f.operator, Reason: f.reason})
	}
	if len(dropped) > 0 {
		rows = append(rows, events.Evidence{Kind: events.EvidenceOverflow, Word: "decision", First: earliest(dropped).at, Last: newest(dropped).at})
	}
	return rows
}

// names are the distinct names of records, sorted by bytes.
func names(all []record, name func(record) string) []string {
	var out []string
	for _, r := range all {
		if !slices.Contains(out, name(r)) {
			out = append(out, name(r))
		}
	}
	slices.Sort(out)
	return out
}

// smallest parts records by whether their name is among the n smallest.
func smallest(all []record, n int, name func(record) string) (kept, dropped []record) {
	keep := names(all, name)
	if len(keep) > n {
		keep = keep[:n]
	}
	for _, r := range all {
		if slices.Contains(keep, name(r)) {
			kept = append(kept, r)
		} else {
			dropped = append(dropped, r)
		}
	}
	return kept, dropped
}

func where(all []record, is func(record) bool) []record {
	var out []record
	for _, r := range all {
		if is(r) {
			out = append(out, r)
		}
	}
	return out
}

// earliest is the record with the smallest sighting.
func earliest(all []record) record {
	best := all[0]
	for _, r := range all {
		if before(r.at, best.at) {
			best = r
		}
	}
	return best
}

// newest is the record with the latest time and greatest event id; of copies
// of one event, the one with the smallest coordinates.
func newest(all []record) record {
	best := all[0]
	for _, r := range all {
		switch {
		case r.at.At != best.at.At:
			if r.at.At > best.at.At {
				best = r
			}
		case r.at.EventID != best.at.EventID:
			if r.at.EventID > best.at.EventID {
				best = r
			}
		case before(r.at, best.at):
			best = r
		}
	}
	return best
}

// before orders sightings by time, event id, topic, partition, offset.
func before(a, b events.Sighting) bool {
	switch {
	case a.At != b.At:
		return a.At < b.At
	case a.EventID != b.EventID:
		return a.EventID < b.EventID
	case a.Topic != b.Topic:
		return a.Topic < b.Topic
	case a.Partition != b.Partition:
		return a.Partition < b.Partition
	}
	return a.Offset < b.Offset
}
