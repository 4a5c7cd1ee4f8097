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
func (r Rules) Assess(key events.Key, rows []events.Evidence) (st events.State, all []events.Discrepancy) {
	var in Reading
	r.Read(&in, key, rows)
	all = in.Assess(&st)
	return st, all
}

// Deciding is the evidence on which the view of key rests; ok is false where the rule
// that decided needs none.
func (r Rules) Deciding(key events.Key, rows []events.Evidence) (e events.Evidence, ok bool) {
	var in Reading
	r.Read(&in, key, rows)
	if in.d.row == nil {
		return events.Evidence{}, false
	}
	return *in.d.row, true
}

// Reading is the evidence of one subject, read once for all that is asked of
// it. One Reading can be used for many subjects, one after the other; it must
// not be copied, and the rows must not change while it is in use.
type Reading struct {
	rules *Rules
	key   events.Key
	s     summary
	d     decision
}

// Read reads the evidence of key, in the normal form that Join gives, and
// decides. What in held before is gone.
func (r *Rules) Read(in *Reading, key events.Key, rows []events.Evidence) {
	in.rules, in.key = r, key
	in.s.read(rows, r.lane(&in.key), key.Kind)
	in.d = r.decide(&in.s)
}

// Announcement is what transitions are about: what a state says first, and what
// the next one needs to know of it.
type Announcement struct {
	Status    events.Status
	StatusRaw string // the word of the deciding evidence
	Terminal  bool
	Rule      string // that decided
	LastSeen  events.Millis
}

// Announced is the announcement of a state.
func Announced(st *events.State) Announcement {
	return Announcement{st.Status, st.StatusRaw, st.Terminal, st.DecidedBy, st.LastSeenAt}
}

// Announced is the announcement of the state that Assess would make.
func (in *Reading) Announced() Announcement {
	d := &in.d
	a := Announcement{Status: d.status, Rule: d.rule, LastSeen: in.s.lastSeen.At}
	a.Terminal = d.rule == RuleForgotten || terminal(in.key.Kind, d.status)
	if d.row != nil {
		a.StatusRaw = d.row.Word
	}
	return a
}

