package poller

import (
	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// OpID names one effect whose result comes back as an Input. Ids are never
// reused within a Core.
type OpID int64

// Input is something that happened: one of the types below.
type Input interface{ input() }

// Assigned says that a partition is ours, restored: its live tasks and the
// states of its lanes.
type Assigned struct {
	Partition int32
	Tasks     []events.CheckTask
	Lanes     []events.LaneState
}

// Revoked says that partitions are taken away. No call starts for them; what is
// in flight is still published.
type Revoked struct {
	Partitions []int32
	// Lost is true when somebody else may own them already: the states of their
	// lanes are not written any more. Otherwise the next owner waits for Quiet.
	Lost bool
}

// Scheduled is one record of the schedule, read after the restore.
type Scheduled struct {
	Key  events.Key
	Task events.CheckTask // unset when Gone
	Gone bool             // a tombstone
}

// Answered is the result of an Ask: the answer, or the failure.
type Answered struct {
	ID     OpID
	Answer providers.Answer
	Err    *providers.CallError // nil when Answer is set
	// NotCalled is true when the lease was gone at the last moment: nothing
	// was asked. The nonce is burnt all the same.
	NotCalled bool
}

// PageRead is the result of a ReadPage.
type PageRead struct {
	ID        OpID
	Page      providers.Page
	Err       *providers.CallError
	NotCalled bool
}

// Marked is the result of a Mark.
type Marked struct {
	ID        OpID
	Err       *providers.CallError
	NotCalled bool
}

// Published is the result of a Publish: nil once every check is acknowledged.
type Published struct {
	ID  OpID
	Err error
}

// LaneSaved is the result of a SaveLane.
type LaneSaved struct {
	ID  OpID
	Err error
}

// More asks for one more request within the call of an Ask, ReadPage or Mark,
// which pay for one; the answer is a Grant, unless the call ends first.
type More struct{ ID OpID }

// Drain ends new calls for good; what is in flight is still published.
type Drain struct{}

// Effect is something to be done: one of the types below.
type Effect interface{ effect() }

// Ask is one question to a provider. Check the lease right before the call;
// report Answered.
type Ask struct {
	ID       OpID
	Lane     events.Lane
	Question providers.Question
	Cause    events.Cause
	Attempt  int32
}

// ReadPage asks for one page of a sweep; report PageRead.
type ReadPage struct {
	ID     OpID
	Lane   events.Lane
	Cursor string
}

// Mark tells the provider that an answer of a sweep is durable with us
// (Sweeper.Ack); report Marked.
type Mark struct {
	ID     OpID
	Lane   events.Lane
	Answer providers.Answer
}

// Publish writes checks to the status-check topic, all or none; report Published.
type Publish struct {
	ID     OpID
	Lane   events.Lane
	Checks []events.StatusCheck
}

// SaveLane writes a lane's state to the lane-state topic; report LaneSaved.
// Nonces up to NonceReserved are used only after the acknowledgement. Check the
// lease right before, unless Leaving: then the next owner waits for it.
type SaveLane struct {
	ID      OpID
	State   events.LaneState
	Leaving bool
}

// Grant answers a More: the request may be sent now, or not at all.
type Grant struct {
	ID OpID
	OK bool
}

func (Assigned) input()  {}
func (Revoked) input()   {}
func (Scheduled) input() {}
func (Answered) input()  {}
func (PageRead) input()  {}
func (Marked) input()    {}
func (Published) input() {}
func (LaneSaved) input() {}
func (More) input()      {}
func (Drain) input()     {}

func (Ask) effect()      {}
func (ReadPage) effect() {}
func (Mark) effect()     {}
func (Publish) effect()  {}
func (SaveLane) effect() {}
func (Grant) effect()    {}
