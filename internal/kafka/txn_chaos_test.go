package kafka_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

var chaosSeed = flag.Uint64("chaos.seed", 1, "seed of the fault plan")

// plan is what may go wrong, each at a time that the seed chooses. None of it
// may lose or double a copy.
var plan = []kfake.Fault{
	{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.NotEnoughReplicas},
	{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.NotLeaderForPartition},
	{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.MessageTooLarge},
	{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.NotEnoughReplicasAfterAppend},
	{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration},
	{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID},
	{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.CoordinatorLoadInProgress},
	{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress},
	{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.InvalidTxnState},
	{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ProducerFenced},
	{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress},
	{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID},
	{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "a", Err: kerr.NotLeaderForPartition},
	{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress},
	{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "b", Err: kerr.LeaderNotAvailable},
	{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorNotAvailable},
}

// TestTxnGroup_chaos copies under random faults, with members that open again
// when their session dies, and counts the copies.
func TestTxnGroup_chaos(t *testing.T) {
	const partitions, rounds = 4, 25
	cfg, kc := start(t, partitions, "a", "b", "out")
	rnd := rand.New(rand.NewPCG(*chaosSeed, 0))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	for _, id := range []string{"1", "2"} {
		go func() { done <- survive(ctx, cfg, id) }()
	}
	defer func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}()
	p := openProducer(t, cfg, kafka.ProducerOptions{})
	var want []string
	var faults []*kfake.FaultHandle
	for round := range rounds {
		f := plan[rnd.IntN(len(plan))]
		handle := kc.Fault(f) // stays until it is met
		faults = append(faults, handle)
		for i := range 1 + rnd.IntN(5) {
			v := fmt.Sprintf("%d-%d", round, i)
			topic := []string{"a", "b"}[rnd.IntN(2)]
			if _, err := p.Publish(patient(t), stream.Record{Topic: topic, Partition: rnd.Int32N(partitions), Key: []byte(v), Value: []byte(v)}); err != nil {
				t.Fatal(err)
			}
			want = append(want, v)
		}
		wait, stop := context.WithTimeout(ctx, time.Duration(rnd.IntN(100))*time.Millisecond)
		_ = handle.Wait(wait, 1)
		stop()
	}
	var got []string
	eventually(t, "all copies", func() bool {
		got = got[:0]
		for p := range int32(partitions) {
			got = append(got, values(t, cfg, "out", p, true)...)
		}
		return len(got) >= len(want)
	})
	hits := 0
	for _, f := range faults {
		hits += f.Hits()
	}
	if hits < rounds/3 {
		t.Errorf("only %d of %d faults hit: the run proves little", hits, rounds)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("seed %d: copies differ from the originals:\n got %q\nwant %q", *chaosSeed, got, want)
	}
}

// tolerant is a table without claims.
type tolerant struct{}

func (tolerant) Restore(_ context.Context, _ int32, _ stream.Log, committed map[string]int64) (map[string]int64, error) {
	next := map[string]int64{}
	for topic, o := range committed {
		next[topic] = max(o, 0)
	}
	return next, nil
}

func (tolerant) Revoke([]int32) {}

// survive runs sessions one after the other until ctx ends.
func survive(ctx context.Context, cfg kafka.Config, id string) error {
	for ctx.Err() == nil {
		g, err := kafka.OpenTxnGroup(ctx, cfg, txnOptions(id), tolerant{})
		if err != nil {
			continue
		}
		for err == nil && ctx.Err() == nil {
			pctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			rs, perr := g.Poll(pctx, 3)
			cancel()
			if len(rs) > 0 {
				_, err = g.Commit(ctx, copies(rs))
				if re, ok := err.(interface{ RecordIndex() int }); ok && re.RecordIndex() >= 0 {
					err = nil // aborted: the batch comes again
				}
			} else if perr != nil {
				err = perr
			}
		}
		g.Close()
	}
	return nil
}
