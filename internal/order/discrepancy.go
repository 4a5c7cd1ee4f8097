package order

import (
	"slices"

	"rampstream/internal/events"
)

// Severities of a discrepancy.
const (
	SeverityInfo     = "info"     // worth knowing, nothing to do
	SeverityWarning  = "warning"  // look at it
	SeverityCritical = "critical" // money may be wrong
)

// Discrepancies lists what does not fit in the evidence of key, open and
// resolved, at most one of each type, sorted by type. Like View it is a pure
// function: a discrepancy that later evidence proves never to have been is not
// in the list any more.
func (r Rules) Discrepancies(key events.Key, rows []events.Evidence) []events.Discrepancy {
	_, all := r.Assess(key, rows)
	return all
}

func (r Rules) discrepancies(s *summary, st events.State) []events.Discrepancy {
	var out []events.Discrepancy
	add := func(d events.Discrepancy, ok bool) {
		if ok {
			d.Key = st.Key
			slices.Sort(d.Evidence)
			d.Evidence = slices.DeleteFunc(slices.Compact(d.Evidence), func(c string) bool { return c == "" })
			out = append(out, d)
		}
	}
	if s.kind == events.Order {
		add(r.missingWebhook(s))
		add(r.statusConflict(s, st))
		add(r.lateAfterTerminal(s))
		add(r.unconfirmed(s))
		add(txHashMismatch(s))
		for _, d := range intentMismatches(s) {
			add(d, true)
		}
	}
	add(r.illegalTransition(s, st))
	add(duplicateConflict(s))
	add(unknownStatus(s, st))
	add(r.stuck(s, st))
	add(futureEvidence(s))
	slices.SortFunc(out, func(a, b events.Discrepancy) int {
		if a.Type < b.Type {
			return -1
		}
		return 1
	})
	return out
}

// resolvedBy is when a row was said at or after t: its first sighting, if that
// is late enough, else its last. 0 when it was not.
func resolvedBy(row *events.Evidence, t events.Millis) events.Millis {
	switch {
	case row == nil:
		return 0
	case row.First.At > t:
		return row.First.At
	case row.Kind == events.EvidencePoll && row.Last.At > t:
		return row.Last.At
	}
	return 0
}

// terminalPoll is the poll row with the latest last sighting of a terminal word.
func (s *summary) terminalPoll() *events.Evidence {
	var row *events.Evidence
	for i := range s.rows {
		p := &s.rows[i]
		if p.Kind == events.EvidencePoll && !failure(p.Word) && s.meaning(p.Word).Terminal() {
			row = latest(row, p)
		}
	}
	return row
}

// missingWebhook: a poll found a terminal status, and no webhook said it in time.
func (r Rules) missingWebhook(s *summary) (events.Discrepancy, bool) {
	if !s.vocab.Webhooks {
		return events.Discrepancy{}, false
	}
	for _, t := range s.terminals() {
		if t.pollFirst == (events.Sighting{}) {
			continue
		}
		due := t.pollFirst.At + ms(r.settings.MissingWebhook)
		came := t.webhook
		if (came != (events.Sighting{}) && came.At <= due) || (came == (events.Sighting{}) && s.lastSeen.At < due) {
			continue
		}
		return events.Discrepancy{
			Type: events.MissingWebhook, Severity: SeverityWarning, OpenedAt: due, ResolvedAt: came.At,
			Expected: "a webhook of " + t.status.String(), Seen: "only polls",
			Evidence: []string{t.pollFirst.Coordinates(), came.Coordinates()},
		}, true
	}
	return events.Discrepancy{}, false
}

// statusConflict: two sources say what cannot both be, or one webhook does.
func (r Rules) statusConflict(s *summary, st events.State) (events.Discrepancy, bool) {
	d := events.Discrepancy{Type: events.StatusConflict, Severity: SeverityCritical}
	found := false
	note := func(at events.Sighting, expected, seen string, resolved events.Millis) {
		d.Evidence = append(d.Evidence, at.Coordinates())
		if !found || at.At < d.OpenedAt {
			d.OpenedAt, d.Expected, d.Seen = at.At, expected, seen
		}
		if !found || resolved == 0 || (d.ResolvedAt != 0 && resolved > d.ResolvedAt) {
			if !found || d.ResolvedAt != 0 {
				d.ResolvedAt = resolved
			}
		}
		found = true
	}
	terms := s.terminals()
	if len(terms) > 1 {
		at := terms[1].first()
		if terms[0].first().Compare(at) > 0 {
			at = terms[0].first()
		}
		resolved := events.Millis(0)
		if st.Status.Terminal() {
			row, _ := s.row(st.Status)
			if resolved = resolvedBy(row, at.At); resolved == 0 {
				resolved = max(at.At, st.Since)
			}
		}
		note(at, terms[0].status.String(), terms[1].status.String(), resolved)
	}
	if against, row := s.contradiction(); row != nil && len(terms) > 0 && against.Compare(terms[0].first()) > 0 {
		note(against, terms[0].status.String(), s.meaning(row.Word).String(), resolvedBy(s.terminalPoll(), against.At))
	}
	for i := range s.rows {
		w := &s.rows[i]
		if w.Kind != events.EvidenceWebhook || w.Facts.StatusInData == "" {
			continue
		}
		typ, data := s.meaning(w.Word), s.meaning(w.Facts.StatusInData)
		// Words of one stage differ between the type and the data (PENDING beside
		// PROCESSING); that one settles the order and the other does not, cannot be.
		if typ == data || data == events.StatusUnknown || (!typ.Terminal() && !data.Terminal()) {
			continue
		}
		note(w.First, typ.String(), data.String(), resolvedBy(s.poll, w.First.At))
	}
	return d, found
}

