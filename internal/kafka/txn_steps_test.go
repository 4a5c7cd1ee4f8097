package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// memory is what a reconciler is, as far as a rebalance is concerned: what it
// wrote of each partition, read back from the log at a restore, changed only by
// a commit, and gone with the partition.
type memory struct {
	mu        sync.Mutex
	held      map[int32][]string
	restoring func() // called within a restore, once
	early     bool   // parts of batches are sent before the commit
}

// Restore implements stream.Table.
func (m *memory) Restore(ctx context.Context, p int32, log stream.Log, committed map[string]int64) (map[string]int64, error) {
	m.mu.Lock()
	hook := m.restoring
	m.restoring = nil
	m.mu.Unlock()
	if hook != nil {
		hook()
	}
	ends, err := log.Ends(ctx, p, "out")
	if err != nil {
		return nil, err
	}
	var wrote []string
	err = log.Read(ctx, "out", p, ends["out"].Start, ends["out"].End, true, func(r stream.Record) error {
		wrote = append(wrote, string(r.Value))
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[p] = wrote
	next := map[string]int64{}
	for topic, o := range committed {
		next[topic] = max(o, 0)
	}
	return next, nil
}

// Revoke implements stream.Table.
func (m *memory) Revoke(ps []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range ps {
		delete(m.held, p)
	}
}

func (m *memory) snapshot() map[int32][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[int32][]string{}
	for p, vs := range m.held {
		out[p] = slices.Clone(vs)
	}
	return out
}

// steps are where a rebalance may begin: at a request of the first member's
// batch, or between the calls of its loop.
type steps struct {
	polled, accepted func() // called once each, after the first Poll and Commit with records
}

// remember runs sessions that copy into memory until ctx ends.
func remember(ctx context.Context, cfg kafka.Config, id string, m *memory, s steps) error {
	for ctx.Err() == nil {
		o := txnOptions(id)
		o.TxnTimeout, o.SessionTimeout, o.RebalanceTimeout = time.Second, 1500*time.Millisecond, 500*time.Millisecond
		g, err := kafka.OpenTxnGroup(ctx, cfg, o, m)
		if err != nil {
			continue
		}
		err = m.work(ctx, g, &s)
		g.Close()
		if errors.Is(err, stream.ErrLoss) || errors.Is(err, stream.ErrRefused) {
			return err
		}
	}
	return nil
}

func (m *memory) work(ctx context.Context, g *kafka.TxnGroup, s *steps) error {
	for ctx.Err() == nil {
		pctx, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		rs, err := g.Poll(pctx, 3)
		cancel()
		if len(rs) == 0 {
			if err != nil && !errors.Is(err, stream.ErrTransient) {
				return err
			}
			continue
		}
		once(&s.polled)
		var out []stream.Record
		for _, r := range rs {
			out = append(out, stream.Record{Topic: "out", Partition: r.Partition, Key: r.Key, Value: r.Value})
		}
		if m.early {
			g.Send(out[:1+len(out)/2])
		}
		ok, err := g.Commit(ctx, out)
		if re, refused := err.(interface{ RecordIndex() int }); err != nil && !(refused && re.RecordIndex() >= 0) {
			return err
		}
		if ok && err == nil { // only a commit changes memory
			m.mu.Lock()
			for _, r := range out {
				m.held[r.Partition] = append(m.held[r.Partition], string(r.Value))
			}
			m.mu.Unlock()
		}
		once(&s.accepted)
	}
	return nil
}

func once(f *func()) {
	if *f != nil {
		call := *f
		*f = nil
		call()
	}
}

// A second member joins at every step of the first one's batch in turn; the
// first goes on at once, or not before the second has taken partitions over
// without it. Whatever the step: every record is copied once, and what the
// members remember is what the log holds.
func TestTxnGroup_rebalanceAtEveryStep(t *testing.T) {
	for _, step := range []struct {
		name string
		key  kmsg.Key // of the request at which it begins; -1 for a call of the loop
	}{
		{"restore", -1}, {"poll", -1}, {"accept", -1},
		{"offset fetch", kmsg.OffsetFetch}, {"fetch", kmsg.Fetch}, {"produce", kmsg.Produce},
		{"offsets", kmsg.TxnOffsetCommit}, {"end", kmsg.EndTxn},
	} {
		for _, late := range []bool{false, true} {
			for _, early := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, late %t, early %t", step.name, late, early), func(t *testing.T) {
					t.Parallel() // each has a cluster of its own, and mostly waits
					rebalanceAt(t, step.name, step.key, late, early)
				})
			}
		}
	}
}

