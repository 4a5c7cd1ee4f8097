package order

import (
	"strings"

	"rampstream/internal/events"
)

// said is what the evidence says of one normalised status, over all its words.
type said struct {
	status events.Status
	// webhook is the earliest webhook sighting; pollFirst and pollLast those of
	// polls. Zero where there is none.
	webhook, pollFirst, pollLast events.Sighting
	// lastWebhook is the latest first sighting of a webhook meaning.
	lastWebhook events.Sighting
}

// first is the earliest sighting from any source.
func (s said) first() events.Sighting { return earlier(s.webhook, s.pollFirst) }

// last is the latest sighting from any source. Of a webhook only first
// sightings count: a replayed delivery proves nothing new.
func (s said) last() events.Sighting { return later(s.lastWebhook, s.pollLast) }

func (s said) seen() bool { return s.first() != (events.Sighting{}) }

// digest of the evidence, gathered once a view.
type summary struct {
	rows  []events.Evidence
	vocab events.Vocabulary
	kind  events.SubjectKind

	by        [len(allStatuses)]said
	poll      *events.Evidence // latest poll whose word has a known meaning
	anyPoll   *events.Evidence // latest successful poll, known word or not
	failed    *events.Evidence // latest failed poll
	gaveUp    events.Sighting
	forgotten *events.Evidence
	decision  *events.Evidence // latest repeated
	dropped   events.Sighting  // latest poll with a word that is not kept
	intents   []*events.Evidence
	firstSeen events.Sighting
	lastSeen  events.Sighting

	compared struct { // what findUnmet says
		done, any bool
		found     []unmet
	}
}

var allStatuses = [...]events.Status{
	events.StatusUnknown, events.StatusCreated, events.StatusPending, events.StatusProcessing, events.StatusOnHold,
	events.StatusDisputed, events.StatusCompleted, events.StatusFailed, events.StatusCancelled, events.StatusExpired,
	events.StatusRefunded,
}

const gaveUpWord = "!" + string(events.OutcomeGaveUp)

func failure(word string) bool { return strings.HasPrefix(word, "!") }

// summarise reads the rows once. It keeps pointers into rows.
func summarise(rows []events.Evidence, vocab events.Vocabulary, kind events.SubjectKind) *summary {
	s := &summary{rows: rows, vocab: vocab, kind: kind}
	for i := range s.by {
		s.by[i].status = allStatuses[i]
	}
	for i := range rows {
		r := &rows[i]
		s.firstSeen = earlier(s.firstSeen, r.First)
		s.lastSeen = later(later(s.lastSeen, r.First), r.Last)
		switch r.Kind {
		case events.EvidenceWebhook, events.EvidenceWebhookMore:
			b := &s.by[s.meaning(r.Word)]
			b.webhook = earlier(b.webhook, r.First)
			b.lastWebhook = later(b.lastWebhook, r.First)
		case events.EvidencePoll:
			s.addPoll(r)
		case events.EvidenceIntent:
			s.intents = append(s.intents, r)
		case events.EvidenceDecision:
			if st, _ := events.ParseStatus(r.Word); st.Terminal() {
				s.decision = latest(s.decision, r)
			}
		case events.EvidenceForget:
			s.forgotten = r
		case events.EvidenceOverflow:
			if r.Word == sourcePoll {
				s.dropped = r.Last
			}
		}
	}
	return s
}

func (s *summary) addPoll(r *events.Evidence) {
	switch {
	case r.Word == gaveUpWord:
		s.gaveUp = later(s.gaveUp, r.Last)
		return
	case failure(r.Word):
		s.failed = latest(s.failed, r)
		return
	}
	s.anyPoll = latest(s.anyPoll, r)
	st := s.meaning(r.Word)
	b := &s.by[st]
	b.pollFirst = earlier(b.pollFirst, r.First)
	b.pollLast = later(b.pollLast, r.Last)
	if st != events.StatusUnknown {
		s.poll = latest(s.poll, r)
	}
}

func latest(a, b *events.Evidence) *events.Evidence {
	if a == nil || b.Last.Compare(a.Last) > 0 {
		return b
	}
	return a
}

func (s *summary) meaning(word string) events.Status {
	w, _ := s.vocab.Meaning(s.kind, word)
	return w.Status
}

// terminals lists the terminal statuses that were seen, in rank order.
func (s *summary) terminals() []*said {
	var out []*said
	for i := range s.by {
		if s.by[i].status.Terminal() && s.by[i].seen() {
			out = append(out, &s.by[i])
		}
	}
	return out
}

// denials are the polls that answered a known, non-terminal word after t.
func (s *summary) denials(t events.Millis) []*events.Evidence {
	var out []*events.Evidence
	for i := range s.rows {
		r := &s.rows[i]
		if r.Kind != events.EvidencePoll || r.Last.At <= t {
			continue
		}
		if st, known := s.known(r); known && !st.Terminal() {
			out = append(out, r)
		}
	}
	return out
}

// known is what the word of a webhook or poll means; false for a failure and
// for a word that means nothing to us.
func (s *summary) known(r *events.Evidence) (events.Status, bool) {
	if (r.Kind != events.EvidencePoll && r.Kind != events.EvidenceWebhook) || (r.Kind == events.EvidencePoll && failure(r.Word)) {
		return events.StatusUnknown, false
	}
	st := s.meaning(r.Word)
	return st, st != events.StatusUnknown
}

// row is the evidence that stands for a status: the latest that said it.
// source is "poll" or "webhook"; nil when the status was never seen.
func (s *summary) row(st events.Status) (best *events.Evidence, source string) {
	return s.best(st, func(r, than *events.Evidence) bool { return at(r).Compare(at(than)) > 0 })
}

// saidFirst is the evidence that first said a status: it is what settled the
// order, whoever repeated it later. source is "poll" or "webhook".
func (s *summary) saidFirst(st events.Status) (best *events.Evidence, source string) {
	return s.best(st, func(r, than *events.Evidence) bool { return r.First.Compare(than.First) < 0 })
}

func (s *summary) best(st events.Status, better func(r, than *events.Evidence) bool) (best *events.Evidence, source string) {
	for i := range s.rows {
		r := &s.rows[i]
		if got, known := s.known(r); known && got == st && (best == nil || better(r, best)) {
			best = r
		}
	}
	switch {
	case best == nil:
		return nil, ""
	case best.Kind == events.EvidencePoll:
		return best, sourcePoll
	}
	return best, sourceWebhook
}

// at is when a row was last said: a poll's last, a webhook's first.
func at(r *events.Evidence) events.Sighting {
	if r.Kind == events.EvidencePoll {
		return r.Last
	}
	return r.First
}
