package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka/embedded"
	"rampstream/internal/stream"
)

// Who interrupts a command that waits for an acknowledgement gets an answer, also
// while no broker gives one: what is on its way cannot be called back, and may not
// be waited for without end.
func TestForget_interruptedWhileNoBrokerAnswers(t *testing.T) {
	cluster, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	env := []string{
		"RAMP_KAFKA_BROKERS=" + strings.Join(cluster.Brokers(), ","), "RAMP_REGISTRY_URL=" + cluster.RegistryURL(),
		"RAMP_TOPICS_PARTITIONS=1", "RAMP_TOPICS_REPLICATION=1",
		"RAMP_ACCOUNTS_0_PROVIDER=kado", "RAMP_ACCOUNTS_0_ACCOUNT=acme", "RAMP_ACCOUNTS_0_WEBHOOK_TRUST=hint",
	}
	for _, args := range [][]string{{"topics", "apply"}, {"schemas", "register"}} {
		var out, errw bytes.Buffer
		if err := execute(t.Context(), args, env, &out, &errw); err != nil {
			t.Fatalf("rampctl %v = %v", args, err)
		}
	}
	arrived, away := make(chan struct{}, 100), make(chan struct{})
	defer close(away)
	cluster.Kafka().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.Kafka().KeepControl()
		arrived <- struct{}{}
		cluster.Kafka().SleepControl(func() { <-away })
		return nil, nil, false
	})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	done := make(chan error, 1)
	go func() {
		var out, errw bytes.Buffer
		done <- execute(ctx, []string{"orders", "forget", "kado/acme/1", "--reason", "asked", "--operator", "op-1"}, env, &out, &errw)
	}()
	<-arrived
	interrupt()
	select {
	case err := <-done:
		if !errors.Is(err, stream.ErrTransient) {
			t.Errorf("orders forget = %v; want ErrTransient", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("orders forget waits for a broker that does not answer, 20 s after it was interrupted")
	}
}
