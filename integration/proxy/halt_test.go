package proxy_test

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration/proxy"
)

// abandon begins a transaction of two records in two partitions and gives up
// when the rule has its client stand still.
func abandon(t *testing.T, p *proxy.Proxy, rule *proxy.Rule) {
	t.Helper()
	p.Add(rule)
	cl := client(t, p, kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx, cancel := context.WithCancel(within(t))
	done := make(chan error, 1)
	go func() {
		if err := cl.BeginTransaction(); err != nil {
			done <- err
			return
		}
		err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: 0, Value: []byte("lost")}, &kgo.Record{Topic: "t", Partition: 1, Value: []byte("cut")}).FirstErr()
		if err == nil {
			err = cl.EndTransaction(ctx, kgo.TryCommit)
		}
		done <- err
	}()
	select {
	case <-rule.Reached():
	case err := <-done:
		if err != nil || rule.HaltBefore || rule.HaltAfter {
			t.Fatalf("the client did not stand still: %v", err)
		}
		done <- nil // it heard the answer before the proxy said so
		<-rule.Reached()
	case <-ctx.Done():
		t.Fatal("the rule was never obeyed")
	}
	cancel()
	cl.Close() // what is under way does not end by its context
	<-done
	p.Clear()
	p.Reset()
}

// TestProxy_halts has a client stand still at a place of its transaction. Its
// successor ends what it left behind.
func TestProxy_halts(t *testing.T) {
	notCut := func(req kmsg.Request) bool {
		r, ok := req.(*kmsg.ProduceRequest)
		if !ok {
			return false
		}
		for i := range r.Topics {
			r.Topics[i].Partitions = slices.DeleteFunc(r.Topics[i].Partitions, func(p kmsg.ProduceRequestTopicPartition) bool { return p.Partition == 1 })
		}
		r.Topics = slices.DeleteFunc(r.Topics, func(t kmsg.ProduceRequestTopic) bool { return len(t.Partitions) == 0 })
		return len(r.Topics) > 0
	}
	for _, tc := range []struct {
		name           string
		rule           *proxy.Rule
		codes          []int16
		all, committed []string
	}{
		{"before the first produce", &proxy.Rule{Key: kmsg.Produce, HaltBefore: true}, nil, []string{"next"}, []string{"next"}},
		{"nothing of a produce", &proxy.Rule{Key: kmsg.Produce, HaltAfter: true, Trim: func(kmsg.Request) bool { return false }}, nil, []string{"next"}, []string{"next"}},
		{"before the end", &proxy.Rule{Key: kmsg.EndTxn, HaltBefore: true}, nil, []string{"cut", "lost", "next"}, []string{"next"}},
		{"after the end", &proxy.Rule{Key: kmsg.EndTxn, HaltAfter: true}, []int16{0}, []string{"cut", "lost", "next"}, []string{"cut", "lost", "next"}},
		{"the answer passed on", &proxy.Rule{Key: kmsg.EndTxn}, nil, []string{"cut", "lost", "next"}, []string{"cut", "lost", "next"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := behind(t)
			abandon(t, p, tc.rule)
			if err := produce(within(t), client(t, p, kgo.TransactionalID("x")), "next"); err != nil {
				t.Fatal(err)
			}
			if got := values(t, p, kgo.ReadUncommitted()); !slices.Equal(got, tc.all) {
				t.Errorf("read %v uncommitted, want %v", got, tc.all)
			}
			if got := committed(t, p); !slices.Equal(got, tc.committed) {
				t.Errorf("read %v, want %v", got, tc.committed)
			}
			if got := tc.rule.Codes(); !slices.Equal(got, tc.codes) {
				t.Errorf("codes %v, want %v", got, tc.codes)
			}
		})
	}

	t.Run("a part of a produce", func(t *testing.T) {
		c := behindOne(t)
		rule := &proxy.Rule{Key: kmsg.Produce, HaltAfter: true, Trim: notCut}
		abandon(t, c, rule)
		if got := values(t, c, kgo.ReadUncommitted()); !slices.Equal(got, []string{"lost"}) {
			t.Errorf("read %v uncommitted, want lost alone", got)
		}
		if got := rule.Codes(); !slices.Equal(got, []int16{0}) {
			t.Errorf("codes %v, want one 0", got)
		}
	})

	t.Run("an answer that is not the one", func(t *testing.T) {
		p := behind(t)
		n := 0
		rule := &proxy.Rule{Key: kmsg.EndTxn, HaltAfter: true, When: func(kmsg.Response) bool { n++; return n == 2 }}
		p.Add(rule)
		cl := client(t, p, kgo.TransactionalID("x"))
		if err := produce(within(t), cl, "first"); err != nil {
			t.Fatal(err)
		}
		if rule.IsReached() {
			t.Error("the client stands still at an answer that is not the one")
		}
		ctx, cancel := context.WithCancel(within(t))
		defer cancel()
		go func() { <-rule.Reached(); cancel(); cl.Close() }()
		if err := produce(ctx, cl, "second"); err == nil {
			t.Error("the client did not stand still")
		}
	})
}

// TestRule_Passed is told before the client can act on an answer: who looks for
// its next request must not miss it.
func TestRule_Passed(t *testing.T) {
	p := behind(t)
	cl := client(t, p, kgo.TransactionalID("x"))
	for n := range 100 {
		rule := &proxy.Rule{Key: kmsg.EndTxn}
		p.Add(rule)
		if err := produce(within(t), cl, "x"); err != nil {
			t.Fatal(err)
		}
		if !rule.Passed() {
			t.Fatalf("transaction %d has ended, and no answer to it was passed on", n)
		}
		p.Clear()
	}
}
