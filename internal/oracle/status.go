package oracle

import (
	"slices"
	"sort"

	"rampstream/internal/events"
)

// answer is what a rule says.
type answer struct {
	status events.Status
	rule   string
	source string
	row    *events.Evidence
	since  events.Millis
	// clash lists, of a dispute, when each thing that makes it was known, beside
	// the terminal status it speaks for.
	clash []clash
}

type clash struct {
	at   events.Millis
	for_ events.Status
}

// answer goes through the rules of docs/ORDER.md, section 2, in their order.
func (v *view) answer(firstSeen events.Millis) answer {
	if v.key.Kind == events.Customer {
		return v.customer(firstSeen)
	}
	if t := v.times(events.StatusRefunded); len(t) > 0 {
		a := by(firstSaid(v.where(says(events.StatusRefunded))), "refunded")
		a.since = t[0].At
		return a
	}
	var a answer
	switch ends := v.ends(); len(ends) {
	case 0:
		return v.openOrder(firstSeen)
	case 1:
		a = v.contradicted(v.oneEnd(ends[0]), ends[0])
	default:
		a = v.manyEnds(ends)
	}
	if a.status == events.StatusCompleted {
		a = v.amounts(a)
	}
	if a.status == events.StatusDisputed {
		a = v.decided(a)
	}
	return a
}

func by(s *statement, rule string) answer {
	a := answer{status: s.status, rule: rule, row: &s.Evidence, source: "webhook"}
	if s.poll {
		a.source = "poll"
	}
	return a
}

func (v *view) oneEnd(st events.Status) answer {
	a := by(firstSaid(v.where(says(st))), "terminal")
	a.since = v.first(st)
	return a
}

// manyEnds: the one polled later than every other was last said plus confirm.
func (v *view) manyEnds(ends []events.Status) answer {
	for _, st := range ends {
		polled := moments(v.where(isPoll, says(st)))
		if len(polled) == 0 {
			continue
		}
		since, outlasts := v.first(st), true
		for _, o := range ends {
			if o == st {
				continue
			}
			outlasts = outlasts && polled[len(polled)-1].At > v.last(o)+v.confirm()
			since = max(since, v.last(o))
		}
		if outlasts {
			a := by(lastSaid(v.where(says(st))), "terminals_resolved")
			a.since = since
			return v.contradicted(a, st)
		}
	}
	a := answer{status: events.StatusDisputed, rule: "terminals_disputed"}
	for _, st := range ends {
		a.clash = append(a.clash, clash{v.first(st), st})
	}
	sort.Slice(a.clash, func(i, j int) bool { return a.clash[i].at < a.clash[j].at })
	a.since = a.clash[1].at
	return a
}

func (v *view) confirm() events.Millis { return events.Millis(v.rules.Settings.Confirm.Milliseconds()) }

// contradicted: a non-terminal word was polled long after st was last said.
func (v *view) contradicted(a answer, st events.Status) answer {
	limit := v.last(st) + v.confirm()
	against := v.where(isPoll, isOpen, func(s statement) bool { return s.Last.At > limit })
	if len(against) == 0 {
		return a
	}
	since := max(limit, firstSaid(against).First.At)
	return answer{status: events.StatusDisputed, rule: "terminal_contradicted", since: since, clash: []clash{{at: since}}}
}

func (v *view) amounts(a answer) answer {
	found, compared := v.unmet()
	switch {
	case len(found) > 0:
		out := answer{status: events.StatusDisputed, rule: "amount_mismatch"}
		for _, u := range found {
			out.clash = append(out.clash, clash{at: u.at})
		}
		sort.Slice(out.clash, func(i, j int) bool { return out.clash[i].at < out.clash[j].at })
		out.since = out.clash[0].at
		return out
	case v.rules.Vocabulary.AmountUnsigned && !compared:
		a.rule = "amount_unverified"
	}
	return a
}

// decided: the operator settles what was known at the time of the decision.
func (v *view) decided(a answer) answer {
	d := v.decision
	if d == nil || d.Last.At < a.since {
		return a
	}
	st, _ := events.ParseStatus(d.Word)
	var unknown []events.Millis
	since := d.First.At
	if since < a.since {
		since = d.Last.At
	}
	for _, c := range a.clash {
		if c.for_ == st {
			continue
		}
		if c.at > d.Last.At {
			unknown = append(unknown, c.at)
		}
		if d.First.At < c.at {
			since = d.Last.At
		}
	}
	if len(unknown) > 0 {
		a.since = slices.Min(unknown)
		return a
	}
	return answer{status: st, rule: "operator_decision", source: "decision", row: d, since: since}
}

// option is a status that may be the present one.
type option struct {
	answer
	at events.Sighting
}

// openOrder is rule 8.
func (v *view) openOrder(firstSeen events.Millis) answer {
	var options []option
	poll := lastSaid(v.where(isPoll, isKnown))
	rule := "webhook"
	if poll != nil {
		options = append(options, option{by(poll, "latest_poll"), poll.Last})
		rule = "webhook_after_poll"
	}
	for _, w := range v.where(isWebhook, isKnown) {
		if poll == nil || w.First.At > poll.Last.At-events.Millis(v.rules.Settings.Margin.Milliseconds()) {
			options = append(options, option{by(&w, rule), w.First})
		}
	}
	if len(v.intents) > 0 {
		options = append(options, v.intended())
	}
	sort.SliceStable(options, func(i, j int) bool {
		a, b := options[i], options[j]
		switch {
		case a.status.Rank() != b.status.Rank():
			return a.status.Rank() > b.status.Rank()
		case a.at != b.at:
			return before(b.at, a.at)
		}
		return a.status.String() < b.status.String()
	})
	return v.pick(options, firstSeen)
}

func (v *view) customer(firstSeen events.Millis) answer {
	var options []option
	for _, s := range v.where(isKnown) {
		options = append(options, option{by(&s, "customer_latest"), s.last()})
	}
	if len(options) == 0 && len(v.intents) > 0 {
		options = append(options, v.intended())
	}
	sort.SliceStable(options, func(i, j int) bool {
		a, b := options[i], options[j]
		switch {
		case a.at != b.at:
			return before(b.at, a.at)
		case a.status.Rank() != b.status.Rank():
			return a.status.Rank() > b.status.Rank()
		}
		return a.status.String() < b.status.String()
	})
	return v.pick(options, firstSeen)
}

func (v *view) intended() option {
	i := v.intents[0]
	for _, o := range v.intents {
		if before(o.First, i.First) {
			i = o
		}
	}
	return option{answer{status: events.StatusCreated, rule: "intent", source: "intent", row: &i, since: i.First.At}, i.First}
}

func (v *view) pick(options []option, firstSeen events.Millis) answer {
	if len(options) == 0 {
		return answer{rule: "no_known_status", since: firstSeen}
	}
	a := options[0].answer
	if a.since == 0 {
		a.since = v.since(a.status)
	}
	return a
}

// since: the status's first, or the last time of another before its own last.
func (v *view) since(st events.Status) events.Millis {
	own := v.times(st)
	since := own[0].At
	for _, o := range events.Statuses() {
		if t := v.times(o); o != st && len(t) > 0 && before(t[len(t)-1], own[len(own)-1]) {
			since = max(since, t[len(t)-1].At)
		}
	}
	return since
}
