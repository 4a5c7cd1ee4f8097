package kafka_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// guarded is a cluster with rights: of an administrator, and of a program that
// has none to begin with.
func guarded(t *testing.T) (admin, program kafka.Config) {
	t.Helper()
	kc, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a", "b", "out", "table"), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("PLAIN", "admin", "pw"), kfake.User("PLAIN", "program", "pw"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kc.Close)
	as := func(user string) kafka.Config {
		return kafka.Config{Brokers: kc.ListenAddrs(), Properties: map[string]string{
			"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": user, "sasl.password": "pw",
		}}
	}
	return as("admin"), as("program")
}

func allow(res kafka.Resource, name, op string) kafka.ACL {
	return kafka.ACL{Principal: "User:program", Resource: res, Name: name, Operation: op}
}

// needed are the rights of a transactional member on a, b, out and table.
var needed = []kafka.ACL{
	allow(kafka.ResourceTopic, "a", "Read"), allow(kafka.ResourceTopic, "b", "Read"), allow(kafka.ResourceTopic, "table", "Read"),
	allow(kafka.ResourceTopic, "out", "Write"), allow(kafka.ResourceGroup, "g", "Read"),
	{Principal: "User:program", Resource: kafka.ResourceTransactionalID, Name: "g-", Prefixed: true, Operation: "Write"},
}

// A program with what it needs runs; without any one right it is refused before
// it has read or written anything, and hears what it lacks.
func TestACLs_eachIsNeeded(t *testing.T) {
	for i := -1; i < len(needed); i++ {
		acls, lacks := slices.Clone(needed), kafka.ACL{}
		if i >= 0 {
			lacks = acls[i]
			acls = slices.Delete(acls, i, i+1)
		}
		t.Run("without "+lacks.Name, func(t *testing.T) {
			admin, program := guarded(t)
			if err := kafka.ApplyACLs(patient(t), admin, acls); err != nil {
				t.Fatal(err)
			}
			put(t, admin, "a", 0, "1")
			err := run1(t, program)
			if i < 0 {
				if err != nil {
					t.Errorf("with every right: %v", err)
				}
				return
			}
			if !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), lacks.Name) || !strings.Contains(err.Error(), "rampctl acls plan") {
				t.Errorf("without %s: %v; want ErrRefused that names it", lacks, err)
			}
			if got := values(t, admin, "out", 0, true); len(got) != 0 {
				t.Errorf("out = %q, want nothing", got)
			}
		})
	}
}

// run1 opens a member and commits one record.
func run1(t *testing.T, cfg kafka.Config) error {
	o := txnOptions("0")
	o.Tables = []string{"table"}
	g, err := kafka.OpenTxnGroup(patient(t), cfg, o, newTable(t))
	if err != nil {
		return err
	}
	defer g.Close()
	for {
		rs, err := g.Poll(patient(t), 10)
		if err != nil && !errors.Is(err, stream.ErrTransient) {
			return err
		}
		if len(rs) > 0 {
			_, err := g.Commit(patient(t), copies(rs))
			return err
		}
	}
}

func TestACLs_producerIsRefusedAtTheOpen(t *testing.T) {
	admin, program := guarded(t)
	if err := kafka.ApplyACLs(patient(t), admin, []kafka.ACL{allow(kafka.ResourceTopic, "out", "Read")}); err != nil {
		t.Fatal(err)
	}
	for topic, word := range map[string]string{"out": "WRITE", "a": "TOPIC_AUTHORIZATION_FAILED"} {
		_, err := kafka.OpenProducer(patient(t), program, kafka.ProducerOptions{Topics: []string{topic}})
		if !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "topic "+topic) || !strings.Contains(err.Error(), word) {
			t.Errorf("OpenProducer without a right to %s = %v; want ErrRefused with %s", topic, err, word)
		}
	}
	if err := kafka.CheckPartitions(patient(t), program, []string{"out", "b"}, 1); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "topic b") {
		t.Errorf("CheckPartitions = %v; want ErrRefused that names b", err)
	}
	// Who only reads may be kept from the dead letters; of what it sees a wrong count is refused.
	if err := kafka.CheckVisiblePartitions(patient(t), program, []string{"out", "b"}, 1); err != nil {
		t.Errorf("CheckVisiblePartitions = %v; want b left out", err)
	}
	if err := kafka.CheckVisiblePartitions(patient(t), program, []string{"b", "out"}, 3); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "topic out has 1 partitions") {
		t.Errorf("CheckVisiblePartitions of another count = %v; want ErrRefused that names out", err)
	}
}

func TestMissingACLs(t *testing.T) {
	admin, program := guarded(t)
	missing := func() []kafka.ACL {
		t.Helper()
		got, err := kafka.MissingACLs(patient(t), admin, needed)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff(needed, missing()); diff != "" {
		t.Errorf("missing at first (-want +got):\n%s", diff)
	}
	if err := kafka.ApplyACLs(patient(t), admin, needed[:4]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(needed[4:], missing()); diff != "" {
		t.Errorf("missing after a part (-want +got):\n%s", diff)
	}
	if err := kafka.ApplyACLs(patient(t), admin, needed); err != nil { // what is there is no change
		t.Fatal(err)
	}
	if got := missing(); len(got) != 0 {
		t.Errorf("missing after all: %v", got)
	}
	if _, err := kafka.MissingACLs(patient(t), program, needed); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("MissingACLs of a program = %v, want ErrRefused", err)
	}
	if err := kafka.ApplyACLs(patient(t), program, needed); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("ApplyACLs of a program = %v, want ErrRefused", err)
	}
	if err := kafka.ApplyACLs(patient(t), admin, []kafka.ACL{{Principal: "User:x", Resource: "nonsense", Operation: "Read"}}); err == nil {
		t.Error("ApplyACLs of a resource that is none succeeded")
	}
}

func TestACL_Command(t *testing.T) {
	for want, a := range map[string]kafka.ACL{
		"kafka-acls.sh --bootstrap-server b:9092 --add --allow-principal User:program --operation Read --topic a":                                               needed[0],
		"kafka-acls.sh --bootstrap-server b:9092 --add --allow-principal User:program --operation Read --group g":                                               needed[4],
		"kafka-acls.sh --bootstrap-server b:9092 --add --allow-principal User:program --operation Write --transactional-id g- --resource-pattern-type prefixed": needed[5],
	} {
		if got := a.Command("b:9092"); got != want {
			t.Errorf("Command() = %q, want %q", got, want)
		}
	}
	if got := needed[5].String(); got != "User:program may Write transactional-id g-*" {
		t.Errorf("String() = %q", got)
	}
}

// An ACL of one host beside that of every host takes nothing from it.
func TestMissingACLs_besideOneOfAHost(t *testing.T) {
	admin, _ := guarded(t)
	acl := allow(kafka.ResourceTopic, "a", "Read")
	if err := kafka.ApplyACLs(patient(t), admin, []kafka.ACL{acl}); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(admin.Brokers...), kgo.SASL(plain.Auth{User: "admin", Pass: "pw"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, host := range []string{"10.0.0.1", "9.9.9.9", "zz"} {
		b := kadm.NewACLs().Topics("a").Operations(kadm.OpRead).Allow(acl.Principal).AllowHosts(host).ResourcePatternType(kadm.ACLPatternLiteral)
		if _, err := kadm.NewClient(cl).CreateACLs(patient(t), b); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := kafka.MissingACLs(patient(t), admin, []kafka.ACL{acl}); err != nil || len(got) != 0 {
		t.Errorf("MissingACLs = %v, %v; want none: every host may", got, err)
	}
}