// lateAfterTerminal: a webhook with a non-terminal word came after a terminal one.
func (r Rules) lateAfterTerminal(s *summary) (events.Discrepancy, bool) {
	terms := s.terminals()
	if len(terms) == 0 {
		return events.Discrepancy{}, false
	}
	settled := terms[0].first()
	for _, t := range terms[1:] {
		settled = earlier(settled, t.first())
	}
	for i := range s.rows {
		w := &s.rows[i]
		st := s.meaning(w.Word)
		if w.Kind != events.EvidenceWebhook || st == events.StatusUnknown || st.Terminal() || w.First.At <= settled.At+r.margin() {
			continue
		}
		return events.Discrepancy{
			Type: events.LateAfterTerminal, Severity: SeverityInfo, OpenedAt: w.First.At,
			ResolvedAt: resolvedBy(s.terminalPoll(), w.First.At),
			Expected:   "nothing after " + terms[0].status.String(), Seen: st.String(),
			Evidence: []string{settled.Coordinates(), w.First.Coordinates()},
		}, true
	}
	return events.Discrepancy{}, false
}

// unconfirmed: a webhook named the order, and the provider does not know it.
func (r Rules) unconfirmed(s *summary) (events.Discrepancy, bool) {
	word := "!" + string(events.OutcomeNotFound)
	i := find(s.rows, events.EvidencePoll, word)
	if i < 0 {
		return events.Discrepancy{}, false
	}
	var hook events.Sighting
	for _, b := range s.by {
		hook = earlier(hook, b.webhook)
	}
	miss := s.rows[i]
	if hook == (events.Sighting{}) || miss.Last.Compare(hook) < 0 {
		return events.Discrepancy{}, false
	}
	opened := miss.First
	if opened.Compare(hook) < 0 {
		opened = hook
	}
	return events.Discrepancy{
		Type: events.Unconfirmed, Severity: SeverityWarning, OpenedAt: opened.At, ResolvedAt: resolvedBy(s.anyPoll, opened.At),
		Expected: "an answer of the status API", Seen: string(events.OutcomeNotFound),
		Evidence: []string{hook.Coordinates(), opened.Coordinates()},
	}, true
}

// txHashMismatch: two authenticated sources name different transactions.
func txHashMismatch(s *summary) (events.Discrepancy, bool) {
	var first *events.Evidence
	for i := range s.rows {
		e := &s.rows[i]
		if (e.Kind != events.EvidenceWebhook && e.Kind != events.EvidencePoll) || e.Facts.TxHash == "" {
			continue
		}
		if first == nil {
			first = e
			continue
		}
		if e.Facts.TxHash != first.Facts.TxHash {
			a, b := first, e
			if at(b).Compare(at(a)) < 0 {
				a, b = b, a
			}
			return events.Discrepancy{
				Type: events.TxHashMismatch, Severity: SeverityWarning, OpenedAt: at(b).At,
				Expected: a.Facts.TxHash, Seen: b.Facts.TxHash,
				Evidence: []string{at(a).Coordinates(), at(b).Coordinates()},
			}, true
		}
	}
	return events.Discrepancy{}, false
}

// intentMismatches: what was seen is not what the merchant expects, at most
// one of amounts and one of assets.
func intentMismatches(s *summary) []events.Discrepancy {
	if len(s.intents) == 0 {
		return nil
	}
	deciding, _ := s.row(events.StatusCompleted)
	if deciding == nil {
		deciding = s.poll
	}
	seen := s.shownBy(deciding, false)
	var out []events.Discrepancy
	for _, i := range s.intents {
		for _, m := range mismatches(i.Facts, seen) {
			if slices.ContainsFunc(out, func(d events.Discrepancy) bool { return d.Type == m.kind }) {
				continue
			}
			opened, coordinates := i.First, []string{i.First.Coordinates()}
			if deciding != nil {
				coordinates = append(coordinates, deciding.First.Coordinates())
				opened = later(opened, deciding.First)
			}
			out = append(out, events.Discrepancy{
				Type: m.kind, Severity: SeverityCritical, OpenedAt: opened.At, Expected: m.expected, Seen: m.seen,
				AtStake: m.stake, AtStakeCurrency: m.stakeCurrency, Evidence: coordinates,
			})
		}
	}
	return out
}

