package order

import (
	"slices"

	"rampstream/internal/events"
)

// The names of the rules, as State.DecidedBy has them. docs/CONTRACT.md says
// what each means to a consumer.
const (
	RuleForgotten            = "forgotten"
	RuleRefunded             = "refunded"
	RuleTerminal             = "terminal"
	RuleTerminalContradicted = "terminal_contradicted"
	RuleTerminalsDisputed    = "terminals_disputed"
	RuleTerminalsResolved    = "terminals_resolved"
	RuleOperatorDecision     = "operator_decision"
	RuleAmountMismatch       = "amount_mismatch"
	RuleAmountUnverified     = "amount_unverified"
	RuleLatestPoll           = "latest_poll"
	RuleWebhookAfterPoll     = "webhook_after_poll"
	RuleWebhook              = "webhook"
	RuleIntent               = "intent"
	RuleNoKnownStatus        = "no_known_status"
	RuleCustomerLatest       = "customer_latest"
)

// decision is what one rule says.
type decision struct {
	status events.Status
	rule   string
	row    *events.Evidence // the deciding evidence; nil where the rule needs none
	source string
	since  events.Millis // 0: derived from the deciding status
}

// View says what the evidence of key amounts to. It is total and pure: equal
// evidence and rules give equal states. rows must be in the normal form that
// Join gives; the state keeps the slice. Empty evidence gives a state of
// UNKNOWN that must not be written: a key without evidence has no state.
func (r Rules) View(key events.Key, rows []events.Evidence) events.State {
	st, _ := r.Assess(key, rows)
	return st
}

// Assess is View and Discrepancies in one reading of the evidence.
func (r Rules) Assess(key events.Key, rows []events.Evidence) (events.State, []events.Discrepancy) {
	s := summarise(rows, r.Vocabulary(key.Lane()), key.Kind)
	st := events.State{
		Key: key, RulesVersion: r.LaneVersion(key.Lane()), Evidence: rows,
		FirstSeenAt: s.firstSeen.At, LastSeenAt: s.lastSeen.At,
	}
	d := r.decide(s)
	st.Status, st.DecidedBy, st.DecidedSource = d.status, d.rule, d.source
	st.Terminal = d.rule == RuleForgotten || terminal(key.Kind, d.status)
	st.Since = d.since
	if d.since == 0 {
		st.Since = s.since(d.status)
	}
	if d.row != nil {
		st.StatusRaw = d.row.Word
	}
	if d.rule == RuleForgotten {
		return st, nil
	}
	if len(s.intents) > 0 {
		st.Expected = s.intents[0].Facts
	}
	st.Facts = s.shown(d.row)
	st.StaleSince = s.stale(st.Terminal)
	all := r.discrepancies(s, st)
	for _, dis := range all {
		if dis.ResolvedAt == 0 {
			st.Open = append(st.Open, string(dis.Type))
		}
	}
	slices.Sort(st.Open)
	return st, all
}

// terminal reports whether a status settles its subject. A customer's
// COMPLETED can be taken back (KYC L2 to L0), so only its end settles it.
func terminal(kind events.SubjectKind, st events.Status) bool {
	if kind == events.Customer {
		return st == events.StatusCancelled
	}
	return st.Terminal()
}

// decide runs the rules in the order of the design.
func (r Rules) decide(s *summary) decision {
	if s.forgotten != nil {
		return decision{status: events.StatusUnknown, rule: RuleForgotten, since: s.forgotten.First.At}
	}
	if s.kind == events.Customer {
		d := r.open(s)
		if d.source == sourcePoll || d.source == sourceWebhook {
			d.rule = RuleCustomerLatest
		}
		return d
	}
	terms := s.terminals()
	switch {
	case len(terms) == 0:
		return r.open(s)
	case terms[len(terms)-1].status == events.StatusRefunded:
		row, source := s.saidFirst(events.StatusRefunded)
		return decision{status: events.StatusRefunded, rule: RuleRefunded, row: row, source: source}
	}
	d := r.settled(s, terms)
	if d.status == events.StatusCompleted {
		d = r.amounts(s, d)
	}
	if d.status == events.StatusDisputed && s.decision != nil {
		if st, ok := events.ParseStatus(s.decision.Word); ok && st.Terminal() {
			return decision{status: st, rule: RuleOperatorDecision, row: s.decision, source: sourceDecision, since: s.decision.First.At}
		}
	}
	return d
}

// settled decides between the terminal words that were said, and what speaks
// against them.
func (r Rules) settled(s *summary, terms []*said) decision {
	win := terms[0]
	rule := RuleTerminal
	if len(terms) > 1 {
		rule = RuleTerminalsResolved
		if win = r.outlasts(terms); win == nil {
			return decision{status: events.StatusDisputed, rule: RuleTerminalsDisputed, since: secondFirst(terms)}
		}
	}
	// A poll that started long after the word was last said, and denies it.
	if against, _ := s.contradiction(); against.At > win.last().At+ms(r.settings.Confirm) {
		return decision{status: events.StatusDisputed, rule: RuleTerminalContradicted, since: win.last().At + ms(r.settings.Confirm)}
	}
	// One word alone was settled by who said it first; among several, by the poll
	// that outlasted the others.
	row, source := s.saidFirst(win.status)
	if rule == RuleTerminalsResolved {
		row, source = s.row(win.status)
	}
	return decision{status: win.status, rule: rule, row: row, source: source}
}