func rebalanceAt(t *testing.T, step string, key kmsg.Key, late, early bool) {
	transactional := func(r kmsg.Request) bool {
		p, ok := r.(*kmsg.ProduceRequest)
		return !ok || p.TransactionID != nil
	}
	const each = 6
	cfg, kc := start(t, 2, "a", "b", "out")
	var want []string
	for _, topic := range []string{"a", "b"} {
		for p := range int32(2) {
			var vs []string
			for i := range each {
				vs = append(vs, fmt.Sprintf("%s-%d-%d", topic, p, i))
			}
			put(t, cfg, topic, p, vs...)
			want = append(want, vs...)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	one, two := &memory{held: map[int32][]string{}, early: early}, &memory{held: map[int32][]string{}, early: early}
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	begun := make(chan struct{})
	begin := func() { // the second member joins, and the group knows
		all.Go(func() {
			if err := remember(ctx, cfg, "2", two, steps{}); err != nil {
				t.Error(err)
			}
		})
		select {
		case <-begun:
		case <-ctx.Done():
		}
		for late && len(two.snapshot()) == 0 && ctx.Err() == nil {
			<-time.After(5 * time.Millisecond)
		}
	}
	kc.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if id := r.(*kmsg.JoinGroupRequest).InstanceID; id != nil && *id == "2" {
			kc.DropControl()
			close(begun)
		}
		return nil, nil, false
	})
	var met atomic.Bool
	var s steps
	switch step {
	case "restore":
		one.restoring = begin
	case "poll":
		s.polled = begin
	case "accept":
		s.accepted = begin
	default:
		kc.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
			// While the first request sleeps, those of the second member come here too.
			if transactional(r) && !met.Swap(true) {
				kc.SleepControl(begin)
			}
			return nil, nil, false
		})
	}
	all.Go(func() {
		if err := remember(ctx, cfg, "1", one, s); err != nil {
			t.Error(err)
		}
	})
	agree(t, cfg, kc, want, one, two)
}

// agree waits until both members hold one partition each and all is copied, and
// compares what they remember with the log.
func agree(t *testing.T, cfg kafka.Config, kc *kfake.Cluster, want []string, one, two *memory) {
	t.Helper()
	count := func(m map[int32][]string) (n int) {
		for _, vs := range m {
			n += len(vs)
		}
		return n
	}
	// Sessions are short here, so that one may end at any time: what is compared
	// was held by the same members before and after the log was read.
	var remembered map[int32][]string
	logs := make([][]string, 2)
	eventually(t, "both hold a half and all is copied", func() bool {
		a, b := one.snapshot(), two.snapshot()
		if len(a) != 1 || len(b) != 1 || count(a)+count(b) < len(want) {
			return false
		}
		remembered = maps.Clone(a)
		maps.Copy(remembered, b)
		for p := range logs {
			logs[p] = values(t, cfg, "out", int32(p), true)
		}
		return len(remembered) == 2 && kc.GroupInfo("g").State == "Stable" && cmp.Equal(a, one.snapshot()) && cmp.Equal(b, two.snapshot())
	})
	var copied []string
	for p, log := range logs {
		copied = append(copied, log...)
		if !slices.Equal(log, remembered[int32(p)]) {
			t.Errorf("partition %d: the log holds %q, the member remembers %q", p, log, remembered[int32(p)])
		}
	}
	slices.Sort(copied)
	slices.Sort(want)
	if !slices.Equal(copied, want) {
		t.Errorf("copied %q, want %q", copied, want)
	}
}
