package integration_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/kafka"
	"rampstream/internal/providers/simulator"
	"rampstream/internal/run"
)

// secured: the ring over TLS and SCRAM, each program with the rights that
// rampctl acls plan lists and no other. Sessions end and are renewed under load,
// the brokers' certificates are exchanged, a right is taken away while a program
// runs; nothing is lost. And each right is needed: without any one of them the
// program refuses to start and names what it lacks.
func secured(t *testing.T, p platform) {
	if !p.real() {
		t.Skip("the embedded broker has no secured listener")
	}
	if os.Getenv("SECURED_BROKERS") == "" {
		t.Skip("SECURED_BROKERS is not set: KAFKA_SECURED=yes scripts/kafka up")
	}
	w := newWorld(t, p, options{empty: true, faults: simulator.DefaultFaults()})
	w.files = map[string]string{}
	for _, user := range []string{"ingest", "poller", "reconciler", "operator", "viewer", "stranger"} {
		w.files[user] = w.variant(user, func(c *config.Config) {
			c.Kafka.Brokers = strings.Split(os.Getenv("SECURED_BROKERS"), ",")
			c.Kafka.Properties = map[string]string{
				"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "ssl.ca.location": os.Getenv("SECURED_CA"),
				"sasl.username": user, "sasl.password": os.Getenv("SECURED_PASSWORD"),
			}
		})
	}
	w.strangers()
	who := app.Principals{Ingest: "User:ingest", Poller: "User:poller", Reconciler: "User:reconciler", Operator: "User:operator", Viewer: "User:viewer"}
	w.asUser("stranger", run.Refused, "acls plan", "topics", "check")
	if code, out := w.rampctl("acls", "apply", "--operator", who.Operator, "--viewer", who.Viewer); code != run.OK {
		t.Fatalf("rampctl acls apply: exit code %d\n%s", code, out)
	}
	for _, a := range app.ACLs(w.cfg, who) {
		w.know(a, true) // the brokers hear of it one after the other
	}
	if code, out := w.rampctl("acls", "plan", "--operator", who.Operator, "--viewer", who.Viewer); code != run.OK || strings.Contains(out, "kafka-acls") {
		t.Errorf("rampctl acls plan after apply: exit code %d, want nothing missing\n%s", code, out)
	}
	t.Cleanup(func() { w.takeAll(app.ACLs(w.cfg, who)) })
	for _, args := range [][]string{{"topics", "apply"}, {"schemas", "register"}, {"topics", "check"}, {"schemas", "check"}} {
		w.asUser("operator", run.OK, "", args...)
	}

	ingest, poller, reconciler := w.startAll()
	// Longer than a session of the brokers lasts (10 s).
	must(t, w.place(t.Context(), 40, 4, 12*time.Second))
	w.rotate()
	reconciler.kill() // what connects from now on sees the new certificate
	reconciler = w.start("reconciler", "a")
	reconciler.ready()
	must(t, w.place(t.Context(), 10, 0, time.Second))
	w.agree()

	w.asUser("viewer", run.OK, "COMPLETED", "orders", "ls")
	w.asUser("viewer", run.Refused, "acls plan", "redrive", "--all", "--execute")
	reconciler = w.lostRight(reconciler, who)
	w.asUser("viewer", run.OK, "", "audit")
	w.finish([]*process{ingest}, []*process{poller}, reconciler)

	for _, a := range app.ACLs(w.cfg, who) {
		name := strings.TrimPrefix(a.Principal, "User:")
		if name == "operator" || name == "viewer" {
			continue
		}
		w.take(a)
		w.refuses(name, w.files[name], run.Refused, a.Name, "rampctl acls plan")
		w.give(a)
	}
}

// strangers: a wrong password and a foreign CA are refused, with exit code 4.
func (w *world) strangers() {
	w.t.Helper()
	change := func(property, value string) func(*config.Config) {
		return func(c *config.Config) {
			c.Kafka.Brokers = strings.Split(os.Getenv("SECURED_BROKERS"), ",")
			c.Kafka.Properties = map[string]string{
				"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "ssl.ca.location": os.Getenv("SECURED_CA"),
				"sasl.username": "ingest", "sasl.password": os.Getenv("SECURED_PASSWORD"),
			}
			c.Kafka.Properties[property] = value
			if value == "" {
				delete(c.Kafka.Properties, property)
			}
		}
	}
	w.refuses("ingest", w.variant("password", change("sasl.password", "wrong")), run.Refused, "SASL_AUTHENTICATION_FAILED")
	w.refuses("ingest", w.variant("authority", change("ssl.ca.location", "")), run.Refused, "certificate")
}

