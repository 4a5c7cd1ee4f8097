package codec

import (
	"context"
	"slices"

	"rampstream/internal/events"
)

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

func (f *faults) transition(x *events.Transition) {
	f.key(x.Key)
	f.text("transition_id", string(x.ID))
	f.status("from_status", x.From)
	f.status("to_status", x.To)
	f.text("from_status_raw", x.FromRaw)
	f.text("to_status_raw", x.ToRaw)
	f.text("decided_by", x.Rule)
	f.require(x.Reason == "evidence" || x.Reason == "rule_change", "reason", "not evidence or rule_change")
	f.text("digest_before", x.DigestBefore)
	f.text("digest_after", x.DigestAfter)
	f.text("cause_coordinates", x.Cause)
	f.text("cause_event_id", string(x.CauseEventID))
	f.at("true_at", x.TrueAt)
	f.at("learned_at", x.LearnedAt)
}

// EncodeTransition is the record value of x. Errors: ErrInvalid, ErrNoID.
func (c *Codec) EncodeTransition(x events.Transition) ([]byte, error) {
	var f faults
	if f.transition(&x); f.err != nil {
		return nil, f.of("Transition", ErrInvalid)
	}
	causeID := string(x.CauseEventID)
	return encode(c, "Transition", &transitionWire{
		TransitionID: x.ID, subjectWire: subjectOf(x.Key),
		FromStatus: x.From.String(), FromStatusRaw: opt(&x.FromRaw), ToStatus: x.To.String(), ToStatusRaw: opt(&x.ToRaw),
		DecidedBy: x.Rule, Reason: x.Reason, Terminal: x.Terminal,
		DigestBefore: opt(&x.DigestBefore), DigestAfter: x.DigestAfter,
		CauseCoordinates: opt(&x.Cause), CauseEventID: opt(&causeID),
		TrueAt: x.TrueAt, LearnedAt: x.LearnedAt, Retroactive: x.Retroactive,
	})
}

// DecodeTransition reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeTransition(ctx context.Context, value []byte) (events.Transition, error) {
	var w transitionWire
	if err := decode(ctx, c, "Transition", value, &w); err != nil {
		return events.Transition{}, err
	}
	var f faults
	x := events.Transition{
		ID: w.TransitionID, Key: w.key(&f),
		From: statusOf(&f, "from_status", w.FromStatus), FromRaw: val(w.FromStatusRaw),
		To: statusOf(&f, "to_status", w.ToStatus), ToRaw: val(w.ToStatusRaw),
		Rule: w.DecidedBy, Reason: w.Reason, Terminal: w.Terminal,
		DigestBefore: val(w.DigestBefore), DigestAfter: w.DigestAfter,
		Cause: val(w.CauseCoordinates), CauseEventID: events.EventID(val(w.CauseEventID)),
		TrueAt: w.TrueAt, LearnedAt: w.LearnedAt, Retroactive: w.Retroactive,
	}
	if f.transition(&x); f.err != nil {
		return events.Transition{}, f.of("Transition", ErrCorrupt)
	}
	return x, nil
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

func (f *faults) discrepancy(x *events.Discrepancy) {
	f.key(x.Key)
	f.require(validDiscrepancy(x.Type), "type", "not a type of discrepancy")
	f.require(x.Severity == "info" || x.Severity == "warning" || x.Severity == "critical", "severity", "not info, warning or critical")
	f.at("opened_at", x.OpenedAt)
	f.at("resolved_at", x.ResolvedAt)
	f.text("expected", x.Expected)
	f.text("seen", x.Seen)
	f.amount("at_stake_amount", x.AtStake)
	f.text("at_stake_currency", x.AtStakeCurrency)
	f.require(slices.IsSorted(x.Evidence), "evidence", "not sorted")
	for _, at := range x.Evidence {
		f.text("evidence", at)
	}
}

// EncodeDiscrepancy is the record value of x; its evidence is written sorted.
// Errors: ErrInvalid, ErrNoID.
func (c *Codec) EncodeDiscrepancy(x events.Discrepancy) ([]byte, error) {
	x.Evidence = sortedCopy(x.Evidence)
	var f faults
	if f.discrepancy(&x); f.err != nil {
		return nil, f.of("Discrepancy", ErrInvalid)
	}
	return encode(c, "Discrepancy", &discrepancyWire{
		subjectWire: subjectOf(x.Key), Type: x.Type, Severity: x.Severity,
		OpenedAt: x.OpenedAt, ResolvedAt: opt(&x.ResolvedAt), Expected: opt(&x.Expected), Seen: opt(&x.Seen),
		AtStakeAmount: opt(&x.AtStake), AtStakeCurrency: opt(&x.AtStakeCurrency), Evidence: x.Evidence,
	})
}

// DecodeDiscrepancy reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeDiscrepancy(ctx context.Context, value []byte) (events.Discrepancy, error) {
	var w discrepancyWire
	if err := decode(ctx, c, "Discrepancy", value, &w); err != nil {
		return events.Discrepancy{}, err
	}
	var f faults
	x := events.Discrepancy{
		Key: w.key(&f), Type: w.Type, Severity: w.Severity, OpenedAt: w.OpenedAt, ResolvedAt: val(w.ResolvedAt),
		Expected: val(w.Expected), Seen: val(w.Seen), AtStake: val(w.AtStakeAmount), AtStakeCurrency: val(w.AtStakeCurrency),
	}
	if len(w.Evidence) > 0 {
		x.Evidence = w.Evidence
	}
	if f.discrepancy(&x); f.err != nil {
		return events.Discrepancy{}, f.of("Discrepancy", ErrCorrupt)
	}
	return x, nil
}
