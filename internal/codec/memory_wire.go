package codec

import "rampstream/internal/events"

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

func (w *checkTaskWire) value(f *faults) events.CheckTask {
	return events.CheckTask{
		Key: w.key(f), DueAt: w.DueAt, Cause: causeOf(f, w.Cause), HintAt: val(w.HintAt), Known: w.Known,
		Status: statusOf(f, "announced_status", w.AnnouncedStatus), Since: val(w.SinceAt), GiveUp: w.GiveUp,
		ExpectedAmount: val(w.ExpectedAmount), ExpectedCurrency: val(w.ExpectedCurrency),
	}
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

func (w *laneStateWire) value(f *faults) events.LaneState {
	f.lane(w.Lane, w.Provider, w.Account)
	return events.LaneState{
		Lane: w.Lane, NonceReserved: w.NonceReserved, RetryAfter: val(w.RetryAfterAt),
		Budget: val(w.CallsPerSecond), UpdatedAt: w.UpdatedAt,
	}
}

type positionWire struct {
	Partition    int32       `avro:"partition"`
	Inputs       []inputWire `avro:"inputs"`
	StateCount   int64       `avro:"state_count"`
	Digest       string      `avro:"digest"`
	RulesVersion string      `avro:"rules_version"`
	Generation   *int64      `avro:"rules_generation"`
	Code         *int64      `avro:"rules_code"`
	Superseded   []string    `avro:"rules_superseded"`
}

type inputWire struct {
	Topic      string `avro:"topic"`
	NextOffset int64  `avro:"next_offset"`
}

func (w *positionWire) value(*faults) events.Position {
	x := events.Position{Partition: w.Partition, States: w.StateCount, Digest: w.Digest, RulesVersion: w.RulesVersion,
		RulesGeneration: val(w.Generation), RulesCode: val(w.Code)}
	if len(w.Superseded) > 0 {
		x.Superseded = w.Superseded
	}
	for _, in := range w.Inputs {
		x.Next = append(x.Next, events.InputOffset{Topic: in.Topic, Offset: in.NextOffset})
	}
	return x
}
