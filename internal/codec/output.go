package codec

import (
	"cmp"
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

type checkTaskWire struct {
	subjectWire
	DueAt            events.Millis  `avro:"due_at"`
	Cause            string         `avro:"cause"`
	HintAt           *events.Millis `avro:"hint_at"`
	Known            bool           `avro:"known"`
	AnnouncedStatus  string         `avro:"announced_status"`
	SinceAt          *events.Millis `avro:"since_at"`
	GiveUp           bool           `avro:"give_up"`
	ExpectedAmount   *events.Amount `avro:"expected_amount"`
	ExpectedCurrency *string        `avro:"expected_currency"`
}

func (f *faults) checkTask(x *events.CheckTask) {
	f.key(x.Key)
	f.at("due_at", x.DueAt)
	f.require(x.Cause <= events.CauseConfirm, "cause", "not schedule, hint, sweep or confirm")
	f.at("hint_at", x.HintAt)
	f.status("announced_status", x.Status)
	f.at("since_at", x.Since)
	f.amount("expected_amount", x.ExpectedAmount)
	f.text("expected_currency", x.ExpectedCurrency)
}

// EncodeCheckTask is the record value of x. Errors: ErrInvalid, ErrNoID.
func (c *Codec) EncodeCheckTask(x events.CheckTask) ([]byte, error) {
	var f faults
	if f.checkTask(&x); f.err != nil {
		return nil, f.of("CheckTask", ErrInvalid)
	}
	return encode(c, "CheckTask", &checkTaskWire{
		subjectWire: subjectOf(x.Key), DueAt: x.DueAt, Cause: x.Cause.String(), HintAt: opt(&x.HintAt),
		Known: x.Known, AnnouncedStatus: x.Status.String(), SinceAt: opt(&x.Since), GiveUp: x.GiveUp,
		ExpectedAmount: opt(&x.ExpectedAmount), ExpectedCurrency: opt(&x.ExpectedCurrency),
	})
}

// DecodeCheckTask reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeCheckTask(ctx context.Context, value []byte) (events.CheckTask, error) {
	var w checkTaskWire
	if err := decode(ctx, c, "CheckTask", value, &w); err != nil {
		return events.CheckTask{}, err
	}
	var f faults
	cause, ok := events.ParseCause(w.Cause)
	f.require(ok, "cause", "not schedule, hint, sweep or confirm")
	x := events.CheckTask{
		Key: w.key(&f), DueAt: w.DueAt, Cause: cause, HintAt: val(w.HintAt), Known: w.Known,
		Status: statusOf(&f, "announced_status", w.AnnouncedStatus), Since: val(w.SinceAt), GiveUp: w.GiveUp,
		ExpectedAmount: val(w.ExpectedAmount), ExpectedCurrency: val(w.ExpectedCurrency),
	}
	if f.checkTask(&x); f.err != nil {
		return events.CheckTask{}, f.of("CheckTask", ErrCorrupt)
	}
	return x, nil
}

type laneStateWire struct {
	Lane           events.Lane     `avro:"lane"`
	Provider       events.Provider `avro:"provider"`
	Account        events.Account  `avro:"account"`
	NonceReserved  int64           `avro:"nonce_reserved"`
	RetryAfterAt   *events.Millis  `avro:"retry_after_at"`
	CallsPerSecond *events.Amount  `avro:"calls_per_second"`
	UpdatedAt      events.Millis   `avro:"updated_at"`
}

func (f *faults) laneState(x *events.LaneState) {
	p, a := x.Lane.Split()
	f.require(events.ValidPart(string(p)) && events.ValidPart(string(a)), "lane", "not provider/account")
	f.require(x.NonceReserved >= 0, "nonce_reserved", "negative")
	f.at("retry_after_at", x.RetryAfter)
	f.amount("calls_per_second", x.Budget)
	f.at("updated_at", x.UpdatedAt)
}

