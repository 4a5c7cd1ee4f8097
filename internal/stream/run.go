package stream

import "context"

// RunRecords is about how many records a Run has.
const RunRecords = 256

// A Run is records that follow each other, and the memory that they are in. Who
// has it filled again gives up the records that it had, with all of their bytes:
// a restore reads millions of them, and looks at each once.
type Run struct {
	Records []Record
	// Headers is room for the headers of the records, and Bytes for what their
	// keys and values are parts of. A reader makes more of it where it has to.
	Headers []Header
	Bytes   []byte
}

// A RunReader is a Log that fills runs.
type RunReader interface {
	// ReadRuns is Log.Read, many records at a time: room gives the run to be
	// filled next, send takes it, with a record at least. What either returns as
	// an error ends the read.
	ReadRuns(ctx context.Context, topic string, partition int32, from, to int64, committed bool, room func() (*Run, error), send func(*Run) error) error
}

// ReadRuns is what RunReader says, of any Log.
func ReadRuns(ctx context.Context, log Log, topic string, partition int32, from, to int64, committed bool, room func() (*Run, error), send func(*Run) error) error {
	if rr, ok := log.(RunReader); ok {
		return rr.ReadRuns(ctx, topic, partition, from, to, committed, room, send)
	}
	var run *Run
	err := log.Read(ctx, topic, partition, from, to, committed, func(rec Record) (err error) {
		if run == nil {
			if run, err = room(); err != nil {
				return err
			}
			run.Records = run.Records[:0]
		}
		if run.Records = append(run.Records, rec); len(run.Records) < RunRecords {
			return nil
		}
		full := run
		run = nil
		return send(full)
	})
	if err == nil && run != nil {
		err = send(run)
	}
	return err
}
