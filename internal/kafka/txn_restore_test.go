package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

func TestTxnGroup_restoreDecidesThePosition(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "0", "1", "2", "3")
	put(t, cfg, "b", 0, "0", "1")
	if err := kc.DeleteRecords("a", 0, 1); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		a, b int64
		want []string // values
		err  error
	}{
		{"from the start", 1, 0, []string{"1", "2", "3", "0", "1"}, nil},
		{"from the middle", 3, 1, []string{"3", "1"}, nil},
		{"below the log start", 0, 0, nil, stream.ErrLoss},
		{"beyond the end", 4, 3, nil, stream.ErrLoss},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := newTable(t)
			tb.at = func(_ context.Context, _ int32, _ stream.Log, committed map[string]int64) (map[string]int64, error) {
				if diff := cmp.Diff(map[string]int64{"a": -1, "b": -1}, committed); diff != "" {
					t.Errorf("committed (-want +got):\n%s", diff)
				}
				return map[string]int64{"a": tc.a, "b": tc.b}, nil
			}
			o := txnOptions(strings.ReplaceAll(tc.name, " ", "-"))
			o.Group = o.InstanceID
			g := openTxn(t, cfg, o, tb)
			if tc.err != nil {
				_, err := g.Poll(patient(t), 1)
				if !errors.Is(err, tc.err) || !strings.Contains(err.Error(), "[") {
					t.Errorf("Poll = %v, want %v with the ranges", err, tc.err)
				}
				return
			}
			var got []string
			for _, r := range pollN(t, g.Poll, len(tc.want)) {
				got = append(got, string(r.Value))
			}
			slices.Sort(got)
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("polled (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTxnGroup_restoreErrorEndsTheSession(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	tb := newTable(t)
	tb.at = func(context.Context, int32, stream.Log, map[string]int64) (map[string]int64, error) {
		return nil, fmt.Errorf("digest differs: %w", stream.ErrLoss)
	}
	g := openTxn(t, cfg, txnOptions("0"), tb)
	for range 2 {
		if _, err := g.Poll(patient(t), 1); !errors.Is(err, stream.ErrLoss) {
			t.Fatalf("Poll = %v, want ErrLoss", err)
		}
	}
	g.Close()
	if n := tb.holds(); n != 0 {
		t.Errorf("%d partitions are still held after Close", n)
	}
}

func TestTxnGroup_restoreMustNameEveryTopic(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	tb := newTable(t)
	tb.at = func(context.Context, int32, stream.Log, map[string]int64) (map[string]int64, error) {
		return map[string]int64{"a": 0}, nil
	}
	g := openTxn(t, cfg, txnOptions("0"), tb)
	if _, err := g.Poll(patient(t), 1); err == nil || !strings.Contains(err.Error(), "no offset for b") {
		t.Errorf("Poll = %v, want an error naming b", err)
	}
}

func TestTxnGroup_cancelledOpenEndsARestore(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	tb := newTable(t)
	began := make(chan struct{})
	tb.at = func(ctx context.Context, _ int32, _ stream.Log, _ map[string]int64) (map[string]int64, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	g := openTxn2(t, ctx, cfg, txnOptions("0"), tb)
	<-began
	// Commit does not wait for a restore: its caller may hold what it waits for.
	idle(t, g)
	if ok, err := g.Commit(patient(t), nil); ok || err != nil {
		t.Errorf("Commit during a restore = %v, %v; want false", ok, err)
	}
	cancel()
	if _, err := g.Poll(patient(t), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Poll after the restore was cancelled = %v", err)
	}
}

func openTxn2(t *testing.T, ctx context.Context, cfg kafka.Config, o kafka.TxnOptions, tb stream.Table) *kafka.TxnGroup { //nolint:revive // the context is what is tested
	t.Helper()
	g, err := kafka.OpenTxnGroup(ctx, cfg, o, tb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func TestOpenTxnGroup_refuses(t *testing.T) {
	cfg, kc := start(t, 2, "a", "b", "out")
	if err := kc.CreateTopic("three", 3, nil); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		edit func(*kafka.TxnOptions)
		want string
	}{
		{"missing input", func(o *kafka.TxnOptions) { o.Inputs = []string{"a", "gone"} }, "gone does not exist"},
		{"missing output", func(o *kafka.TxnOptions) { o.Outputs = []string{"gone"} }, "gone does not exist"},
		{"unequal counts", func(o *kafka.TxnOptions) { o.Inputs = []string{"a", "three"} }, "equal partition counts"},
		{"no group", func(o *kafka.TxnOptions) { o.Group = "" }, "name is required"},
		{"no inputs", func(o *kafka.TxnOptions) { o.Inputs = nil }, "no topics"},
		{"no transactional id", func(o *kafka.TxnOptions) { o.TransactionalID = "" }, "transactional id"},
		{"transaction outlives the session", func(o *kafka.TxnOptions) { o.TxnTimeout = o.SessionTimeout }, "below the session timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := txnOptions("0")
			tc.edit(&o)
			g, err := kafka.OpenTxnGroup(patient(t), cfg, o, newTable(t))
			if g != nil || !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("OpenTxnGroup = %v, %v; want ErrRefused with %q", g, err, tc.want)
			}
		})
	}
}

func TestTxnGroup_partitionAddedWhileRunning(t *testing.T) {
	cfg, _ := start(t, 2, "a", "b", "out")
	cfg.MetadataMinAge = 20 * time.Millisecond
	g := openTxn(t, cfg, txnOptions("0"), newTable(t))
	idle(t, g)
	raise(t, cfg, "b", 3)
	g.Refresh()
	var err error
	eventually(t, "the session ends", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = g.Poll(ctx, 1)
		return err != nil
	})
	// The group's leader may balance with the new count before we have looked at it.
	said := err.Error()
	named := strings.Contains(said, "b: partition count changed from 2 to 3") || strings.Contains(said, "b has [0 1 2]")
	if !errors.Is(err, stream.ErrRefused) || !named {
		t.Errorf("Poll = %v, want ErrRefused naming b", err)
	}
}

func TestTxnGroup_pollGivesRecordsBesideAnError(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1")
	put(t, cfg, "b", 0, "2")
	fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "b", Err: kerr.TopicAuthorizationFailed, Count: -1})
	// The client may ask for b alone at first: then the error comes alone, and the
	// next session begins anew.
	eventually(t, "a record of a beside an error of b", func() bool {
		g := openTxn(t, cfg, txnOptions("0"), newTable(t))
		defer g.Close()
		for {
			rs, err := g.Poll(patient(t), 10)
			if err == nil && len(rs) == 0 || err != nil && errors.Is(err, stream.ErrTransient) {
				continue
			}
			if !errors.Is(err, stream.ErrRefused) && err != nil || fault.Hits() == 0 && err != nil || len(rs) > 1 || len(rs) == 1 && string(rs[0].Value) != "1" {
				t.Fatalf("Poll = %v, %v; want the record of a, ErrRefused, or both", rs, err)
			}
			return err != nil && len(rs) == 1
		}
	})
}
