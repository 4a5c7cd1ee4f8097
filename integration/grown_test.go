package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

// oneGrows and allGrow: somebody raises partition counts under the programs,
// and a producer follows at once. The reconciler ends by itself, names the topic
// and has joined nothing of the new partition; no program starts again.
func oneGrows(t *testing.T, p platform) {
	grow(t, p, func(t stream.Topics) []string { return []string{t.Intent} })
}

func allGrow(t *testing.T, p platform) {
	grow(t, p, stream.Topics.CoPartitioned)
}

func grow(t *testing.T, p platform, which func(stream.Topics) []string) {
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 6, 0, 500*time.Millisecond))
	before := len(w.agree())

	topics := which(w.topics())
	grown, err := w.adm.CreatePartitions(t.Context(), 1, topics...)
	must(t, err)
	must(t, grown.Error())
	foreign := w.follow(partitions + 1)
	// Within the age of metadata, 20 s, and what a busy machine adds.
	if code := reconciler.wait(); code != run.Refused {
		t.Errorf("%s: exit code %d, want %d", reconciler, code, run.Refused)
	}
	if log := reconciler.log.String(); !strings.Contains(log, fmt.Sprintf("partition count changed from %d to %d", partitions, partitions+1)) {
		t.Errorf("%s does not name the change\n%s", reconciler, tail(log))
	}
	ingest.End()
	poller.End()
	w.everyTopic("they have grown", topics, func(m kmsg.MetadataResponseTopic) bool { return len(m.Partitions) == partitions+1 })
	for _, program := range []string{"ingest", "poller", "reconciler"} {
		w.refuses(program, w.file, run.Refused, "partitions")
	}

	table := w.table()
	_, err = table.Refresh(t.Context())
	must(t, err)
	if got := len(table.States()); got != before {
		t.Errorf("%d states, want the %d from before", got, before)
	}
	for _, key := range foreign {
		if st, ok := table.States()[key]; ok {
			t.Errorf("%s is %s: it was joined under the new count", key, st.Status)
		}
	}
}

// follow writes intents for the last of n partitions, as a producer does that
// has seen the new count, and returns their keys.
func (w *world) follow(n int32) (keys []events.Key) {
	w.t.Helper()
	cd, _ := w.reading()
	var ms []kafka.Message
	for i := 0; len(ms) < 5; i++ {
		k := events.Key{Provider: "koinal", Account: demo.Account, ID: fmt.Sprint("grown-", i)}
		if stream.PartitionOf([]byte(k.String()), n) != n-1 {
			continue
		}
		value, err := cd.EncodeIntent(events.Intent{Key: k, EventID: events.EventID(k.ID), ObservedAt: events.At(time.Now()), Source: "test"})
		must(w.t, err)
		keys = append(keys, k)
		ms = append(ms, kafka.Message{Topic: w.topics().Intent, Partition: int(n - 1), Key: []byte(k.String()), Value: value})
	}
	eventually(w.t, patience, "the new partition takes records", func() (bool, string) {
		conn := &kafka.Client{Addr: kafka.TCP(w.cfg.Kafka.Brokers...), Transport: &kafka.Transport{}}
		var rs []kafka.Record
		for _, m := range ms {
			rs = append(rs, kafka.Record{Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value)})
		}
		resp, err := conn.Produce(w.t.Context(), &kafka.ProduceRequest{Topic: w.topics().Intent, Partition: int(n - 1), RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(rs...)})
		if err == nil {
			err = resp.Error
		}
		return err == nil, fmt.Sprint(err)
	})
	return keys
}
