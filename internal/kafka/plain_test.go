package kafka_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
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
	return openPlainFor(t, cfg, long)
}

func openPlainFor(t *testing.T, cfg kafka.Config, session time.Duration) *kafka.PlainGroup {
	t.Helper()
	g, err := kafka.OpenPlainGroup(patient(t), cfg, kafka.PlainOptions{
		Group: "g", InstanceID: "0", Inputs: []string{"a", "b"}, Outputs: []string{"out", "state", "position"},
		Last:           [][]string{{"state"}, {"position"}},
		SessionTimeout: session, HeartbeatInterval: 100 * time.Millisecond, RebalanceTimeout: long,
		LeaveOnClose: true,
	}, newTable(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// noAnswers has requests of a kind wait until away is closed.
func noAnswers(kc *kfake.Cluster, key kmsg.Key, away <-chan struct{}) {
	kc.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		kc.SleepControl(func() { <-away })
		return nil, nil, false
	})
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
		ok, err := g.Commit(patient(t), staged())
		var re *kafka.RecordError
		if ok || !errors.As(err, &re) || re.Topic != topic || re.Index != 2-i || fault.Hits() != 1 {
			t.Fatalf("Commit with a fault on %s = %v, %v", topic, ok, err)
		}
		for _, later := range []string{"out", "state", "position"}[i:] {
			if n := kc.PartitionInfo(later, 0).HighWatermark; n != 0 {
				t.Errorf("%s has %d records although %s failed", later, n, topic)
			}
		}
		// Behind the first stage the same batch has to be committed first.
		if re.Standing != (i > 0) {
			t.Errorf("%s failed: standing %v", topic, re.Standing)
		}
		if re.Standing {
			if _, err := g.Poll(patient(t), 1); err == nil || errors.Is(err, stream.ErrTransient) {
				t.Errorf("Poll beside a batch that stands = %v, want an error", err)
			}
			continue
		}
		again := pollN(t, g.Poll, 1)
		if string(again[0].Value) != "1" {
			t.Errorf("read again = %q, want 1", again[0].Value)
		}
	}
	if ok, err := g.Commit(patient(t), staged()); !ok || err != nil {
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
	if ok, err := g.Commit(patient(t), staged()); !ok || err != nil || fault.Hits() != 1 {
		t.Fatalf("Commit = %v, %v (%d hits); want true", ok, err, fault.Hits())
	}
	put(t, cfg, "a", 0, "2")
	if rs := pollN(t, g.Poll, 1); string(rs[0].Value) != "2" {
		t.Errorf("Poll = %q, want the next record", rs[0].Value)
	}
}

// A batch that outlasts the patience of a rebalance is another member's: the
// coordinator still answers the heartbeats of the one that it has thrown out.
func TestPlainGroup_strangerWritesNothing(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
	put(t, cfg, "a", 0, "1")
	g := openPlain(t, cfg)
	pollN(t, g.Poll, 1)
	waits := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress})
	eventually(t, "the member hears of a rebalance", func() bool { return waits.Hits() == 1 })
	leave(t, cfg, "g", "0")
	out := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Observe: true, Count: -1})
	if err := out.Wait(patient(t), 3); err != nil {
		t.Fatal(err)
	}
	if ok, err := g.Commit(patient(t), staged()); ok || err != nil {
		t.Errorf("Commit of a stranger = %v, %v; want false", ok, err)
	}
	for _, topic := range []string{"out", "state", "position"} {
		if n := kc.PartitionInfo(topic, 0).HighWatermark; n != 0 {
			t.Errorf("%s has %d records of a stranger", topic, n)
		}
	}
}

