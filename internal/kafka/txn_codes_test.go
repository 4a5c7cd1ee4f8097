package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
)

// TestTxnGroup_fencedAtEveryStep: whichever request is told that the producer is
// no longer ours, and by whichever code, the session ends or its batch is
// aborted, and after it was opened again every record is copied once.
func TestTxnGroup_fencedAtEveryStep(t *testing.T) {
	codes := []*kerr.Error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping}
	for _, step := range []struct {
		key   kmsg.Key
		topic string
	}{{kmsg.InitProducerID, ""}, {kmsg.Produce, "out"}, {kmsg.TxnOffsetCommit, ""}, {kmsg.EndTxn, ""}} {
		for _, code := range codes {
			t.Run(fmt.Sprintf("%s %s", step.key.Name(), code.Message), func(t *testing.T) {
				t.Parallel()
				cfg, kc := start(t, 1, "a", "b", "out")
				want := []string{"1", "2", "3"}
				put(t, cfg, "a", 0, want...) // before the fault, which is for the session
				fault := kc.Fault(kfake.Fault{
					Keys: []kmsg.Key{step.key}, Topic: step.topic, Err: code,
					TopLevel: step.key == kmsg.InitProducerID || step.key == kmsg.EndTxn,
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- survive(ctx, cfg, "1") }()
				defer func() { cancel(); <-done }()
				eventually(t, "the copies", func() bool { return len(values(t, cfg, "out", 0, true)) >= len(want) })
				got := values(t, cfg, "out", 0, true)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("copies %q, want each once", got)
				}
				if fault.Hits() == 0 {
					t.Error("the fault was never met: the run proves nothing")
				}
			})
		}
	}
}

// Only the answer to an end is sure to have raised the epoch after that end was
// written for the first time.
func TestTxnGroup_whatRaisesTheEpoch(t *testing.T) {
	for _, tc := range []struct {
		name  string
		id    int64
		epoch int16
		inits int64
		want  bool
	}{
		{"nothing", 7, 3, 1, false},
		{"the end", 7, 4, 1, true},
		{"the end, to another id", 8, 0, 1, true},
		{"an initialisation", 7, 4, 2, false},
		{"an initialisation, to another id", 8, 0, 2, false},
	} {
		if got := kafka.Raised(7, 3, 1, tc.id, tc.epoch, tc.inits); got != tc.want {
			t.Errorf("raised by %s = %t, want %t", tc.name, got, tc.want)
		}
	}
}
