package oracle

import (
	"slices"
	"sort"

	"rampstream/internal/events"
)

// statement is a row of what the provider said: a webhook at one moment, a poll
// at its first and its last.
type statement struct {
	events.Evidence
	poll    bool
	failure bool
	status  events.Status
	known   bool // the status is one that decides
}

// moments are when it was said, as far as is known.
func (s statement) moments() []events.Sighting {
	if s.poll {
		return []events.Sighting{s.First, s.Last}
	}
	return []events.Sighting{s.First}
}

// last is the latest moment.
func (s statement) last() events.Sighting { return s.moments()[len(s.moments())-1] }

// view answers questions about the rows of one subject.
type view struct {
	rules    Rules
	key      events.Key
	rows     []events.Evidence
	said     []statement // webhooks and polls
	more     []statement // webhook_more: they say when, not what
	intents  []events.Evidence
	decision *events.Evidence
	dropped  events.Sighting // last poll with a word that was dropped
}

// State is what h amounts to; false when nothing was said.
func (h *History) State(r Rules) (events.State, bool) {
	rows := h.Evidence()
	if len(rows) == 0 {
		return events.State{}, false
	}
	v := newView(h.Key, rows, r)
	st := events.State{Key: h.Key, RulesVersion: r.Version, Evidence: rows}
	for i, row := range rows {
		for _, at := range []events.Millis{row.First.At, row.Last.At} {
			if at == 0 {
				continue
			}
			if i == 0 && at == row.First.At {
				st.FirstSeenAt, st.LastSeenAt = at, at
			}
			st.FirstSeenAt, st.LastSeenAt = min(st.FirstSeenAt, at), max(st.LastSeenAt, at)
		}
	}
	if rows[0].Kind == events.EvidenceForget {
		st.DecidedBy, st.Terminal, st.Since = "forgotten", true, rows[0].First.At
		return st, true
	}
	a := v.answer(st.FirstSeenAt)
	st.Status, st.DecidedBy, st.DecidedSource, st.Since = a.status, a.rule, a.source, a.since
	st.Terminal = a.status.Terminal()
	if h.Key.Kind == events.Customer {
		st.Terminal = a.status == events.StatusCancelled
	}
	if a.row != nil {
		st.StatusRaw = a.row.Word
	}
	if len(v.intents) > 0 {
		st.Expected = v.intents[0].Facts
	}
	st.Facts = v.shown(a.row, true)
	st.StaleSince = v.stale(st)
	st.Open = v.open(st)
	return st, true
}

func newView(key events.Key, rows []events.Evidence, r Rules) *view {
	v := &view{rules: r, key: key, rows: rows}
	for _, row := range rows {
		s := statement{Evidence: row, poll: row.Kind == events.EvidencePoll}
		s.failure = s.poll && len(row.Word) > 0 && row.Word[0] == '!'
		if !s.failure {
			w, _ := r.Vocabulary.Meaning(key.Kind, row.Word)
			s.status, s.known = w.Status, w.Status != events.StatusUnknown
		}
		switch row.Kind {
		case events.EvidenceWebhook, events.EvidencePoll:
			v.said = append(v.said, s)
		case events.EvidenceWebhookMore:
			v.more = append(v.more, s)
		case events.EvidenceIntent:
			v.intents = append(v.intents, row)
		case events.EvidenceDecision:
			if v.decision == nil || before(v.decision.Last, row.Last) {
				v.decision = &row
			}
		case events.EvidenceOverflow:
			if row.Word == "poll" {
				v.dropped = row.Last
			}
		}
	}
	return v
}

// where are the statements that fulfil all conditions.
func (v *view) where(all ...func(statement) bool) (out []statement) {
	for _, s := range v.said {
		ok := true
		for _, is := range all {
			ok = ok && is(s)
		}
		if ok {
			out = append(out, s)
		}
	}
	return out
}

func isPoll(s statement) bool     { return s.poll }
func isWebhook(s statement) bool  { return !s.poll }
func isKnown(s statement) bool    { return s.known }
func isTerminal(s statement) bool { return s.known && s.status.Terminal() }
func isOpen(s statement) bool     { return s.known && !s.status.Terminal() }
func says(st events.Status) func(statement) bool {
	return func(s statement) bool { return s.known && s.status == st }
}

// lastSaid sorts by the last moment and returns the last statement.
func lastSaid(all []statement) *statement {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	sort.SliceStable(all, func(i, j int) bool { return before(all[i].last(), all[j].last()) })
	return &all[len(all)-1]
}

// firstSaid sorts by the first moment and returns the first statement.
func firstSaid(all []statement) *statement {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	sort.SliceStable(all, func(i, j int) bool { return before(all[i].First, all[j].First) })
	return &all[0]
}

// moments are when any of the statements was said, sorted.
func moments(all []statement) (out []events.Sighting) {
	for _, s := range all {
		out = append(out, s.moments()...)
	}
	sort.Slice(out, func(i, j int) bool { return before(out[i], out[j]) })
	return out
}

// times is when st was said, webhooks whose facts are not kept included; empty
// when it was not.
func (v *view) times(st events.Status) []events.Sighting {
	all := v.where(says(st))
	for _, m := range v.more {
		if m.known && m.status == st {
			all = append(all, m)
		}
	}
	return moments(all)
}

func (v *view) first(st events.Status) events.Millis { return v.times(st)[0].At }
func (v *view) last(st events.Status) events.Millis {
	t := v.times(st)
	return t[len(t)-1].At
}

// ends are the terminal statuses that were said, without REFUNDED.
func (v *view) ends() (out []events.Status) {
	for _, st := range []events.Status{events.StatusCompleted, events.StatusFailed, events.StatusCancelled, events.StatusExpired} {
		if len(v.times(st)) > 0 {
			out = append(out, st)
		}
	}
	return out
}

// stale is since when nobody asks any more.
func (v *view) stale(st events.State) events.Millis {
	gaveUp := v.where(func(s statement) bool { return s.poll && s.Word == "!gave_up" })
	if len(gaveUp) == 0 || st.Terminal {
		return 0
	}
	spoken := moments(v.where(func(s statement) bool { return !s.poll || !s.failure }))
	spoken = append(spoken, v.dropped)
	for _, m := range v.more {
		spoken = append(spoken, m.First)
	}
	for _, s := range spoken {
		if before(gaveUp[0].Last, s) {
			return 0
		}
	}
	return gaveUp[0].Last.At
}