// A stage that takes long must not be followed by another one for which the
// lease is too short: the next owner may have read the states by then.
func TestPlainGroup_leaseEndsBetweenStages(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
	put(t, cfg, "a", 0, "1")
	g := openPlain(t, cfg)
	pollN(t, g.Poll, 1)
	away := make(chan struct{})
	defer close(away)
	kc.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.DropControl()
		noAnswers(kc, kmsg.Heartbeat, away) // nothing renews it
		g.Lapse()
		return nil, nil, false
	})
	ok, err := g.Commit(patient(t), staged())
	var re *kafka.RecordError
	if ok || err == nil || errors.As(err, &re) {
		t.Errorf("Commit beyond the lease = %v, %v; want the end of the session", ok, err)
	}
	if _, err := g.Poll(patient(t), 1); err == nil || errors.Is(err, stream.ErrTransient) {
		t.Errorf("Poll of a session behind its lease = %v, want its end", err)
	}
	for topic, want := range map[string]int64{"out": 1, "state": 0, "position": 0} {
		if n := kc.PartitionInfo(topic, 0).HighWatermark; n != want {
			t.Errorf("%s has %d records, want %d", topic, n, want)
		}
	}
}

// A failure behind the first stage that is not a record's ends the session: states
// may be written that are newer than what the caller has. What it is is kept.
func TestPlainGroup_Commit_failsBehindTheFirstStage(t *testing.T) {
	for code, class := range map[*kerr.Error]error{kerr.UnknownServerError: stream.ErrTransient, kerr.TopicAuthorizationFailed: stream.ErrRefused} {
		for _, topic := range []string{"state", "position"} {
			cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
			put(t, cfg, "a", 0, "1")
			g := openPlain(t, cfg)
			pollN(t, g.Poll, 1)
			fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: code})
			ok, err := g.Commit(patient(t), staged())
			var re *kafka.RecordError
			if ok || !errors.Is(err, class) || class == stream.ErrTransient && errors.As(err, &re) || fault.Hits() != 1 {
				t.Errorf("%v on %s: Commit = %v, %v; want the end of the session, %v", code, topic, ok, err, class)
			}
			if _, err := g.Poll(patient(t), 1); err == nil || errors.Is(err, stream.ErrTransient) {
				t.Errorf("%v on %s: Poll afterwards = %v, want the session's end", code, topic, err)
			}
		}
	}
}

// A batch that stands does so until it is committed or the session ends, whatever
// becomes of the next try.
func TestPlainGroup_Commit_standsUntilTheEnd(t *testing.T) {
	for name, second := range map[string]func(*kfake.Cluster, *kafka.PlainGroup, chan struct{}){
		"a refusal for now": func(kc *kfake.Cluster, _ *kafka.PlainGroup, _ chan struct{}) {
			kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.UnknownServerError})
		},
		"too large": func(kc *kfake.Cluster, _ *kafka.PlainGroup, _ chan struct{}) {
			kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.MessageTooLarge})
		},
		"lease": func(kc *kfake.Cluster, g *kafka.PlainGroup, away chan struct{}) {
			noAnswers(kc, kmsg.Heartbeat, away)
			g.Lapse()
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
			put(t, cfg, "a", 0, "1")
			g := openPlain(t, cfg)
			pollN(t, g.Poll, 1)
			kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "state", Err: kerr.MessageTooLarge})
			var re *kafka.RecordError
			if _, err := g.Commit(patient(t), staged()); !errors.As(err, &re) || !re.Standing {
				t.Fatalf("Commit = %v, want a batch that stands", err)
			}
			away := make(chan struct{})
			defer close(away)
			second(kc, g, away)
			ok, err := g.Commit(patient(t), staged())
			if ok || err == nil {
				t.Errorf("second Commit = %v, %v; want an error", ok, err)
			}
			if _, err := g.Poll(patient(t), 1); err == nil || errors.Is(err, stream.ErrTransient) {
				t.Errorf("Poll afterwards = %v: it goes on, and the batch does not stand", err)
			}
		})
	}
}

