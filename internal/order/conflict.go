package order

import "rampstream/internal/events"

// statusConflict: sources say what cannot all be, or one webhook does. It is
// critical when the state is disputed by it or two terminal words were said; a
// status API that lags behind its webhook is a warning.
func (r *Rules) statusConflict(f *finding, s *summary, st *events.State) {
	f.begin(events.StatusConflict, SeverityWarning)
	if st.Status == events.StatusDisputed {
		f.d.Severity = SeverityCritical
	}
	if terms := s.settled; len(terms) > 0 {
		f.terminals(s, st, terms)
		r.refundDenied(f, s, terms)
		r.denied(f, s, st)
	}
	f.halves(s)
}

// terminals: several were said of which none follows from another.
func (f *finding) terminals(s *summary, st *events.State, terms []*said) {
	settled := terms
	if terms[len(terms)-1].status == events.StatusRefunded { // follows from any of them
		settled = terms[:len(terms)-1]
	}
	if len(settled) < 2 {
		return
	}
	opened, resolved := secondFirst(settled), events.Millis(0)
	if st.Status.Terminal() {
		resolved = max(opened, st.Since)
	}
	f.d.Severity = SeverityCritical
	f.note(opened, resolved, settled[0].status.String(), settled[1].status.String(), settled[0].first(), settled[1].first())
}

// refundDenied: a poll answers another terminal word after REFUNDED was said.
func (r *Rules) refundDenied(f *finding, s *summary, terms []*said) {
	back := terms[len(terms)-1]
	if back.status != events.StatusRefunded {
		return
	}
	for _, t := range terms[:len(terms)-1] {
		if t.pollLast.At <= back.first().At+r.margin() {
			continue
		}
		resolved := events.Millis(0)
		if back.pollLast.At > t.pollLast.At {
			resolved = back.pollLast.At
		}
		f.d.Severity = SeverityCritical
		f.note(max(back.first().At, t.pollFirst.At), resolved, back.status.String(), t.status.String(), back.first(), t.pollLast)
	}
}

// denied: a poll answers a non-terminal word after a terminal one was said.
func (r *Rules) denied(f *finding, s *summary, st *events.State) {
	settled, _ := s.settledAt()
	against := s.denials(settled.first().At + r.margin())
	if len(against) == 0 {
		return
	}
	by := s.terminalPoll()
	for _, p := range against {
		resolved := resolvedBy(by, p.Last.At)
		if resolved == 0 && st.DecidedBy == RuleOperatorDecision {
			resolved = max(p.First.At, st.Since)
		}
		f.note(max(settled.first().At, p.First.At), resolved, settled.status.String(), s.meaning(p.Word).String(), settled.first(), &p.Last)
	}
}

// halves: a webhook states its status twice, and one settles the order where
// the other does not. Words of one stage may differ (PENDING beside PROCESSING).
func (f *finding) halves(s *summary) {
	for i := range s.rows {
		w := &s.rows[i]
		if w.Kind != events.EvidenceWebhook || w.Facts.StatusInData == "" {
			continue
		}
		typ, data := s.means[i].status, s.meaning(w.Facts.StatusInData)
		if typ == data || data == events.StatusUnknown || (!typ.Terminal() && !data.Terminal()) {
			continue
		}
		f.d.Severity = SeverityCritical
		f.note(w.First.At, resolvedBy(s.poll, w.First.At), typ.String(), data.String(), &w.First)
	}
}

