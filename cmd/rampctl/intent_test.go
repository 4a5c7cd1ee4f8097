package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"rampstream/internal/app"
	"rampstream/internal/events"
	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/run"
	"rampstream/internal/stream"
	"rampstream/internal/telemetry"
)

func TestIntents_usage(t *testing.T) {
	const key = "kado/acme/o1"
	for _, a := range [][]string{
		{"orders", "forget"}, {"orders", "forget", "o1", "--reason", "r", "--operator", "op"},
		{"orders", "forget", key, "--operator", "op"}, {"orders", "forget", key, "--reason", "r"},
		{"orders", "forget", key, "--reason", "r", "--operator", "jane@example.com"},
		{"orders", "forget", key, "--reason", "jane@example.com asked", "--operator", "op"},
		{"orders", "decide", key, "--reason", "r", "--operator", "op"},
		{"orders", "decide", key, "--reason", "r", "--operator", "op", "--status", "PENDING"},
		{"orders", "decide", "kado/acme/customer/c1", "--reason", "r", "--operator", "op", "--status", "FAILED"},
		{"timeline"}, {"timeline", "x"}, {"audit", "surplus"},
	} {
		var out, errw bytes.Buffer
		if err := execute(t.Context(), a, nil, &out, &errw); run.Code(err) != run.BadConfig {
			t.Errorf("rampctl %v = %v, code %d; want code 2", a, err, run.Code(err))
		}
	}
}

// installation is an embedded Kafka with a running reconciler.
type installation struct {
	t   *testing.T
	env []string
	cli *cli
}

func install(t *testing.T) *installation {
	t.Helper()
	cluster, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	in := &installation{t: t, env: []string{
		"RAMP_KAFKA_BROKERS=" + strings.Join(cluster.Brokers(), ","), "RAMP_REGISTRY_URL=" + cluster.RegistryURL(),
		"RAMP_TOPICS_PARTITIONS=2", "RAMP_TOPICS_REPLICATION=1", "RAMP_RECONCILER_ADMIN_LISTEN=127.0.0.1:0", "RAMP_RECONCILER_TRANSACTIONAL_ID=reconciler-0",
		"RAMP_ACCOUNTS_0_PROVIDER=kado", "RAMP_ACCOUNTS_0_ACCOUNT=acme", "RAMP_ACCOUNTS_0_WEBHOOK_TRUST=hint",
	}}
	in.cli = &cli{env: in.env, out: &bytes.Buffer{}, errw: &bytes.Buffer{}, file: "rampstream.yaml", output: "text"}
	cfg, err := in.cli.load("rampctl")
	if err != nil {
		t.Fatal(err)
	}
	changes, err := kafka.PlanTopics(t.Context(), kafkaConfig(cfg), specs(cfg))
	if err == nil {
		err = kafka.ApplyTopics(t.Context(), kafkaConfig(cfg), changes)
	}
	if err != nil {
		t.Fatal(err)
	}
	in.run("schemas", "register")
	log, err := telemetry.NewLogger(&bytes.Buffer{}, "reconciler", "error", "text")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- app.Program{Config: cfg, Providers: known(), Log: log, Metrics: telemetry.NewRegistry("reconciler")}.Reconciler(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("reconciler: %v", err)
		}
	})
	return in
}

// run executes one command line that must succeed.
func (in *installation) run(args ...string) (out, errw string) {
	in.t.Helper()
	var stdout, stderr bytes.Buffer
	if err := execute(in.t.Context(), args, in.env, &stdout, &stderr); err != nil {
		in.t.Fatalf("rampctl %v = %v\n%s", args, err, stderr.String())
	}
	return stdout.String(), stderr.String()
}

// decidedBy is a state that a rule decided.
func decidedBy(rule string) func(events.State) bool {
	return func(st events.State) bool { return st.DecidedBy == rule }
}

// knowsDecision is a state that an operator's decision is part of.
func knowsDecision(st events.State) bool {
	return slices.ContainsFunc(st.Evidence, func(e events.Evidence) bool { return e.Kind == events.EvidenceDecision })
}

// until polls the state of a key until it is as wanted.
func (in *installation) until(key events.Key, what string, wanted func(events.State) bool) events.State {
	in.t.Helper()
	r, err := in.cli.open(in.t.Context())
	if err != nil {
		in.t.Fatal(err)
	}
	defer r.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last events.State
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		st, ok, err := r.State(in.t.Context(), key)
		if err != nil {
			in.t.Fatal(err)
		}
		if last = st; ok && wanted(st) {
			return st
		}
	}
	in.t.Fatalf("%s never %s: %+v", key, what, last)
	return events.State{}
}

// publish writes webhooks as ingest does.
func (in *installation) publish(hooks ...events.Webhook) {
	in.t.Helper()
	cfg, err := in.cli.load("rampctl")
	if err != nil {
		in.t.Fatal(err)
	}
	reg, err := app.OpenRegistry(cfg)
	if err != nil {
		in.t.Fatal(err)
	}
	cd, err := app.OpenCodec(in.t.Context(), cfg, reg)
	if err != nil {
		in.t.Fatal(err)
	}
	p, err := kafka.OpenProducer(in.t.Context(), kafkaConfig(cfg), kafka.ProducerOptions{})
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = p.Close(context.WithoutCancel(in.t.Context())) }()
	for _, h := range hooks {
		v, err := cd.EncodeWebhook(h)
		if err != nil {
			in.t.Fatal(err)
		}
		if _, err := p.Publish(in.t.Context(), stream.Record{Topic: cfg.Topics.Names().Webhook, Partition: stream.Auto, Key: []byte(h.Key.String()), Value: v}); err != nil {
			in.t.Fatal(err)
		}
	}
}

