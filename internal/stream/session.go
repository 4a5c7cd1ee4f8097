package stream

import (
	"context"
	"time"
)

// Range is the part of a partition that can be read: Start is the oldest
// offset, End the high watermark.
type Range struct{ Start, End int64 }

// Log reads single partitions, apart from any group.
type Log interface {
	// Ends gives the range of the same partition number of each topic. A topic
	// that does not exist is ErrRefused.
	Ends(ctx context.Context, partition int32, topics ...string) (map[string]Range, error)
	// Read calls fn for each record of [from, to), in order, and returns when
	// the reader's position is at or past to. Committed hides aborted and
	// control records; it waits for open transactions below to. An error of fn
	// ends the read and is returned. from below the start of the log is ErrLoss.
	Read(ctx context.Context, topic string, partition int32, from, to int64, committed bool, fn func(Record) error) error
}

// Table is a program's memory that follows a group assignment. Its methods are
// called from the session's goroutines, never while a batch that Poll returned
// is unfinished, one at a time, unless it is an Assignee.
type Table interface {
	// Restore is called for each partition number that was assigned, after the
	// group's stable offset fetch (no older member's transaction can commit
	// any more) and before the first record of it. It returns the next offset
	// to consume of every subscribed topic of that partition. committed are the group's offsets (-1 where none):
	// information, not truth. An error ends the session.
	Restore(ctx context.Context, partition int32, log Log, committed map[string]int64) (next map[string]int64, err error)
	// Revoke is called when partitions were taken away; the memory of a batch
	// in flight must not be committed any more.
	Revoke(partitions []int32)
}

// An Assignee is a Table that wants to know an assignment as a whole, and can
// restore several partitions at once.
type Assignee interface {
	// Assigned is called with every partition number of a new assignment, before
	// the first of them is restored; none says that the member stands by. It
	// returns how many calls of Restore may run at once, and must not wait for
	// a batch.
	Assigned(partitions []int32) (parallel int)
}

// A Loser is a Table that wants to know partitions lost from partitions taken
// away. Revoke is then called only while the next owner waits for its return.
type Loser interface {
	// Lose is Revoke for partitions that somebody else may own already.
	Lose(partitions []int32)
}

// An Identifier is a Log that tells a topic from another one of the same name.
type Identifier interface {
	// Identify gives the id of each topic, which is another when the topic was
	// deleted and made anew. A topic that does not exist is ErrRefused.
	Identify(ctx context.Context, topics ...string) (map[string]string, error)
}

// A Describer is a Log that says what its topics are.
type Describer interface {
	// Describe gives what is known of topics. A topic that does not exist is
	// ErrRefused.
	Describe(ctx context.Context, topics ...string) (map[string]About, error)
}

// About identifies a topic. One that was deleted and made anew has the same name
// and another ID.
type About struct {
	Cluster, ID string
	// TombstonesKept is for how long a compacted topic keeps tombstones: who knows
	// the topic only up to an older moment may never hear of a deletion.
	TombstonesKept time.Duration
}
