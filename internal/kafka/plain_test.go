package kafka_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

func openPlain(t *testing.T, cfg kafka.Config) *kafka.PlainGroup {
	t.Helper()
	g, err := kafka.OpenPlainGroup(context15(t), cfg, kafka.PlainOptions{
		Group: "g", InstanceID: "0", Inputs: []string{"a", "b"}, Outputs: []string{"out", "state", "position"},
		Last:           [][]string{{"state"}, {"position"}},
		SessionTimeout: 6 * time.Second, HeartbeatInterval: 100 * time.Millisecond, RebalanceTimeout: 5 * time.Second,
		LeaveOnClose: true,
	}, newTable(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func staged() []stream.Record {
	return []stream.Record{
		{Topic: "position", Partition: 0, Value: []byte("p")},
		{Topic: "state", Partition: 0, Value: []byte("s")},
		{Topic: "out", Partition: 0, Value: []byte("o")},
	}
}

func TestPlainGroup_Commit_inStages(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
	put(t, cfg, "a", 0, "1")
	g := openPlain(t, cfg)
	pollN(t, g.Poll, 1)
	// Each stage fails once: nothing of a later stage may be there.
	for i, topic := range []string{"out", "state", "position"} {
		fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.MessageTooLarge})
		ok, err := g.Commit(context15(t), staged())
		var re *kafka.RecordError
		if ok || !errors.As(err, &re) || re.Topic != topic || re.Index != 2-i || fault.Hits() != 1 {
			t.Fatalf("Commit with a fault on %s = %v, %v", topic, ok, err)
		}
		for _, later := range []string{"out", "state", "position"}[i:] {
			if n := kc.PartitionInfo(later, 0).HighWatermark; n != 0 {
				t.Errorf("%s has %d records although %s failed", later, n, topic)
			}
		}
		again := pollN(t, g.Poll, 1)
		if string(again[0].Value) != "1" {
			t.Errorf("read again = %q, want 1", again[0].Value)
		}
	}
	if ok, err := g.Commit(context15(t), staged()); !ok || err != nil {
		t.Fatalf("Commit = %v, %v", ok, err)
	}
	if got := values(t, cfg, "position", 0, true); !slices.Equal(got, []string{"p"}) {
		t.Errorf("position = %q, want one", got)
	}
	if o := kc.GroupInfo("g").Commits["a"][0].Offset; o != 1 {
		t.Errorf("group offset = %d, want 1", o)
	}
}

func TestPlainGroup_Commit_offsetsAreACourtesy(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
	put(t, cfg, "a", 0, "1")
	g := openPlain(t, cfg)
	pollN(t, g.Poll, 1)
	fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed})
	if ok, err := g.Commit(context15(t), staged()); !ok || err != nil || fault.Hits() != 1 {
		t.Fatalf("Commit = %v, %v (%d hits); want true", ok, err, fault.Hits())
	}
	put(t, cfg, "a", 0, "2")
	if rs := pollN(t, g.Poll, 1); string(rs[0].Value) != "2" {
		t.Errorf("Poll = %q, want the next record", rs[0].Value)
	}
}