// illegalTransition: the provider's own answers went down in a way that its
// documents do not have. The opening needs only first sightings and grows, so
// that it stays once it is true.
func (r Rules) illegalTransition(s *summary, st events.State) (events.Discrepancy, bool) {
	for i := range s.rows {
		hi := &s.rows[i]
		up := s.meaning(hi.Word)
		if hi.Kind != events.EvidencePoll || failure(hi.Word) || up.Rank() == 0 || terminal(s.kind, up) {
			continue
		}
		for j := range s.rows {
			lo := &s.rows[j]
			down := s.meaning(lo.Word)
			if lo.Kind != events.EvidencePoll || failure(lo.Word) || down.Rank() == 0 || down.Rank() >= up.Rank() ||
				lo.Last.Compare(hi.First) < 0 || s.vocab.Legal(hi.Word, lo.Word) {
				continue
			}
			opened := later(hi.First, lo.First)
			resolved := events.Millis(0)
			if st.Status.Rank() >= up.Rank() {
				row, _ := s.row(st.Status)
				resolved = resolvedBy(row, lo.Last.At)
			}
			return events.Discrepancy{
				Type: events.IllegalTransition, Severity: SeverityWarning, OpenedAt: opened.At, ResolvedAt: resolved,
				Expected: "not " + down.String() + " after " + up.String(), Seen: lo.Word + " after " + hi.Word,
				Evidence: []string{hi.First.Coordinates(), lo.Last.Coordinates()},
			}, true
		}
	}
	return events.Discrepancy{}, false
}

// duplicateConflict: two intents of one revision say different things.
func duplicateConflict(s *summary) (events.Discrepancy, bool) {
	if len(s.intents) < 2 {
		return events.Discrepancy{}, false
	}
	firsts := make([]events.Sighting, 0, len(s.intents))
	d := events.Discrepancy{Type: events.DuplicateConflict, Severity: SeverityCritical,
		Expected: "one content of a revision", Seen: "several"}
	for _, i := range s.intents {
		firsts = append(firsts, i.First)
		d.Evidence = append(d.Evidence, i.First.Coordinates())
	}
	slices.SortFunc(firsts, events.Sighting.Compare)
	d.OpenedAt = firsts[1].At
	return d, true
}

// unknownStatus: a word that is not in the provider's table.
func unknownStatus(s *summary, st events.State) (events.Discrepancy, bool) {
	var row *events.Evidence
	for i := range s.rows {
		e := &s.rows[i]
		if (e.Kind != events.EvidenceWebhook && e.Kind != events.EvidencePoll) || failure(e.Word) || s.meaning(e.Word) != events.StatusUnknown {
			continue
		}
		if row == nil || e.First.Compare(row.First) < 0 {
			row = e
		}
	}
	if row == nil {
		return events.Discrepancy{}, false
	}
	var resolved events.Millis
	if st.Status != events.StatusUnknown {
		known, _ := s.row(st.Status)
		resolved = resolvedBy(known, row.First.At)
	}
	return events.Discrepancy{
		Type: events.UnknownStatus, Severity: SeverityInfo, OpenedAt: row.First.At, ResolvedAt: resolved,
		Expected: "a word of the provider's table", Seen: row.Word, Evidence: []string{row.First.Coordinates()},
	}, true
}

// stuck: the provider kept saying one non-terminal thing for too long.
func (r Rules) stuck(s *summary, st events.State) (events.Discrepancy, bool) {
	limit := ms(r.settings.Stuck)
	for i := range s.rows {
		p := &s.rows[i]
		status := s.meaning(p.Word)
		if p.Kind != events.EvidencePoll || failure(p.Word) || status == events.StatusUnknown || status.Terminal() || p.Last.At-p.First.At < limit {
			continue
		}
		var resolved events.Millis
		if st.Status != status && st.Since > p.First.At+limit {
			resolved = st.Since
		}
		return events.Discrepancy{
			Type: events.Stuck, Severity: SeverityWarning, OpenedAt: p.First.At + limit, ResolvedAt: resolved,
			Expected: "a move within " + r.settings.Stuck.String(), Seen: p.Word,
			AtStake: st.Facts.FiatAmount, AtStakeCurrency: st.Facts.FiatCurrency,
			Evidence: []string{p.First.Coordinates(), p.Last.Coordinates()},
		}, true
	}
	return events.Discrepancy{}, false
}

// futureEvidence: something was dated ahead of the log's clock.
func futureEvidence(s *summary) (events.Discrepancy, bool) {
	for i := range s.rows {
		if s.rows[i].Kind == events.EvidenceFuture {
			return events.Discrepancy{
				Type: events.FutureEvidence, Severity: SeverityWarning, OpenedAt: s.rows[i].First.At,
				Expected: "a time not after the log's", Seen: "a " + s.rows[i].Word + " dated ahead",
				Evidence: []string{s.rows[i].First.Coordinates()},
			}, true
		}
	}
	return events.Discrepancy{}, false
}
