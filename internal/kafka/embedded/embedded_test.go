package embedded_test

import (
	"context"
	"testing"
	"time"

	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/stream"
)

func TestStart_keepsRecordsInDataDir(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var addr string
	for run := range 3 {
		c, err := embedded.Start(embedded.Options{DataDir: dir, BrokerAddr: addr})
		if err != nil {
			t.Fatal(err)
		}
		cfg := kafka.Config{Brokers: c.Brokers()}
		if addr = c.Brokers()[0]; run == 0 {
			plan, err := kafka.PlanTopics(ctx, cfg, c.Specs([]kafka.TopicSpec{{Name: "s", Partitions: 1, Replication: 3, Configs: map[string]string{}}}))
			if err == nil {
				err = kafka.ApplyTopics(ctx, cfg, plan)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		p, err := kafka.OpenProducer(ctx, cfg, kafka.ProducerOptions{Topics: []string{"s"}})
		if err != nil {
			t.Fatal(err)
		}
		acked, err := p.Publish(ctx, stream.Record{Topic: "s", Value: []byte("v")})
		if err != nil || acked[0].Offset != int64(run) {
			t.Errorf("run %d: Publish = %v, %v; want offset %d", run, acked, err, run)
		}
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		c.Close()
	}
}

func TestStart_severalBrokers(t *testing.T) {
	c, err := embedded.Start(embedded.Options{Brokers: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n := len(c.Brokers()); n != 3 {
		t.Errorf("%d brokers, want 3", n)
	}
	specs := c.Specs([]kafka.TopicSpec{{Name: "s", Partitions: 1, Replication: 5, Configs: map[string]string{"message.timestamp.type": "LogAppendTime"}}})
	if s := specs[0]; s.Replication != 3 || s.Configs["message.timestamp.type"] != "CreateTime" {
		t.Errorf("Specs = %+v, want 3 replicas and CreateTime", s)
	}
}

func TestStart_badAddress(t *testing.T) {
	for _, o := range []embedded.Options{{BrokerAddr: "nowhere"}, {BrokerAddr: "127.0.0.1:x"}, {RegistryAddr: "256.0.0.1:1"}} {
		if c, err := embedded.Start(o); err == nil {
			c.Close()
			t.Errorf("Start(%+v) gives no error", o)
		}
	}
}
