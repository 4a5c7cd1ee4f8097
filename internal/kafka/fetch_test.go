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

// A broker that led a moment ago and came back as a follower answers consumers
// still (KIP-392): what its log does not reach yet is out of its range. Nothing is
// lost while the leader has it.
func TestLog_Read_outOfRangeOfAFollower(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	put(t, cfg, "s", 0, "1", "2")
	fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "s", Err: kerr.OffsetOutOfRange, Count: 1})
	var got []string
	err := openLog(t, cfg).Read(patient(t), "s", 0, 0, 2, true, func(r stream.Record) error {
		got = append(got, string(r.Value))
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"1", "2"}) || fault.Hits() != 1 {
		t.Errorf("Read = %q, %v, the fault was used %d times; want what the leader has", got, err, fault.Hits())
	}
}

// However long a broker says that a position is out of its range: while the leader
// has it, nothing is lost.
func TestLog_Read_outOfRangeForLongIsNoLoss(t *testing.T) {
	cfg, kc := start(t, 1, "s")
	put(t, cfg, "s", 0, "1", "2")
	fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "s", Err: kerr.OffsetOutOfRange, Count: -1})
	log := openLog(t, cfg)
	kafka.GiveUpAfter(log, 500*time.Millisecond)
	err := log.Read(patient(t), "s", 0, 0, 2, true, func(stream.Record) error { return nil })
	if err == nil || errors.Is(err, stream.ErrLoss) || !errors.Is(err, stream.ErrTransient) {
		t.Errorf("Read = %v after %d answers; want ErrTransient: the leader holds all that is read", err, fault.Hits())
	}
}
