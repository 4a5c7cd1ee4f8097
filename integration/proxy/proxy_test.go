package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration/proxy"
)

// behind starts three fake brokers and a proxy before them, behindOne one.
func behind(t *testing.T) *proxy.Proxy    { t.Helper(); return behindSome(t, 3) }
func behindOne(t *testing.T) *proxy.Proxy { t.Helper(); return behindSome(t, 1) }

func behindSome(t *testing.T, brokers int) *proxy.Proxy {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.SeedTopics(6, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p, err := proxy.Open(c.ListenAddrs())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func client(t *testing.T, p *proxy.Proxy, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(p.Brokers()[0]), kgo.ClientID("tester"), kgo.MetadataMinAge(10 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// within is long because a machine may be busy with other things; its end is
// reached only by a failure.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// produce writes one record in a transaction.
func produce(ctx context.Context, cl *kgo.Client, value string) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(value)}).FirstErr(); err != nil {
		return errors.Join(err, cl.EndTransaction(ctx, kgo.TryAbort))
	}
	return cl.EndTransaction(ctx, kgo.TryCommit)
}

// committed reads what read_committed shows.
func committed(t *testing.T, p *proxy.Proxy) []string {
	t.Helper()
	return values(t, p, kgo.ReadCommitted())
}

// values reads all that there is, to the end of every partition as the isolation
// level has it.
func values(t *testing.T, p *proxy.Proxy, level kgo.IsolationLevel) []string {
	t.Helper()
	ctx := within(t)
	adm := kadm.NewClient(client(t, p))
	list := adm.ListEndOffsets
	if level == kgo.ReadCommitted() {
		list = adm.ListCommittedOffsets
	}
	ends, err := list(ctx, "t")
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	cl := client(t, p, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	left := map[int32]bool{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = true
		}
	})
	var out []string
	for len(left) > 0 {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%v, and %d partitions not read: %v", out, len(left), err)
		}
		f.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out = append(out, string(r.Value))
			}
			if o, _ := ends.Lookup("t", r.Partition); r.Offset >= o.Offset-1 {
				delete(left, r.Partition)
			}
		})
	}
	slices.Sort(out)
	return out
}

func TestProxy_namesNoBroker(t *testing.T) {
	p := behind(t)
	cl := client(t, p, kgo.TransactionalID("x"))
	ctx := within(t)
	for _, v := range []string{"a", "b", "c"} {
		if err := produce(ctx, cl, v); err != nil {
			t.Fatal(err)
		}
	}
	adm := kadm.NewClient(cl)
	m, err := adm.Metadata(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := adm.FindTxnCoordinators(ctx, "x")
	if err := found.Error(); err != nil {
		t.Fatal(err)
	}
	ours := p.Brokers()
	named := []string{net.JoinHostPort(found["x"].Host, port(found["x"].Port))}
	for _, b := range m.Brokers {
		named = append(named, net.JoinHostPort(b.Host, port(b.Port)))
	}
	for _, addr := range named {
		if !slices.Contains(ours, addr) {
			t.Errorf("an answer names %s, which is none of the proxy's %v", addr, ours)
		}
	}
	if len(m.Brokers) != 3 {
		t.Errorf("%d brokers, want 3", len(m.Brokers))
	}
	if got := committed(t, p); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("read %v", got)
	}
}

func port(n int32) string { return strconv.Itoa(int(n)) }

func TestProxy_losesTheAnswer(t *testing.T) {
	p := behind(t)
	cl := client(t, p, kgo.TransactionalID("x"))
	rule := &proxy.Rule{Key: kmsg.EndTxn, Client: "tester", Times: 1, Drop: true}
	p.Add(rule)
	for _, v := range []string{"a", "b"} {
		if err := produce(within(t), cl, v); err != nil {
			t.Fatal(err)
		}
	}
	if rule.Hits() != 1 {
		t.Errorf("%d answers were lost, want 1", rule.Hits())
	}
	if got := committed(t, p); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("read %v, want a and b once", got)
	}
}

