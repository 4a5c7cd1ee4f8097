package order

import (
	"slices"
	"strings"

	"rampstream/internal/events"
)

// said is what the evidence says of one normalised status, over all its words.
// The sightings point into the rows, or to never.
type said struct {
	status events.Status
	// webhook is the earliest webhook sighting; pollFirst and pollLast those of
	// polls.
	webhook, pollFirst, pollLast *events.Sighting
	// lastWebhook is the latest first sighting of a webhook meaning.
	lastWebhook *events.Sighting
}

// never is the sighting of what was not said. Nobody writes it.
var never events.Sighting

// none reports whether x is never. Hardly any other sighting has no time.
func none(x *events.Sighting) bool { return x.At == 0 && *x == never }

// first is the earliest sighting from any source.
func (s *said) first() *events.Sighting { return earlierOf(s.webhook, s.pollFirst) }

// last is the latest sighting from any source. Of a webhook only first
// sightings count: a replayed delivery proves nothing new.
func (s *said) last() *events.Sighting { return laterOf(s.lastWebhook, s.pollLast) }

func (s *said) seen() bool { return !none(s.webhook) || !none(s.pollFirst) }

// meaning is what the word of a webhook or poll row says.
type meaning struct {
	status events.Status
	known  bool // it means something to us, and is no failure
	listed bool // it is in the provider's table
	rank   int8 // of the status, if known
}

// settling are the statuses that settle an order, in rank order.
var settling = slices.DeleteFunc(events.Statuses(), func(st events.Status) bool { return !st.Terminal() })

// terminalStatuses is how many they are.
const terminalStatuses = 5

// summary is the evidence, read once a view. It keeps pointers into rows and
// into itself: it is never copied.
type summary struct {
	rows  []events.Evidence
	lane  *laneRules
	kind  events.SubjectKind
	means []meaning // of each row

	by        [len(allStatuses)]said
	terms     [terminalStatuses]*said
	settled   []*said          // the terminal statuses that were said, in rank order: a part of terms
	poll      *events.Evidence // latest poll whose word has a known meaning
	anyPoll   *events.Evidence // latest successful poll, known word or not
	failed    *events.Evidence // latest failed poll
	notFound  *events.Evidence // the poll that the provider does not know the subject
	gaveUp    *events.Sighting
	forgotten *events.Evidence
	decision  *events.Evidence   // latest repeated
	dropped   *events.Sighting   // latest poll with a word that is not kept
	intents   []*events.Evidence // at most maxMeanings
	firstSeen *events.Sighting
	lastSeen  *events.Sighting
	unlisted  bool // some word is not in the provider's table, or not kept with all that it said
	future    bool // something was dated ahead

	compared struct { // what findUnmet says
		done, any bool
		found     []unmet
	}
	// Memory of means and intents, used again by the next reading.
	meansOf   [16]meaning
	intentsOf [maxMeanings]*events.Evidence
}

var allStatuses = [...]events.Status{
	events.StatusUnknown, events.StatusCreated, events.StatusPending, events.StatusProcessing, events.StatusOnHold,
	events.StatusDisputed, events.StatusCompleted, events.StatusFailed, events.StatusCancelled, events.StatusExpired,
	events.StatusRefunded,
}

const (
	gaveUpWord   = "!" + string(events.OutcomeGaveUp)
	notFoundWord = "!" + string(events.OutcomeNotFound)
)

func failure(word string) bool { return strings.HasPrefix(word, "!") }

// nothing is the summary of no evidence.
var nothing = func() (s summary) {
	for i := range s.by {
		s.by[i] = said{allStatuses[i], &never, &never, &never, &never}
	}
	s.gaveUp, s.dropped, s.firstSeen, s.lastSeen = &never, &never, &never, &never
	return s
}()