// illegalTransition: the provider's answers went down in a way that its
// documents do not have.
func (r *Rules) illegalTransition(f *finding, s *summary, st *events.State) {
	f.begin(events.IllegalTransition, SeverityWarning)
	for i := range s.rows {
		hi, up := &s.rows[i], s.means[i].status
		rank := s.means[i].rank
		if rank == 0 || terminal(s.kind, up) {
			continue
		}
		began := hi.First.At
		if hi.Kind == events.EvidenceWebhook {
			began += r.margin()
		}
		for j := range s.rows {
			if low := s.means[j].rank; low == 0 || low >= rank {
				continue
			}
			lo, down := &s.rows[j], s.means[j].status
			if lo.Kind != events.EvidencePoll || lo.Last.At <= began || s.lane.vocabulary.Legal(hi.Word, lo.Word) {
				continue
			}
			f.note(max(hi.First.At, lo.First.At), s.recovered(st, up, lo.Last.At), "not "+down.String()+" after "+up.String(),
				lo.Word+" after "+hi.Word, &hi.First, &lo.Last)
		}
	}
}

// recovered is when, after t, the status that is shown now was said, if it is
// no lower than up; 0 when not.
func (s *summary) recovered(st *events.State, up events.Status, t events.Millis) events.Millis {
	if st.Status.Rank() < up.Rank() {
		return 0
	}
	if st.DecidedBy == RuleOperatorDecision {
		return max(t, st.Since)
	}
	row, _ := s.row(st.Status)
	return resolvedBy(row, t)
}

// unknownStatus: a word that is not in the provider's table, or more words, or
// meanings of one, than are kept.
func unknownStatus(f *finding, s *summary, st *events.State) {
	f.begin(events.UnknownStatus, SeverityInfo)
	if !s.unlisted {
		return
	}
	var known *events.Evidence
	if st.Status != events.StatusUnknown {
		known, _ = s.row(st.Status)
	}
	for i := range s.rows {
		e := &s.rows[i]
		switch e.Kind {
		case events.EvidenceWebhookMore: // amounts of a meaning that is not kept are compared with nothing
			f.d.Severity = SeverityWarning
			f.note(e.First.At, 0, "as many meanings of a word as are kept", "more of "+e.Word, &e.First)
		case events.EvidenceOverflow:
			f.d.Severity = SeverityWarning
			f.note(e.First.At, 0, "as many words as are kept", "more of a "+e.Word, &e.First)
		case events.EvidenceWebhook, events.EvidencePoll:
			if !s.means[i].listed && e.Word != "" && (e.Kind == events.EvidenceWebhook || !failure(e.Word)) {
				f.note(e.First.At, resolvedBy(known, at(e).At), "a word of the provider's table", e.Word, &e.First)
			}
		}
	}
}

// stuck: the provider kept answering one non-terminal word for too long, and
// nothing else was said meanwhile. A customer may never begin.
func (r *Rules) stuck(f *finding, s *summary, st *events.State) {
	f.begin(events.Stuck, SeverityWarning)
	limit := ms(r.settings.Stuck)
	for i := range s.rows {
		p, status := &s.rows[i], s.means[i].status
		if !s.means[i].known || p.Kind != events.EvidencePoll || status.Terminal() || p.Last.At-p.First.At < limit ||
			(s.kind == events.Customer && status == events.StatusCreated) {
			continue
		}
		since, moved := s.around(p)
		if p.Last.At-since >= limit {
			stake(&f.d, &st.Facts)
			f.note(since+limit, moved, "a move within "+r.settings.Stuck.String(), p.Word, &p.First, &p.Last)
		}
	}
}

// around is when, before its last sighting, another word than that of p was
// last said (p's first sighting if none was), and when the next one was after
// it, 0 for not yet.
func (s *summary) around(p *events.Evidence) (since, moved events.Millis) {
	since = p.First.At
	for i := range s.rows {
		o := &s.rows[i]
		if (o.Kind != events.EvidenceWebhook && o.Kind != events.EvidencePoll) || o.Word == p.Word || o.Word == "" ||
			(o.Kind == events.EvidencePoll && failure(o.Word)) {
			continue
		}
		for _, t := range [...]events.Millis{o.First.At, o.Last.At} {
			if t != 0 && t < p.Last.At {
				since = max(since, t)
			}
			if t > p.Last.At && (moved == 0 || t < moved) {
				moved = t
			}
		}
	}
	return since, moved
}
