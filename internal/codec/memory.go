package codec

import (
	"cmp"
	"context"
	"slices"

	"rampstream/internal/events"
)

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
