package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"rampstream/internal/kafka/embedded"
	"rampstream/internal/stream"
)

// Whoever believes another partition count than the topics have reads some
// partitions and takes them for all: an audit of half the topics said "equal".
// Every command that reads or places keys refuses, and says what to set.
func TestOpen_refusesAnotherPartitionCount(t *testing.T) {
	cluster, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	env := func(partitions, prefix string) []string {
		return []string{
			"RAMP_KAFKA_BROKERS=" + strings.Join(cluster.Brokers(), ","), "RAMP_REGISTRY_URL=" + cluster.RegistryURL(),
			"RAMP_TOPICS_PARTITIONS=" + partitions, "RAMP_TOPICS_PREFIX=" + prefix, "RAMP_TOPICS_REPLICATION=1",
			"RAMP_ACCOUNTS_0_PROVIDER=kado", "RAMP_ACCOUNTS_0_ACCOUNT=acme", "RAMP_ACCOUNTS_0_WEBHOOK_TRUST=hint",
		}
	}
	rampctl := func(env []string, args ...string) error {
		t.Helper()
		var out, errw bytes.Buffer
		return execute(t.Context(), args, env, &out, &errw)
	}
	for _, args := range [][]string{{"topics", "apply"}, {"schemas", "register"}, {"orders", "ls"}, {"audit"}} {
		if err := rampctl(env("2", "ramp."), args...); err != nil {
			t.Fatalf("rampctl %v = %v", args, err)
		}
	}
	var out, errw bytes.Buffer
	if err := execute(t.Context(), []string{"topics", "plan"}, env("4", "ramp."), &out, &errw); err != nil || !strings.Contains(errw.String(), "11 of them are for a person") {
		t.Errorf("topics plan with another count = %v, %q; want that apply makes none of them", err, errw.String())
	}
	commands := [][]string{
		{"orders", "ls"}, {"orders", "get", "kado/acme/1"}, {"orders", "explain", "kado/acme/1"}, {"orders", "erasure", "kado/acme/1"},
		{"orders", "forget", "kado/acme/1", "--reason", "asked", "--operator", "op-1"},
		{"discrepancies", "ls"}, {"timeline", "kado/acme/1"}, {"tail", "order-state", "--once"}, {"audit"}, {"redrive"},
	}
	for _, args := range commands {
		for _, n := range []string{"1", "4"} {
			if err := rampctl(env(n, "ramp."), args...); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "set topics.partitions") {
				t.Errorf("rampctl %v with %s partitions of 2 = %v; want ErrRefused that says what to set", args, n, err)
			}
		}
		if len(args) > 1 && args[1] == "forget" {
			continue // its schemas are looked up first
		}
		if err := rampctl(env("2", "other."), args...); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "rampctl topics apply") {
			t.Errorf("rampctl %v without topics = %v; want ErrRefused with the command that makes them", args, err)
		}
	}
}