// outlasts is the terminal status whose latest poll is later than every
// sighting of every other by the confirmation time; nil when none is.
func (r Rules) outlasts(terms []*said) *said {
	for _, t := range terms {
		wins := t.pollLast != (events.Sighting{})
		for _, o := range terms {
			if o != t && t.pollLast.At <= o.last().At+ms(r.settings.Confirm) {
				wins = false
			}
		}
		if wins {
			return t
		}
	}
	return nil
}

// secondFirst is when the second of several terminal statuses was first said:
// since then they disagree.
func secondFirst(terms []*said) events.Millis {
	times := make([]events.Millis, 0, len(terms))
	for _, t := range terms {
		times = append(times, t.first().At)
	}
	slices.Sort(times)
	return times[1]
}

// amounts checks what COMPLETED rests on against what the merchant expects.
func (r Rules) amounts(s *summary, d decision) decision {
	if len(s.intents) == 0 {
		if s.vocab.AmountUnsigned {
			d.rule = RuleAmountUnverified
		}
		return d
	}
	seen := s.shownBy(d.row, false)
	for _, i := range s.intents {
		if len(mismatches(i.Facts, seen)) > 0 {
			since := max(s.by[events.StatusCompleted].first().At, i.First.At)
			return decision{status: events.StatusDisputed, rule: RuleAmountMismatch, since: since}
		}
	}
	return d
}

// open decides among non-terminal words: the provider's latest answer, what
// webhooks said after it was asked, and the intent.
func (r Rules) open(s *summary) decision {
	type candidate struct {
		decision
		seen events.Sighting
	}
	var best candidate
	consider := func(c candidate) {
		a, b := c.status.Rank(), best.status.Rank()
		cmp := c.seen.Compare(best.seen)
		switch {
		case c.status == events.StatusUnknown:
		case best.rule == "", a > b, a == b && cmp > 0, a == b && cmp == 0 && c.status.String() < best.status.String():
			best = c
		}
	}
	var after events.Millis
	if s.poll != nil {
		st := s.meaning(s.poll.Word)
		consider(candidate{decision{status: st, rule: RuleLatestPoll, row: s.poll, source: sourcePoll}, s.poll.Last})
		after = s.poll.Last.At - r.margin()
	}
	for i := range s.rows {
		w := &s.rows[i]
		if w.Kind != events.EvidenceWebhook || (s.poll != nil && w.First.At <= after) {
			continue
		}
		rule := RuleWebhook
		if s.poll != nil {
			rule = RuleWebhookAfterPoll
		}
		consider(candidate{decision{status: s.meaning(w.Word), rule: rule, row: w, source: sourceWebhook}, w.First})
	}
	if len(s.intents) > 0 {
		i := s.intents[0]
		consider(candidate{decision{status: events.StatusCreated, rule: RuleIntent, row: i, source: sourceIntent}, i.First})
	}
	if best.rule == "" {
		return decision{status: events.StatusUnknown, rule: RuleNoKnownStatus, since: s.firstSeen.At}
	}
	if best.source == sourceIntent {
		best.since = best.row.First.At
	}
	return best.decision
}

// since is when a status began to hold: its first sighting, or the last
// sighting of another status before it came back.
func (s *summary) since(st events.Status) events.Millis {
	own := s.by[st]
	since := own.first().At
	for _, o := range s.by {
		if o.status == st || o.status == events.StatusUnknown || !o.seen() {
			continue
		}
		// Only what was seen before the status was last said: what comes after
		// did not interrupt it.
		if l := o.last(); l.Compare(own.last()) < 0 && l.At > since {
			since = l.At
		}
	}
	return since
}

// stale is when the poller gave up, unless somebody spoke since.
func (s *summary) stale(settled bool) events.Millis {
	if settled || s.gaveUp == (events.Sighting{}) {
		return 0
	}
	if s.anyPoll != nil && s.anyPoll.Last.Compare(s.gaveUp) > 0 {
		return 0
	}
	for i := range s.by {
		if s.by[i].lastWebhook.Compare(s.gaveUp) > 0 {
			return 0
		}
	}
	return s.gaveUp.At
}

// shown are the facts of the deciding evidence, each missing one taken from
// the latest poll, then the latest webhook, then the intent.
func (s *summary) shown(deciding *events.Evidence) events.Facts {
	return s.shownBy(deciding, true)
}

func (s *summary) shownBy(deciding *events.Evidence, withIntent bool) events.Facts {
	var f events.Facts
	if deciding != nil && (deciding.Kind == events.EvidencePoll || deciding.Kind == events.EvidenceWebhook) {
		f = deciding.Facts
	}
	order := func(kind events.EvidenceKind) []*events.Evidence {
		var rows []*events.Evidence
		for i := range s.rows {
			if s.rows[i].Kind == kind {
				rows = append(rows, &s.rows[i])
			}
		}
		slices.SortStableFunc(rows, func(a, b *events.Evidence) int { return at(b).Compare(at(a)) })
		return rows
	}
	for _, r := range order(events.EvidencePoll) {
		f = fill(f, r.Facts)
	}
	for _, r := range order(events.EvidenceWebhook) {
		f = fill(f, r.Facts)
	}
	if withIntent {
		for _, i := range s.intents {
			f = fill(f, i.Facts)
		}
	}
	return f
}
