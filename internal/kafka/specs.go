package kafka

import (
	"strconv"
	"time"

	"rampstream/internal/stream"
)

// TopicSpec is a topic as it should be. Configs holds Kafka's own names; what it
// does not name is left alone.
type TopicSpec struct {
	Name        string
	Partitions  int32
	Replication int16
	Configs     map[string]string
	// History: records that are kept for longer than retention.ms are no difference.
	History bool
}

func days(n int) string { return millis(time.Duration(n) * 24 * time.Hour) }

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Specs are the topics of a pipeline with one partition count for all.
// replication 1 is for a single broker and sets min.insync.replicas to 1;
// anything above sets 2.
func Specs(t stream.Topics, partitions int32, replication int16) []TopicSpec {
	minISR := "2"
	if replication < 2 {
		minISR = "1"
	}
	spec := func(name string, groups ...map[string]string) TopicSpec {
		c := map[string]string{
			"min.insync.replicas":            minISR,
			"unclean.leader.election.enable": "false",
			"max.message.bytes":              "1048576",
			"compression.type":               "producer",
		}
		for _, g := range groups {
			for k, v := range g {
				c[k] = v
			}
		}
		return TopicSpec{Name: name, Partitions: partitions, Replication: replication, Configs: c}
	}
	// Retention by size would remove records of any age, read or not.
	expiring := map[string]string{"cleanup.policy": "delete", "retention.ms": days(400), "retention.bytes": "-1"}
	history := func(name string, groups ...map[string]string) TopicSpec {
		s := spec(name, append(groups, expiring)...)
		s.History = true
		return s
	}
	// The broker's clock referees ours: evidence dated after its append time does
	// not win.
	input := map[string]string{"message.timestamp.type": "LogAppendTime"}
	table := map[string]string{
		"cleanup.policy":            "compact",
		"segment.ms":                days(1),
		"segment.bytes":             strconv.Itoa(256 << 20),
		"min.cleanable.dirty.ratio": "0.1",
		"min.compaction.lag.ms":     millis(time.Hour),
		"max.compaction.lag.ms":     days(7),
		"delete.retention.ms":       days(7),
	}
	hot := map[string]string{"min.compaction.lag.ms": "0"}
	return []TopicSpec{
		history(t.Webhook, input),
		history(t.Intent, input),
		history(t.StatusCheck, input),
		spec(t.OrderState, table),
		spec(t.CustomerState, table),
		history(t.Transition),
		spec(t.ReconcilerPosition, table, hot),
		spec(t.Discrepancy, table),
		spec(t.CheckSchedule, table, hot),
		spec(t.LaneState, table, hot),
		spec(t.DeadLetter, map[string]string{"cleanup.policy": "delete", "retention.ms": days(90)}),
	}
}
