package poller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// Codec is what the poller reads and writes; *codec.Codec is one. Errors are
// those of that package.
type Codec interface {
	DecodeCheckTask(ctx context.Context, value []byte) (events.CheckTask, error)
	DecodeLaneState(ctx context.Context, value []byte) (events.LaneState, error)
	EncodeStatusCheck(events.StatusCheck) ([]byte, error)
	EncodeLaneState(events.LaneState) ([]byte, error)
}

// Records turns effects into records and records into inputs. It does no I/O
// beyond the codec's look-up of a schema, and may be used concurrently.
type Records struct {
	Codec      Codec
	Topics     stream.Topics
	Partitions int32
	// vain has the schema ids (framed) for which a whole patience was spent: nobody
	// waits for these again, at each restore. nil remembers none.
	vain *sync.Map
}

// ScheduleError says why a record of the schedule is no task: the class of its
// dead letter and a text that is safe to keep.
type ScheduleError struct {
	Class string // "BAD_KEY", "KEY_MISMATCH", "WRONG_PARTITION" or "UNDECODABLE"
	Err   error
}

func (e *ScheduleError) Error() string { return e.Class + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *ScheduleError) Unwrap() error { return e.Err }

// Schedule reads one record of the schedule topic. A record that is no task is
// a *ScheduleError; any other error (codec.ErrSchemaUnavailable,
// codec.ErrUnknownSchema) says nothing about the record yet and is worth another
// try: a registry may lag behind who wrote it, see patience.
func (r Records) Schedule(ctx context.Context, rec stream.Record) (Scheduled, error) {
	key, err := events.ParseKey(string(rec.Key))
	if err != nil {
		return Scheduled{}, &ScheduleError{"BAD_KEY", err}
	}
	if want := stream.PartitionOf([]byte(key.Lane()), r.Partitions); rec.Partition != want {
		return Scheduled{}, &ScheduleError{"WRONG_PARTITION", fmt.Errorf("partition %d: the lane's is %d", rec.Partition, want)}
	}
	if rec.Value == nil {
		return Scheduled{Key: key, Gone: true}, nil
	}
	task, err := r.Codec.DecodeCheckTask(ctx, rec.Value)
	switch {
	case errors.Is(err, codec.ErrSchemaUnavailable), errors.Is(err, codec.ErrUnknownSchema):
		return Scheduled{}, fmt.Errorf("schedule %s-%d-%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
	case err != nil:
		return Scheduled{}, &ScheduleError{"UNDECODABLE", err}
	case task.Key != key:
		return Scheduled{}, &ScheduleError{"KEY_MISMATCH", errors.New("record key and value name different subjects")}
	}
	return Scheduled{Key: key, Task: task}, nil
}

// maxSchemaWait is how long a schema that the registry does not have may still
// appear.
const maxSchemaWait = 30 * time.Second

// patience is what is left of that wait, for all records of a run together.
type patience struct {
	waited time.Duration
	vain   *sync.Map
}

// until calls f again, every second, while it fails because the registry does not
// have the schema of value. When the patience is at its end, or ctx is, the last
// error stands.
func (p *patience) until(ctx context.Context, value []byte, f func() error) error {
	id := string(value[:min(len(value), 5)]) // the frame: a zero and four bytes
	for before := p.waited; ; {
		err := f()
		if !errors.Is(err, codec.ErrUnknownSchema) || ctx.Err() != nil {
			return err
		}
		if p.vain != nil {
			if _, known := p.vain.Load(id); known {
				return err
			}
		}
		if p.waited >= maxSchemaWait {
			if p.vain != nil && before == 0 { // else it is the patience of another id that was spent
				p.vain.Store(id, true)
			}
			return err
		}
		pause(ctx, time.Second)
		p.waited += time.Second
	}
}

// Checks are the records of a Publish. A check that the contract forbids (an
// amount that is none, text that is not UTF-8) becomes one whose outcome is
// malformed: the answer is not lost, only its content.
func (r Records) Checks(p Publish) ([]stream.Record, error) {
	out := make([]stream.Record, 0, len(p.Checks))
	for _, c := range p.Checks {
		value, err := r.Codec.EncodeStatusCheck(c)
		if errors.Is(err, codec.ErrInvalid) {
			c = degrade(c, events.OutcomeMalformed)
			value, err = r.Codec.EncodeStatusCheck(c)
		}
		if err != nil {
			return nil, fmt.Errorf("status check of %s: %w", c.Key.Lane(), err)
		}
		out = append(out, stream.Record{Topic: r.Topics.StatusCheck, Partition: stream.Auto,
			Key: []byte(c.Key.String()), Value: value, Headers: cloudEvent(c)})
	}
	return out, nil
}

// LaneState is the record of a SaveLane.
func (r Records) LaneState(s events.LaneState) (stream.Record, error) {
	value, err := r.Codec.EncodeLaneState(s)
	if err != nil {
		return stream.Record{}, fmt.Errorf("lane state of %s: %w", s.Lane, err)
	}
	return stream.Record{Topic: r.Topics.LaneState, Partition: stream.Auto, Key: []byte(s.Lane), Value: value}, nil
}

// The attributes that every check has. Nobody writes to a header's value.
var (
	ceVersion   = stream.Header{Key: "ce_specversion", Value: []byte("1.0")}
	ceType      = stream.Header{Key: "ce_type", Value: []byte("rampstream.v1.StatusCheck")}
	contentType = stream.Header{Key: "content-type", Value: []byte("application/avro")}
)

// cloudEvent is the binary mode of CloudEvents 1.0 for Kafka.
func cloudEvent(c events.StatusCheck) []stream.Header {
	return []stream.Header{
		ceVersion,
		{Key: "ce_id", Value: []byte(c.EventID)},
		{Key: "ce_source", Value: []byte("/rampstream/poller/" + string(c.Key.Lane()))},
		ceType,
		contentType,
	}
}

// identify gives a check the id that follows from its content.
func identify(c events.StatusCheck) events.StatusCheck {
	c.EventID = events.EventID(events.Digest(c.Key.String(), strconv.FormatInt(int64(c.ObservedAt), 10),
		string(c.Outcome), c.Word(), c.Facts.Digest()))
	return c
}

// degrade turns a check into a failure of a class, without its content.
func degrade(c events.StatusCheck, o events.Outcome) events.StatusCheck {
	c.Outcome, c.StatusRaw, c.Status, c.Facts = o, "", events.StatusUnknown, events.Facts{}
	return identify(c)
}
