package kafka_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/stream"
)

func TestSpecs(t *testing.T) {
	topics := stream.DefaultTopics("ramp.")
	specs := kafka.Specs(topics, 12, 3)
	byName := map[string]kafka.TopicSpec{}
	for _, s := range specs {
		byName[s.Name] = s
	}
	if len(byName) != len(topics.All()) {
		t.Errorf("Specs names %d topics, want %d", len(byName), len(topics.All()))
	}
	for _, name := range topics.All() {
		s, ok := byName[name]
		if !ok || s.Partitions != 12 || s.Replication != 3 || s.Configs["min.insync.replicas"] != "2" ||
			s.Configs["unclean.leader.election.enable"] != "false" || s.Configs["max.message.bytes"] != "1048576" {
			t.Errorf("spec of %s = %+v", name, s)
		}
	}
	for _, name := range topics.Inputs() {
		if c := byName[name].Configs; c["message.timestamp.type"] != "LogAppendTime" || c["retention.ms"] != "34560000000" {
			t.Errorf("configs of input %s = %v", name, c)
		}
	}
	for _, name := range []string{topics.OrderState, topics.CustomerState, topics.Discrepancy, topics.CheckSchedule, topics.LaneState, topics.ReconcilerPosition} {
		if c := byName[name].Configs; c["cleanup.policy"] != "compact" || c["delete.retention.ms"] != "604800000" {
			t.Errorf("configs of table %s = %v", name, c)
		}
	}
	if one := kafka.Specs(topics, 1, 1); one[0].Configs["min.insync.replicas"] != "1" {
		t.Error("a single replica cannot have two in sync")
	}
}

func TestTopics_planApplyCheck(t *testing.T) {
	c, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg, ctx := kafka.Config{Brokers: c.Brokers()}, patient(t)
	specs := c.Specs(kafka.Specs(stream.DefaultTopics("ramp."), 3, 3))

	plan, err := kafka.PlanTopics(ctx, cfg, specs)
	if err != nil || len(plan) != len(specs) {
		t.Fatalf("PlanTopics on nothing = %d changes, %v; want %d", len(plan), err, len(specs))
	}
	for i, ch := range plan {
		if ch.Kind != kafka.ChangeCreate || ch.Topic != specs[i].Name {
			t.Errorf("change %d = %v %s, want create %s", i, ch.Kind, ch.Topic, specs[i].Name)
		}
	}
	if err := kafka.ApplyTopics(ctx, cfg, plan); err != nil {
		t.Fatal(err)
	}
	if problems, err := kafka.CheckTopics(ctx, cfg, specs); err != nil || len(problems) > 0 {
		t.Fatalf("CheckTopics after ApplyTopics = %q, %v; want none", problems, err)
	}
	if err := kafka.ApplyTopics(ctx, cfg, plan); err != nil {
		t.Errorf("ApplyTopics of an old plan = %v; topics that exist are left alone", err)
	}
	applyOnlyWhatDiffers(t, c, cfg, specs)
}

// applyOnlyWhatDiffers changes one config of one topic and sees that nothing
// else is written, min.insync.replicas least of all.
func applyOnlyWhatDiffers(t *testing.T, c *embedded.Cluster, cfg kafka.Config, specs []kafka.TopicSpec) {
	t.Helper()
	specs[3].Configs["retention.ms"] = "1000"
	specs[3].Configs["cleanup.policy"] = "compact"
	plan, err := kafka.PlanTopics(patient(t), cfg, specs)
	if err != nil || len(plan) != 1 || plan[0].Kind != kafka.ChangeConfig || plan[0].Key != "retention.ms" || plan[0].To != "1000" {
		t.Fatalf("PlanTopics after one edit = %v, %v; want that one", plan, err)
	}
	written := map[string][]string{}
	c.Kafka().ControlKey(int16(kmsg.IncrementalAlterConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.Kafka().KeepControl()
		for _, r := range req.(*kmsg.IncrementalAlterConfigsRequest).Resources {
			for _, cfg := range r.Configs {
				written[r.ResourceName] = append(written[r.ResourceName], cfg.Name)
			}
		}
		return nil, nil, false
	})
	if err := kafka.ApplyTopics(patient(t), cfg, plan); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{specs[3].Name: {"retention.ms"}}, written); diff != "" {
		t.Errorf("configs written (-want +got):\n%s", diff)
	}
}

func TestTopics_refused(t *testing.T) {
	cfg, kc := start(t, 4, "ramp.webhook.v1")
	specs := []kafka.TopicSpec{{Name: "ramp.webhook.v1", Partitions: 12, Replication: 3}, {Name: "new", Partitions: 1, Replication: 1}}
	plan, err := kafka.PlanTopics(patient(t), cfg, specs)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for _, ch := range plan {
		if ch.Kind == kafka.ChangeRefused {
			text += ch.Text + "\n"
		}
	}
	for _, want := range []string{"has 4 partitions, want 12", "set topics.partitions to 4", "replicas, want 3"} {
		if !strings.Contains(text, want) {
			t.Errorf("plan = %q, want %q in it", text, want)
		}
	}
	if err := kafka.ApplyTopics(patient(t), cfg, plan); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("ApplyTopics of a refused plan = %v, want ErrRefused", err)
	}
	if kc.TopicInfo("new") != nil {
		t.Error("a refused plan was made in part")
	}
	kc.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	if _, err := kafka.PlanTopics(patient(t), cfg, specs); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("PlanTopics without the right to look = %v, want ErrRefused", err)
	}
}

// A creation is acknowledged before every broker has heard of it.
func TestApplyTopics_waitsForEveryBroker(t *testing.T) {
	c, err := embedded.Start(embedded.Options{Brokers: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg, ctx := kafka.Config{Brokers: c.Brokers()}, patient(t)
	specs := c.Specs(kafka.Specs(stream.DefaultTopics("ramp."), 3, 3))
	plan, err := kafka.PlanTopics(ctx, cfg, specs)
	if err != nil {
		t.Fatal(err)
	}
	var asked, denied atomic.Int32
	c.Kafka().ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.Kafka().KeepControl()
		r := req.(*kmsg.MetadataRequest)
		if len(r.Topics) != len(specs) || asked.Add(1) > 5 {
			return nil, nil, false
		}
		denied.Add(1)
		resp := r.ResponseKind().(*kmsg.MetadataResponse)
		for _, want := range r.Topics {
			rt := kmsg.NewMetadataResponseTopic()
			rt.Topic, rt.ErrorCode = want.Topic, kerr.UnknownTopicOrPartition.Code
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	if err := kafka.ApplyTopics(ctx, cfg, plan); err != nil {
		t.Fatal(err)
	}
	// Five answers deny the topics; then each of the three brokers serves them.
	if n, d := asked.Load(), denied.Load(); n != 5+3 || d != 5 {
		t.Errorf("ApplyTopics asked %d times, %d of them in vain; want 8 and 5", n, d)
	}
}
