package main

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"time"
)

// recorder writes the history of a run as JSON lines: what was asked and
// answered, every fault with its proof, and at the end what stands in the
// topics. Lines are numbered in the order of writing; at_ms counts from the
// start on a clock that cannot jump.
type recorder struct {
	mu    sync.Mutex
	file  *os.File
	buf   *bufio.Writer
	seq   int
	start time.Time
	err   error
}

func newRecorder(path string) (*recorder, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &recorder{file: file, buf: bufio.NewWriterSize(file, 1<<16), start: time.Now()}, nil
}

// write adds one line. The first failure is kept for close.
func (r *recorder) write(what string, fields map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	line := map[string]any{"seq": r.seq, "at_ms": time.Since(r.start).Milliseconds(), "what": what}
	for k, v := range fields {
		line[k] = v
	}
	text, err := json.Marshal(line)
	if err == nil {
		_, err = r.buf.Write(append(text, '\n'))
	}
	if err != nil && r.err == nil {
		r.err = err
	}
}

func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.buf.Flush()
	if cerr := r.file.Close(); err == nil {
		err = cerr
	}
	if r.err != nil {
		return r.err
	}
	return err
}