// EncodeLaneState is the record value of x. Errors: ErrInvalid, ErrNoID.
func (c *Codec) EncodeLaneState(x events.LaneState) ([]byte, error) {
	var f faults
	if f.laneState(&x); f.err != nil {
		return nil, f.of("LaneState", ErrInvalid)
	}
	p, a := x.Lane.Split()
	return encode(c, "LaneState", &laneStateWire{
		Lane: x.Lane, Provider: p, Account: a, NonceReserved: x.NonceReserved,
		RetryAfterAt: opt(&x.RetryAfter), CallsPerSecond: opt(&x.Budget), UpdatedAt: x.UpdatedAt,
	})
}

// DecodeLaneState reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeLaneState(ctx context.Context, value []byte) (events.LaneState, error) {
	var w laneStateWire
	if err := decode(ctx, c, "LaneState", value, &w); err != nil {
		return events.LaneState{}, err
	}
	var f faults
	f.require(w.Lane == events.LaneOf(w.Provider, w.Account), "lane", "disagrees with its parts")
	x := events.LaneState{
		Lane: w.Lane, NonceReserved: w.NonceReserved, RetryAfter: val(w.RetryAfterAt),
		Budget: val(w.CallsPerSecond), UpdatedAt: w.UpdatedAt,
	}
	if f.laneState(&x); f.err != nil {
		return events.LaneState{}, f.of("LaneState", ErrCorrupt)
	}
	return x, nil
}

type positionWire struct {
	Partition    int32       `avro:"partition"`
	Inputs       []inputWire `avro:"inputs"`
	StateCount   int64       `avro:"state_count"`
	Digest       string      `avro:"digest"`
	RulesVersion string      `avro:"rules_version"`
}

type inputWire struct {
	Topic      string `avro:"topic"`
	NextOffset int64  `avro:"next_offset"`
}

func (f *faults) position(x *events.Position) {
	f.require(x.Partition >= 0, "partition", "negative")
	f.require(x.States >= 0, "state_count", "negative")
	f.text("digest", x.Digest)
	f.text("rules_version", x.RulesVersion)
	for i, in := range x.Next {
		f.text("topic", in.Topic)
		f.require(in.Topic != "" && in.Offset >= 0, "inputs", "without a topic, or negative")
		f.require(i == 0 || x.Next[i-1].Topic < in.Topic, "inputs", "not sorted, or one topic twice")
	}
}

// EncodePosition is the record value of x, a ReconcilerPosition; inputs are
// written sorted. Errors: ErrInvalid, ErrNoID.
func (c *Codec) EncodePosition(x events.Position) ([]byte, error) {
	x.Next = slices.SortedFunc(slices.Values(x.Next), func(a, b events.InputOffset) int { return cmp.Compare(a.Topic, b.Topic) })
	var f faults
	if f.position(&x); f.err != nil {
		return nil, f.of("ReconcilerPosition", ErrInvalid)
	}
	w := positionWire{Partition: x.Partition, StateCount: x.States, Digest: x.Digest, RulesVersion: x.RulesVersion}
	for _, in := range x.Next {
		w.Inputs = append(w.Inputs, inputWire{Topic: in.Topic, NextOffset: in.Offset})
	}
	return encode(c, "ReconcilerPosition", &w)
}

// DecodePosition reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodePosition(ctx context.Context, value []byte) (events.Position, error) {
	var w positionWire
	if err := decode(ctx, c, "ReconcilerPosition", value, &w); err != nil {
		return events.Position{}, err
	}
	x := events.Position{Partition: w.Partition, States: w.StateCount, Digest: w.Digest, RulesVersion: w.RulesVersion}
	for _, in := range w.Inputs {
		x.Next = append(x.Next, events.InputOffset{Topic: in.Topic, Offset: in.NextOffset})
	}
	var f faults
	if f.position(&x); f.err != nil {
		return events.Position{}, f.of("ReconcilerPosition", ErrCorrupt)
	}
	return x, nil
}
