package kafka_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"rampstream/internal/kafka"
)

// K12: a transaction that stays open is found, with who wrote it and the command
// that ends it; how long it has stood is measured; one that ended is no more.
func TestOpenTransactions(t *testing.T) {
	cfg, _ := start(t, 2, "a", "b")
	put(t, cfg, "b", 0, "before")
	ctx := patient(t)
	topics := []string{"a", "b"}
	watch, err := kafka.WatchStable(cfg, topics)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	look := func(at time.Duration) map[string]time.Duration {
		t.Helper()
		ages, err := watch.Look(ctx, time.Unix(0, 0).Add(at))
		if err != nil {
			t.Fatal(err)
		}
		return ages
	}
	if open, err := kafka.OpenTransactions(ctx, cfg, topics); err != nil || len(open) != 0 {
		t.Errorf("at rest: %+v, %v; want none", open, err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.TransactionalID("forgotten"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "a", Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if ages := look(0); ages["a"] != 0 || ages["b"] != 0 {
		t.Errorf("at the first look %v; want nothing yet", ages)
	}
	if ages := look(time.Minute); ages["a"] != time.Minute || ages["b"] != 0 {
		t.Errorf("a minute later %v; want a minute for a", ages)
	}
	open, err := kafka.OpenTransactions(ctx, cfg, topics)
	if err != nil || len(open) != 1 {
		t.Fatalf("%+v, %v; want one", open, err)
	}
	id, _, err := cl.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if o := open[0]; o.Topic != "a" || o.Partition != 1 || o.Behind != 1 || o.ProducerID != id || o.TransactionalID != "forgotten" || !o.Known() ||
		!strings.HasSuffix(o.Command("broker:9092"), "forceTerminateTransaction --transactionalId forgotten") {
		t.Errorf("%+v, %s; want the transaction of producer %d", o, o.Command("broker:9092"), id)
	}
	if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if open, err := kafka.OpenTransactions(ctx, cfg, topics); err != nil || len(open) != 0 {
		t.Errorf("after its end: %+v, %v; want none", open, err)
	}
	if ages := look(2 * time.Minute); ages["a"] != 0 {
		t.Errorf("after its end %v; want nothing", ages)
	}
}

func TestOpenTransaction_Command(t *testing.T) {
	hangs := kafka.OpenTransaction{Topic: "a", Partition: 3, FirstOffset: 7, TransactionalID: "x", State: "CompleteCommit"}
	if got, want := hangs.Command("b:1"), "kafka-transactions.sh --bootstrap-server b:1 abort --topic a --partition 3 --start-offset 7"; hangs.Known() || got != want {
		t.Errorf("known %t, %q; want %q", hangs.Known(), got, want)
	}
}

// Brokers list only the transactions of ids that the one who asks may describe. A
// transaction of another id looks as if nobody knew it: a command that ends it, in
// one partition and not in the others, would be the wrong advice.
func TestOpenTransactions_ofAnIDThatMayNotBeSeen(t *testing.T) {
	admin, program := guarded(t)
	if err := kafka.ApplyACLs(patient(t), admin, []kafka.ACL{allow(kafka.ResourceTopic, "a", "Read")}); err != nil {
		t.Fatal(err)
	}
	ctx := patient(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(admin.Brokers...), kgo.TransactionalID("alive"), kgo.SASL(plain.Auth{User: "admin", Pass: "pw"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "a", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	open, err := kafka.OpenTransactions(ctx, program, []string{"a"})
	if err != nil || len(open) != 1 {
		t.Fatalf("%+v, %v; want one", open, err)
	}
	if cmd := open[0].Command("b:1"); cmd != "" || open[0].Known() {
		t.Errorf("a living transaction of an id that may not be seen: known %t, command %q; want neither", open[0].Known(), cmd)
	}
	open, err = kafka.OpenTransactions(ctx, admin, []string{"a"})
	if err != nil || len(open) != 1 || !open[0].Known() || !strings.Contains(open[0].Command("b:1"), "--transactionalId alive") {
		t.Errorf("with the right: %+v, %v; want the id", open, err)
	}
}
