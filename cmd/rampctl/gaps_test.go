package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rampstream/internal/inspect"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

// What retention removed before it was read, in every partition and not only the
// first that a reconciler meets, with how much it is and of what time.
func TestDoctor_gaps(t *testing.T) {
	w := newAuditWorld(t, 300)
	look := func(log stream.Log, output string) (string, error) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		c := &cli{out: &stdout, errw: &stderr, output: output}
		err := c.printGaps(t.Context(), inspect.Reader{Log: log, Codec: w.codec, Topics: auditTopics, Partitions: auditPartitions})
		return stdout.String(), err
	}
	if out, err := look(w.log, "text"); err != nil || out != "" {
		t.Errorf("gaps of a log that was read = %v\n%s", err, out)
	}
	w.write(200) // and nobody reads it
	for p, beyond := range []int64{3, 0, 5} {
		w.log.Truncate(auditTopics.Webhook, int32(p), w.next[auditTopics.Webhook][int32(p)]+beyond)
	}
	out, err := look(w.log, "text")
	if !errors.Is(err, run.ErrDifferences) || strings.Count(out, "\n") != 2 {
		t.Fatalf("gaps = %v\n%s", err, out)
	}
	for p, n := range map[int32]int64{0: 3, 2: 5} {
		from := w.next[auditTopics.Webhook][p]
		want := fmt.Sprintf("%s-%d: offsets %d to %d were removed before they were read, %d records at most; the position was written at 2023-1", auditTopics.Webhook, p, from, from+n-1, n)
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if !strings.Contains(out, "the next record is of 2023-1") {
		t.Errorf("no time of the next record\n%s", out)
	}
	if out, err := look(w.log, "json"); !errors.Is(err, run.ErrDifferences) || strings.Count(out, `"records":`) != 2 || !strings.Contains(out, `"cut":false`) {
		t.Errorf("gaps as JSON = %v\n%s", err, out)
	}
	// A log that ends before the position was cut.
	if out, err := look(shorter{w.log}, "text"); !errors.Is(err, run.ErrDifferences) || !strings.Contains(out, "were read and are not in the log any more") {
		t.Errorf("gaps of a log that was cut = %v\n%s", err, out)
	}
}

// shorter is a log whose intents end early.
type shorter struct{ stream.Log }

func (s shorter) Ends(ctx context.Context, n int32, topics ...string) (map[string]stream.Range, error) {
	ends, err := s.Log.Ends(ctx, n, topics...)
	if r, ok := ends[auditTopics.Intent]; ok {
		ends[auditTopics.Intent] = stream.Range{Start: r.Start, End: 1}
	}
	return ends, err
}
