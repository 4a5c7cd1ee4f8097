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

func (r *Rules) discrepancies(s *summary, st *events.State) []events.Discrepancy {
	var out []events.Discrepancy
	var f finding // of one type after the other: nearly all of them find nothing
	add := func() {
		if !f.found {
			return
		}
		f.d.Key = st.Key
		// Whatever does not fit about an order puts its money in question.
		if f.d.AtStake == "" && s.kind == events.Order {
			stake(&f.d, &st.Facts)
		}
		slices.Sort(f.d.Evidence)
		f.d.Evidence = slices.DeleteFunc(slices.Compact(f.d.Evidence), func(c string) bool { return c == "" })
		out = append(out, f.d)
		f = finding{}
	}
	if s.kind == events.Order {
		r.missingWebhook(&f, s)
		add()
		r.statusConflict(&f, s, st)
		add()
		r.lateAfterTerminal(&f, s)
		add()
		unconfirmed(&f, s)
		add()
		txHashMismatch(&f, s)
		add()
		found, _ := s.unmet()
		intentMismatch(&f, found, st, events.AmountMismatch)
		add()
		intentMismatch(&f, found, st, events.AssetMismatch)
		add()
	}
	r.illegalTransition(&f, s, st)
	add()
	duplicateConflict(&f, s)
	add()
	unknownStatus(&f, s, st)
	add()
	r.stuck(&f, s, st)
	add()
	futureEvidence(&f, s)
	add()
	slices.SortFunc(out, func(a, b events.Discrepancy) int {
		if a.Type < b.Type {
			return -1
		}
		return 1
	})
	return out
}

// finding gathers the instances of one type of discrepancy into one: opened
// with the earliest of them, resolved when the last of them is. While nothing was
// found, d holds a type and a severity alone.
type finding struct {
	d     events.Discrepancy
	found bool
}

func (f *finding) begin(t events.DiscrepancyType, severity string) {
	f.d.Type, f.d.Severity = t, severity
}

func (f *finding) note(opened, resolved events.Millis, expected, seen string, evidence ...*events.Sighting) {
	for _, e := range evidence {
		f.d.Evidence = append(f.d.Evidence, e.Coordinates())
	}
	if !f.found || opened < f.d.OpenedAt {
		f.d.OpenedAt, f.d.Expected, f.d.Seen = opened, expected, seen
	}
	switch {
	case !f.found:
		f.d.ResolvedAt = resolved
	case f.d.ResolvedAt == 0 || resolved == 0:
		f.d.ResolvedAt = 0
	default:
		f.d.ResolvedAt = max(f.d.ResolvedAt, resolved)
	}
	f.found = true
}

// resolvedBy is when a row was said after t: its first sighting, if that is
// late enough, else its last. 0 when it was not.
func resolvedBy(row *events.Evidence, t events.Millis) events.Millis {
	switch {
	case row == nil:
		return 0
	case row.First.At > t:
		return row.First.At
	case row.Last.At > t:
		return row.Last.At
	}
	return 0
}

// stake is the money that an order is about.
func stake(d *events.Discrepancy, f *events.Facts) {
	switch {
	case f.FiatAmount != "":
		d.AtStake, d.AtStakeCurrency = f.FiatAmount, f.FiatCurrency
	case f.CryptoAmount != "":
		d.AtStake, d.AtStakeCurrency = f.CryptoAmount, f.CryptoAsset
	}
}

// missingWebhook: a poll found a terminal status, and no webhook said it in time.
func (r *Rules) missingWebhook(f *finding, s *summary) {
	f.begin(events.MissingWebhook, SeverityWarning)
	if !s.lane.vocabulary.Webhooks {
		return
	}
	for _, t := range s.settled {
		due := t.pollFirst.At + ms(r.settings.MissingWebhook)
		switch {
		case none(t.pollFirst), !none(t.webhook) && t.webhook.At <= due, none(t.webhook) && s.lastSeen.At < due:
			continue
		}
		f.note(due, t.webhook.At, "a webhook of "+t.status.String(), "only polls", t.pollFirst, t.webhook)
	}
}

// lateAfterTerminal: a webhook with a non-terminal word came after a terminal one.
func (r *Rules) lateAfterTerminal(f *finding, s *summary) {
	f.begin(events.LateAfterTerminal, SeverityInfo)
	settled, ok := s.settledAt()
	if !ok {
		return
	}
	by := s.terminalPoll()
	for i := range s.rows {
		w, m := &s.rows[i], s.means[i]
		if !m.known || m.status.Terminal() || w.Kind != events.EvidenceWebhook || w.First.At <= settled.first().At+r.margin() {
			continue
		}
		f.note(w.First.At, resolvedBy(by, w.First.At), "nothing after "+settled.status.String(), m.status.String(), settled.first(), &w.First)
	}
}

