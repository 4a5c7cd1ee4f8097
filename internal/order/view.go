package order

import (
	"cmp"
	"math"
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
	// clashes are, of a dispute, when each thing that does not fit was known.
	clashes []clash
}

// clash is one thing that makes a dispute: when it was known, and the terminal
// status that it would speak for, if any.
type clash struct {
	at       events.Millis
	supports events.Status
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
	st.Facts = s.shown(d.row, true)
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
		return s.customer()
	}
	terms := s.terminals()
	switch {
	case len(terms) == 0:
		return r.open(s)
	case terms[len(terms)-1].status == events.StatusRefunded:
		row, source := s.saidFirst(events.StatusRefunded)
		return decision{status: events.StatusRefunded, rule: RuleRefunded, row: row, source: source, since: terms[len(terms)-1].first().At}
	}
	d := r.settled(s, terms)
	if d.status == events.StatusCompleted {
		d = s.amounts(d)
	}
	if d.status == events.StatusDisputed {
		d = s.operator(d)
	}
	return d
}

// settled decides between the terminal words that were said, and what speaks
// against them.
func (r Rules) settled(s *summary, terms []*said) decision {
	win, rule := terms[0], RuleTerminal
	since := win.first().At
	if len(terms) > 1 {
		rule = RuleTerminalsResolved
		if win = r.outlasts(terms); win == nil {
			return disputed(RuleTerminalsDisputed, secondFirst(terms), terms)
		}
		since = win.first().At
		for _, t := range terms {
			if t != win {
				since = max(since, t.last().At)
			}
		}
	}
	// A poll that started long after the word was last said, and denies it.
	limit := win.last().At + ms(r.settings.Confirm)
	if against := s.denials(limit); len(against) > 0 {
		began := against[0].First.At
		for _, p := range against {
			began = min(began, p.First.At)
		}
		began = max(began, limit)
		return decision{status: events.StatusDisputed, rule: RuleTerminalContradicted, since: began, clashes: []clash{{at: began}}}
	}
	// One word alone was settled by who said it first; among several, by the poll
	// that outlasted the others.
	row, source := s.saidFirst(win.status)
	if rule == RuleTerminalsResolved {
		row, source = s.row(win.status)
	}
	return decision{status: win.status, rule: rule, row: row, source: source, since: since}
}

func disputed(rule string, since events.Millis, terms []*said) decision {
	d := decision{status: events.StatusDisputed, rule: rule, since: since}
	for _, t := range terms {
		d.clashes = append(d.clashes, clash{t.first().At, t.status})
	}
	return d
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
func (s *summary) amounts(d decision) decision {
	found, compared := s.unmet()
	if len(found) == 0 {
		if s.vocab.AmountUnsigned && !compared {
			d.rule = RuleAmountUnverified
		}
		return d
	}
	d = decision{status: events.StatusDisputed, rule: RuleAmountMismatch, since: found[0].at}
	for _, u := range found {
		d.since = min(d.since, u.at)
		d.clashes = append(d.clashes, clash{at: u.at})
	}
	return d
}

// operator lets the latest DECIDE settle a dispute, if the operator could know
// all that makes it: what clashes later opens it again.
func (s *summary) operator(d decision) decision {
	if s.decision == nil {
		return d
	}
	st, _ := events.ParseStatus(s.decision.Word)
	newest, reopened := d.since, events.Millis(0)
	for _, c := range d.clashes {
		if c.supports == st {
			continue
		}
		newest = max(newest, c.at)
		if c.at > s.decision.Last.At && (reopened == 0 || c.at < reopened) {
			reopened = c.at
		}
	}
	switch {
	case s.decision.Last.At < d.since: // decided before there was a dispute
		return d
	case reopened != 0:
		d.since = reopened
		return d
	}
	at := s.decision.Last.At
	if s.decision.First.At >= newest {
		at = s.decision.First.At
	}
	return decision{status: st, rule: RuleOperatorDecision, row: s.decision, source: sourceDecision, since: at}
}

// candidate is one status that may be the present one of an open order.
type candidate struct {
	decision
	seen events.Sighting
}

// compareRank prefers the higher rank, then the later sighting, then the name.
func compareRank(a, b candidate) int {
	return cmp.Or(cmp.Compare(a.status.Rank(), b.status.Rank()), a.seen.Compare(b.seen), cmp.Compare(b.status.String(), a.status.String()))
}

// open decides among non-terminal words: the provider's latest answer, what
// webhooks said after it was asked, and the intent.
func (r Rules) open(s *summary) decision {
	var all []candidate
	rule, after := RuleWebhook, events.Millis(math.MinInt64)
	if s.poll != nil {
		rule, after = RuleWebhookAfterPoll, s.poll.Last.At-r.margin()
		all = append(all, candidate{decision{status: s.meaning(s.poll.Word), rule: RuleLatestPoll, row: s.poll, source: sourcePoll}, s.poll.Last})
	}
	for i := range s.rows {
		w := &s.rows[i]
		if st, known := s.known(w); known && w.Kind == events.EvidenceWebhook && w.First.At > after {
			all = append(all, candidate{decision{status: st, rule: rule, row: w, source: sourceWebhook}, w.First})
		}
	}
	if len(s.intents) > 0 {
		all = append(all, s.intended())
	}
	return s.choose(all, compareRank)
}

// customer decides for a customer: the latest that the provider said, whatever
// its rank, since every word can be taken back. The intent counts only while
// the provider said nothing.
func (s *summary) customer() decision {
	var all []candidate
	for i := range s.rows {
		r := &s.rows[i]
		st, known := s.known(r)
		if !known {
			continue
		}
		c := candidate{decision{status: st, rule: RuleCustomerLatest, row: r, source: sourceWebhook}, at(r)}
		if r.Kind == events.EvidencePoll {
			c.source = sourcePoll
		}
		all = append(all, c)
	}
	if len(all) == 0 && len(s.intents) > 0 {
		all = append(all, s.intended())
	}
	return s.choose(all, func(a, b candidate) int { return cmp.Or(a.seen.Compare(b.seen), compareRank(a, b)) })
}

// intended is CREATED, from the intent that was first stated.
func (s *summary) intended() candidate {
	i := s.intents[0]
	for _, o := range s.intents[1:] {
		if o.First.Compare(i.First) < 0 {
			i = o
		}
	}
	return candidate{decision{status: events.StatusCreated, rule: RuleIntent, row: i, source: sourceIntent, since: i.First.At}, i.First}
}

func (s *summary) choose(all []candidate, compare func(a, b candidate) int) decision {
	if len(all) == 0 {
		return decision{status: events.StatusUnknown, rule: RuleNoKnownStatus, since: s.firstSeen.At}
	}
	return slices.MaxFunc(all, compare).decision
}

// since is when an open status began to hold: its first sighting, or the last
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
	if s.answered().Compare(s.gaveUp) > 0 {
		return 0
	}
	for i := range s.by {
		if s.by[i].lastWebhook.Compare(s.gaveUp) > 0 {
			return 0
		}
	}
	return s.gaveUp.At
}
