package integration_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/run"
)

// uncleanElection: topics may elect a leader that has not all of the log, and
// one is elected: the follower stops, records are acknowledged by the leader
// alone, the leader is killed, the follower comes back and leads. The reconciler
// ends with code 5 and names topic and offsets: for an input at once, and again
// when that has grown beyond its position; for a state with its next write.
// ingest and poller say that what was acknowledged to them is gone.
func uncleanElection(t *testing.T, p platform) {
	if !p.real() {
		t.Skip("the embedded broker has no replicas")
	}
	n := controlled(t)
	const leader, follower = "1", "2"
	// One world loses inputs, the other one states.
	w := newWorld(t, p, options{stage: 10 * time.Second}) // its orders stay open and are asked about
	v := newWorld(t, p, options{stage: 100 * time.Millisecond})
	topics, states := w.topics(), v.topics().OrderState
	inputs := []string{topics.Intent, topics.StatusCheck}
	all := append(slices.Clone(inputs), states)
	for _, topic := range all {
		w.fragile(topic, leader, follower)
	}
	ingest, poller, reconciler := w.startAll()
	_, _, other := v.startAll()
	for _, x := range []*world{w, v} {
		must(t, x.place(t.Context(), 12, 0, 500*time.Millisecond))
	}
	v.agree()

	n.harmed[follower] = "start"
	n.must("stop", follower)
	for _, topic := range all {
		w.alone(topic, leader)
	}
	old := w.ends(all...)
	for i := range 4 * partitions {
		eventually(t, patience, "an intent beside a stopped follower is taken", func() (bool, string) {
			a := w.intend(fmt.Sprintf("lost-%d", i))
			return a.Status == http.StatusOK, fmt.Sprintf("%d %s", a.Status, a.Body)
		})
	}
	must(t, v.place(t.Context(), 12, 0, 500*time.Millisecond))
	v.agree()
	w.grown(old, topics.StatusCheck)
	w.readTo(inputs...)
	high := w.ends(all...)
	n.kill(leader)
	n.start(follower)
	for _, topic := range all {
		w.led(topic, follower)
	}
	now := w.ends(all...)
	for _, topic := range all {
		gone := int64(0)
		for i := range high[topic] {
			gone += high[topic][i] - old[topic][i]
		}
		t.Logf("%s ended at %v in sync, at %v before and at %v after the election", topic, old[topic], high[topic], now[topic])
		if gone == 0 {
			t.Fatalf("nothing of %s was acknowledged by the leader alone: the run proves nothing", topic)
		}
	}

	w.lost(reconciler, inputs...)
	w.alarmed(ingest, topics.Intent, func(i int) { w.intend(fmt.Sprintf("again-%d", i)) })
	w.alarmed(poller, topics.StatusCheck, func(int) {})
	w.outgrow(high, inputs...)
	again := w.lost(w.start("reconciler", "a"), inputs...)
	if said := again.log.String(); !strings.Contains(said, "others may stand there") {
		t.Errorf("the second reconciler does not say that the log was cut and has grown again\n%s", tail(said))
	}

	// The memory of this one is right and what it writes has a hole.
	placed := make(chan error, 1)
	go func() { placed <- v.place(t.Context(), 12, 0, time.Second) }()
	v.lost(other, states)
	must(t, <-placed)
}

// fragile makes a topic one of two replicas that may elect the worse of them.
func (w *world) fragile(topic, leader, follower string) {
	w.t.Helper()
	on, one := "true", "1"
	_, err := w.adm.AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "unclean.leader.election.enable", Value: &on}, {Op: kadm.SetConfig, Name: "min.insync.replicas", Value: &one},
	}, topic)
	must(w.t, err)
	var req kadm.AlterPartitionAssignmentsReq
	set := kadm.TopicsSet{}
	for n := range w.cfg.Topics.Partitions {
		req.Assign(topic, n, []int32{number(w.t, leader), number(w.t, follower)})
		set.Add(topic, n)
	}
	_, err = w.adm.AlterPartitionAssignments(w.t.Context(), req)
	must(w.t, err)
	eventually(w.t, patience, topic+" has two replicas", func() (bool, string) {
		_, _ = w.adm.ElectLeaders(w.t.Context(), kadm.ElectPreferredReplica, set)
		return w.each(topic, func(p kadm.PartitionDetail) bool {
			return p.Leader == number(w.t, leader) && len(p.Replicas) == 2 && len(p.ISR) == 2
		})
	})
}

func number(t *testing.T, id string) int32 {
	t.Helper()
	n, err := strconv.ParseInt(id, 10, 32)
	must(t, err)
	return int32(n)
}

// each reports whether all partitions of a topic are as ok wants them.
func (w *world) each(topic string, ok func(kadm.PartitionDetail) bool) (bool, string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	m, err := w.adm.Metadata(ctx, topic)
	if err != nil {
		return false, err.Error()
	}
	for _, p := range m.Topics[topic].Partitions {
		if !ok(p) {
			return false, fmt.Sprintf("partition %d is led by %d, replicas %v, in sync %v", p.Partition, p.Leader, p.Replicas, p.ISR)
		}
	}
	return len(m.Topics[topic].Partitions) > 0, "no metadata"
}

