package codec

import "rampstream/internal/events"

type transitionWire struct {
	TransitionID events.EventID `avro:"transition_id"`
	subjectWire
	FromStatus       string        `avro:"from_status"`
	FromStatusRaw    *string       `avro:"from_status_raw"`
	ToStatus         string        `avro:"to_status"`
	ToStatusRaw      *string       `avro:"to_status_raw"`
	DecidedBy        string        `avro:"decided_by"`
	Reason           string        `avro:"reason"`
	Terminal         bool          `avro:"terminal"`
	DigestBefore     *string       `avro:"digest_before"`
	DigestAfter      string        `avro:"digest_after"`
	CauseCoordinates *string       `avro:"cause_coordinates"`
	CauseEventID     *string       `avro:"cause_event_id"`
	TrueAt           events.Millis `avro:"true_at"`
	LearnedAt        events.Millis `avro:"learned_at"`
	Retroactive      bool          `avro:"retroactive"`
}

func (w *transitionWire) value(f *faults) events.Transition {
	return events.Transition{
		ID: w.TransitionID, Key: w.key(f),
		From: statusOf(f, "from_status", w.FromStatus), FromRaw: val(w.FromStatusRaw),
		To: statusOf(f, "to_status", w.ToStatus), ToRaw: val(w.ToStatusRaw),
		Rule: w.DecidedBy, Reason: w.Reason, Terminal: w.Terminal,
		DigestBefore: val(w.DigestBefore), DigestAfter: w.DigestAfter,
		Cause: val(w.CauseCoordinates), CauseEventID: events.EventID(val(w.CauseEventID)),
		TrueAt: w.TrueAt, LearnedAt: w.LearnedAt, Retroactive: w.Retroactive,
	}
}

type discrepancyWire struct {
	subjectWire
	Type            events.DiscrepancyType `avro:"type"`
	Severity        string                 `avro:"severity"`
	OpenedAt        events.Millis          `avro:"opened_at"`
	ResolvedAt      *events.Millis         `avro:"resolved_at"`
	Expected        *string                `avro:"expected"`
	Seen            *string                `avro:"seen"`
	AtStakeAmount   *events.Amount         `avro:"at_stake_amount"`
	AtStakeCurrency *string                `avro:"at_stake_currency"`
	Evidence        []string               `avro:"evidence"`
}

func (w *discrepancyWire) value(f *faults) events.Discrepancy {
	x := events.Discrepancy{
		Key: w.key(f), Type: w.Type, Severity: w.Severity, OpenedAt: w.OpenedAt, ResolvedAt: val(w.ResolvedAt),
		Expected: val(w.Expected), Seen: val(w.Seen), AtStake: val(w.AtStakeAmount), AtStakeCurrency: val(w.AtStakeCurrency),
	}
	if len(w.Evidence) > 0 {
		x.Evidence = w.Evidence
	}
	return x
}
