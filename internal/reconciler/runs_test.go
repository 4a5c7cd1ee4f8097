package reconciler_test

import (
	"bytes"
	"context"

	"rampstream/internal/stream"
)

// spoiling is a log that reads into the memory that it is given, and leaves
// nothing of what that memory held before: a restore that keeps a part of a
// record finds rubbish in its place. Its runs are short, so that all are used
// again.
type spoiling struct{ stream.Log }

var _ stream.RunReader = spoiling{}

func (s spoiling) ReadRuns(ctx context.Context, topic string, n int32, from, to int64, committed bool, room func() (*stream.Run, error), send func(*stream.Run) error) error {
	var run *stream.Run
	err := s.Read(ctx, topic, n, from, to, committed, func(rec stream.Record) (err error) {
		if run == nil {
			if run, err = room(); err != nil {
				return err
			}
			spoil(run)
		}
		rec.Key, rec.Value, rec.Headers = held(run, rec.Key), held(run, rec.Value), heldHeaders(run, rec.Headers)
		if run.Records = append(run.Records, rec); len(run.Records) < 3 {
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

func spoil(run *stream.Run) {
	if run.Bytes == nil {
		run.Bytes = make([]byte, 0, 64<<10)
	}
	for i := range run.Bytes {
		run.Bytes[i] = 0xa5
	}
	for i := range run.Headers {
		run.Headers[i] = stream.Header{Key: "spoilt"}
	}
	clear(run.Records)
	run.Records, run.Headers, run.Bytes = run.Records[:0], run.Headers[:0], run.Bytes[:0]
}

// held is b in the run's memory, if there is room.
func held(run *stream.Run, b []byte) []byte {
	at := len(run.Bytes)
	if b == nil || at+len(b) > cap(run.Bytes) {
		return bytes.Clone(b)
	}
	run.Bytes = append(run.Bytes, b...)
	return run.Bytes[at:len(run.Bytes):len(run.Bytes)]
}

func heldHeaders(run *stream.Run, hs []stream.Header) []stream.Header {
	at := len(run.Headers)
	for _, h := range hs {
		run.Headers = append(run.Headers, stream.Header{Key: h.Key, Value: held(run, h.Value)})
	}
	return run.Headers[at:len(run.Headers):len(run.Headers)]
}