// TestProxy_holds lets a request to end through after the next transaction began
// and ended: the broker must refuse it.
func TestProxy_holds(t *testing.T) {
	p := behind(t)
	cl := client(t, p, kgo.TransactionalID("x"))
	rule := &proxy.Rule{Key: kmsg.EndTxn, Times: 1, Hold: true}
	p.Add(rule)
	for _, v := range []string{"a", "b"} {
		if err := produce(within(t), cl, v); err != nil {
			t.Fatal(err)
		}
	}
	if rule.Held() != 1 {
		t.Fatalf("%d requests are held, want 1", rule.Held())
	}
	codes := rule.Release()
	if len(codes) != 1 || codes[0] == 0 {
		t.Errorf("the late request was answered %v, want one error", codes)
	}
	if got := committed(t, p); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("read %v", got)
	}
}

// TestProxy_holdsNobody: a client that has gone before its request was held is
// not waited for.
func TestProxy_holdsNobody(t *testing.T) {
	p := behind(t)
	cl := client(t, p)
	rule := &proxy.Rule{Key: kmsg.Metadata, Times: 1, Hold: true, Delay: time.Hour}
	p.Add(rule)
	ctx := within(t)
	go func() { _, _ = kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl) }()
	for rule.Held() == 0 {
		if ctx.Err() != nil {
			t.Fatal("the request never came")
		}
		runtime.Gosched()
	}
	p.Reset()
	if codes := rule.Release(); len(codes) != 0 || rule.Held() != 0 {
		t.Errorf("Release = %v, %d held; want none", codes, rule.Held())
	}
}

func TestProxy_loses(t *testing.T) {
	p := behind(t)
	cl := client(t, p)
	rule := &proxy.Rule{Key: kmsg.Produce, Times: 2, Lose: true, Only: func(r kmsg.Request) bool {
		_, ok := r.(*kmsg.ProduceRequest)
		return ok
	}}
	p.Add(rule)
	if err := cl.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("a")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if rule.Hits() != 2 {
		t.Errorf("%d requests were lost, want 2", rule.Hits())
	}
	if got := committed(t, p); !slices.Equal(got, []string{"a"}) {
		t.Errorf("read %v", got)
	}
}

func TestProxy_answersInTheBrokersPlace(t *testing.T) {
	p := behind(t)
	cl := client(t, p, kgo.TransactionalID("x"))
	rule := &proxy.Rule{Key: kmsg.EndTxn, Times: 3, Answer: func(req kmsg.Request) kmsg.Response {
		resp, ok := req.ResponseKind().(*kmsg.EndTxnResponse)
		if !ok {
			return nil
		}
		resp.ErrorCode = kerr.ConcurrentTransactions.Code
		return resp
	}}
	p.Add(rule)
	if err := produce(within(t), cl, "a"); err != nil {
		t.Fatal(err)
	}
	if rule.Hits() != 3 {
		t.Errorf("%d answers of ours, want 3", rule.Hits())
	}
}

func TestProxy_oldTransactions(t *testing.T) {
	p := behind(t)
	old := proxy.OldTransactions("")
	p.Add(old)
	cl := client(t, p, kgo.TransactionalID("x"))
	var epochs []int16
	for _, v := range []string{"a", "b"} {
		if err := produce(within(t), cl, v); err != nil {
			t.Fatal(err)
		}
		_, epoch, err := cl.ProducerID(within(t))
		if err != nil {
			t.Fatal(err)
		}
		epochs = append(epochs, epoch)
	}
	if epochs[0] != epochs[1] || old.Hits() == 0 {
		t.Errorf("epochs %v after two transactions, want the same; %d answers were edited", epochs, old.Hits())
	}
}

// TestProxy_badNetwork produces through connections that die and lag. They live
// longer the more have died: however slow the machine is, one lives for long
// enough in the end.
func TestProxy_badNetwork(t *testing.T) {
	p := behind(t)
	var lives atomic.Int64
	p.Mortal(func() time.Duration { return time.Duration(60+5*lives.Add(1)) * time.Millisecond })
	p.Slow(func() time.Duration { return 2 * time.Millisecond })
	cl := client(t, p, kgo.TransactionalID("x"))
	var want []string
	// Three brokers have three kinds of connections each: with more some have died.
	for n := 0; n < 8 || p.Connections() < 12; n++ {
		want = append(want, fmt.Sprintf("%04d", n))
		if err := produce(within(t), cl, want[n]); err != nil {
			t.Fatal(err)
		}
	}
	p.Clear()
	for before := p.Connections(); p.Connections() == before; { // until one is opened that lives
		want = append(want, "later")
		if err := produce(within(t), cl, "later"); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.Reset(); n == 0 {
		t.Error("Reset ended no connection")
	}
	if got := committed(t, p); !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}
