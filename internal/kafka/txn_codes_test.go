package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
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
