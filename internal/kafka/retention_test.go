package kafka_test

import (
	"strings"
	"testing"

	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/stream"
)

// altered is a cluster with the topics as they should be, but for one setting of
// one, and what a plan says of it.
func altered(t *testing.T, topic, key, value string) []kafka.Change {
	t.Helper()
	c, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg, ctx := kafka.Config{Brokers: c.Brokers()}, patient(t)
	specs := c.Specs(kafka.Specs(stream.DefaultTopics("ramp."), 1, 1))
	plan, err := kafka.PlanTopics(ctx, cfg, specs)
	if err == nil {
		err = kafka.ApplyTopics(ctx, cfg, plan)
	}
	if err == nil {
		err = kafka.ApplyTopics(ctx, cfg, []kafka.Change{{Topic: topic, Kind: kafka.ChangeConfig, Key: key, To: value}})
	}
	if err != nil {
		t.Fatal(err)
	}
	plan, err = kafka.PlanTopics(ctx, cfg, specs)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// Retention by size removes records long before retention by time, read or not.
func TestPlanTopics_seesRetentionBySize(t *testing.T) {
	for _, topic := range []string{"ramp.webhook.v1", "ramp.intent.v1", "ramp.status-check.v1", "ramp.transition.v1"} {
		plan := altered(t, topic, "retention.bytes", "1048576")
		if len(plan) != 1 || plan[0].Topic != topic || plan[0].Key != "retention.bytes" || plan[0].To != "-1" {
			t.Errorf("plan of %s with a retention by size = %v; want that it is taken away", topic, plan)
		}
	}
}

// Who keeps evidence for longer than we ask loses it to no plan; who keeps it for
// less is told, and so is who keeps dead letters for longer.
func TestPlanTopics_shortensNoRetention(t *testing.T) {
	for _, keep := range []string{"-1", "63072000000"} {
		if plan := altered(t, "ramp.webhook.v1", "retention.ms", keep); len(plan) != 0 {
			t.Errorf("plan of an input with retention.ms=%s = %v; want none, it would remove evidence", keep, plan)
		}
	}
	for topic, keep := range map[string]string{"ramp.transition.v1": "86400000", "ramp.dead-letter.v1": "-1"} {
		plan := altered(t, topic, "retention.ms", keep)
		if len(plan) != 1 || plan[0].Topic != topic || !strings.Contains(plan[0].Text, "retention.ms") {
			t.Errorf("plan of %s with retention.ms=%s = %v; want that one", topic, keep, plan)
		}
	}
}

// A partition with fewer copies than the others counts, wherever it stands.
func TestPlanTopics_looksAtTheCopiesOfEveryPartition(t *testing.T) {
	spec := kafka.TopicSpec{Name: "s", Partitions: 4, Replication: 3}
	for range 20 { // partitions come in no order
		if got := kafka.CompareLayout(spec, 3, 3, 1, 3); len(got) != 1 || !strings.Contains(got[0].Text, "partition 2 of s has 1 replicas, want 3") {
			t.Fatalf("a partition of one copy: %v; want that it is told", got)
		}
	}
	if got := kafka.CompareLayout(spec, 2, 2, 2, 2); len(got) != 1 || !strings.Contains(got[0].Text, "s has 2 replicas, want 3") {
		t.Errorf("two copies of all: %v; want one line", got)
	}
	if got := kafka.CompareLayout(spec, 3, 3, 3, 3); len(got) != 0 {
		t.Errorf("three copies of all: %v; want nothing", got)
	}
}
