package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

// meddled is a log in which something happens each time that order-state of partition 0
// was read.
type meddled struct {
	stream.Log
	meddle func()
}

func (m meddled) Read(ctx context.Context, topic string, n int32, from, to int64, committed bool, fn func(stream.Record) error) error {
	err := m.Log.Read(ctx, topic, n, from, to, committed, fn)
	if topic == auditTopics.OrderState && n == 0 {
		m.meddle()
	}
	return err
}

// auditMoving audits while the reconciler commits to partition 0, each time behind
// another record that it sets aside.
func auditMoving(t *testing.T, garbage func(i int) stream.Record) (out string, err error) {
	t.Helper()
	w := newAuditWorld(t, 200)
	var stdout, stderr bytes.Buffer
	c := &cli{out: &stdout, errw: &stderr, output: "text"}
	i := 0
	log := meddled{w.log, func() {
		i++
		r := garbage(i)
		r.Topic, r.Partition = auditTopics.Intent, 0
		if _, err := w.log.Append(r); err != nil {
			t.Fatal(err)
		}
		w.join()
	}}
	r := reading{Reader: inspect.Reader{Log: log, Codec: w.codec, Topics: auditTopics, Partitions: auditPartitions}}
	err = c.runAudit(t.Context(), r, w.rules)
	return stdout.String(), err
}

// A producer's key that is none was set aside as it should be: that is no loss.
func TestAudit_movingBehindAKeyThatIsNone(t *testing.T) {
	out, err := auditMoving(t, func(i int) stream.Record {
		return stream.Record{Key: []byte(fmt.Sprint("garbage", i)), Value: []byte("{}")}
	})
	if err != nil {
		t.Errorf("audit = %v (exit code %d)\n%s; want that nothing is wrong", err, run.Code(err), out)
	}
}

// What is read again because the reconciler goes on is counted once.
func TestAudit_movingCountsOnce(t *testing.T) {
	w := newAuditWorld(t, 200)
	still, err := w.audit(w.log, w.rules)
	if err != nil {
		t.Fatal(err)
	}
	var records, aside int
	cut := func(out string) (rest string) { _, rest, _ = strings.Cut(out, " states of "); return rest }
	if _, err := fmt.Sscanf(cut(still), "%d records", &records); err != nil {
		t.Fatal(err, still)
	}
	count := func(out string) (n int) {
		_, tail, _ := strings.Cut(out, " different; ")
		if _, err := fmt.Sscanf(tail, "%d records set aside", &n); err != nil {
			t.Fatal(err, out)
		}
		return n
	}
	aside = count(still)
	key := []byte(auditKey(0).String())
	for i := 1; stream.PartitionOf(key, auditPartitions) != 0; i++ {
		key = []byte(auditKey(i).String())
	}
	out, err := auditMoving(t, func(int) stream.Record { return stream.Record{Key: key, Value: []byte("{}")} })
	if err != nil && !errors.Is(err, run.ErrDifferences) {
		t.Fatal(err)
	}
	// Three looks: by the last one two more records stood below the position.
	var got int
	if _, err := fmt.Sscanf(cut(out), "%d records", &got); err != nil {
		t.Fatal(err, out)
	}
	if got > records+3 || count(out) > aside+3 {
		t.Errorf("audit counts %d records and %d set aside, want at most %d and %d\n%s", got, count(out), records+3, aside+3, out)
	}
}

// What the reconciler sets aside while an audit runs is as little a difference as what
// it had set aside before.
func TestAudit_setAsideMeanwhile(t *testing.T) {
	w, _ := redriveWorld(t)
	key := auditKey(0)
	for i := 1; stream.PartitionOf([]byte(key.String()), auditPartitions) != 0; i++ {
		key = auditKey(i)
	}
	told := false
	log := meddled{w.log, func() {
		if told {
			return
		}
		told = true
		v, err := codecFrom(t, 500, nil).EncodeIntent(events.Intent{Key: key, EventID: "meanwhile", ObservedAt: w.now})
		w.append(auditTopics.Intent, key, v, err)
		w.joinOneByOne()
	}}
	if out, err := w.audit(log, w.rules); err != nil {
		t.Errorf("audit = %v (exit code %d)\n%s", err, run.Code(err), out)
	}
	if out, err := w.audit(w.log, w.rules); err != nil {
		t.Errorf("audit after it = %v\n%s", err, out)
	}
}