// A slip in the account writes nothing: nobody would ask about that order, and who
// was to be forgotten would not be.
func TestIntents_ofAnAccountThatIsNone(t *testing.T) {
	in := install(t)
	for _, a := range [][]string{
		{"orders", "forget", "kado/acne/o1", "--reason", "r", "--operator", "op"},
		{"orders", "decide", "kado/acne/o1", "--reason", "r", "--operator", "op", "--status", "FAILED"},
	} {
		var out, errw bytes.Buffer
		err := execute(t.Context(), a, in.env, &out, &errw)
		if run.Code(err) != run.BadConfig || out.Len() > 0 {
			t.Errorf("rampctl %v = %v, code %d, %q; want code 2 and no receipt", a, err, run.Code(err), out.String())
		}
	}
}

// An operator settles a dispute and forgets an order; timeline and audit agree
// with what happened.
func TestIntents_decideForgetTimelineAudit(t *testing.T) {
	in := install(t)
	key, other := events.Key{Provider: "kado", Account: "acme", ID: "o1"}, events.Key{Provider: "kado", Account: "acme", ID: "other"}
	at := events.At(time.Now().Add(-time.Hour))
	done := events.Webhook{Key: key, EventID: "e1", ObservedAt: at, Trust: events.TrustSigned, StatusRaw: "order_completed", BodyDigest: "d"}
	late := events.Webhook{Key: key, EventID: "e2", ObservedAt: at - 600_000, Trust: events.TrustHint, HintReason: "stale", StatusRaw: "order_pending", BodyDigest: "d"}
	failed := events.Webhook{Key: key, EventID: "e3", ObservedAt: at + 60_000, Trust: events.TrustSigned, StatusRaw: "order_failed", BodyDigest: "d"}
	in.publish(done, late, done)
	in.until(key, "is settled", decidedBy("terminal"))
	if _, errw := in.run("orders", "decide", key.String(), "--status", "FAILED", "--reason", "too early", "--operator", "op-7"); !strings.Contains(errw, "not DISPUTED") {
		t.Errorf("stderr = %q, want a warning that there is no dispute", errw)
	}
	// Topics have no order among them: a decision that was read after the webhook
	// which makes the dispute would show the dispute too, as a transition more.
	in.until(key, "has the decision", knowsDecision)
	in.publish(failed)
	in.until(key, "is decided", decidedBy("operator_decision")) // the dispute began before the decision

	out, errw := in.run("orders", "decide", key.String(), "--status", "completed", "--reason", "seen on chain", "--operator", "op-7")
	var receipt struct {
		EventID string `json:"event_id"`
		Topic   string `json:"topic"`
	}
	if err := json.Unmarshal([]byte(out), &receipt); err != nil || receipt.EventID == "" || receipt.Topic != "ramp.intent.v1" {
		t.Errorf("receipt = %q, %v", out, err)
	}
	if !strings.Contains(errw, "COMPLETED (operator_decision), not DISPUTED") && !strings.Contains(errw, "FAILED (operator_decision), not DISPUTED") {
		t.Errorf("stderr = %q, want a warning that it is decided already", errw)
	}
	if _, errw := in.run("orders", "forget", other.String(), "--reason", "erasure", "--operator", "op-7"); !strings.Contains(errw, "no state") {
		t.Errorf("stderr = %q, want a warning that there is no state", errw)
	}
	in.run("orders", "forget", key.String(), "--reason", "erasure", "--operator", "op-7")
	st := in.until(key, "is forgotten", decidedBy("forgotten"))
	in.until(other, "is forgotten", decidedBy("forgotten")) // of another partition: the audit counts it
	if len(st.Evidence) != 1 || st.Evidence[0].Operator != "op-7" || st.Evidence[0].Reason != "erasure" {
		t.Errorf("forgotten state = %+v", st)
	}

	out, _ = in.run("timeline", key.String(), "-o", "json")
	var sources []string
	var marked string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var e timelineLine
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		sources = append(sources, e.Source)
		switch {
		case e.Hint && e.LateMs == 600_000:
			marked += "hint late;"
		case e.Duplicate:
			marked += "duplicate;"
		}
	}
	const want = "webhook webhook webhook webhook transition intent transition intent transition intent transition"
	if got := strings.Join(sources, " "); got != want || marked != "hint late;duplicate;" {
		t.Errorf("timeline has %q, marks %q:\n%s", got, marked, out)
	}
	if out, _ := in.run("audit", "-o", "json"); !strings.Contains(out, `"equal":2,`) || !strings.Contains(out, `"result":"equal"`) {
		t.Errorf("audit = %s", out)
	}
	if out, _ := in.run("timeline", key.String()); !strings.Contains(out, "late 10m0s") || !strings.Contains(out, "FORGET by op-7") {
		t.Errorf("timeline = %s", out)
	}
}