// Who comes with the same instance id has the partitions at once. The one that is
// replaced writes no stage any more, long before its lease is over.
func TestPlainGroup_twinWritesNothing(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
	put(t, cfg, "a", 0, "1")
	open := func() *kafka.PlainGroup {
		g, err := kafka.OpenPlainGroup(patient(t), cfg, kafka.PlainOptions{
			Group: "g", InstanceID: "0", Inputs: []string{"a", "b"}, Outputs: []string{"out", "state", "position"},
			Last:           [][]string{{"state"}, {"position"}},
			SessionTimeout: 45 * time.Second, HeartbeatInterval: 3 * time.Second, RebalanceTimeout: long,
		}, newTable(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		return g
	}
	old := open()
	pollN(t, old.Poll, 1)
	twin := open()
	pollN(t, twin.Poll, 1)
	if ok, err := twin.Commit(patient(t), staged()); !ok || err != nil {
		t.Fatalf("Commit of the twin = %v, %v", ok, err)
	}
	if ok, err := old.Commit(patient(t), staged()); ok {
		t.Errorf("Commit of the one that was replaced = %v, %v", ok, err)
	}
	for _, topic := range []string{"out", "state", "position"} {
		if n := kc.PartitionInfo(topic, 0).HighWatermark; n != 1 {
			t.Errorf("%s has %d records, want the twin's", topic, n)
		}
	}
}

// What was not acknowledged in time is not tried any more: it must not land when
// the next owner has begun.
func TestPlainGroup_Commit_givesUpWhatIsBuffered(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
	put(t, cfg, "a", 0, "1")
	g, err := kafka.OpenPlainGroup(patient(t), cfg, kafka.PlainOptions{
		Group: "g", Inputs: []string{"a", "b"}, Outputs: []string{"out", "state", "position"}, Last: [][]string{{"state"}, {"position"}},
		SessionTimeout: 45 * time.Second, HeartbeatInterval: 100 * time.Millisecond, RebalanceTimeout: long, CommitTimeout: time.Second,
	}, newTable(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	pollN(t, g.Poll, 1)
	fault := kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "state", Err: kerr.NotEnoughReplicas, Count: -1})
	if ok, err := g.Commit(patient(t), staged()); ok || err == nil || fault.Hits() == 0 {
		t.Fatalf("Commit = %v, %v after %d refusals", ok, err, fault.Hits())
	}
	fault.Remove()
	var beats atomic.Int32
	kc.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		beats.Add(1)
		return nil, nil, false
	})
	eventually(t, "ten heartbeats: four tries of the client", func() bool { return beats.Load() >= 10 })
	if n := kc.PartitionInfo("state", 0).HighWatermark; n != 0 {
		t.Errorf("%d states landed behind the end of the session", n)
	}
}

// Where the state topic takes less at once than was sent, its stage is written
// again in parts: the batch is not read again in another cut.
func TestPlainGroup_Commit_stateTopicTakesLess(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "position")
	if err := kc.CreateTopic("state", 1, map[string]string{"max.message.bytes": "40000"}); err != nil {
		t.Fatal(err)
	}
	put(t, cfg, "a", 0, "1")
	g := openPlain(t, cfg)
	pollN(t, g.Poll, 1)
	out := staged()
	for i := range 20 {
		v := make([]byte, 10_000)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(v) // never fails
		out = append(out, stream.Record{Topic: "state", Partition: 0, Value: v})
	}
	if ok, err := g.Commit(patient(t), out); !ok || err != nil {
		t.Errorf("Commit = %v, %v; want true", ok, err)
	}
	if n := len(values(t, cfg, "position", 0, true)); n != 1 {
		t.Errorf("%d positions, want 1", n)
	}
}

// A record that is refused must not hide that others are still on their way: what
// lands of them after the batch was read again would stand behind what is newer.
func TestPlainGroup_Commit_refusedBesideUnacknowledged(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b", "out", "state", "position")
	put(t, cfg, "a", 0, "1")
	g := openPlainFor(t, cfg, 3*time.Second)
	pollN(t, g.Poll, 1)
	away := make(chan struct{})
	defer close(away)
	kc.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		kc.KeepControl()
		noAnswers(kc, kmsg.Heartbeat, away) // the lease is whole when the stage begins
		kc.SleepControl(func() { <-away })
		return nil, nil, false
	})
	ok, err := g.Commit(patient(t), []stream.Record{
		{Topic: "out", Partition: 0, Value: []byte("on its way")},
		{Topic: "out", Partition: 0, Value: make([]byte, 2<<20)},
	})
	var re *kafka.RecordError
	if ok || err == nil || errors.As(err, &re) {
		t.Errorf("Commit = %v, %v; want the end of the session", ok, err)
	}
	if _, err := g.Poll(patient(t), 1); err == nil || errors.Is(err, stream.ErrTransient) {
		t.Errorf("Poll of a session with records on their way = %v, want its end", err)
	}
}