// alone waits until a node is the only one in sync.
func (w *world) alone(topic, node string) {
	w.t.Helper()
	eventually(w.t, patience, topic+" is in sync on one node alone", func() (bool, string) {
		return w.each(topic, func(p kadm.PartitionDetail) bool { return slices.Equal(p.ISR, []int32{number(w.t, node)}) })
	})
}

// led waits until a node leads a topic.
func (w *world) led(topic, node string) {
	w.t.Helper()
	eventually(w.t, patience, topic+" is led by node "+node, func() (bool, string) {
		return w.each(topic, func(p kadm.PartitionDetail) bool { return p.Leader == number(w.t, node) })
	})
}

// ends are the high watermarks of topics.
func (w *world) ends(topics ...string) map[string][]int64 {
	w.t.Helper()
	out := map[string][]int64{}
	eventually(w.t, patience, "the ends are known", func() (bool, string) {
		ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
		defer cancel()
		listed, err := w.adm.ListEndOffsets(ctx, topics...)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return false, err.Error()
		}
		for _, topic := range topics {
			out[topic] = make([]int64, w.cfg.Topics.Partitions)
			for n := range w.cfg.Topics.Partitions {
				o, _ := listed.Lookup(topic, n)
				out[topic][n] = o.Offset
			}
		}
		return true, ""
	})
	return out
}

// grown waits until a topic is longer in some partition.
func (w *world) grown(than map[string][]int64, topic string) {
	w.t.Helper()
	eventually(w.t, patience, topic+" grows", func() (bool, string) {
		now := w.ends(topic)[topic]
		return slices.Compare(now, than[topic]) != 0, fmt.Sprint(now)
	})
}

// readTo waits until the reconciler's group is at the ends that inputs have now.
func (w *world) readTo(topics ...string) {
	w.t.Helper()
	ends := w.ends(topics...)
	eventually(w.t, patience, "the reconciler has read its inputs", func() (bool, string) {
		done, err := w.adm.FetchOffsets(w.t.Context(), w.cfg.Reconciler.Group)
		if err != nil {
			return false, err.Error()
		}
		for _, topic := range topics {
			for n, end := range ends[topic] {
				if at, _ := done.Lookup(topic, int32(n)); at.At < end {
					return false, fmt.Sprintf("%s-%d: %d of %d", topic, n, at.At, end)
				}
			}
		}
		return true, ""
	})
}

// outgrow writes what nobody can read until every partition is as long as it
// ever was.
func (w *world) outgrow(ends map[string][]int64, topics ...string) {
	w.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.p.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(w.t, err)
	defer cl.Close()
	now := w.ends(topics...)
	var fill []*kgo.Record
	for _, topic := range topics {
		for n, end := range ends[topic] {
			for range end - now[topic][n] + 1 {
				fill = append(fill, &kgo.Record{Topic: topic, Partition: int32(n), Value: []byte("later")})
			}
		}
	}
	must(w.t, cl.ProduceSync(w.t.Context(), fill...).FirstErr())
}

// gone waits for the end of a reconciler and returns it, or the last of those
// that its supervisor started again: without brokers one may end with 1.
func (w *world) gone(p *process) (last *process, code int) {
	w.t.Helper()
	code = p.wait()
	for range 3 {
		if code != run.Failed {
			break
		}
		p = w.start("reconciler", "a")
		code = p.wait()
	}
	return p, code
}

// lost wants a reconciler to end for a loss in one of the topics, with offsets,
// and returns the one that did.
func (w *world) lost(p *process, topics ...string) *process {
	w.t.Helper()
	p, code := w.gone(p)
	said := p.log.String()
	last := said[strings.LastIndex(strings.TrimSpace(said), "\n")+1:]
	w.t.Logf("%s", last)
	named := slices.ContainsFunc(topics, func(topic string) bool { return strings.Contains(last, topic) })
	// Who meets it in a rebalance says so of the position that it restores from.
	where := strings.Contains(last, "offset") || strings.Contains(last, "the position is at")
	if code != run.Loss || !named || !where {
		w.t.Errorf("exit code %d, want %d with one of %v and offsets\n%s", code, run.Loss, topics, tail(said))
	}
	return p
}

// alarmed waits until a program counts the loss of what was acknowledged to it,
// and logs it. A poller that has asked about all asks again after a minute.
func (w *world) alarmed(p *process, topic string, write func(int)) {
	w.t.Helper()
	i := 0
	series := fmt.Sprintf(`ramp_%s_acknowledged_loss_total{topic="%s"}`, p.name, topic)
	eventually(w.t, 2*patience, p.name+" sounds the alarm", func() (bool, string) {
		write(i)
		i++
		for line := range strings.Lines(p.Metrics(w.t.Context())) {
			if value, ok := strings.CutPrefix(line, series); ok {
				return strings.TrimSpace(value) != "0", line
			}
		}
		return false, "no such series"
	})
	eventually(w.t, patience, p.name+" logs the loss in "+topic, func() (bool, string) {
		said := p.log.String()
		return strings.Contains(said, "acknowledged records are gone") && strings.Contains(said, topic), tail(said)
	})
}
