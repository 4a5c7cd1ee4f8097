package codec

import (
	"context"
	"slices"

	"rampstream/internal/events"
)

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
	v := newBuffer()
	return v.end(c.AppendTransition(v.b, &x))
}

// AppendTransition appends the record value of x to b. On error b is returned as it
// was. Errors: ErrInvalid, ErrNoID.
func (c *Codec) AppendTransition(b []byte, x *events.Transition) ([]byte, error) {
	var f faults
	if f.transition(x); f.err != nil {
		return b, f.of("Transition", ErrInvalid)
	}
	v, err := c.frame(b, "Transition")
	if err != nil {
		return b, err
	}
	return appendTransition(v, x), nil
}

// DecodeTransition reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeTransition(ctx context.Context, value []byte) (events.Transition, error) {
	w, err := c.writerFor(ctx, "Transition", value)
	if err != nil {
		return events.Transition{}, err
	}
	var r reader
	var x events.Transition
	if w.ours {
		r.open(nil, value)
		r.readTransition(&x)
		r.close()
	} else {
		var v transitionWire
		if err := w.resolve("Transition", value, &v); err != nil {
			return events.Transition{}, err
		}
		x = v.value(&r.faults)
	}
	if r.transition(&x); r.err != nil {
		return events.Transition{}, r.of("Transition", ErrCorrupt)
	}
	return x, nil
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
	f.items("evidence", len(x.Evidence))
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
	v, err := c.begin("Discrepancy")
	if err != nil {
		return nil, err
	}
	return v.end(appendDiscrepancy(v.b, &x), nil)
}

// DecodeDiscrepancy reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeDiscrepancy(ctx context.Context, value []byte) (events.Discrepancy, error) {
	w, err := c.writerFor(ctx, "Discrepancy", value)
	if err != nil {
		return events.Discrepancy{}, err
	}
	var r reader
	var x events.Discrepancy
	if w.ours {
		r.open(nil, value)
		r.readDiscrepancy(&x)
		r.close()
	} else {
		var v discrepancyWire
		if err := w.resolve("Discrepancy", value, &v); err != nil {
			return events.Discrepancy{}, err
		}
		x = v.value(&r.faults)
	}
	if r.discrepancy(&x); r.err != nil {
		return events.Discrepancy{}, r.of("Discrepancy", ErrCorrupt)
	}
	return x, nil
}
