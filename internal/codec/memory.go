package codec

import (
	"context"
	"slices"
	"strings"

	"rampstream/internal/events"
)

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
	v := newBuffer()
	return v.end(c.AppendCheckTask(v.b, &x))
}

// AppendCheckTask appends the record value of x to b. On error b is returned as it
// was. Errors: ErrInvalid, ErrNoID.
func (c *Codec) AppendCheckTask(b []byte, x *events.CheckTask) ([]byte, error) {
	var f faults
	if f.checkTask(x); f.err != nil {
		return b, f.of("CheckTask", ErrInvalid)
	}
	v, err := c.frame(b, "CheckTask")
	if err != nil {
		return b, err
	}
	return appendCheckTask(v, x), nil
}

// DecodeCheckTask reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeCheckTask(ctx context.Context, value []byte) (events.CheckTask, error) {
	w, err := c.writerFor(ctx, "CheckTask", value)
	if err != nil {
		return events.CheckTask{}, err
	}
	var r reader
	var x events.CheckTask
	if w.ours {
		r.open(nil, value)
		r.readCheckTask(&x)
		r.close()
	} else {
		var v checkTaskWire
		if err := w.resolve("CheckTask", value, &v); err != nil {
			return events.CheckTask{}, err
		}
		x = v.value(&r.faults)
	}
	if r.checkTask(&x); r.err != nil {
		return events.CheckTask{}, r.of("CheckTask", ErrCorrupt)
	}
	return x, nil
}

func (f *faults) laneState(x *events.LaneState) {
	p, a := x.Lane.Split()
	f.require(events.ValidPart(string(p)) && events.ValidPart(string(a)), "lane", "not provider/account")
	f.require(x.NonceReserved >= 0, "nonce_reserved", "negative")
	f.at("retry_after_at", x.RetryAfter)
	f.amount("calls_per_second", x.Budget)
	f.at("updated_at", x.UpdatedAt)
}

// lane wants a lane that is what its columns say.
func (f *faults) lane(l events.Lane, p events.Provider, a events.Account) {
	f.require(l == events.LaneOf(p, a), "lane", "disagrees with its parts")
}

// EncodeLaneState is the record value of x. Errors: ErrInvalid, ErrNoID.
func (c *Codec) EncodeLaneState(x events.LaneState) ([]byte, error) {
	var f faults
	if f.laneState(&x); f.err != nil {
		return nil, f.of("LaneState", ErrInvalid)
	}
	v, err := c.begin("LaneState")
	if err != nil {
		return nil, err
	}
	return v.end(appendLaneState(v.b, &x), nil)
}

// DecodeLaneState reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodeLaneState(ctx context.Context, value []byte) (events.LaneState, error) {
	w, err := c.writerFor(ctx, "LaneState", value)
	if err != nil {
		return events.LaneState{}, err
	}
	var r reader
	var x events.LaneState
	if w.ours {
		r.open(nil, value)
		r.readLaneState(&x)
		r.close()
	} else {
		var v laneStateWire
		if err := w.resolve("LaneState", value, &v); err != nil {
			return events.LaneState{}, err
		}
		x = v.value(&r.faults)
	}
	if r.laneState(&x); r.err != nil {
		return events.LaneState{}, r.of("LaneState", ErrCorrupt)
	}
	return x, nil
}

func (f *faults) position(x *events.Position) {
	f.require(x.Partition >= 0, "partition", "negative")
	f.require(x.States >= 0, "state_count", "negative")
	f.text("digest", x.Digest)
	f.text("rules_version", x.RulesVersion)
	f.require(x.RulesGeneration >= 0 && x.RulesCode >= 0, "rules_generation", "negative")
	f.items("rules_superseded", len(x.Superseded))
	for i, id := range x.Superseded {
		f.text("rules_superseded", id)
		f.require(i == 0 || x.Superseded[i-1] < id, "rules_superseded", "not sorted, or one twice")
	}
	f.items("inputs", len(x.Next))
	for i, in := range x.Next {
		f.text("topic", in.Topic)
		f.require(in.Topic != "" && in.Offset >= 0, "inputs", "without a topic, or negative")
		f.require(i == 0 || x.Next[i-1].Topic < in.Topic, "inputs", "not sorted, or one topic twice")
	}
}

// EncodePosition is the record value of x, a ReconcilerPosition; inputs and
// superseded rules are written sorted. Errors: ErrInvalid, ErrNoID.
func (c *Codec) EncodePosition(x events.Position) ([]byte, error) {
	if !slices.IsSortedFunc(x.Next, byTopic) {
		x.Next = slices.SortedFunc(slices.Values(x.Next), byTopic)
	}
	x.Superseded = sortedCopy(x.Superseded)
	var f faults
	if f.position(&x); f.err != nil {
		return nil, f.of("ReconcilerPosition", ErrInvalid)
	}
	v, err := c.begin("ReconcilerPosition")
	if err != nil {
		return nil, err
	}
	return v.end(appendPosition(v.b, &x), nil)
}

func byTopic(a, b events.InputOffset) int { return strings.Compare(a.Topic, b.Topic) }

// DecodePosition reads a record value. Errors: ErrCorrupt, ErrWrongRecord,
// ErrSchemaUnavailable.
func (c *Codec) DecodePosition(ctx context.Context, value []byte) (events.Position, error) {
	w, err := c.writerFor(ctx, "ReconcilerPosition", value)
	if err != nil {
		return events.Position{}, err
	}
	var r reader
	var x events.Position
	if w.ours {
		r.open(nil, value)
		r.readPosition(&x)
		r.close()
	} else {
		var v positionWire
		if err := w.resolve("ReconcilerPosition", value, &v); err != nil {
			return events.Position{}, err
		}
		x = v.value(&r.faults)
	}
	if r.position(&x); r.err != nil {
		return events.Position{}, r.of("ReconcilerPosition", ErrCorrupt)
	}
	return x, nil
}