// lostRight takes a right from a running reconciler, which must end by itself
// and name it; given back, nothing is missing.
func (w *world) lostRight(reconciler *process, who app.Principals) *process {
	w.t.Helper()
	a := kafka.ACL{Principal: who.Reconciler, Resource: kafka.ResourceTopic, Name: w.topics().OrderState, Operation: "Write"}
	w.take(a)
	must(w.t, w.place(w.t.Context(), 4, 0, time.Second))
	if code := reconciler.wait(); code != run.Refused {
		w.t.Errorf("%s without a right: exit code %d, want %d", reconciler, code, run.Refused)
	}
	if log := reconciler.log.String(); !strings.Contains(log, a.Name) || !strings.Contains(log, "TOPIC_AUTHORIZATION_FAILED") {
		w.t.Errorf("%s does not name the right that it lost\n%s", reconciler, tail(log))
	}
	w.give(a)
	next := w.start("reconciler", "a")
	next.ready()
	w.agree()
	return next
}

// asUser runs rampctl with the rights of a user and wants a code and a word.
func (w *world) asUser(user string, code int, word string, args ...string) {
	w.t.Helper()
	got, out := w.command("rampctl", append([]string{"-c", w.files[user]}, args...)...)
	if got != code || !strings.Contains(out, word) {
		w.t.Errorf("%s: rampctl %s: exit code %d, want %d and %q\n%s", user, strings.Join(args, " "), got, code, word, tail(out))
	}
}

// rotate gives every broker a new certificate, where the cluster is the
// script's.
func (w *world) rotate() {
	w.t.Helper()
	n := &nodes{t: w.t, script: script()}
	if out, err := n.do("rotate"); err != nil {
		w.t.Logf("certificates were not exchanged: %v\n%s", err, out)
	}
}

func (w *world) give(a kafka.ACL) {
	w.t.Helper()
	must(w.t, kafka.ApplyACLs(w.t.Context(), kafka.Config{Brokers: w.cfg.Kafka.Brokers}, []kafka.ACL{a}))
	w.know(a, true)
}

func (w *world) take(a kafka.ACL) {
	w.t.Helper()
	w.takeAll([]kafka.ACL{a})
	w.know(a, false)
}

func (w *world) takeAll(acls []kafka.ACL) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, a := range acls {
		_, err := w.adm.DeleteACLs(ctx, filterOf(w.t, a))
		must(w.t, err)
	}
}

func filterOf(t *testing.T, a kafka.ACL) *kadm.ACLBuilder {
	t.Helper()
	op, err := kmsg.ParseACLOperation(a.Operation)
	must(t, err)
	b := kadm.NewACLs().Allow(a.Principal).AllowHosts("*").Operations(op).ResourcePatternType(kadm.ACLPatternLiteral)
	if a.Prefixed {
		b = b.ResourcePatternType(kadm.ACLPatternPrefixed)
	}
	switch a.Resource {
	case kafka.ResourceGroup:
		return b.Groups(a.Name)
	case kafka.ResourceTransactionalID:
		return b.TransactionalIDs(a.Name)
	}
	return b.Topics(a.Name)
}

// know waits until every broker knows whether a right is given.
func (w *world) know(a kafka.ACL, given bool) {
	w.t.Helper()
	op, err := kmsg.ParseACLOperation(a.Operation)
	must(w.t, err)
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	req.ResourceName, req.Principal, req.Operation, req.PermissionType = &a.Name, &a.Principal, op, kmsg.ACLPermissionTypeAllow
	w.everyBroker(fmt.Sprintf("%s: %t", a, given), req, func(resp kmsg.Response) bool {
		described, ok := resp.(*kmsg.DescribeACLsResponse)
		return ok && described.ErrorCode == 0 && len(described.Resources) > 0 == given
	})
}