// read summarises the rows.
func (s *summary) read(rows []events.Evidence, lane *laneRules, kind events.SubjectKind) {
	*s = nothing
	s.rows, s.lane, s.kind = rows, lane, kind
	s.means, s.intents = s.meansOf[:0], s.intentsOf[:0]
	for i := range rows {
		r := &rows[i]
		m := s.meaningOf(r)
		s.means = append(s.means, m)
		s.firstSeen = earlierOf(s.firstSeen, &r.First)
		s.lastSeen = laterOf(laterOf(s.lastSeen, &r.First), &r.Last)
		switch r.Kind {
		case events.EvidenceWebhook, events.EvidenceWebhookMore:
			s.unlisted = s.unlisted || !m.listed || r.Kind == events.EvidenceWebhookMore
			b := &s.by[m.status]
			b.webhook = earlierOf(b.webhook, &r.First)
			b.lastWebhook = laterOf(b.lastWebhook, &r.First)
		case events.EvidencePoll:
			s.addPoll(r, m)
		case events.EvidenceIntent:
			s.intents = append(s.intents, r)
		case events.EvidenceDecision:
			if st, _ := events.ParseStatus(r.Word); st.Terminal() {
				s.decision = latest(s.decision, r)
			}
		case events.EvidenceForget:
			s.forgotten = r
		case events.EvidenceFuture:
			s.future = true
		case events.EvidenceOverflow:
			s.unlisted = true
			if r.Word == sourcePoll {
				s.dropped = &r.Last
			}
		}
	}
	n := 0
	for _, st := range settling {
		if s.by[st].seen() {
			s.terms[n] = &s.by[st]
			n++
		}
	}
	s.settled = s.terms[:n]
}

// meaningOf looks a row's word up, once a reading.
func (s *summary) meaningOf(r *events.Evidence) meaning {
	switch r.Kind {
	case events.EvidenceWebhook, events.EvidenceWebhookMore, events.EvidencePoll:
	default:
		return meaning{}
	}
	if r.Kind == events.EvidencePoll && failure(r.Word) {
		return meaning{}
	}
	st, listed := s.lane.meaning(s.kind, r.Word)
	m := meaning{status: st, known: st != events.StatusUnknown && r.Kind != events.EvidenceWebhookMore, listed: listed}
	if m.known {
		m.rank = int8(st.Rank())
	}
	return m
}

func (s *summary) addPoll(r *events.Evidence, m meaning) {
	switch {
	case r.Word == gaveUpWord:
		s.gaveUp = laterOf(s.gaveUp, &r.Last)
		return
	case failure(r.Word):
		s.failed = latest(s.failed, r)
		if r.Word == notFoundWord && s.notFound == nil {
			s.notFound = r
		}
		return
	}
	s.unlisted = s.unlisted || !m.listed
	s.anyPoll = latest(s.anyPoll, r)
	b := &s.by[m.status]
	b.pollFirst = earlierOf(b.pollFirst, &r.First)
	b.pollLast = laterOf(b.pollLast, &r.Last)
	if m.known {
		s.poll = latest(s.poll, r)
	}
}

func latest(a, b *events.Evidence) *events.Evidence {
	if a == nil || compareSightings(&b.Last, &a.Last) > 0 {
		return b
	}
	return a
}

// meaning is what any word of the provider means, a row's or another.
func (s *summary) meaning(word string) events.Status {
	st, _ := s.lane.meaning(s.kind, word)
	return st
}

// denials are the polls that answered a known, non-terminal word after t.
func (s *summary) denials(t events.Millis) []*events.Evidence {
	var out []*events.Evidence
	for i := range s.rows {
		r := &s.rows[i]
		if r.Kind != events.EvidencePoll || r.Last.At <= t {
			continue
		}
		if s.means[i].known && !s.means[i].status.Terminal() {
			out = append(out, r)
		}
	}
	return out
}

// row is the evidence that stands for a status: the latest that said it.
// source is "poll" or "webhook"; nil when the status was never seen.
func (s *summary) row(st events.Status) (best *events.Evidence, source string) {
	for i := range s.rows {
		r := &s.rows[i]
		if s.means[i].known && s.means[i].status == st && (best == nil || compareSightings(at(r), at(best)) > 0) {
			best = r
		}
	}
	return best, sourceOf(best)
}

// saidFirst is the evidence that first said a status: it is what settled the
// order, whoever repeated it later. source is "poll" or "webhook".
func (s *summary) saidFirst(st events.Status) (best *events.Evidence, source string) {
	for i := range s.rows {
		r := &s.rows[i]
		if s.means[i].known && s.means[i].status == st && (best == nil || compareSightings(&r.First, &best.First) < 0) {
			best = r
		}
	}
	return best, sourceOf(best)
}

func sourceOf(r *events.Evidence) string {
	switch {
	case r == nil:
		return ""
	case r.Kind == events.EvidencePoll:
		return sourcePoll
	}
	return sourceWebhook
}

// at is when a row was last said: a poll's last, a webhook's first.
func at(r *events.Evidence) *events.Sighting {
	if r.Kind == events.EvidencePoll {
		return &r.Last
	}
	return &r.First
}
