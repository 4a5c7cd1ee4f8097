package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

// Of a schema that is not registered the check says whether the registry would take
// it: who is told to register what the registry refuses is told the wrong thing.
func TestSchemas_checkAsksWhetherTheyCouldBeRegistered(t *testing.T) {
	cluster, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	env := []string{"RAMP_KAFKA_BROKERS=" + strings.Join(cluster.Brokers(), ","), "RAMP_REGISTRY_URL=" + cluster.RegistryURL(),
		"RAMP_ACCOUNTS_0_PROVIDER=kado", "RAMP_ACCOUNTS_0_ACCOUNT=acme", "RAMP_ACCOUNTS_0_WEBHOOK_TRUST=hint"}
	check := func() (string, error) {
		var out, errw bytes.Buffer
		err := execute(t.Context(), []string{"schemas", "check"}, env, &out, &errw)
		return out.String(), err
	}
	out, err := check()
	if !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "rampctl schemas register") || strings.Count(out, "not registered") != 10 || strings.Contains(out, "not compatible") {
		t.Errorf("schemas check of an empty registry = %v, want the command that registers all ten\n%s", err, out)
	}
	reg, err := kafka.OpenRegistry(cluster.RegistryURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const subject = "ramp.order-state.v1-value"
	foreign := `{"type":"record","name":"OrderState","namespace":"rampstream.v1","fields":[{"name":"key","type":"int"}]}`
	if _, err := reg.Register(t.Context(), subject, foreign, "FULL_TRANSITIVE"); err != nil {
		t.Fatal(err)
	}
	out, err = check()
	if !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "not compatible") || strings.Contains(err.Error(), "schemas register registers") ||
		!strings.Contains(out, subject+": not registered, and not compatible") || strings.Count(out, "not compatible") != 1 {
		t.Errorf("schemas check beside another schema under %s = %v; want that ours is not compatible, and no command that will fail\n%s", subject, err, out)
	}
}

// With -o json every line is an object, as everywhere.
func TestTopicsAndSchemas_json(t *testing.T) {
	cluster, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	env := []string{"RAMP_KAFKA_BROKERS=" + strings.Join(cluster.Brokers(), ","), "RAMP_REGISTRY_URL=" + cluster.RegistryURL(), "RAMP_TOPICS_REPLICATION=1",
		"RAMP_ACCOUNTS_0_PROVIDER=kado", "RAMP_ACCOUNTS_0_ACCOUNT=acme", "RAMP_ACCOUNTS_0_WEBHOOK_TRUST=hint"}
	for _, tc := range []struct {
		args string
		code int
		has  string
	}{
		{"topics check", run.Refused, `"problem":"`}, {"topics plan", run.OK, `"kind":"create"`}, {"topics apply", run.OK, `"topic":"ramp.webhook.v1"`},
		{"schemas check", run.Refused, `"id":null,"could_be_registered":true`}, {"schemas register", run.OK, `"id":1`}, {"schemas check", run.OK, `"id":1`},
	} {
		var out, errw bytes.Buffer
		err := execute(t.Context(), append(strings.Fields(tc.args), "-o", "json"), env, &out, &errw)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		for _, l := range lines {
			if !json.Valid([]byte(l)) {
				t.Errorf("rampctl %s -o json prints %q", tc.args, l)
			}
		}
		if run.Code(err) != tc.code || len(lines) < 10 || !strings.Contains(out.String(), tc.has) {
			t.Errorf("rampctl %s -o json = %v, %d lines\n%s", tc.args, err, len(lines), out.String())
		}
	}
	if err := execute(t.Context(), []string{"config", "print", "-o", "json"}, env, &bytes.Buffer{}, &bytes.Buffer{}); run.Code(err) != run.BadConfig {
		t.Errorf("config print -o json = %v; want code 2", err)
	}
}