// settledAt is the terminal status that was said first; ok is false when none was.
func (s *summary) settledAt() (t *said, ok bool) {
	for _, o := range s.settled {
		if t == nil || compareSightings(o.first(), t.first()) < 0 {
			t = o
		}
	}
	return t, t != nil
}

// terminalPoll is the poll row with the latest last sighting of a terminal word.
func (s *summary) terminalPoll() *events.Evidence {
	var row *events.Evidence
	for i := range s.rows {
		p := &s.rows[i]
		if m := s.means[i]; m.known && m.status.Terminal() && p.Kind == events.EvidencePoll {
			row = latest(row, p)
		}
	}
	return row
}

// unconfirmed: a webhook named the order, and the provider does not know it.
func unconfirmed(f *finding, s *summary) {
	f.begin(events.Unconfirmed, SeverityWarning)
	miss := s.notFound
	if miss == nil {
		return
	}
	hook := &never
	for j := range s.by {
		hook = earlierOf(hook, s.by[j].webhook)
	}
	if none(hook) || miss.Last.At < hook.At {
		return
	}
	opened := laterOf(&miss.First, hook)
	f.note(opened.At, resolvedBy(s.anyPoll, miss.Last.At), "an answer of the status API", string(events.OutcomeNotFound), hook, opened)
}

// txHashMismatch: two authenticated sources name different transactions.
func txHashMismatch(f *finding, s *summary) {
	f.begin(events.TxHashMismatch, SeverityWarning)
	var first *events.Evidence
	for i := range s.rows {
		if e := &s.rows[i]; e.Facts.TxHash != "" && (first == nil || compareSightings(at(e), at(first)) < 0) {
			first = e
		}
	}
	if first == nil {
		return
	}
	for i := range s.rows {
		if e := &s.rows[i]; e.Facts.TxHash != "" && e.Facts.TxHash != first.Facts.TxHash {
			f.note(at(e).At, 0, first.Facts.TxHash, e.Facts.TxHash, at(first), at(e))
		}
	}
}

// intentMismatch: what was seen is not what the merchant expects. It ends when
// an operator settles the dispute, or when the order ends otherwise.
func intentMismatch(f *finding, found []unmet, st *events.State, typ events.DiscrepancyType) {
	f.begin(typ, SeverityCritical)
	for _, u := range found {
		if u.kind != typ {
			continue
		}
		resolved := events.Millis(0)
		if st.Status.Terminal() {
			resolved = max(u.at, st.Since)
		}
		first := !f.found || u.at < f.d.OpenedAt
		f.note(u.at, resolved, u.expected, u.seen)
		f.d.Evidence = append(f.d.Evidence, u.evidence...)
		if first {
			f.d.AtStake, f.d.AtStakeCurrency = u.stake, u.stakeCurrency
		}
	}
}

// duplicateConflict: two intents of one revision say different things. Only a
// higher revision ends it, and leaves no trace of it.
func duplicateConflict(f *finding, s *summary) {
	f.begin(events.DuplicateConflict, SeverityCritical)
	if len(s.intents) < 2 {
		return
	}
	firsts := make([]*events.Sighting, 0, len(s.intents))
	for _, i := range s.intents {
		firsts = append(firsts, &i.First)
	}
	slices.SortFunc(firsts, compareSightings)
	f.note(firsts[1].At, 0, "one content of a revision", "several", firsts...)
}

// futureEvidence: something was dated ahead of the log's clock, and nothing
// later was said since: its time, cut as it is, may still rank first.
func futureEvidence(f *finding, s *summary) {
	f.begin(events.FutureEvidence, SeverityWarning)
	if !s.future {
		return
	}
	for i := range s.rows {
		e := &s.rows[i]
		if e.Kind != events.EvidenceFuture {
			continue
		}
		resolved := events.Millis(0)
		for j := range s.rows {
			if t := resolvedBy(&s.rows[j], e.Last.At); t != 0 && (resolved == 0 || t < resolved) {
				resolved = t
			}
		}
		f.note(e.First.At, resolved, "a time not after the log's", "a "+e.Word+" dated ahead", &e.First, &e.Last)
	}
}
