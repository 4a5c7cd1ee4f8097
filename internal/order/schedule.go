package order

import (
	"time"

	"rampstream/internal/events"
)

// Schedule says when the provider is to be asked next about a state that View
// made, and why. ok is false when there is nothing left to ask: the provider
// has no such call, the subject is forgotten, or its settlement is confirmed.
// It is a pure function of the state.
func (r Rules) Schedule(st events.State) (task events.CheckTask, ok bool) {
	var in Reading
	return r.ReadSchedule(&in, &st)
}

// ReadSchedule is Schedule with in as the memory to work in.
func (r *Rules) ReadSchedule(in *Reading, st *events.State) (task events.CheckTask, ok bool) {
	if !r.Pollable(&st.Key) || st.DecidedBy == RuleForgotten {
		return events.CheckTask{}, false
	}
	in.rules, in.key = r, st.Key
	in.s.read(st.Evidence, r.lane(&st.Key), st.Key.Kind)
	return in.Schedule(st)
}

// Schedule is Rules.Schedule of the state that Assess made of what was read.
func (in *Reading) Schedule(st *events.State) (task events.CheckTask, ok bool) {
	r := in.rules
	if !in.s.lane.pollable(st.Key.Kind) || st.DecidedBy == RuleForgotten {
		return events.CheckTask{}, false
	}
	task = events.CheckTask{
		Key: st.Key, Known: true, Status: st.Status, Since: st.Since,
		ExpectedAmount: st.Expected.CryptoAmount, ExpectedCurrency: st.Expected.CryptoAsset,
	}
	if st.Terminal || st.DecidedBy == RuleOperatorDecision {
		return r.confirmation(&in.s, st, task)
	}
	return r.openCheck(&in.s, st, task)
}

// confirmation schedules the trailing checks of a settled order: each offset
// is done once a successful poll started at or after it.
func (r *Rules) confirmation(s *summary, st *events.State, task events.CheckTask) (events.CheckTask, bool) {
	offsets := r.settings.ConfirmationsOther
	if st.Status == events.StatusCompleted {
		offsets = r.settings.ConfirmationsCompleted
	}
	task.Cause = events.CauseConfirm
	for i := range len(offsets) + 1 {
		var due events.Millis
		if i < len(offsets) {
			due = st.Since.Add(offsets[i])
		} else if due = r.deniedUntil(s, st); due == 0 {
			break
		}
		if s.answered().At >= due {
			continue
		}
		if s.gaveUp.At >= due {
			return events.CheckTask{}, false
		}
		began := due
		if retry, failing := r.retryAt(s); failing && retry > due {
			due = retry
			if s.failed.Last.At-began > ms(r.settings.Horizon) {
				task.GiveUp = true
			}
		}
		task.DueAt = due
		return task, true
	}
	return events.CheckTask{}, false
}

// deniedUntil is from when on a denial of the settlement is a dispute, where the
// latest answer is a denial that is none yet: it confirms nothing. 0 for none.
func (r *Rules) deniedUntil(s *summary, st *events.State) events.Millis {
	if s.kind == events.Customer || st.DecidedBy == RuleOperatorDecision || st.Status == events.StatusRefunded ||
		s.poll == nil || s.meaning(s.poll.Word).Terminal() {
		return 0
	}
	t := &s.by[st.Status]
	if s.poll.Last.At <= t.first().At+r.margin() {
		return 0
	}
	return t.last().At + ms(r.settings.Confirm) + 1
}

// openCheck schedules the next check of an order that has not settled.
func (r *Rules) openCheck(s *summary, st *events.State, task events.CheckTask) (events.CheckTask, bool) {
	task.Cause = events.CauseSchedule
	asked := s.lastAsked()
	if asked == 0 {
		task.DueAt = st.FirstSeenAt.Add(r.settings.MinInterval)
		return task, true
	}
	if st.StaleSince != 0 {
		return events.CheckTask{}, false
	}
	// The longer the order has stood still when it was last asked about, the
	// longer until the next time.
	still := asked - s.movedAt(st)
	if time.Duration(still)*time.Millisecond >= r.settings.Horizon {
		task.GiveUp, task.DueAt = true, asked
		return task, true
	}
	task.DueAt = asked + jitter(&st.Key, r.interval(still))
	if retry, failing := r.retryAt(s); failing && retry > task.DueAt {
		task.DueAt = retry
	}
	return task, true
}

// movedAt is when the order last moved, as far as is known: it came to its
// status, was first heard of, or a webhook said something new about it.
func (s *summary) movedAt(st *events.State) events.Millis {
	t := max(st.Since, st.FirstSeenAt)
	for i := range s.by {
		t = max(t, s.by[i].lastWebhook.At)
	}
	return t
}

// lastAsked is when the latest poll, successful or not, started.
func (s *summary) lastAsked() events.Millis {
	t := s.answered().At
	if s.failed != nil {
		t = max(t, s.failed.Last.At)
	}
	return t
}

// answered is the latest poll that got an answer, whatever its word.
func (s *summary) answered() *events.Sighting {
	if s.anyPoll == nil {
		return s.dropped
	}
	return laterOf(s.dropped, &s.anyPoll.Last)
}

// interval grows with the time the order has stood still, an eighth of it,
// between the configured bounds.
func (r *Rules) interval(still events.Millis) events.Millis {
	return min(max(still/8, ms(r.settings.MinInterval)), ms(r.settings.MaxInterval))
}

// retryAt is when to ask again after failures: they are evidence, so that the
// back-off survives a restart. failing is false when the latest poll succeeded.
func (r *Rules) retryAt(s *summary) (at events.Millis, failing bool) {
	answered := s.answered()
	if s.failed == nil || compareSightings(answered, &s.failed.Last) > 0 {
		return 0, false
	}
	began := s.failed.First.At
	for i := range s.rows { // classes of failures take turns
		if f := &s.rows[i]; f.Kind == events.EvidencePoll && failure(f.Word) && f.Word != gaveUpWord && f.Last.At > answered.At {
			began = min(began, f.First.At)
		}
	}
	began = max(began, answered.At)
	// Doubling: as long again as it has failed already.
	wait := min(max(s.failed.Last.At-began, ms(r.settings.MinInterval)), ms(r.settings.MaxInterval))
	return s.failed.Last.At + wait, true
}

// jitter spreads keys deterministically over the last tenth of an interval, so
// that orders of one minute are not asked about in one second for ever.
func jitter(key *events.Key, d events.Millis) events.Millis {
	if d < 20 {
		return d
	}
	var h fnv = 1469598103934665603
	h.text(string(key.Provider))
	h.text("/")
	h.text(string(key.Account))
	if key.Kind == events.Customer {
		h.text("/customer")
	}
	h.text("/")
	h.text(key.ID)
	spread := uint64(d / 10)
	return d - events.Millis(uint64(h)%(spread+1))
}

// fnv is FNV-1a of the key's text, piece by piece.
type fnv uint64

func (h *fnv) text(s string) {
	for i := range len(s) {
		*h = (*h ^ fnv(s[i])) * 1099511628211
	}
}
