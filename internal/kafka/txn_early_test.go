package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// outs are n records for one partition of a topic.
func outs(topic string, from, n int) (rs []stream.Record) {
	for i := from; i < from+n; i++ {
		v := fmt.Sprint(i)
		rs = append(rs, stream.Record{Topic: topic, Key: []byte("k" + v), Value: []byte(v)})
	}
	return rs
}

func texts(from, n int) (vs []string) {
	for i := from; i < from+n; i++ {
		vs = append(vs, fmt.Sprint(i))
	}
	return vs
}

// What was sent and the rest are one transaction, in one order, and are seen when
// it is committed, not before.
func TestTxnGroup_Send_thenCommit(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	o := txnOptions("0")
	g := openTxn(t, cfg, o, newTable(t))
	var want []string
	for range 2 { // the second in the memory of the first
		put(t, cfg, "a", 0, "1")
		pollN(t, g.Poll, 1)
		before, out := stableEnd(t, cfg, "out"), outs("out", len(want), 9)
		want = append(want, texts(len(want), 9)...)
		if !g.Send(out[:2]) || !g.Send(out[2:7]) {
			t.Fatal("Send takes nothing")
		}
		eventually(t, "what was sent is on its way", func() bool { return len(values(t, cfg, "out", 0, false)) >= len(want)-2 })
		if end := stableEnd(t, cfg, "out"); end != before {
			t.Errorf("the stable end is %d before the commit, %d before the batch", end, before)
		}
		if _, err := g.Poll(patient(t), 1); err == nil {
			t.Error("Poll within a batch gives no error")
		}
		if ok, err := g.Commit(patient(t), out); !ok || err != nil {
			t.Fatalf("Commit = %v, %v", ok, err)
		}
	}
	if got := values(t, cfg, "out", 0, true); !slices.Equal(got, want) {
		t.Errorf("written %q, want %q", got, want)
	}
	if got := kc.GroupInfo("g").State; got != "Stable" {
		t.Errorf("the group is %s", got)
	}
}

// stableEnd is where what is committed of partition 0 ends.
func stableEnd(t *testing.T, cfg kafka.Config, topic string) int64 {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(patient(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := ends.Lookup(topic, 0)
	return o.Offset
}

// An aborted batch leaves nothing that is seen, and is read again.
func TestTxnGroup_Abort(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1")
	g := openTxn(t, cfg, txnOptions("0"), newTable(t))
	if err := g.Abort(patient(t)); err != nil {
		t.Errorf("Abort without a batch = %v", err)
	}
	for range 2 {
		pollN(t, g.Poll, 1)
		if !g.Send(outs("out", 0, 3)) {
			t.Fatal("Send takes nothing")
		}
		if err := g.Abort(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	pollN(t, g.Poll, 1) // again
	if ok, err := g.Commit(patient(t), outs("out", 5, 1)); !ok || err != nil {
		t.Fatalf("Commit = %v, %v", ok, err)
	}
	if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"5"}) {
		t.Errorf("seen: %q; want what was committed alone", got)
	}
}

// A record that is refused is named by its place in the batch, whether it was sent
// before or is of the rest, and nothing of the batch is seen.
func TestTxnGroup_Send_refused(t *testing.T) {
	for _, sent := range []int{0, 1, 2, 3, 4} {
		t.Run(fmt.Sprint(sent), func(t *testing.T) {
			cfg, kc := start(t, 1, "a", "b", "out")
			if err := kc.CreateTopic("small", 1, map[string]string{"max.message.bytes": "400"}); err != nil {
				t.Fatal(err)
			}
			put(t, cfg, "a", 0, "1")
			o := txnOptions("0")
			o.Outputs = append(o.Outputs, "small")
			g := openTxn(t, cfg, o, newTable(t))
			pollN(t, g.Poll, 1)
			out := append(outs("out", 0, 2), stream.Record{Topic: "small", Key: []byte("k"), Value: noise(5000)})
			out = append(out, outs("out", 2, 2)...)
			for i := range sent {
				if !g.Send(out[i : i+1]) {
					t.Fatal("Send takes nothing")
				}
			}
			ok, err := g.Commit(patient(t), out)
			var re *kafka.RecordError
			if ok || !errors.Is(err, stream.ErrTooLarge) || !errors.As(err, &re) || re.Index != 2 {
				t.Fatalf("Commit = %v, %v; want record 2 to be too large", ok, err)
			}
			if got := values(t, cfg, "out", 0, true); len(got) > 0 {
				t.Errorf("seen: %q", got)
			}
			pollN(t, g.Poll, 1)
			g.Send(out[:1])
			if ok, err := g.Commit(patient(t), slices.Delete(out, 2, 3)); !ok || err != nil {
				t.Errorf("Commit without it = %v, %v", ok, err)
			}
			if got := values(t, cfg, "out", 0, true); !slices.Equal(got, texts(0, 4)) {
				t.Errorf("seen: %q", got)
			}
		})
	}
}

// noise is n bytes that nothing compresses.
func noise(n int) []byte {
	out, x := make([]byte, n), uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = byte(x >> 24)
	}
	return out
}

// Every request of a batch that was sent in part fails in turn. Whatever becomes
// of it: what is written is seen whole and once, or not at all and read again.
func TestTxnGroup_Send_faults(t *testing.T) {
	for _, tc := range []struct {
		key  kmsg.Key
		err  *kerr.Error
		top  bool
		dead bool
	}{
		{kmsg.Produce, kerr.InvalidRecord, false, false},
		{kmsg.Produce, kerr.InvalidProducerEpoch, false, true},
		{kmsg.Produce, kerr.NotLeaderForPartition, false, false}, // the client tries again
		{kmsg.TxnOffsetCommit, kerr.IllegalGeneration, false, false},
		{kmsg.TxnOffsetCommit, kerr.FencedInstanceID, false, true},
		{kmsg.EndTxn, kerr.ProducerFenced, true, true},
	} {
		t.Run(fmt.Sprint(tc.key, " ", tc.err.Message), func(t *testing.T) {
			cfg, kc := start(t, 1, "a", "b", "out")
			put(t, cfg, "a", 0, "1")
			tb := newTable(t)
			g := openTxn(t, cfg, txnOptions("0"), tb)
			pollN(t, g.Poll, 1)
			fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{tc.key}, TopLevel: tc.top, Err: tc.err})
			out := outs("out", 0, 6)
			g.Send(out[:2])
			if tc.key == kmsg.Produce {
				eventually(t, "the first part is refused", func() bool { return fault.Hits() == 1 })
			}
			g.Send(out[2:4])
			ok, err := g.Commit(patient(t), out)
			for try := 0; !ok && try < 3; try++ {
				if dead := errors.Is(err, stream.ErrFenced); dead != tc.dead {
					t.Errorf("Commit = %v; want the end of the session: %v", err, tc.dead)
				} else if dead {
					g.Close()
					g = openTxn(t, cfg, txnOptions("0"), newTable(t))
				}
				if got := values(t, cfg, "out", 0, true); len(got) > 0 {
					t.Fatalf("after %v: seen %q", err, got)
				}
				pollN(t, g.Poll, 1)
				g.Send(out[:1])
				ok, err = g.Commit(patient(t), out)
			}
			if got := values(t, cfg, "out", 0, true); !ok || fault.Hits() != 1 || !slices.Equal(got, texts(0, 6)) {
				t.Errorf("Commit = %v, %v after %d faults; seen: %q", ok, err, fault.Hits(), got)
			}
		})
	}
}

