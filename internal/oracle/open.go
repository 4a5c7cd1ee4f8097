package oracle

import (
	"slices"

	"rampstream/internal/events"
)

// open lists the types of docs/ORDER.md, section 3, with an instance that
// nothing resolved.
func (v *view) open(st events.State) (out []string) {
	checks := map[events.DiscrepancyType]func(events.State) bool{
		events.IllegalTransition: v.illegalTransition,
		events.DuplicateConflict: func(events.State) bool { return len(v.intents) > 1 },
		events.UnknownStatus:     v.unknownStatus,
		events.Stuck:             v.stuck,
		events.FutureEvidence:    v.futureEvidence,
	}
	if v.key.Kind == events.Order {
		checks[events.MissingWebhook] = v.missingWebhook
		checks[events.StatusConflict] = v.statusConflict
		checks[events.LateAfterTerminal] = v.lateAfterTerminal
		checks[events.Unconfirmed] = v.unconfirmed
		checks[events.TxHashMismatch] = v.txHashMismatch
		checks[events.AmountMismatch] = func(st events.State) bool { return v.mismatch(st, events.AmountMismatch) }
		checks[events.AssetMismatch] = func(st events.State) bool { return v.mismatch(st, events.AssetMismatch) }
	}
	for typ, check := range checks {
		if check(st) {
			out = append(out, string(typ))
		}
	}
	slices.Sort(out)
	return out
}

func (v *view) margin() events.Millis { return events.Millis(v.rules.Settings.Margin.Milliseconds()) }

// saidAfter reports whether any of the statements was said later than t.
func saidAfter(all []statement, t events.Millis) bool {
	for _, m := range moments(all) {
		if m.At > t {
			return true
		}
	}
	return false
}

// settledAt is when a terminal status was first said; false when none was.
func (v *view) settledAt() (events.Millis, bool) {
	var all []events.Millis
	for _, st := range append(v.ends(), events.StatusRefunded) {
		if len(v.times(st)) > 0 {
			all = append(all, v.first(st))
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return slices.Min(all), true
}

func (v *view) missingWebhook(st events.State) bool {
	if !v.rules.Vocabulary.Webhooks {
		return false
	}
	for _, end := range append(v.ends(), events.StatusRefunded) {
		polled := moments(v.where(isPoll, says(end)))
		sent := v.where(isWebhook, says(end))
		if len(polled) > 0 && len(sent) == 0 && st.LastSeenAt >= polled[0].At+events.Millis(v.rules.Settings.MissingWebhook.Milliseconds()) {
			return true
		}
	}
	return false
}

func (v *view) statusConflict(st events.State) bool {
	ends := v.ends()
	if len(ends) > 1 && !st.Status.Terminal() { // (a)
		return true
	}
	if back := v.times(events.StatusRefunded); len(back) > 0 { // (b)
		for _, end := range ends {
			polled := moments(v.where(isPoll, says(end)))
			if len(polled) == 0 {
				continue
			}
			last := polled[len(polled)-1].At
			if last > back[0].At+v.margin() && !saidAfter(v.where(isPoll, says(events.StatusRefunded)), last) {
				return true
			}
		}
	}
	if settled, ok := v.settledAt(); ok && st.DecidedBy != "operator_decision" { // (c)
		for _, p := range v.where(isPoll, isOpen) {
			if p.Last.At > settled+v.margin() && !saidAfter(v.where(isPoll, isTerminal), p.Last.At) {
				return true
			}
		}
	}
	for _, w := range v.where(isWebhook) { // (d)
		data, _ := v.rules.Vocabulary.Meaning(v.key.Kind, w.Facts.StatusInData)
		if w.Facts.StatusInData == "" || data.Status == events.StatusUnknown || data.Status == w.status {
			continue
		}
		if (w.status.Terminal() || data.Status.Terminal()) && !saidAfter(v.where(isPoll, isKnown), w.First.At) {
			return true
		}
	}
	return false
}

func (v *view) illegalTransition(st events.State) bool {
	for _, hi := range v.where(isKnown) {
		settles := hi.status.Terminal()
		if v.key.Kind == events.Customer {
			settles = hi.status == events.StatusCancelled
		}
		began := hi.First.At
		if !hi.poll {
			began += v.margin()
		}
		for _, lo := range v.where(isPoll, isKnown) {
			if settles || lo.status.Rank() == 0 || hi.status.Rank() <= lo.status.Rank() || lo.Last.At <= began ||
				v.rules.Vocabulary.Legal(hi.Word, lo.Word) {
				continue
			}
			recovered := st.Status.Rank() >= hi.status.Rank() &&
				(st.DecidedBy == "operator_decision" || saidAfter(v.where(says(st.Status)), lo.Last.At))
			if !recovered {
				return true
			}
		}
	}
	return false
}

func (v *view) lateAfterTerminal(events.State) bool {
	settled, ok := v.settledAt()
	for _, w := range v.where(isWebhook, isOpen) {
		if ok && w.First.At > settled+v.margin() && !saidAfter(v.where(isPoll, isTerminal), w.First.At) {
			return true
		}
	}
	return false
}

// mismatch: any terminal state ends it, whether an operator's or another end.
func (v *view) mismatch(st events.State, typ events.DiscrepancyType) bool {
	found, _ := v.unmet()
	return !st.Status.Terminal() && slices.ContainsFunc(found, func(u unmet) bool { return u.kind == typ })
}

func (v *view) txHashMismatch(events.State) bool {
	var hashes []string
	for _, s := range v.said {
		if h := s.Facts.TxHash; h != "" && !slices.Contains(hashes, h) {
			hashes = append(hashes, h)
		}
	}
	return len(hashes) > 1
}

func (v *view) unknownStatus(st events.State) bool {
	if len(v.more) > 0 {
		return true
	}
	for _, row := range v.rows {
		if row.Kind == events.EvidenceOverflow {
			return true
		}
	}
	for _, s := range v.said {
		if _, listed := v.rules.Vocabulary.Meaning(v.key.Kind, s.Word); s.failure || listed || s.Word == "" {
			continue
		}
		if !saidAfter(v.where(says(st.Status)), s.last().At) {
			return true
		}
	}
	return false
}

func (v *view) stuck(events.State) bool {
	limit := events.Millis(v.rules.Settings.Stuck.Milliseconds())
	for _, p := range v.where(isPoll, isOpen) {
		others := moments(v.where(func(s statement) bool { return !s.failure && s.Word != "" && s.Word != p.Word }))
		since, moved := p.First.At, false
		for _, m := range others {
			if m.At < p.Last.At {
				since = max(since, m.At)
			}
			moved = moved || m.At > p.Last.At
		}
		never := v.key.Kind == events.Customer && p.status == events.StatusCreated
		if p.Last.At-since >= limit && !moved && !never {
			return true
		}
	}
	return false
}

func (v *view) unconfirmed(events.State) bool {
	missed := v.where(func(s statement) bool { return s.poll && s.Word == "!not_found" })
	named := moments(append(v.where(isWebhook), v.more...))
	if len(missed) == 0 || len(named) == 0 || missed[0].Last.At < named[0].At {
		return false
	}
	return !saidAfter(v.where(isPoll, func(s statement) bool { return !s.failure }), missed[0].Last.At)
}

func (v *view) futureEvidence(events.State) bool {
	for _, row := range v.rows {
		if row.Kind != events.EvidenceFuture {
			continue
		}
		later := false
		for _, o := range v.rows {
			later = later || o.First.At > row.Last.At || o.Last.At > row.Last.At
		}
		if !later {
			return true
		}
	}
	return false
}