// Assess makes st the view of the evidence, which it keeps, and returns its
// discrepancies.
func (in *Reading) Assess(st *events.State) []events.Discrepancy {
	s, d := &in.s, &in.d
	*st = events.State{
		Key: in.key, Evidence: s.rows, FirstSeenAt: s.firstSeen.At, LastSeenAt: s.lastSeen.At,
		Status: d.status, DecidedBy: d.rule, DecidedSource: d.source, Since: d.since,
	}
	if st.RulesVersion = s.lane.version; s.lane == &noLane {
		st.RulesVersion = in.rules.version
	}
	a := in.Announced()
	st.StatusRaw, st.Terminal = a.StatusRaw, a.Terminal
	if d.since == 0 {
		st.Since = s.since(d.status)
	}
	mutateSince(&st.Since)
	if d.rule == RuleForgotten {
		return nil
	}
	if len(s.intents) > 0 {
		st.Expected = s.intents[0].Facts
	}
	s.shown(&st.Facts, d.row, true)
	st.StaleSince = s.stale(st.Terminal)
	all := in.rules.discrepancies(s, st)
	for i := range all {
		if all[i].ResolvedAt == 0 {
			st.Open = append(st.Open, string(all[i].Type))
		}
	}
	slices.Sort(st.Open)
	return all
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
func (r *Rules) decide(s *summary) decision {
	if s.forgotten != nil {
		return decision{status: events.StatusUnknown, rule: RuleForgotten, since: s.forgotten.First.At}
	}
	if s.kind == events.Customer {
		return s.customer()
	}
	terms := s.settled
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
func (r *Rules) settled(s *summary, terms []*said) decision {
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
func (r *Rules) outlasts(terms []*said) *said {
	for _, t := range terms {
		wins := !none(t.pollLast)
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
		if s.lane.vocabulary.AmountUnsigned && !compared {
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

// candidate is one status that may be the present one of an open order. row is
// nil for none.
type candidate struct {
	status events.Status
	rule   string
	source string
	row    *events.Evidence
	seen   *events.Sighting
}

// compareRank prefers the higher rank, then the later sighting, then the name.
func compareRank(a, b *candidate) int {
	if c := cmp.Compare(a.status.Rank(), b.status.Rank()); c != 0 {
		return c
	}
	if c := compareSightings(a.seen, b.seen); c != 0 {
		return c
	}
	return cmp.Compare(b.status.String(), a.status.String())
}

// compareLatest prefers the later sighting, then as compareRank does.
func compareLatest(a, b *candidate) int {
	if c := compareSightings(a.seen, b.seen); c != 0 {
		return c
	}
	return compareRank(a, b)
}

// beat makes c the better of both; the first of equals stays.
func (c *candidate) beat(o candidate, compare func(a, b *candidate) int) {
	if c.row == nil || compare(&o, c) > 0 {
		*c = o
	}
}

// open decides among non-terminal words: the provider's latest answer, what
// webhooks said after it was asked, and the intent.
func (r *Rules) open(s *summary) decision {
	var best candidate
	rule, after := RuleWebhook, events.Millis(math.MinInt64)
	if s.poll != nil {
		rule, after = RuleWebhookAfterPoll, s.poll.Last.At-r.margin()
		best = candidate{s.meaning(s.poll.Word), RuleLatestPoll, sourcePoll, s.poll, &s.poll.Last}
	}
	for i := range s.rows {
		if w := &s.rows[i]; s.means[i].known && w.Kind == events.EvidenceWebhook && w.First.At > after {
			best.beat(candidate{s.means[i].status, rule, sourceWebhook, w, &w.First}, compareRank)
		}
	}
	if len(s.intents) > 0 {
		best.beat(s.intended(), compareRank)
	}
	return s.chosen(&best)
}

// customer decides for a customer: the latest that the provider said, whatever
// its rank, since every word can be taken back. The intent counts only while
// the provider said nothing.
func (s *summary) customer() decision {
	var best candidate
	for i := range s.rows {
		if r := &s.rows[i]; s.means[i].known {
			best.beat(candidate{s.means[i].status, RuleCustomerLatest, sourceOf(r), r, at(r)}, compareLatest)
		}
	}
	if best.row == nil && len(s.intents) > 0 {
		best = s.intended()
	}
	return s.chosen(&best)
}

// intended is CREATED, from the intent that was first stated.
func (s *summary) intended() candidate {
	i := s.intents[0]
	for _, o := range s.intents[1:] {
		if compareSightings(&o.First, &i.First) < 0 {
			i = o
		}
	}
	return candidate{events.StatusCreated, RuleIntent, sourceIntent, i, &i.First}
}

func (s *summary) chosen(c *candidate) decision {
	switch {
	case c.row == nil:
		return decision{status: events.StatusUnknown, rule: RuleNoKnownStatus, since: s.firstSeen.At}
	case c.rule == RuleIntent:
		return decision{status: c.status, rule: c.rule, row: c.row, source: c.source, since: c.row.First.At}
	}
	return decision{status: c.status, rule: c.rule, row: c.row, source: c.source}
}

// since is when an open status began to hold: its first sighting, or the last
// sighting of another status before it came back.
func (s *summary) since(st events.Status) events.Millis {
	own := &s.by[st]
	since, last := own.first().At, own.last()
	for i := range s.by {
		o := &s.by[i]
		if o.status == st || o.status == events.StatusUnknown || !o.seen() {
			continue
		}
		// Only what was seen before the status was last said: what comes after
		// did not interrupt it.
		if l := o.last(); l.At > since && compareSightings(l, last) < 0 {
			since = l.At
		}
	}
	return since
}

// stale is when the poller gave up, unless somebody spoke since.
func (s *summary) stale(settled bool) events.Millis {
	if settled || none(s.gaveUp) {
		return 0
	}
	if compareSightings(s.answered(), s.gaveUp) > 0 {
		return 0
	}
	for i := range s.by {
		if compareSightings(s.by[i].lastWebhook, s.gaveUp) > 0 {
			return 0
		}
	}
	return s.gaveUp.At
}