// Another process takes the id while parts are on their way.
func TestTxnGroup_Send_fenced(t *testing.T) {
	for _, abort := range []bool{false, true} {
		t.Run(fmt.Sprint("abort ", abort), func(t *testing.T) {
			cfg, _ := start(t, 1, "a", "b", "out")
			put(t, cfg, "a", 0, "1")
			first := openTxn(t, cfg, txnOptions("0"), newTable(t))
			pollN(t, first.Poll, 1)
			out := outs("out", 0, 4)
			first.Send(out[:2])
			second := openTxn(t, cfg, txnOptions("0"), newTable(t))
			first.Send(out[2:3])
			if abort {
				_ = first.Abort(patient(t)) // what it says depends on what the broker was asked
			} else if ok, err := first.Commit(patient(t), out); ok || !errors.Is(err, stream.ErrFenced) {
				t.Errorf("Commit of the older process = %v, %v; want ErrFenced", ok, err)
			}
			pollN(t, second.Poll, 1)
			if ok, err := second.Commit(patient(t), outs("out", 7, 1)); !ok || err != nil {
				t.Fatalf("Commit of the newer process = %v, %v", ok, err)
			}
			if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"7"}) {
				t.Errorf("seen: %q", got)
			}
		})
	}
}

// A process that ends between Send and Commit closes, and its successor begins
// anew.
func TestTxnGroup_Send_thenClose(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1")
	tb := newTable(t)
	g := openTxn(t, cfg, txnOptions("0"), tb)
	pollN(t, g.Poll, 1)
	g.Send(outs("out", 0, 3))
	g.Close()
	if tb.holds() != 0 {
		t.Error("the table is not revoked")
	}
	next := openTxn(t, cfg, txnOptions("0"), newTable(t))
	pollN(t, next.Poll, 1)
	if ok, err := next.Commit(patient(t), outs("out", 7, 1)); !ok || err != nil {
		t.Fatalf("Commit of the successor = %v, %v", ok, err)
	}
	if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"7"}) {
		t.Errorf("seen: %q", got)
	}
}

// A batch without a poll before it, or of a session that is dead, is not begun.
func TestTxnGroup_Send_notPolled(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	g := openTxn(t, cfg, txnOptions("0"), newTable(t))
	if g.Send(outs("out", 0, 1)) {
		t.Error("Send without a poll takes records")
	}
	if ok, err := g.Commit(context.Background(), outs("out", 0, 1)); ok || err == nil {
		t.Errorf("Commit without a poll = %v, %v", ok, err)
	}
}
