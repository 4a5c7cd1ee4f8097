package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// Restored is what a partition's topics say about its lanes.
type Restored struct {
	Assigned
	// Next is the next offset of the schedule topic to read.
	Next map[string]int64
	// Refused are records of the schedule that are no task. They were set
	// aside when they were first read; here they are counted.
	Refused int
}

// Restore reads a partition of the schedule, and the states of its lanes, as
// of now. It reads uncommitted: a task of a transaction that aborts costs one
// call, while waiting for a stalled transaction would cost every call. A lane
// state that cannot be read is stream.ErrLoss: nobody knows which nonces are
// used up.
func (r Records) Restore(ctx context.Context, log stream.Log, partition int32) (Restored, error) {
	ends, err := log.Ends(ctx, partition, r.Topics.CheckSchedule, r.Topics.LaneState)
	if err != nil {
		return Restored{}, fmt.Errorf("restore partition %d: %w", partition, err)
	}
	out := Restored{Assigned: Assigned{Partition: partition}}
	var tasks taskTable
	wait := patience{vain: r.vain}
	schedule := ends[r.Topics.CheckSchedule]
	err = log.Read(ctx, r.Topics.CheckSchedule, partition, schedule.Start, schedule.End, false, func(rec stream.Record) error {
		var in Scheduled
		err := wait.until(ctx, rec.Value, func() (err error) { in, err = r.Schedule(ctx, rec); return err })
		var bad *ScheduleError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &bad), errors.Is(err, codec.ErrUnknownSchema):
			out.Refused++
		case err != nil:
			return err
		default:
			tasks.put(in)
		}
		return nil
	})
	if err != nil {
		return Restored{}, fmt.Errorf("restore %s partition %d: %w", r.Topics.CheckSchedule, partition, err)
	}
	out.Tasks = tasks.live()
	if out.Lanes, err = r.lanes(ctx, log, partition, ends[r.Topics.LaneState]); err != nil {
		return Restored{}, fmt.Errorf("restore %s partition %d: %w", r.Topics.LaneState, partition, err)
	}
	out.Next = map[string]int64{r.Topics.CheckSchedule: schedule.End}
	return out, nil
}

// taskTable holds the last word on every key, in the order in which the keys
// came to be: no larger than need be, since it stands beside what is made of it.
type taskTable struct {
	tasks []events.CheckTask
	at    map[events.Key]int32
	gone  int // holes in tasks
}

func (t *taskTable) put(in Scheduled) {
	if t.at == nil {
		t.at = map[events.Key]int32{}
	}
	i, had := t.at[in.Key]
	switch {
	case in.Gone && had:
		delete(t.at, in.Key)
		t.tasks[i] = events.CheckTask{}
		t.gone++
	case in.Gone:
	case had:
		t.tasks[i] = in.Task
	default:
		t.at[in.Task.Key] = int32(len(t.tasks))
		t.tasks = append(t.tasks, in.Task)
	}
	if t.gone > 1000 && t.gone > len(t.tasks)/2 {
		t.tasks = t.live()
		t.gone = 0
		for i := range t.tasks {
			t.at[t.tasks[i].Key] = int32(i)
		}
	}
}

// live takes the holes out.
func (t *taskTable) live() []events.CheckTask {
	return slices.DeleteFunc(t.tasks, func(c events.CheckTask) bool { return c.Key == events.Key{} })
}

// lanes reads the lane states of a partition, sorted. A nonce reservation
// never shrinks: a record that an old owner wrote late must not hide the
// higher one before it.
func (r Records) lanes(ctx context.Context, log stream.Log, partition int32, within stream.Range) ([]events.LaneState, error) {
	states := map[events.Lane]events.LaneState{}
	wait := patience{vain: r.vain}
	err := log.Read(ctx, r.Topics.LaneState, partition, within.Start, within.End, false, func(rec stream.Record) error {
		if rec.Value == nil {
			return nil
		}
		var s events.LaneState
		err := wait.until(ctx, rec.Value, func() (err error) { s, err = r.Codec.DecodeLaneState(ctx, rec.Value); return err })
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, codec.ErrSchemaUnavailable):
			return err
		case err != nil:
			return fmt.Errorf("offset %d: %v: %w", rec.Offset, err, stream.ErrLoss)
		case string(rec.Key) != string(s.Lane):
			return fmt.Errorf("offset %d: record key and value name different lanes: %w", rec.Offset, stream.ErrLoss)
		}
		s.NonceReserved = max(s.NonceReserved, states[s.Lane].NonceReserved)
		states[s.Lane] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]events.LaneState, 0, len(states))
	for _, s := range states {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b events.LaneState) int { return cmp.Compare(a.Lane, b.Lane) })
	return out, nil
}
