package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

func txnOptions(id string) kafka.TxnOptions {
	return kafka.TxnOptions{
		Group: "g", InstanceID: id, TransactionalID: "g-" + id,
		Inputs: []string{"a", "b"}, Outputs: []string{"out"},
		TxnTimeout: long - time.Second, SessionTimeout: long,
		HeartbeatInterval: 100 * time.Millisecond, RebalanceTimeout: long,
		LeaveOnClose: true,
	}
}

func openTxn(t *testing.T, cfg kafka.Config, o kafka.TxnOptions, tb stream.Table) *kafka.TxnGroup {
	t.Helper()
	g, err := kafka.OpenTxnGroup(patient(t), cfg, o, tb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// pollN polls until n records came, through errors that the session survives.
func pollN(t *testing.T, poll func(context.Context, int) ([]stream.Record, error), n int) []stream.Record {
	t.Helper()
	var out []stream.Record
	for len(out) < n {
		rs, err := poll(patient(t), 100)
		if err != nil && !errors.Is(err, stream.ErrTransient) {
			t.Fatalf("Poll after %d of %d records: %v", len(out), n, err)
		}
		out = append(out, rs...)
	}
	return out
}

func copies(rs []stream.Record) []stream.Record {
	var out []stream.Record
	for _, r := range rs {
		out = append(out, stream.Record{Topic: "out", Partition: stream.Auto, Key: r.Key, Value: r.Value})
	}
	return out
}

func TestTxnGroup_commitsRecordsAndOffsetsTogether(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1", "2")
	put(t, cfg, "b", 0, "3")
	tb := newTable(t)
	g := openTxn(t, cfg, txnOptions("0"), tb)
	rs := pollN(t, g.Poll, 3)
	ok, err := g.Commit(patient(t), copies(rs))
	if !ok || err != nil {
		t.Fatalf("Commit = %v, %v", ok, err)
	}
	if got := values(t, cfg, "out", 0, true); len(got) != 3 {
		t.Errorf("committed records = %q, want 3", got)
	}
	commits := kc.GroupInfo("g").Commits
	if a, b := commits["a"][0].Offset, commits["b"][0].Offset; a != 2 || b != 1 {
		t.Errorf("group offsets = %d, %d; want 2, 1", a, b)
	}
	g.Close()
	if diff := cmp.Diff([]string{"restore 0", "revoke [0]"}, tb.trace()); diff != "" {
		t.Errorf("table calls (-want +got):\n%s", diff)
	}
}

func TestTxnGroup_failedRecordAbortsAndIsReadAgain(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "other")
	put(t, cfg, "a", 0, "1")
	g := openTxn(t, cfg, txnOptions("0"), newTable(t))
	rs := pollN(t, g.Poll, 1)

	fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.MessageTooLarge})
	out := append([]stream.Record{{Topic: "other", Partition: 0, Value: []byte("side")}}, copies(rs)...)
	ok, err := g.Commit(patient(t), out)
	var re *kafka.RecordError
	if ok || !errors.As(err, &re) || re.Index != 1 || re.Topic != "out" || !errors.Is(err, stream.ErrTooLarge) {
		t.Fatalf("Commit = %v, %v; want RecordError{1, out, too large}", ok, err)
	}
	if fault.Hits() != 1 {
		t.Fatalf("the fault was used %d times", fault.Hits())
	}
	if got := values(t, cfg, "other", 0, true); len(got) != 0 {
		t.Errorf("an aborted record is visible: %q", got)
	}
	again := pollN(t, g.Poll, 1)
	if diff := cmp.Diff(rs, again); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	if ok, err := g.Commit(patient(t), out); !ok || err != nil {
		t.Fatalf("second Commit = %v, %v", ok, err)
	}
	if got := values(t, cfg, "other", 0, true); len(got) != 1 {
		t.Errorf("committed side records = %q, want 1", got)
	}
}
